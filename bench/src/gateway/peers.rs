//! Other gateways in front of the echo server: how each is started, and how its clients greet it. None of them decides by a
//! call's arguments or keeps a durable record as they are started here; what is not installed is left out with a word.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Way, read_answer};

/// How long a peer may take to listen: some import for half a minute, and ContextForge, which also makes its database, took
/// 94 s on a loaded machine.
const START_WAIT: Duration = Duration::from_secs(240);
/// The key that LiteLLM is started with. It lets in nobody but this.
const LITELLM_KEY: &str = "x-litellm-api-key: Bearer sk-bench\r\n";

/// A peer that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    McpProxy,
    AgentBom,
    Litellm,
    ContextForge,
}

/// One as it was asked for: `NAME` or `NAME=PROGRAM`.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    kind: Kind,
    program: PathBuf,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, program) = text.split_once('=').unwrap_or((text, text));
        let kind = match name {
            "mcp-proxy" => Kind::McpProxy,
            "agent-bom" => Kind::AgentBom,
            "litellm" => Kind::Litellm,
            "contextforge" => Kind::ContextForge,
            _ => return Err("there are `mcp-proxy`, `agent-bom`, `litellm` and `contextforge`".to_owned()),
        };
        Ok(Self { kind, program: PathBuf::from(program) })
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::McpProxy => "mcp-proxy",
            Self::AgentBom => "agent-bom",
            Self::Litellm => "litellm",
            Self::ContextForge => "contextforge",
        }
    }

    /// Path, name of the tool, and header of its clients.
    fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::McpProxy => ("/", "echo/read_echo", ""),
            Self::AgentBom => ("/mcp/echo", "read_echo", ""),
            Self::Litellm => ("/mcp", "echo-read_echo", LITELLM_KEY),
            Self::ContextForge => ("/mcp", "echo-read-echo", ""),
        }
    }

    /// Its configuration and the words that it is started with.
    fn set_up(self, folder: &Path, port: u16, upstream: SocketAddr) -> anyhow::Result<Vec<String>> {
        let file = folder.join("peer.conf");
        let path = file.display().to_string();
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (text, words) = match self {
            Self::McpProxy => (
                format!(
                    "[proxy]\nname = \"bench\"\n[proxy.listen]\nhost = \"127.0.0.1\"\nport = {port}\n\n[[backends]]\nname = \"echo\"\n\
                     transport = \"http\"\nurl = \"http://{upstream}/mcp\"\n[observability]\nlog_level = \"error\"\n"
                ),
                owned(&["--config", &path]),
            ),
            Self::AgentBom => (
                format!(
                    "upstreams:\n  - name: echo\n    url: http://{upstream}/mcp\n    transport: streamable-http\n    auth: none\n"
                ),
                owned(&["gateway", "serve", "--upstreams", &path, "--bind", &format!("127.0.0.1:{port}")]),
            ),
            Self::Litellm => (
                format!(
                    "mcp_servers:\n  echo:\n    url: http://{upstream}/mcp\n    transport: http\ngeneral_settings:\n  master_key: sk-bench\n"
                ),
                owned(&["--config", &path, "--host", "127.0.0.1", "--port", &port.to_string(), "--telemetry", "False"]),
            ),
            // It is told by its environment, and of the server once it listens.
            Self::ContextForge => (String::new(), owned(&["--host", "127.0.0.1", "--port", &port.to_string()])),
        };
        std::fs::write(&file, text)?;
        Ok(words)
    }

    /// What it reads from its environment.
    fn environment(self, folder: &Path, secret: &str) -> Vec<(&'static str, String)> {
        let owned =
            |words: &[(&'static str, &str)]| words.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        match self {
            Self::McpProxy | Self::AgentBom => Vec::new(),
            // It would fetch a list of prices first.
            Self::Litellm => owned(&[("LITELLM_LOCAL_MODEL_COST_MAP", "True"), ("LITELLM_LOG", "ERROR")]),
            Self::ContextForge => owned(&[
                ("DATABASE_URL", &format!("sqlite:///{}", folder.join("peer.db").display())),
                ("CACHE_TYPE", "memory"),
                ("RATE_LIMITING_ENABLED", "false"),
                ("SSRF_ALLOW_LOCALHOST", "true"),
                // Without, it opens a session of the server anew for each call and lists its tools, at four times the cost.
                ("USE_STATEFUL_SESSIONS", "true"),
                ("JWT_SECRET_KEY", secret),
                ("AUTH_ENCRYPTION_SECRET", secret),
                ("BASIC_AUTH_PASSWORD", &format!("{secret}!1aA")),
                ("PLATFORM_ADMIN_PASSWORD", &format!("{secret}!1aA")),
            ]),
        }
    }
}

/// The token of ContextForge's administrator, as its own `create_jwt_token` makes one.
fn contextforge_token(secret: &str) -> String {
    let (who, now) = ("admin@example.com", jiff::Timestamp::now().as_second());
    let claims = json!({ "sub": who, "username": who, "iss": "mcpgateway", "aud": "mcpgateway-api", "iat": now, "exp": now + 86_400,
        "jti": now.to_string(), "env": "development", "user": { "email": who, "is_admin": true, "auth_provider": "cli" }, "teams": null });
    let text = [json!({ "alg": "HS256", "typ": "JWT" }), claims].map(|part| BASE64.encode(part.to_string())).join(".");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
    format!("{text}.{}", BASE64.encode(signature))
}

/// A peer that runs. Killed with its owner.
pub(super) struct Peer {
    child: Child,
    pub(super) way: Way,
    _folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts those that are wanted; one that cannot be is left out, and that is said.
pub(super) async fn started(wanted: &[Wanted], upstream: SocketAddr) -> Vec<Peer> {
    let mut peers = Vec::new();
    for one in wanted {
        match start(one, upstream).await {
            Ok(peer) => peers.push(peer),
            Err(error) => println!("{}: left out: {error:#}", one.kind.name()),
        }
    }
    if wanted.is_empty() {
        println!(
            "no other gateway is measured: `--peer mcp-proxy`, `agent-bom`, `litellm`, `contextforge`, each `=PROGRAM` if it is elsewhere"
        );
    }
    peers
}

async fn start(wanted: &Wanted, upstream: SocketAddr) -> anyhow::Result<Peer> {
    let kind = wanted.kind;
    let folder = tempfile::tempdir()?;
    let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let words = kind.set_up(folder.path(), address.port(), upstream)?;
    let mut command = Command::new(&wanted.program);
    let mut secret = [0; 32];
    rand::fill(&mut secret).context("no random numbers")?;
    let secret = BASE64.encode(secret);
    command.args(words).current_dir(folder.path()).env("HOME", folder.path());
    command.envs(kind.environment(folder.path(), &secret));
    command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    let child = command.spawn().with_context(|| format!("`{}` cannot be started", wanted.program.display()))?;
    let (path, tool, header) = kind.place();
    let token = (kind == Kind::ContextForge).then(|| contextforge_token(&secret));
    let way = Way { path, tool, header, processes: vec![child.id()], token, ..Way::to(kind.name(), address) };
    let mut peer = Peer { child, way, _folder: folder };
    let mut stream = listening(&mut peer).await?;
    if kind == Kind::ContextForge {
        let server = json!({ "name": "echo", "url": format!("http://{upstream}/mcp"), "transport": "STREAMABLEHTTP", "visibility": "public" });
        let at = Way { path: "/gateways", ..peer.way.clone() };
        let (head, _) = said(&mut stream, &at, "", &server.to_string()).await?;
        anyhow::ensure!(head.starts_with("http/1.1 20"), "it does not take the server: {head}");
    }
    peer.way.session = greeted(&mut stream, &peer.way).await?;
    Ok(peer)
}

/// Waits until the peer listens.
async fn listening(peer: &mut Peer) -> anyhow::Result<TcpStream> {
    let deadline = Instant::now() + START_WAIT;
    let address = *peer.way.addresses.first().context("no address")?;
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > deadline => return Err(error).context("it does not listen"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        anyhow::ensure!(peer.child.try_wait()?.is_none(), "it ended at once");
    }
}

/// Opens a session; `None` where the peer has none.
async fn greeted(stream: &mut TcpStream, way: &Way) -> anyhow::Result<Option<String>> {
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}"#;
    let hello = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
    let (head, _) = said(stream, way, "", &hello).await?;
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id:")).map(|id| id.trim().to_owned());
    if let Some(id) = &session {
        let line = format!("mcp-session-id: {id}\r\n");
        let (head, _) = said(stream, way, &line, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await?;
        anyhow::ensure!(head.starts_with("http/1.1 202"), "it refuses the handshake: {head}");
    }
    Ok(session)
}

async fn said(stream: &mut TcpStream, way: &Way, more: &str, body: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let token = way.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n{}{token}{more}content-length: {}\r\n\r\n",
        way.path,
        way.header,
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    read_answer(stream, &mut Vec::new()).await?.context("the connection closed")
}
