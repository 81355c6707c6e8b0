//! `bailiwick ledger prove` and `verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use gateway::replay::Recomputation;
use graph::plural;
use jiff::Timestamp;
use ledger::archive::{Archive, Pruned};
use ledger::handover::Chain;
use ledger::note::NoteError;
use ledger::proof::Proof;
use ledger::verify::{self, Report, WentBack};
use ledger::{Reader, VerifyingKey};
use serde::Serialize;
use serde_json::{Value, json};

use super::{first_key, is_of_home, key_inside, open, print_line, shorten};
use crate::format::Format;
use crate::home::Home;
use crate::output;
use crate::progress;
use crate::settings;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick ledger verify --complete --recompute
  bailiwick ledger verify call.proof --key bailiwick/0123456789abcdef+0a1b2c3d+AQ…")]
pub(super) struct Args {
    /// A proof file, or the statement of an archive; the whole log if not given.
    file: Option<PathBuf>,
    /// The log's public key; the home's if not given.
    #[arg(long, value_name = "KEY", value_parser = log_key)]
    key: Option<VerifyingKey>,
    /// A file by which the log was handed over to another key, from its folder `handover`; may be repeated, in order.
    /// Without any, those of the log on this machine are taken.
    #[arg(long, value_name = "FILE", requires = "file")]
    handover: Vec<PathBuf>,
    /// Also report gaps in the numbering of each session's calls.
    #[arg(long)]
    complete: bool,
    /// Also make every decision again from what the log holds, and compare effect, reasons and errors.
    #[arg(long, conflicts_with = "file")]
    recompute: bool,
    /// Leave payloads out: the keys that they are encrypted under never leave the machine of the log.
    #[arg(long, conflicts_with = "file")]
    without_payloads: bool,
    /// A witness whose cosignature the log must have, with at most ten minutes of entries behind it; may be repeated.
    /// Without any, the home's own log must have those of the witnesses in `settings.toml`.
    #[arg(long, value_name = "KEY", value_parser = witness_key)]
    witness: Vec<VerifyingKey>,
}

/// A key as it is given on the command line, where that of a log and that of a witness are easily taken for each other.
pub(crate) fn log_key(text: &str) -> Result<VerifyingKey, String> {
    let key: VerifyingKey = text.parse().map_err(|error: NoteError| error.to_string())?;
    if key.is_witness() { Err("this is a witness's key, and not a log's".to_owned()) } else { Ok(key) }
}

pub(crate) fn witness_key(text: &str) -> Result<VerifyingKey, String> {
    let key: VerifyingKey = text.parse().map_err(|error: NoteError| error.to_string())?;
    if key.is_witness() { Ok(key) } else { Err("this is a log's key, and not a witness's".to_owned()) }
}

/// What is printed for programs of a whole log: one object.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Where the key was taken from, if that is the ledger's own directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_from: Option<&'a Path>,
    /// The witnesses that were demanded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    demanded: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recomputed: Option<&'a Recomputation>,
}

pub(super) fn run(args: &Args, dir: &Path, home: &Home, format: Format) -> anyhow::Result<ExitCode> {
    let twice = args
        .witness
        .iter()
        .enumerate()
        .find(|(place, key)| args.witness.iter().take(*place).any(|other| other == *key));
    if let Some((_, key)) = twice {
        anyhow::bail!("`{}` is given twice, and is one witness", key.name());
    }
    let key = args.key.clone().map_or_else(|| first_key(dir, home), Ok)?;
    // Whoever made the directory made that key.
    let inside = key_inside(dir).filter(|_| args.key.is_none() && !is_of_home(dir, home));
    if let Some(file) = &args.file {
        if let (Some(inside), Format::Text) = (&inside, format) {
            print_line(&key_note(inside))?;
        }
        if file.extension().is_some_and(|end| end == "json") {
            return verify_archive(file, &key, format);
        }
        return verify_proof(file, &keys(args, dir, key)?, &args.witness, format);
    }
    // Whoever set a witness up means that its word counts.
    let witnesses = match args.witness.is_empty() && is_of_home(dir, home) {
        true => settings::read(home.root())?.ledger.witness_keys()?,
        false => args.witness.clone(),
    };
    let options = verify::Options { complete: args.complete, without_payloads: args.without_payloads, witnesses };
    verify_log(dir, (&key, inside.as_deref()), &options, args.recompute, format)
}

/// What a key is worth that lies in the ledger's own directory.
fn key_note(inside: &Path) -> String {
    format!(
        "key        taken from the ledger itself, `{}`: it proves nothing about who made it; `--key` does",
        inside.display()
    )
}

fn verify_archive(statement: &Path, key: &VerifyingKey, format: Format) -> anyhow::Result<ExitCode> {
    let text = match (Archive::verify(statement, key), format) {
        (Ok(archive), Format::Json) => {
            json!({"valid": true, "archive": archive.statement, "payloads_vouched": false}).to_string()
        }
        (Ok(Archive { statement, .. }), Format::Text) => {
            let (from, last, packs) = (statement.from, statement.to - 1, plural(statement.payloads.len(), "pack"));
            let origin = &statement.origin;
            format!(
                "valid: these are the entries {from} to {last} of the log `{origin}`, all of them\n\
                 payloads   {packs} beside them; which they are nobody signed"
            )
        }
        (Err(error), format) => {
            format.tell(&json!({"valid": false, "error": error.to_string()}), || format!("not valid: {error}"))?;
            return Ok(ExitCode::from(1));
        }
    };
    print_line(&text)
}

/// The keys that a proof may be signed with.
fn keys(args: &Args, dir: &Path, key: VerifyingKey) -> anyhow::Result<Chain> {
    if args.handover.is_empty() && dir.join("journal").is_dir() {
        let (keys, faults) = Reader::open(dir)?.keys(&key)?;
        anyhow::ensure!(faults.is_empty(), "the keys of this log cannot be followed: {}", faults.join("; "));
        return Ok(keys);
    }
    let mut keys = Chain::new(key);
    for path in &args.handover {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let followed = text.parse::<Proof>().map_err(Into::into).and_then(|proof| keys.follow(&proof));
        followed.with_context(|| format!("`{}` hands nothing over", path.display()))?;
    }
    Ok(keys)
}

pub(super) fn prove(reader: &Reader, index: u64, output: Option<&Path>, format: Format) -> anyhow::Result<ExitCode> {
    let proof = reader.prove(index)?.to_string();
    let Some(path) = output else {
        return print_line(proof.trim_end());
    };
    std::fs::write(path, &proof).with_context(|| format!("cannot write `{}`", path.display()))?;
    format.tell(&json!({"entry": index, "file": path, "bytes": proof.len()}), || {
        let path = path.display();
        format!("wrote `{path}`, {} bytes; check it with `bailiwick ledger verify {path}`", proof.len())
    })
}

fn verify_proof(file: &Path, keys: &Chain, witnesses: &[VerifyingKey], format: Format) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let checked = text.parse::<Proof>().and_then(|proof| {
        proof.verify_by(keys)?;
        for witness in witnesses {
            proof.checkpoint.verify(witness)?;
        }
        Ok(proof)
    });
    match (checked, format) {
        (Ok(proof), Format::Json) => {
            // Whoever has the key may have signed what is no entry; it is in the log all the same.
            let text = || Value::from(String::from_utf8_lossy(&proof.entry).into_owned());
            let entry: Value = serde_json::from_slice(&proof.entry).unwrap_or_else(|_| text());
            output::json_line(&json!({"valid": true, "index": proof.index, "entry": entry}))?;
            Ok(ExitCode::SUCCESS)
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
            print_line(&String::from_utf8_lossy(&proof.entry))
        }
        (Err(error), _) => {
            format.tell(&json!({"valid": false, "error": error.to_string()}), || format!("not valid: {error}"))?;
            Ok(ExitCode::from(1))
        }
    }
}

/// What is said of decisions that were made again. Each was judged by itself, with the labels, facts and approval that
/// its entry records.
fn recomputed_text(found: &Recomputation) -> String {
    let mut lines: Vec<String> =
        found.faults.iter().map(|fault| format!("entry {}: {}", fault.entry, fault.message)).collect();
    let erased = match found.erased {
        0 => String::new(),
        count => format!(", {count} more cannot be: what was asked for was erased"),
    };
    lines.push(format!("{} recomputed, {} differ{erased}", plural(found.decisions, "decision"), found.faults.len()));
    lines.join("\n")
}

/// Verifies a whole log; `inside` is the file of the key if it lies in the log itself.
fn verify_log(
    dir: &Path,
    (key, inside): (&VerifyingKey, Option<&Path>),
    options: &verify::Options,
    recompute: bool,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let report = progress::of("verifying the ledger", || verify::verify(dir, key, options))?;
    if format == Format::Text {
        let note = inside.map(|inside| key_note(inside) + "\n").unwrap_or_default();
        say!("{note}{}", report_text(&report, options))?;
    }
    // What is wrong with the files is told also where nothing can be decided again.
    let recomputed = recompute.then(|| recompute_log(dir)).transpose();
    let found = recomputed.as_ref().ok().and_then(Option::as_ref);
    match (format, found) {
        (Format::Json, recomputed) => {
            let demanded = options.witnesses.iter().map(VerifyingKey::name).collect();
            output::json_line(&Answer { report: &report, key_from: inside, demanded, recomputed })?;
        }
        (Format::Text, Some(found)) => say!("{}", recomputed_text(found))?,
        (Format::Text, None) => {}
    }
    let same = match recomputed {
        // Damage was found, and is why.
        Err(error) if !report.faults.is_empty() => {
            complain!("bailiwick: not recomputed: {error:#}");
            false
        }
        recomputed => recomputed?.is_none_or(|found| found.faults.is_empty()),
    };
    Ok(ExitCode::from(u8::from(!report.faults.is_empty() || !same)))
}

fn recompute_log(dir: &Path) -> anyhow::Result<Recomputation> {
    let reader = open(dir)?;
    Ok(progress::of("deciding everything again", || gateway::replay::recompute(&reader))?)
}

fn last_rotation(report: &Report) -> u64 {
    report.keys.iter().filter_map(|(_, announced)| *announced).next_back().unwrap_or(0)
}

/// What is said of entries that the checkpoint does not cover.
fn unsigned(report: &Report) -> String {
    match report.entries.saturating_sub(report.sealed) {
        0 => String::new(),
        1 => "; the last entry is signed by nobody yet".to_owned(),
        count => format!("; the last {count} entries are signed by nobody yet"),
    }
}

/// Seconds since 1970, as a date.
fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

fn report_text(report: &Report, options: &verify::Options) -> String {
    let mut lines = vec![
        format!("log        {}", report.origin),
        format!("entries    {} ({} signed, root {})", report.entries, report.sealed, shorten(&report.root, 16)),
        match options.without_payloads {
            true => "payloads   not looked at".to_owned(),
            false => format!("payloads   {} whole, {} erased", report.payloads, report.erased),
        },
        format!("objects    {}", report.objects),
    ];
    if let Some(Pruned { entry, to, root, archive }) = &report.pruned {
        lines.push(format!("pruned     the first {to} entries: their hashes hold, root {}", shorten(root, 16)));
        lines.push(format!("           entry {entry} says so, and names the archive {}", shorten(archive, 16)));
    }
    if report.keys.len() > 1 {
        lines.push(format!(
            "keys       {}: the last was announced in entry {}",
            report.keys.len(),
            last_rotation(report)
        ));
    }
    for (kind, count) in &report.unknown_kinds {
        let entries = plural(*count, "entry");
        lines.push(format!("unknown    {entries} of the kind `{kind}`, which this version does not know"));
    }
    if !report.in_flight.is_empty() {
        let calls = plural(report.in_flight.len() as u64, "permitted call");
        lines.push(format!("in flight  {calls} without an outcome yet; after a crash the next start says `unknown`"));
    }
    if report.unjudged > 0 {
        let calls = plural(report.unjudged, "call");
        lines.push(format!(
            "unjudged   {calls} not judged yet, because the log is being written or was when it was copied"
        ));
    }
    if let Some(WentBack { entry, entries, seconds }) = report.went_back {
        let (entries, seconds) = (plural(entries, "entry"), plural(seconds.unsigned_abs(), "second"));
        lines.push(format!(
            "told       {entries}, from entry {entry} on, dated up to {seconds} before what stands in front of them: a clock was set, \
             or they were put there"
        ));
    }
    if !options.witnesses.is_empty() {
        lines.push(format!("cosigned   by {} of {} witnesses", report.cosigned.len(), options.witnesses.len()));
        lines.extend(report.cosigned.iter().map(|(name, time)| {
            let size = report.witnessed.get(name).copied().unwrap_or(0);
            format!("           {name}: the first {size} entries, at {}", date(*time))
        }));
    }
    let demanded = |name: &String| options.witnesses.iter().any(|key| key.name() == name);
    let contradicted = report.contradicted.iter().filter(|(_, name)| !demanded(name));
    lines.extend(contradicted.map(|(entry, name)| {
        format!(
            "told       entry {entry}: `{name}` has seen another history of this log; `--witness` makes that a fault"
        )
    }));
    match report.faults.len() {
        0 => lines.push(format!("verified: every byte and every rule holds{}", unsigned(report))),
        count => {
            lines.extend(report.faults.iter().take(100).map(|fault| format!("FAULT      {fault}")));
            lines.push(format!(
                "NOT verified: {}{}",
                plural(count, "fault"),
                if count > 100 { ", the first 100 are shown" } else { "" }
            ));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_for_what_it_is() {
        let key = ledger::SigningKey::from_seed(&[3; 32]).unwrap();
        let (log, witness) = (key.verifying_key().to_string(), key.witness_key().to_string());
        assert!(log_key(&log).is_ok() && witness_key(&witness).is_ok());
        assert!(log_key(&witness).unwrap_err().contains("a witness's key"));
        assert!(witness_key(&log).unwrap_err().contains("a log's key"));
        assert!(log_key("x").is_err() && witness_key("x").is_err());
    }

    #[test]
    fn what_nobody_signed_is_said() {
        let said = |entries: u64| {
            let report = Report { entries, sealed: 7, ..Report::default() };
            report_text(&report, &verify::Options::default()).lines().last().unwrap_or_default().to_owned()
        };
        assert_eq!(said(7), "verified: every byte and every rule holds");
        assert_eq!(said(8), "verified: every byte and every rule holds; the last entry is signed by nobody yet");
        assert!(said(10).ends_with("the last 3 entries are signed by nobody yet"));
        let report = Report { unjudged: 3, ..Report::default() };
        let text = report_text(&report, &verify::Options::default());
        assert!(text.contains("3 calls not judged yet, because the log is being written"), "{text}");
    }
}
