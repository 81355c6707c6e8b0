//! `bailiwick protect`, and what it shares with `unprotect`: how a plan is shown, done and recorded.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use connect::protect::{self, FilePlan, Gateway, Options, Outcome, Plan, Status, Store, digest};
use connect::secret;
use gateway::door::hello::{Configured, Hello, Reply};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::commands::{mcp, upstream};
use crate::format::Format;
use crate::home::Home;
use crate::output;
use crate::start;

/// Put the gateway between agent clients and their tools.
///
/// Rewrites the configurations found on this machine and in this folder so that every MCP server goes
/// through the gateway, and gives Claude Code, Codex, Copilot CLI, Cursor, Gemini CLI and opencode the hooks that
/// their built-in tools need. The original bytes are kept: `bailiwick unprotect` puts them back. Safe to run again.
/// Run `bailiwick up` in another terminal: without it a gateway starts with the agent, and nobody can answer its asks.
#[derive(clap::Args)]
#[command(
    after_help = "If this program is moved or deleted, the tools of protected agents no longer run: Claude Code, Codex and \
Gemini CLI by `|| exit 2` in the hook, Cursor, Copilot CLI and opencode because the hook fails.

Exit codes: 0 everything found is protected, 1 something was left as it is, 2 it could not run.

Examples:
  bailiwick protect --dry-run        show what would change
  bailiwick protect                  protect every client found
  bailiwick protect claude-code cursor"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    /// The loopback port on which the gateway fronts remote servers.
    #[arg(long, default_value_t = protect::PORT, value_name = "PORT")]
    port: u16,
    /// Tell the clients to run what policy permits without asking their user. Without it each still asks whatever
    /// it would ask by itself.
    #[arg(long)]
    skip_prompts: bool,
}

/// Flags of `protect` and `unprotect`.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// Only these clients; all that are found if none is named.
    #[arg(value_name = "CLIENT", value_parser = clap::builder::PossibleValuesParser::new(connect::clients::CLIENTS.iter().map(|client| client.id)))]
    pub(super) clients: Vec<String>,
    /// Show the changes and make none.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let store = Store::new(home.originals());
    let _lock = if args.common.dry_run {
        None
    } else {
        home.create()?;
        Some(store.lock().context("cannot lock the originals")?)
    };
    let upstreams = upstream::read(home)?;
    let machine = super::machine()?;
    let options = Options { machine: &machine, clients: &args.common.clients, store: &store };
    let plan = protect::plan(&options, &gateway(args, home)?, upstreams).context("cannot read the originals")?;
    if !args.common.dry_run {
        // Before the configurations: a client that starts in between must find its server.
        upstream::write(home, &plan.upstreams)?;
    }
    finish(&plan, &store, home, ("protect", &args.common))
}

/// Shows a plan, does it unless it is a dry run, and says how it went.
pub(super) fn finish(
    plan: &Plan,
    store: &Store,
    home: &Home,
    (verb, common): (&'static str, &Common),
) -> anyhow::Result<ExitCode> {
    let mut failures = Vec::new();
    let mut done = Vec::new();
    // Files are changed and recorded whether or not anything can be printed.
    let mut printed = Ok(());
    for file in &plan.files {
        if common.format == Format::Text {
            printed = printed.and(show(file, common.dry_run));
        }
        if !common.dry_run {
            match protect::apply(file, store) {
                Ok(()) if file.changes() => done.push(file),
                Ok(()) => {}
                Err(error) => failures.push(error.to_string()),
            }
        }
    }
    let unrecorded = record(home, verb, &done);
    if common.format == Format::Json {
        printed = printed.and(output::json(&report(plan, &failures, common.dry_run)));
    } else {
        printed = printed.and(summary(plan, verb, common.dry_run));
    }
    failures.iter().for_each(|failure| complain!("bailiwick: {failure}"));
    if let Some(why) = unrecorded {
        complain!("bailiwick: the change is not in the ledger: {why}");
    }
    printed?;
    if !failures.is_empty() {
        return Ok(ExitCode::from(2));
    }
    let is_left = |outcome: &Outcome| outcome.status == Status::Left;
    let left = plan.files.iter().flat_map(|file| &file.outcomes).any(is_left) || !plan.unread.is_empty();
    Ok(ExitCode::from(u8::from(left)))
}

fn show(file: &FilePlan, is_dry: bool) -> io::Result<()> {
    let style = Style::of_stdout();
    let client = connect::clients::client(&file.client).map_or(file.client.as_str(), |client| client.name);
    output::painted((style.bold, client, style.off), &format!("  {}", file.path.display()))?;
    if is_dry && file.changes() {
        diff(file, &style)?;
    }
    for outcome in &file.outcomes {
        let (mark, colour) = match outcome.status {
            Status::Protected | Status::Restored => ("✓", style.green),
            Status::Settled => ("·", ""),
            Status::Left => ("!", style.yellow),
        };
        let word = match (outcome.status, is_dry, file.changes()) {
            (Status::Left | Status::Settled, _, _) => "left unchanged",
            (Status::Protected, _, false) => "is protected",
            (Status::Restored, _, false) => "nothing to do",
            (Status::Protected, true, _) => "would be protected",
            (Status::Protected, false, _) => "protected",
            (Status::Restored, true, _) => "would be restored",
            (Status::Restored, false, _) => "restored",
        };
        let name = if outcome.name.is_empty() { String::new() } else { format!("{}: ", outcome.name) };
        let because = outcome.because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default();
        output::painted((colour, &format!("  {mark}"), style.off), &format!(" {name}{word}{because}"))?;
    }
    if file.scope == connect::Scope::Project && file.changes() {
        say!("  · this file belongs to a project: do not commit the change")?;
    }
    Ok(())
}

/// The change as a unified diff, secrets masked.
fn diff(file: &FilePlan, style: &Style) -> io::Result<()> {
    let (before, after) = file.masked();
    let diff = TextDiff::from_lines(&before, &after);
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        output::painted((style.cyan, &format!("  {}", hunk.header()), style.off), "")?;
        for change in hunk.iter_changes() {
            let (sign, colour) = match change.tag() {
                ChangeTag::Delete => ('-', style.red),
                ChangeTag::Insert => ('+', style.green),
                ChangeTag::Equal => (' ', ""),
            };
            let line = change.value().trim_end_matches(['\r', '\n']);
            output::painted((colour, &format!("  {sign}{line}"), style.off), "")?;
        }
    }
    Ok(())
}

/// Colours, or nothing where they would be noise.
struct Style {
    bold: &'static str,
    red: &'static str,
    green: &'static str,
    yellow: &'static str,
    cyan: &'static str,
    off: &'static str,
}

impl Style {
    fn of_stdout() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if plain || !std::io::stdout().is_terminal() {
            return Self { bold: "", red: "", green: "", yellow: "", cyan: "", off: "" };
        }
        Self {
            bold: "\x1b[1m",
            red: "\x1b[31m",
            green: "\x1b[32m",
            yellow: "\x1b[33m",
            cyan: "\x1b[36m",
            off: "\x1b[0m",
        }
    }
}

fn summary(plan: &Plan, verb: &str, is_dry: bool) -> io::Result<()> {
    for unread in &plan.unread {
        say!("could not be read: {}: {}", unread.source, unread.reason)?;
    }
    let changed = plan.files.iter().filter(|file| file.changes()).count();
    let files = if changed == 1 { "1 file".to_owned() } else { format!("{changed} files") };
    match (verb, is_dry, changed) {
        ("protect", _, 0) if plan.files.is_empty() => {
            say!("No client configuration was found. `bailiwick scan` says where it looks.")
        }
        ("unprotect", _, 0) if plan.files.is_empty() && plan.unread.is_empty() => say!("Nothing is protected."),
        (_, _, 0) => say!("Nothing to change."),
        (_, true, _) => say!("{files} would change. Nothing was written."),
        ("protect", false, _) => {
            say!("{files} rewritten. Restart the clients; `bailiwick unprotect` puts the original bytes back.")
        }
        _ => say!("{files} restored. Restart the clients."),
    }
}

fn report(plan: &Plan, failures: &[String], is_dry: bool) -> Value {
    let file = |file: &FilePlan| {
        json!({
            "client": file.client,
            "scope": file.scope,
            "path": file.path,
            "changes": file.changes(),
            "before": file.before.as_deref().map(digest),
            "after": file.after.as_deref().map(digest),
            "outcomes": file.outcomes,
        })
    };
    let unread =
        |unread: &connect::Unread| json!({ "source": unread.source, "line": unread.line, "reason": unread.reason });
    json!({
        "dry_run": is_dry,
        "files": plan.files.iter().map(file).collect::<Vec<_>>(),
        "unread": plan.unread.iter().map(unread).collect::<Vec<_>>(),
        "failures": failures,
    })
}

/// Appends what was changed to the ledger, through the gateway if one runs; says why not, if it cannot.
fn record(home: &Home, verb: &str, done: &[&FilePlan]) -> Option<String> {
    if done.is_empty() {
        return None;
    }
    let of = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or_else(|| "none".to_owned(), digest);
    let changes = done
        .iter()
        .map(|file| Configured {
            path: file.path.display().to_string(),
            change: verb.to_owned(),
            before: of(&file.before),
            after: of(&file.after),
        })
        .collect();
    append(home, changes).err().map(|error| format!("{error:#}"))
}

fn append(home: &Home, changes: Vec<Configured>) -> anyhow::Result<()> {
    match mcp::ask(home, &Hello::Configured { changes: changes.clone() })? {
        Some(Reply::Done { .. }) => return Ok(()),
        Some(Reply::Failed { error }) => anyhow::bail!(error),
        None => {}
    }
    match start::ledger(home)? {
        start::Opened::Held(holder) => anyhow::bail!("the ledger is in use by {holder}"),
        start::Opened::Ours(ledger, ..) => {
            for change in changes {
                ledger.append(change.record(rustix::process::getuid().as_raw()), jiff::Timestamp::now())?.wait()?;
            }
            Ok(())
        }
    }
}

fn gateway(args: &Args, home: &Home) -> anyhow::Result<Gateway> {
    let program = std::env::current_exe().context("cannot tell where `bailiwick` is")?;
    let steps: Vec<_> = program.iter().collect();
    if steps
        .windows(2)
        .any(|pair| matches!(pair, [target, kind] if *target == "target" && (*kind == "debug" || *kind == "release")))
    {
        complain!(
            "bailiwick: `{}` lies in a build folder; once it is gone, no tool of a protected agent runs. Install it, and \
             run this again.",
            program.display()
        );
    }
    // A client starts the shim with an environment of its own: the home is said unless it is where the
    // shim would look anyway.
    let usual = std::env::var_os("HOME").map(|user| PathBuf::from(user).join(".local/share/bailiwick"));
    let home_flag = (usual.as_deref() != Some(home.root())).then(|| home.root().to_owned());
    Ok(Gateway {
        program,
        home: home_flag,
        port: args.port,
        keys: keys(home, args.common.dry_run)?,
        skip_prompts: args.skip_prompts,
    })
}

/// The key of each client, made on first use: `keys/agent-CLIENT.key`, 64 hexadecimal digits.
fn keys(home: &Home, is_dry: bool) -> anyhow::Result<BTreeMap<String, String>> {
    let mut keys = BTreeMap::new();
    for client in connect::clients::CLIENTS {
        let name = format!("agent-{}.key", client.id);
        let key = if is_dry && !home.keys().join(&name).exists() {
            "a key that is made on the first run".to_owned()
        } else {
            let make = || Ok(secret::random().map(hex)?.into_bytes());
            String::from_utf8(home.secret(&name, make)?).with_context(|| format!("`keys/{name}` is not text"))?
        };
        keys.insert(client.id.to_owned(), key.trim().to_owned());
    }
    Ok(keys)
}

pub(crate) fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use connect::clients::CLIENTS;
    use policy::marks::{AGENT_CONFIG, commands, of_written};

    /// The table of places in `policy` is another than that of clients, and must not fall behind it.
    #[test]
    fn every_file_that_a_client_reads_its_settings_from_is_marked() {
        for place in CLIENTS.iter().flat_map(|client| client.places) {
            let path = place.path.replace("{config}", "~/.config").replace("**", "a/b").replace('*', "x");
            let path = path.strip_prefix("./").unwrap_or(&path);
            assert!(of_written(path).contains(AGENT_CONFIG), "{path}: {:?}", of_written(path));
        }
        for own in ["~/.copilot/hooks/bailiwick.json", "~/.config/opencode/plugins/bailiwick.js"] {
            assert!(of_written(own).contains(AGENT_CONFIG), "{own}");
        }
    }

    /// A command that no rule knows could stand beside one that only tells.
    #[test]
    fn every_command_is_one_that_tells_or_one_that_changes() {
        let (all, known) = (crate::command(), commands());
        let below = all.get_subcommands().flat_map(clap::Command::get_subcommands);
        let unknown = all.get_subcommands().chain(below).map(clap::Command::get_name);
        let unknown: Vec<&str> = unknown.filter(|name| !known.contains(name)).collect();
        assert_eq!(unknown, [] as [&str; 0]);
    }
}
