//! A world for end-to-end tests: a user's home, Bailiwick's home, the real binary, real servers and agents.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod wire;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ledger::record::Record;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

/// Long enough for a loaded machine; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The folder of real servers, clients and agents, or a word that the test was skipped.
pub(crate) fn tools(test: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("BAILIWICK_TEST_TOOLS").map(PathBuf::from).filter(|dir| dir.is_dir());
    if dir.is_none() {
        println!("SKIPPED {test}: BAILIWICK_TEST_TOOLS names no folder; `cargo xtask test` makes one");
    }
    dir
}

/// Asks until `what` answers.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that is killed with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A user with a home, a folder of files, and Bailiwick's home; all in one temporary folder.
pub(crate) struct World {
    root: tempfile::TempDir,
    tools: PathBuf,
}

impl World {
    /// For tests that need no servers and no clients.
    pub(crate) fn bare() -> Self {
        Self::new(Path::new("no test tools are needed"))
    }

    pub(crate) fn new(tools: &Path) -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = Self { root, tools: tools.to_path_buf() };
        for dir in ["home", "files"] {
            fs::create_dir(world.path(dir)).unwrap();
        }
        fs::write(world.path("files/a.txt"), "hello from a\n").unwrap();
        world
    }

    /// A path in the world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A path in the tools folder.
    pub(crate) fn tool(&self, name: &str) -> String {
        self.tools.join(name).display().to_string()
    }

    /// Writes a file of the world.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A command with this world's environment and nothing else of ours.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("BAILIWICK_HOME", self.path("bailiwick"))
            .current_dir(self.path("files"))
            .stdin(Stdio::null());
        command
    }

    /// The binary under test, to its end.
    pub(crate) fn bailiwick(&self, words: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_bailiwick")).args(words).output().unwrap()
    }

    /// The same; must succeed. Answers its standard output.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.bailiwick(words);
        assert!(output.status.success(), "bailiwick {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the hook of Claude Code answers to a shell command.
    pub(crate) fn bash(&self, command: &str) -> Value {
        self.hook(json!({"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": command}}))
    }

    /// What the hook of Claude Code answers to an event of one session.
    pub(crate) fn hook(&self, event: Value) -> Value {
        self.hook_by(&[env!("CARGO_BIN_EXE_bailiwick")], event)
    }

    /// The same, where these words run the program.
    pub(crate) fn hook_by(&self, words: &[&str], mut event: Value) -> Value {
        event["session_id"] = json!("s");
        event["cwd"] = json!(self.path("files"));
        let mut child = self
            .command(words[0])
            .args(&words[1..])
            .args(["hook", "claude-code"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(event.to_string().as_bytes()).unwrap();
        let Output { stdout, status, .. } = child.wait_with_output().unwrap();
        assert!(status.success());
        serde_json::from_slice(&stdout).unwrap_or(Value::Null)
    }

    /// Starts `bailiwick up` and waits until the gateway listens.
    pub(crate) fn up(&self) -> Running {
        self.up_on(0)
    }

    /// The same, with remote servers behind this port.
    pub(crate) fn up_on(&self, gateway_port: u16) -> Running {
        let mut child = self
            .command(env!("CARGO_BIN_EXE_bailiwick"))
            .args(["up", "--no-scan", "--port", "0", "--gateway-port", &gateway_port.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let running = Running(child);
        let listening = lines.by_ref().map_while(Result::ok).any(|line| line.contains("http://127.0.0.1:"));
        assert!(listening, "`bailiwick up` ended before it listened");
        // The rest is drained, so that a full pipe never blocks the gateway.
        std::thread::spawn(move || lines.for_each(drop));
        wait_for("the gateway's socket", || self.path("bailiwick/run/gateway.sock").exists().then_some(()));
        running
    }

    /// An MCP server over the world's files that logs what reaches it: program and arguments.
    pub(crate) fn files_server(&self) -> (String, Vec<String>) {
        let args = vec![
            repository("tests/agents/tee_server.py"),
            self.path("upstream.log").display().to_string(),
            "node".to_owned(),
            self.tool("node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"),
            self.path("files").display().to_string(),
        ];
        ("python3".to_owned(), args)
    }

    /// A remote MCP server, on a port of its own; it listens.
    pub(crate) fn remote_server(&self) -> (Running, u16) {
        self.remote_server_of(&[])
    }

    /// The same, that speaks one era only if there is a word for it.
    pub(crate) fn remote_server_of(&self, era: &[&str]) -> (Running, u16) {
        let port = free_port();
        let child = self
            .command(self.tool("venv/bin/python"))
            .arg(repository("tests/conformance/server.py"))
            .arg(port.to_string())
            .args(era)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Running(child);
        wait_for("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        (server, port)
    }

    /// The same, as Cursor's server `far`, protected behind the gateway at this port.
    pub(crate) fn protected_remote_server(&self, gateway: u16) -> Running {
        let (server, upstream) = self.remote_server();
        let servers = json!({"far": {"url": format!("http://127.0.0.1:{upstream}/mcp")}});
        self.write("home/.cursor/mcp.json", &json!({"mcpServers": servers}).to_string());
        self.ok(&["protect", "cursor", "--port", &gateway.to_string()]);
        server
    }

    /// Lists the server's tools through the gateway once, so that they are pinned when the agent comes: an agent
    /// that does not wait for its servers would else start without tools on a slow machine.
    pub(crate) fn list_tools_once(&self, (program, args): &(String, Vec<String>)) {
        let mut shim = self
            .command(env!("CARGO_BIN_EXE_bailiwick"))
            .args(["mcp", "--agent", "test", "--server", "fs", "--", program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let mut input = shim.stdin.take().unwrap();
        let mut lines = BufReader::new(shim.stdout.take().unwrap()).lines().map_while(Result::ok);
        writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).unwrap();
        assert!(lines.next().unwrap().contains("\"result\""));
        writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).unwrap();
        writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).unwrap();
        assert!(lines.any(|line| line.contains("write_file")));
        drop(input);
        shim.wait().unwrap();
    }

    /// What reached the server, as text.
    pub(crate) fn upstream(&self) -> String {
        fs::read_to_string(self.path("upstream.log")).unwrap_or_default()
    }

    /// All entries of the ledger so far.
    pub(crate) fn records(&self) -> Vec<(u64, Record)> {
        let reader = ledger::Reader::open(&self.path("bailiwick/ledger")).unwrap();
        (0..reader.len()).map(|index| (index, reader.read(index).unwrap().entry.record)).collect()
    }

    /// The intents, each as `(tool, effect)`.
    pub(crate) fn intents(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.records()
            .into_iter()
            .filter_map(|(_, record)| match record {
                Record::Intent(intent) if intent.action["verb"] == "call_tool" => Some(intent),
                _ => None,
            })
            .map(|intent| (text(&intent.action["tool"]["name"]), text(&intent.decision["effect"]["effect"])))
            .collect()
    }

    /// The entry of the first ask that nobody has answered.
    pub(crate) fn ask(&self) -> Option<u64> {
        let records = self.records();
        let answered = |ask: u64| records.iter().any(|(_, r)| matches!(r, Record::Answered(a) if a.ask == ask));
        let open = |(index, record): &(u64, Record)| matches!(record, Record::Asked(_)) && !answered(*index);
        records.iter().find(|entry| open(entry)).map(|(index, _)| *index)
    }

    /// The same, once there is one.
    pub(crate) fn open_ask(&self) -> u64 {
        wait_for("an ask", || self.ask())
    }

    /// Starts the scripted model and answers it with its port.
    pub(crate) fn model(&self, steps: &Value) -> (Running, u16) {
        self.write("script.json", &steps.to_string());
        let mut child = self
            .command("python3")
            .arg(repository("tests/agents/model_server.py"))
            .arg(self.path("script.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        (Running(child), line.trim().parse().unwrap())
    }

    /// `ledger verify` finds nothing wrong.
    pub(crate) fn verify(&self) {
        self.ok(&["ledger", "verify", "--complete"]);
        self.ok(&["ledger", "verify", "--recompute"]);
    }

    /// A scripted step that writes a file of the world.
    pub(crate) fn write_step(&self, name: &str) -> Value {
        json!({"tool": "write_file", "args": {"path": self.path("files").join(name), "content": "written"}})
    }

    /// A scripted step that reads the world's one file.
    pub(crate) fn read_step(&self) -> Value {
        json!({"tool": "read_text_file", "args": {"path": self.path("files/a.txt")}})
    }
}

/// A path in this repository.
pub(crate) fn repository(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name).display().to_string()
}

/// A loopback port that is this test's until it ends: bound, so that nobody else is given it meanwhile, and not listened
/// on, so that a server of this test's can take it.
pub(crate) fn free_port() -> u16 {
    static OURS: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    // Elsewhere a port has one owner, whether or not he listens.
    if cfg!(target_os = "linux") {
        OURS.lock().unwrap().push(socket);
    }
    port
}
