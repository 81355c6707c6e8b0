//! A server that runs as our child: started for one connection, in a process group of its own, and ended
//! with it. Where a minder is told, the server runs under it and ends also when this process is killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its whole environment: nothing of the gateway's own is passed on.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its working folder.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
}

/// The words of a command that runs another one and ends it when this process is gone: `WORDS PID -- COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minder(pub Vec<OsString>);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    group: Option<Pid>,
}

impl Server {
    /// Starts it.
    pub(crate) fn start(
        program: &Program,
        minder: Option<&Minder>,
        stderr: Stdio,
    ) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let mut command = command(program, minder)?;
        command.env_clear().envs(&program.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        command.process_group(0).kill_on_drop(true);
        if let Some(cwd) = &program.cwd {
            command.current_dir(cwd);
        }
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("the child has no pipes"))?;
        Ok((Self { child, group }, stdin, stdout))
    }

    /// Ends it. Its input is closed already; who does not leave by himself is told, then made to.
    pub(crate) async fn end(mut self, grace: Duration) {
        for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
            if let (Some(group), Some(signal)) = (self.group, signal) {
                // The leader may be gone while its children live on; that there is no such group is fine.
                let _ = kill_process_group(group, signal);
            }
            if tokio::time::timeout(grace, self.child.wait()).await.is_ok() {
                break;
            }
        }
        // What the server started and left behind.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn command(program: &Program, minder: Option<&Minder>) -> io::Result<Command> {
    let Some((name, arguments)) = program.command.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
    };
    let Some((by, words)) = minder.and_then(|minder| minder.0.split_first()) else {
        let mut command = Command::new(name);
        command.args(arguments);
        return Ok(command);
    };
    // Seen here, because nobody hears the minder's words.
    look_for(name, program)?;
    let mut command = Command::new(by);
    command.args(words).arg(std::process::id().to_string()).arg("--").args(&program.command);
    Ok(command)
}

/// That a program can be run, as far as its file says.
fn look_for(name: &str, program: &Program) -> io::Result<()> {
    let here = program.cwd.clone().unwrap_or_default();
    let runs = |path: PathBuf| -> io::Result<()> {
        let meta = here.join(path).metadata()?;
        let can = meta.is_file() && meta.permissions().mode() & 0o111 != 0;
        if can { Ok(()) } else { Err(Errno::ACCESS.into()) }
    };
    if name.contains('/') {
        return runs(PathBuf::from(name));
    }
    // Without a path the system has one of its own.
    let Some(path) = program.env.get("PATH") else { return Ok(()) };
    let mut fault = io::Error::from(Errno::NOENT);
    for folder in std::env::split_paths(path) {
        match runs(folder.join(Path::new(name))) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fault = error,
            Err(_) => {}
        }
    }
    Err(fault)
}

impl Drop for Server {
    /// The gateway itself is ending: nothing of the group may outlive it.
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
