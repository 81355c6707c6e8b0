//! `bailiwick minder`: runs one server of the gateway's, and ends it with all that it started when the gateway is gone,
//! however it went. The gateway itself starts this; a gateway that is killed can end nobody.

use std::process::ExitCode;

/// Run a server that ends with the gateway (the gateway starts its servers so).
#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// The process with which the server ends: the one that starts this.
    #[arg(long, value_name = "PID")]
    of: i32,
    /// The server's command.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

/// Whether the system tells when another process ends.
pub(crate) const IS_SUPPORTED: bool = cfg!(target_os = "linux");

#[cfg(target_os = "linux")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    linux::run(args)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this system does not tell when process {} ends", args.of)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::OpenOptions;
    use std::os::fd::OwnedFd;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, ExitCode};

    use anyhow::Context as _;
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, getppid, kill_current_process_group, pidfd_open};
    use tokio::io::unix::AsyncFd;
    use tokio::signal::unix::{SignalKind, signal};

    use super::Args;

    pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
        let gateway = Pid::from_raw(args.of).context("there is no such process")?;
        let (name, arguments) = args.command.split_first().context("no command")?;
        let mut command = Command::new(name);
        command.args(arguments);
        let watched = pidfd_open(gateway, PidfdFlags::NONBLOCK);
        // Afterwards, so that what is watched is our parent and not whoever got its number.
        anyhow::ensure!(getppid() == Some(gateway), "the gateway is gone");
        match watched {
            Ok(watched) => mind(command, watched),
            // A kernel that knows no such thing, or forbids it: the server runs as it would without this.
            Err(Errno::NOSYS | Errno::PERM) => Err(command.exec()).context("cannot start the server"),
            Err(error) => Err(error).context("cannot watch the gateway"),
        }
    }

    fn mind(command: Command, watched: OwnedFd) -> anyhow::Result<ExitCode> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            #[expect(deprecated, reason = "the other constructor is unsafe; what is watched is owned and stays what it is")]
            let watched = AsyncFd::new(watched)?;
            // The gateway tells the whole group to end; it is for the server to say when.
            let mut told = signal(SignalKind::terminate())?;
            let mut child = tokio::process::Command::from(command).spawn().context("cannot start the server")?;
            leave_streams()?;
            let ended = async { while told.recv().await.is_some() {} };
            tokio::select! {
                status = child.wait() => Ok(ExitCode::from(status?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
                _ = watched.readable() => {
                    kill_current_process_group(Signal::KILL)?;
                    Ok(ExitCode::FAILURE)
                }
                () = ended => Ok(ExitCode::FAILURE),
            }
        })
    }

    /// The streams are the server's alone: held here, too, the gateway would not see that it closed one.
    fn leave_streams() -> anyhow::Result<()> {
        let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        rustix::stdio::dup2_stdout(&nothing)?;
        rustix::stdio::dup2_stderr(&nothing)?;
        Ok(())
    }
}
