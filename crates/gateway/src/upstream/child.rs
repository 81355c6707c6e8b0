//! A server that runs as our child: started for one connection, in a process group of its own, and ended
//! with it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

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

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    group: Option<Pid>,
}

impl Server {
    /// Starts it.
    pub(crate) fn start(program: &Program, stderr: Stdio) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let Some((name, arguments)) = program.command.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
        };
        let mut command = Command::new(name);
        command.args(arguments).env_clear().envs(&program.env);
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

impl Drop for Server {
    /// The gateway itself is ending: nothing of the group may outlive it.
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
