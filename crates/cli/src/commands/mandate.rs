//! `bailiwick mandate`.

pub(crate) mod adopted;
mod against;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use connect::mandate::{self, Found};
use connect::protect::Upstreams;
use connect::{Salt, Scan, ScanOptions};
use graph::{EntityKind, Fact, RelationKind};
use serde_json::{Value, json};

use crate::format::Format;
use crate::home::Home;
use crate::output;

/// Write down what an agent is meant to do, and check it.
///
/// A mandate is a file `mandate.toml` beside an agent's configuration. It grants nothing: it is what `scan`
/// compares actual and observed access with. Once a person adopts it, what is outside of it is denied or asked; the
/// copy in Bailiwick's home decides, and no later change of the file does until it is adopted again.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 all is well, 1 the mandate has faults, 2 it could not run.

Examples:
  bailiwick mandate init                 write ./mandate.toml from what this folder's agents use
  bailiwick mandate init ~/work/shop     the same for another folder
  bailiwick mandate check                check ./mandate.toml
  bailiwick mandate adopt                show what it would change, ask, and bound decisions by it
  bailiwick mandate list                 what is adopted, and whether its file has changed since")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write a mandate from what is found in a folder.
    Init {
        /// The folder; the current one if none is given.
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// Print it and write no file.
        #[arg(long)]
        stdout: bool,
        /// Replace a mandate that is there.
        #[arg(long)]
        force: bool,
    },
    Adopt(adopted::Adopt),
    /// List the adopted mandates, and whether the files that they came from have changed since.
    ///
    /// Exit code 0: none has changed. 1: one has, or is gone.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    Withdraw(adopted::Withdraw),
    /// Check mandates, and show what each agent was meant to do beside what it can do and did.
    Check {
        /// Mandates, or folders that hold one.
        #[arg(value_name = "PATH", default_value = ".")]
        paths: Vec<PathBuf>,
        /// Cloud exports that say what the agents' identities reach.
        #[arg(long, value_name = "PATH")]
        cloud: Vec<PathBuf>,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Init { folder, stdout, force } => init(folder, *stdout, *force),
        Command::Adopt(args) => adopted::adopt(args, home),
        Command::List { format } => adopted::list(*format, home),
        Command::Withdraw(args) => adopted::withdraw(args, home),
        Command::Check { paths, cloud, format } => check((paths, cloud), *format, home),
    }
}

fn init(folder: &Path, to_stdout: bool, force: bool) -> anyhow::Result<ExitCode> {
    let scan = scan(folder)?;
    let text = mandate::draft(&found(&scan));
    if to_stdout {
        output::print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = folder.join(mandate::FILE);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    let mut file = match options.open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("`{}` is there already; `--force` replaces it", path.display())
        }
        file => file.with_context(|| format!("cannot write `{}`", path.display()))?,
    };
    file.write_all(text.as_bytes())?;
    say!(
        "Wrote `{}`. Say what the agent is for, strike what it does not need, then `bailiwick mandate check`, and \
         `bailiwick mandate adopt` so that decisions are bounded by it.",
        path.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What a folder's agents use. Only names are needed, so the salt is thrown away.
fn scan(folder: &Path) -> anyhow::Result<Scan> {
    let folder = folder.canonicalize().with_context(|| format!("cannot read `{}`", folder.display()))?;
    let salt = Salt::new(&connect::secret::random()?);
    Ok(connect::scan(&ScanOptions {
        machine: super::machine()?,
        paths: vec![folder],
        salt,
        upstreams: Upstreams::default(),
    }))
}

fn found(scan: &Scan) -> Found {
    let mut found = Found::default();
    let (mut agents, mut servers, mut hosts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for observation in &scan.observations {
        match &observation.fact {
            Fact::Entity { id, props, .. } if id.kind == EntityKind::Agent => {
                agents.extend(
                    props
                        .get("client")
                        .and_then(Value::as_str)
                        .filter(|client| *client != "unknown")
                        .map(str::to_owned),
                );
            }
            Fact::Entity { id, name, .. } if id.kind == EntityKind::Server => {
                servers.insert(name.clone());
            }
            Fact::Entity { id, name, props } if id.kind == EntityKind::Endpoint => {
                let is_remote = props.get("loopback").and_then(Value::as_bool) == Some(false);
                hosts.extend(is_remote.then(|| name.clone()));
            }
            Fact::Relation { from, kind: RelationKind::Owns, .. } if !from.key.starts_with("user:") => {
                found.owner.get_or_insert_with(|| from.key.clone());
            }
            _ => {}
        }
    }
    // An agent's own tools are those of a server by its name.
    servers.extend(gateway::hook_agents().filter(|agent| agents.contains(*agent)).map(str::to_owned));
    found.agents = agents.into_iter().collect();
    found.servers = servers.into_iter().collect();
    found.hosts = hosts.into_iter().collect();
    found.user = Some(gateway::local_user());
    found
}

/// Something that a person should look at in a mandate.
struct Remark {
    path: PathBuf,
    line: u32,
    reason: String,
    is_fault: bool,
}

fn check((paths, cloud): (&[PathBuf], &[PathBuf]), format: Format, home: &Home) -> anyhow::Result<ExitCode> {
    let mut remarks = Vec::new();
    let mut compared = Vec::new();
    for path in paths {
        let path = if path.is_dir() { path.join(mandate::FILE) } else { path.clone() };
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        match mandate::parse(&text) {
            Ok(mandate) => {
                remarks.extend(unanswered(&path, &mandate));
                remarks.extend(unknown_agents(&path, &mandate));
                remarks.extend(unknown_servers(&path, &text, &mandate)?);
                compared.extend(against::compared(&path, cloud, home)?);
            }
            Err(faults) => remarks.extend(faults.into_iter().map(|fault| Remark {
                path: path.clone(),
                line: fault.line,
                reason: fault.reason,
                is_fault: true,
            })),
        }
    }
    if format == Format::Json {
        let remark = |remark: &Remark| json!({ "path": remark.path, "line": remark.line, "reason": remark.reason, "fault": remark.is_fault });
        say!(
            "{}",
            serde_json::to_string_pretty(
                &json!({ "remarks": remarks.iter().map(remark).collect::<Vec<_>>(), "agents": compared })
            )?
        )?;
    } else {
        for remark in &remarks {
            let kind = if remark.is_fault { "error" } else { "note" };
            say!("{}:{}: {kind}: {}", remark.path.display(), remark.line, remark.reason)?;
        }
        if remarks.is_empty() {
            say!("The mandate is sound.")?;
        }
        output::print(&against::text(&compared))?;
    }
    Ok(ExitCode::from(u8::from(remarks.iter().any(|remark| remark.is_fault))))
}

/// What nobody has said yet since the mandate was drafted.
fn unanswered(path: &Path, mandate: &mandate::Mandate) -> Vec<Remark> {
    let remark = |field: &str| Remark {
        path: path.to_owned(),
        line: mandate.lines.get(field).copied().unwrap_or(1),
        reason: format!("`{field}` still says what the draft said"),
        is_fault: false,
    };
    mandate.unanswered().into_iter().map(remark).collect()
}

/// Agents that are no client of this machine: leases and `identity.toml` may name them, or nobody.
fn unknown_agents(path: &Path, mandate: &mandate::Mandate) -> Vec<Remark> {
    let remark = |agent: &str| Remark {
        path: path.to_owned(),
        line: mandate.lines.get("agents").copied().unwrap_or(1),
        reason: format!(
            "`{agent}` is no client that we know; it governs who is called so by a lease or `identity.toml`"
        ),
        is_fault: false,
    };
    mandate.unknown_agents().map(remark).collect()
}

/// Tools of servers that no configuration beside the mandate has: a name that was mistyped, or one to strike.
fn unknown_servers(path: &Path, text: &str, mandate: &mandate::Mandate) -> anyhow::Result<Vec<Remark>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let servers = found(&scan(folder)?).servers;
    let is_unknown = |tool: &&String| {
        let server = tool.split('/').next().unwrap_or_default();
        server != "*" && !servers.iter().any(|known| known.replace('/', "-") == server)
    };
    let remark = |tool: &String| Remark {
        path: path.to_owned(),
        line: (1..).zip(text.lines()).find(|(_, line)| line.contains(tool.as_str())).map_or(1, |(line, _)| line),
        reason: format!("`{tool}` names a server that no agent in this folder has"),
        is_fault: false,
    };
    Ok(mandate.tools.iter().flatten().filter(is_unknown).map(remark).collect())
}
