//! `bailiwick ledger`.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use gateway::door::hello::{Hello, Reply};
use jiff::Timestamp;
use ledger::proof::Proof;
use ledger::record::Record;
use ledger::verify::{self, Report};
use ledger::{Ledger, OpenError, Options, Reader, SigningKey, Stored, VerifyingKey};
use serde_json::{Value, json};

use crate::format::Format;
use crate::home::Home;

/// The name of the ledger's private key among the home's keys.
const KEY: &str = "ledger.ed25519";
/// The private key of a log that was imported, which lies in its own directory.
pub(crate) const OWN_KEY: &str = "import.ed25519";

/// Show, follow, prove and verify the ledger.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 all is well, 1 faults were found, 2 it could not run.

Examples:
  bailiwick ledger tail -f                 follow what is decided and done
  bailiwick ledger show 1742               one entry, whole
  bailiwick ledger verify                  check every byte and every rule of the log
  bailiwick ledger prove 1742 -o call.proof
  bailiwick ledger verify call.proof --key \"$(bailiwick ledger key)\"")]
pub(crate) struct Args {
    /// The ledger's directory, if it is not the home's.
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print one entry, with its payload if it has one.
    #[command(after_help = "Example: bailiwick ledger show 1742 --format json")]
    Show {
        /// The entry's number.
        entry: u64,
    },
    /// Print the last entries.
    #[command(after_help = "Example: bailiwick ledger tail -n 50 -f")]
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
        lines: u64,
        /// Go on printing what is added.
        #[arg(short, long)]
        follow: bool,
    },
    /// Write a proof file for one entry, which anybody can check offline.
    #[command(after_help = "Example: bailiwick ledger prove 1742 -o call.proof")]
    Prove {
        /// The entry's number.
        entry: u64,
        /// Where to write it; standard output if not given.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check the whole log, or one proof file.
    #[command(after_help = "Examples:
  bailiwick ledger verify --complete --recompute
  bailiwick ledger verify call.proof --key bailiwick/0123456789abcdef+0a1b2c3d+AQ…")]
    Verify {
        /// A proof file; the whole log if not given.
        file: Option<PathBuf>,
        /// The log's public key; the home's if not given.
        #[arg(long, value_name = "KEY")]
        key: Option<VerifyingKey>,
        /// Also report gaps in the numbering of each session's calls.
        #[arg(long)]
        complete: bool,
        /// Also make every decision again from what the log holds, and compare effect, reasons and errors.
        #[arg(long, conflicts_with = "file")]
        recompute: bool,
        /// A witness whose cosignature the checkpoint must have; may be repeated.
        #[arg(long, value_name = "KEY")]
        witness: Vec<VerifyingKey>,
    },
    /// Destroy the key of a subject's payloads and record that. Entries and proofs stay as they are.
    #[command(after_help = "Example: bailiwick ledger erase --subject \"claude-code for alice\" --yes")]
    Erase {
        /// Whose payloads.
        #[arg(long)]
        subject: String,
        /// Do it: nothing brings the payloads back.
        #[arg(long)]
        yes: bool,
    },
    /// The witnesses that cosign this log's checkpoints.
    #[command(subcommand, after_help = "Example: bailiwick ledger witness add http://127.0.0.1:7690 --key KEY")]
    Witness(super::witness::Configure),
    /// Size, growth and checkpoint of the log.
    Stats,
    /// Print the log's public key, which verifiers need.
    Key,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| home.ledger());
    let format = args.format;
    match &args.command {
        Command::Show { entry } => show(&open(&dir)?, *entry, format),
        Command::Tail { lines, follow } => tail(&open(&dir)?, *lines, *follow, format),
        Command::Prove { entry, output } => prove(&open(&dir)?, *entry, output.as_deref()),
        Command::Verify { file, key, complete, recompute, witness } => {
            let key = key.clone().map_or_else(|| public_key(&dir, home), Ok)?;
            match file {
                Some(file) => verify_proof(file, &key, witness, format),
                None => {
                    let options = verify::Options { complete: *complete, witnesses: witness.clone() };
                    let verified = verify_log(&dir, &key, &options, format)?;
                    let same = !*recompute || recompute_log(&open(&dir)?, format)?;
                    Ok(if same { verified } else { ExitCode::from(1) })
                }
            }
        }
        Command::Erase { subject, yes } => erase(&dir, home, subject, *yes),
        Command::Witness(command) => super::witness::configure(command, home),
        Command::Stats => stats(&dir, &open(&dir)?, format),
        Command::Key => print_line(&public_key(&dir, home)?.to_string()),
    }
}

fn open(dir: &Path) -> anyhow::Result<Reader> {
    if !dir.join("journal").is_dir() {
        anyhow::bail!("there is no ledger in `{}` yet; `bailiwick up` starts one", dir.display());
    }
    Ok(Reader::open(dir)?)
}

/// The home's key; only read, never made here.
fn signing_key(home: &Home) -> anyhow::Result<SigningKey> {
    let missing = || anyhow::anyhow!("the home has no `keys/{KEY}` yet; `bailiwick up` makes one, or give `--key`");
    let seed = home.secret(KEY, || Err(missing()))?;
    SigningKey::from_seed(&seed).with_context(|| format!("`keys/{KEY}`"))
}

/// The key of a ledger: its own if it was imported, else the home's.
fn public_key(dir: &Path, home: &Home) -> anyhow::Result<VerifyingKey> {
    let own = dir.join(OWN_KEY);
    match std::fs::read(&own) {
        Ok(seed) => Ok(SigningKey::from_seed(&seed).with_context(|| format!("`{}`", own.display()))?.verifying_key()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(signing_key(home)?.verifying_key()),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", own.display())),
    }
}

/// Prints; a reader that went away (`| head`) is no error.
pub(crate) fn print_line(text: &str) -> anyhow::Result<ExitCode> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn as_json(stored: &Stored) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(&stored.entry)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("index".to_owned(), stored.index.into());
    }
    Ok(value)
}

fn show(reader: &Reader, index: u64, format: Format) -> anyhow::Result<ExitCode> {
    let stored = reader.read(index)?;
    let payload = stored.entry.record.payload().map(|payload| reader.payload(payload)).transpose()?;
    let text = payload.map(|bytes| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    let mut value = as_json(&stored)?;
    if format == Format::Json {
        if let (Some(text), Some(members)) = (text, value.as_object_mut()) {
            members.insert("payload_text".to_owned(), text.map_or(json!({"erased": true}), Value::from));
        }
        return print_line(&value.to_string());
    }
    let sealed = reader.checkpoint().is_some_and(|signed| index < signed.checkpoint.size);
    let leaf = ledger::tree::leaf_hash(&reader.bytes(index)?);
    let state = if sealed { "signed" } else { "durable, not in a checkpoint yet" };
    print_line(&format!("entry {index} · {} · {state}", stored.entry.time))?;
    print_line(&summary(&stored.entry.record))?;
    print_line(&format!("leaf hash {}", hex(&leaf)))?;
    print_line(&serde_json::to_string_pretty(&value)?)?;
    match text {
        Some(Some(text)) => print_line(&format!("payload:\n{}", printable(&text))),
        Some(None) => print_line("payload: erased"),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text from elsewhere must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let unsafe_in_terminal = |letter: &char| letter.is_control() && *letter != '\n' && *letter != '\t';
    text.chars().map(|letter| if unsafe_in_terminal(&letter) { '\u{fffd}' } else { letter }).collect()
}

/// One line about a record.
fn summary(record: &Record) -> String {
    let text = match record {
        Record::Intent(intent) => {
            let at = |path: &str| intent.action.pointer(path).and_then(Value::as_str).unwrap_or("?");
            let effect = intent.decision.pointer("/effect/effect").or_else(|| intent.decision.get("effect"));
            let effect = effect.and_then(Value::as_str).unwrap_or("?").to_owned();
            let reasons: Vec<&str> = intent
                .decision
                .get("reasons")
                .and_then(Value::as_array)
                .map(|reasons| reasons.iter().filter_map(|reason| reason.get("policy")?.as_str()).collect())
                .unwrap_or_default();
            let (agent, server, name) = (at("/principal/agent"), at("/tool/server"), at("/tool/name"));
            let arguments = intent.action.get("arguments").map(Value::to_string).unwrap_or_default();
            format!("{effect:<6} {agent} → {server}/{name} {} [{}]", shorten(&arguments, 80), reasons.join(", "))
        }
        Record::Outcome(outcome) => {
            let status = serde_json::to_value(outcome.status).ok();
            let status = status.as_ref().and_then(Value::as_str).unwrap_or("?").to_owned();
            let duration = Duration::from_micros(outcome.duration_us);
            format!("outcome of {}: {status}, {} bytes, {duration:?}", outcome.intent, outcome.size_bytes)
        }
        Record::Asked(asked) => format!("asked for {}: {}", asked.groups.join(", "), asked.summary),
        Record::Answered(answered) => {
            let word = if answered.approved { "approved" } else { "refused" };
            format!("{word} ask {} by {}", answered.ask, answered.by)
        }
        Record::Expired { ask } => format!("ask {ask} expired"),
        Record::Withheld { server, names, because, .. } => {
            format!("withheld from `{server}`: {} ({because})", names.join(", "))
        }
        Record::Prompt { session, payload } => format!("prompt in session {session}, {} bytes", payload.size_bytes),
        Record::Tools { server, pins, status } => format!("{} tools of `{server}` {status}", pins.len()),
        Record::Snapshot { snapshot, by } => format!("policy snapshot {} by {by}", shorten(snapshot, 16)),
        Record::Scan { counts, .. } => format!("scan: {}", Value::Object(counts.clone())),
        Record::SignIn { method, from } => format!("sign-in by {method} from {from}"),
        Record::Configuration { path, change, .. } => format!("{change} `{path}`"),
        Record::Log { event, details } => format!("log {event} {}", Value::Object(details.clone())),
    };
    printable(&text).replace('\n', " ")
}

pub(crate) fn shorten(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

fn kind(record: &Record) -> String {
    let value = serde_json::to_value(record).unwrap_or_default();
    value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn tail(reader: &Reader, lines: u64, follow: bool, format: Format) -> anyhow::Result<ExitCode> {
    let mut next = reader.len().saturating_sub(lines);
    loop {
        for stored in reader.range(next..u64::MAX) {
            let stored = stored?;
            next = stored.index + 1;
            let line = match format {
                Format::Json => as_json(&stored)?.to_string(),
                Format::Text => line(&stored),
            };
            if writeln!(std::io::stdout(), "{line}").is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(200));
        reader.refresh()?;
    }
}

fn line(stored: &Stored) -> String {
    let time = stored.entry.time.strftime("%Y-%m-%d %H:%M:%S");
    let line =
        format!("{:>7} {time} {:<13} {}", stored.index, kind(&stored.entry.record), summary(&stored.entry.record));
    if std::io::stdout().is_terminal() { shorten(&line, width()) } else { line }
}

fn width() -> usize {
    let columns = comfy_table::Table::new().width().map_or(120, usize::from);
    columns.saturating_sub(1).max(40)
}

fn prove(reader: &Reader, index: u64, output: Option<&Path>) -> anyhow::Result<ExitCode> {
    let proof = reader.prove(index)?.to_string();
    let Some(path) = output else {
        return print_line(proof.trim_end());
    };
    std::fs::write(path, &proof).with_context(|| format!("cannot write `{}`", path.display()))?;
    print_line(&format!(
        "wrote `{}`, {} bytes; check it with `bailiwick ledger verify {}`",
        path.display(),
        proof.len(),
        path.display()
    ))
}

fn verify_proof(
    file: &Path,
    key: &VerifyingKey,
    witnesses: &[VerifyingKey],
    format: Format,
) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let checked = text.parse::<Proof>().and_then(|proof| {
        proof.verify(key)?;
        for witness in witnesses {
            proof.checkpoint.verify(witness)?;
        }
        Ok(proof)
    });
    match (checked, format) {
        (Ok(proof), Format::Json) => {
            let entry: Value = serde_json::from_slice(&proof.entry)?;
            print_line(&json!({"valid": true, "index": proof.index, "entry": entry}).to_string())
        }
        (Ok(proof), Format::Text) => {
            let checkpoint = &proof.checkpoint.checkpoint;
            let cosigned = match witnesses.len() {
                0 => String::new(),
                count => format!(", cosigned by the {count} witnesses asked for"),
            };
            let (index, size) = (proof.index, checkpoint.size);
            print_line(&format!(
                "valid: entry {index} is in the log `{}` of {size} entries{cosigned}",
                checkpoint.origin
            ))?;
            print_line(&printable(&String::from_utf8_lossy(&proof.entry)))
        }
        (Err(error), Format::Json) => {
            print_line(&json!({"valid": false, "error": error.to_string()}).to_string())?;
            Ok(ExitCode::from(1))
        }
        (Err(error), Format::Text) => {
            print_line(&format!("not valid: {error}"))?;
            Ok(ExitCode::from(1))
        }
    }
}

/// Whether every recorded decision follows from what the log holds. Each is judged by itself, with the
/// labels, facts and approval that its entry records.
fn recompute_log(reader: &Reader, format: Format) -> anyhow::Result<bool> {
    let load = |id: &str| reader.object(id).map_err(|error| error.to_string());
    let mut recompute = gateway::replay::Recompute::new(load);
    for stored in reader.range(0..reader.len()) {
        let stored = stored?;
        if let Record::Intent(intent) = stored.entry.record {
            let intent =
                gateway::replay::whole(intent, |payload| reader.payload(payload).map_err(|error| error.to_string()));
            recompute.add(stored.index, &intent);
        }
    }
    let found = recompute.finish();
    match format {
        Format::Json => print_line(&serde_json::to_string(&found)?)?,
        Format::Text => {
            for fault in &found.faults {
                print_line(&printable(&format!("entry {}: {}", fault.entry, fault.message)))?;
            }
            print_line(&format!("{} decisions recomputed, {} differ", found.decisions, found.faults.len()))?
        }
    };
    Ok(found.faults.is_empty())
}

fn verify_log(dir: &Path, key: &VerifyingKey, options: &verify::Options, format: Format) -> anyhow::Result<ExitCode> {
    let report = verify::verify(dir, key, options)?;
    match format {
        Format::Json => print_line(&serde_json::to_string(&report)?)?,
        Format::Text => print_line(&report_text(&report, options))?,
    };
    Ok(ExitCode::from(u8::from(!report.faults.is_empty())))
}

fn report_text(report: &Report, options: &verify::Options) -> String {
    let mut lines = vec![
        format!("log        {}", report.origin),
        format!("entries    {} ({} signed, root {})", report.entries, report.sealed, shorten(&report.root, 16)),
        format!("payloads   {} whole, {} erased", report.payloads, report.erased),
        format!("objects    {}", report.objects),
    ];
    if !report.in_flight.is_empty() {
        lines.push(format!("in flight  {} permitted calls have no outcome yet", report.in_flight.len()));
    }
    if !options.witnesses.is_empty() {
        lines.push(format!("cosigned   by {} of {} witnesses", report.cosigned.len(), options.witnesses.len()));
        let one = |(name, size): (&String, &u64)| format!("           {name}: the first {size} entries");
        lines.extend(report.witnessed.iter().map(one));
    }
    match report.faults.len() {
        0 => lines.push("verified: every byte and every rule holds".to_owned()),
        count => {
            lines.extend(report.faults.iter().take(100).map(|fault| printable(&format!("FAULT      {fault}"))));
            lines.push(format!(
                "NOT verified: {count} faults{}",
                if count > 100 { ", the first 100 are shown" } else { "" }
            ));
        }
    }
    lines.join("\n")
}

fn erase(dir: &Path, home: &Home, subject: &str, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("nothing brings the payloads of `{subject}` back; say `--yes` to erase them");
    }
    let erased = match Ledger::open(dir, signing_key(home)?, Options::new(Timestamp::now())) {
        Ok((ledger, _)) => ledger.erase(subject, Timestamp::now())?,
        // The gateway that holds it does it for us.
        Err(OpenError::Locked { holder, .. }) if dir == home.ledger() => {
            match super::mcp::ask(home, &Hello::Erase { subject: subject.to_owned() })? {
                Some(Reply::Done { output }) => output == Value::Bool(true),
                Some(Reply::Failed { error }) => anyhow::bail!("the gateway could not erase: {error}"),
                None => anyhow::bail!("the ledger is in use by {holder}, and no gateway answers"),
            }
        }
        Err(error) => return Err(error.into()),
    };
    if erased {
        print_line(&format!("the payloads of `{subject}` are erased; the log says so"))
    } else {
        print_line(&format!("there are no payloads of `{subject}`"))?;
        Ok(ExitCode::from(1))
    }
}

fn stats(dir: &Path, reader: &Reader, format: Format) -> anyhow::Result<ExitCode> {
    let entries = reader.len();
    let files = sizes(dir)?;
    // The journal is room for what comes next, most of it empty.
    let total: u64 = files.iter().filter(|(name, _)| name != "journal").map(|(_, bytes)| bytes).sum();
    let per_entry = total.checked_div(entries).unwrap_or(0);
    let span = match entries {
        0 => 0.0,
        _ => {
            let (first, last) = (reader.read(0)?.entry.time, reader.read(entries - 1)?.entry.time);
            last.duration_since(first).as_secs_f64() / 86_400.0
        }
    };
    let sealed = reader.checkpoint().map_or(0, |signed| signed.checkpoint.size);
    if format == Format::Json {
        let files: serde_json::Map<String, Value> =
            files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        return print_line(
            &json!({"entries": entries, "signed": sealed, "bytes": total, "bytes_per_entry": per_entry, "days": span, "files": files})
                .to_string(),
        );
    }
    let cosigned = reader.cosigned()?;
    let most = cosigned.iter().map(|signed| signed.signatures.len().saturating_sub(1)).max().unwrap_or(0);
    let size = cosigned.iter().map(|signed| signed.checkpoint.size).max().unwrap_or(0);
    let mut rows = vec![
        ("entries".to_owned(), format!("{entries} ({sealed} signed)")),
        ("cosigned".to_owned(), format!("by {most} witnesses at once; the newest cosignature covers {size} entries")),
        ("bytes".to_owned(), format!("{total} ({per_entry} per entry), without the journal")),
    ];
    if span >= 1.0 {
        let daily = total as f64 / span / 1e6;
        rows.push(("growth".to_owned(), format!("{daily:.1} MB a day over {span:.0} days")));
    }
    rows.extend(files.into_iter().map(|(name, bytes)| (format!("  {name}"), bytes.to_string())));
    let lines: Vec<String> = rows.iter().map(|(name, text)| format!("{name:<14} {text}")).collect();
    print_line(&lines.join("\n"))
}

/// Bytes by the first folder or file below the ledger's directory.
fn sizes(dir: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    fn size(path: &Path) -> std::io::Result<u64> {
        let metadata = std::fs::symlink_metadata(path)?;
        if !metadata.is_dir() {
            return Ok(metadata.len());
        }
        std::fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
    }
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sizes.push((entry.file_name().to_string_lossy().into_owned(), size(&entry.path())?));
    }
    sizes.sort();
    Ok(sizes)
}
