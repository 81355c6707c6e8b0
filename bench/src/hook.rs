//! `bench hook`: from the start of `bailiwick hook` to its answer, with the gateway running and without, beside a program
//! that does nothing; interleaved, and every answer checked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

/// How long a gateway that a hook started may take to give its place.
const END_WAIT: Duration = Duration::from_secs(20);

/// The cold start of `bailiwick hook`: one event in, one answer out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often, with the gateway running.
    #[arg(long, default_value_t = 200)]
    runs: usize,
    /// How often without, where each starts a gateway that is ended again.
    #[arg(long, default_value_t = 20)]
    cold: usize,
    /// The binary under test; by default the one that was built beside this.
    #[arg(long)]
    bailiwick: Option<PathBuf>,
}

/// A home with nothing but the shipped policies.
struct World {
    binary: PathBuf,
    folder: tempfile::TempDir,
}

impl World {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        let (home, root) = (self.folder.path().join("bailiwick"), self.folder.path());
        command.args(words).env("BAILIWICK_HOME", home).env("HOME", root).current_dir(root).stderr(Stdio::null());
        command
    }

    /// One event, each with another command; its answer is checked.
    fn hook(&self, number: usize) -> anyhow::Result<Duration> {
        let event = json!({
            "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": { "command": format!("ls dir{number}") },
            "session_id": "s", "cwd": self.folder.path(), "tool_use_id": format!("t{number}"),
        });
        let (spent, answer) = timed(self.command(&["hook", "claude-code", "--skip-prompts"]), &event.to_string())?;
        let answer: Value = serde_json::from_slice(&answer).context("the hook answered no JSON")?;
        let decision = answer.pointer("/hookSpecificOutput/permissionDecision").and_then(Value::as_str);
        anyhow::ensure!(decision == Some("allow"), "the hook decided {answer}");
        Ok(spent)
    }

    fn up(&self) -> anyhow::Result<Up> {
        let words = ["up", "--no-scan", "--port", "0", "--gateway-port", "0"];
        let mut child = self.command(&words).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines().map_while(Result::ok);
        anyhow::ensure!(lines.any(|line| line.contains("Ctrl-C ends it")), "`bailiwick up` ended");
        Ok(Up(child))
    }
}

/// Killed with its owner.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let beside = std::env::current_exe()?.with_file_name("bailiwick");
    let binary = args.bailiwick.clone().unwrap_or(beside);
    anyhow::ensure!(binary.exists(), "there is no `{}`; build it first", binary.display());
    let world = World { binary, folder: tempfile::tempdir()? };
    let (mut warm, mut nothing) = (Vec::new(), Vec::new());
    {
        let _up = world.up()?;
        world.hook(0)?;
        for number in 1..=args.runs {
            warm.push(world.hook(number)?);
            nothing.push(timed(Command::new("/bin/true"), "")?.0);
        }
    }
    let mut cold = Vec::new();
    for number in 0..args.cold {
        wait_for_no_gateway(&world)?;
        cold.push(world.hook(args.runs + 1 + number)?);
    }
    wait_for_no_gateway(&world)?;
    println!("`bailiwick hook` from start to answer; every answer was `allow`, 0 errors");
    let base = row("/bin/true", &mut nothing, None);
    row("with the gateway running", &mut warm, base);
    row("without, so that it starts one", &mut cold, base);
    Ok(())
}

/// A gateway that a hook started ends when another process wants its place: `up` does, and is then ended itself.
fn wait_for_no_gateway(world: &World) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        match world.up() {
            Ok(up) => {
                drop(up);
                return Ok(());
            }
            Err(error) if start.elapsed() > END_WAIT => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn timed(mut command: Command, input: &str) -> anyhow::Result<(Duration, Vec<u8>)> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // A program that reads nothing may have ended.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output()?;
    let spent = start.elapsed();
    anyhow::ensure!(output.status.success(), "{:?} ended with {}", Path::new(command.get_program()), output.status);
    Ok((spent, output.stdout))
}

/// Prints one row; answers its median.
fn row(name: &str, times: &mut [Duration], base: Option<Duration>) -> Option<Duration> {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied();
    let (median, tail) = (at(50)?, at(95)?);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let ratio = base.map_or(String::new(), |base| format!("   {:.1} x /bin/true", ms(median) / ms(base)));
    println!("{name:<32} p50 {:>6.1} ms   p95 {:>6.1} ms   ({} runs){ratio}", ms(median), ms(tail), times.len());
    Some(median)
}
