//! `bailiwick ledger`.

mod archive;
mod erase;
mod export;
pub(crate) mod replica;
mod rotate;
mod show;
mod stats;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use verify::{log_key, witness_key};

use anyhow::Context as _;
use gateway::door::hello::{Change, Hello, Reply};
use jiff::Timestamp;
use ledger::{KeyFile, OpenError, Options, Reader, VerifyingKey};
use serde_json::Value;

use crate::format::Format;
use crate::home::Home;

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
    Verify(verify::Args),
    /// Destroy the key of a subject's payloads and record that, and what the gateway keeps of the subject's sessions. Entries
    /// and proofs stay as they are.
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
    /// Copy the oldest entries into a folder, with the proof that they were in the log. Nothing is removed.
    Archive(archive::Args),
    /// Remove the entries that an archive has from the log, which records that. Their hashes stay, so every proof holds.
    #[command(
        after_help = "The archive is read again first, and must be of the oldest entries of this log. Keep it: what it has is nowhere else.

Example: bailiwick ledger prune /backup/000000000000-000000051200.json --yes"
    )]
    Prune {
        /// The archive's statement, as `bailiwick ledger archive` wrote it.
        statement: PathBuf,
        /// Do it: the entries are then in the archive alone.
        #[arg(long)]
        yes: bool,
    },
    /// Write signed entries as a table in the format of Apache Parquet, for any query engine.
    Export(export::Args),
    /// Bring a copy in S3-compatible storage up to the last checkpoint.
    Push(replica::Push),
    /// Make a directory of a copy in S3-compatible storage.
    #[command(after_help = "Payloads stay unreadable: their keys never leave the machine of the log.

Example:
  bailiwick ledger pull s3://audit/ledger --region eu-central-1 --into DIR
  bailiwick ledger verify --dir DIR --key KEY --without-payloads")]
    Pull {
        #[command(flatten)]
        from: replica::From,
        /// The directory to make.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
    /// Give the log another key. It is announced under the old one, so that whoever trusts the first key can follow.
    #[command(
        after_help = "The file of the private key is replaced; no copy of the old one is kept. Verifiers go on with \
the public key that they have: `bailiwick ledger key`.

Example: bailiwick ledger rotate-key --yes"
    )]
    RotateKey {
        /// Do it: the old key signs nothing more.
        #[arg(long)]
        yes: bool,
    },
    /// Print the log's public key, which verifiers need: the one that it began with.
    #[command(after_help = "Example: bailiwick ledger key --all")]
    Key {
        /// Print every key that it has had, in order, each with the entry that announced it.
        #[arg(long)]
        all: bool,
    },
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| home.ledger());
    let format = args.format;
    match &args.command {
        Command::Show { entry } => show::show(&open(&dir)?, *entry, format),
        Command::Tail { lines, follow } => show::tail(&open(&dir)?, *lines, *follow, format),
        Command::Prove { entry, output } => verify::prove(&open(&dir)?, *entry, output.as_deref(), format),
        Command::Verify(what) => verify::run(what, &dir, home, format),
        Command::Erase { subject, yes } => erase::run((&dir, home), subject, *yes, format),
        Command::Archive(what) => archive::archive(what, &open(&dir)?, format),
        Command::Prune { statement, yes } => archive::prune((&dir, home), statement, *yes, format),
        Command::Export(what) => export::run(what, &open(&dir)?, format),
        Command::Push(what) => replica::push(what, &open(&dir)?, format),
        Command::Pull { from, into } => replica::pull(from, into, format),
        Command::RotateKey { yes } => rotate::run(&dir, home, *yes, format),
        Command::Witness(command) => super::witness::configure(command, home, format),
        Command::Stats => stats::run(&dir, &open(&dir)?, format),
        Command::Key { all } => rotate::keys(&dir, home, *all, format),
    }
}

/// A ledger, to be read.
pub(crate) fn open(dir: &Path) -> anyhow::Result<Reader> {
    if !dir.join("journal").is_dir() {
        anyhow::bail!("there is no ledger in `{}` yet; `bailiwick up` starts one", dir.display());
    }
    Reader::open(dir).with_context(|| format!("cannot read the ledger in `{}`", dir.display()))
}

/// Changes the ledger, or has the gateway do it that holds it. What came of it, as JSON.
fn change(dir: &Path, home: &Home, change: &Change) -> anyhow::Result<Value> {
    // Whoever opens a log to write it makes one where there is none.
    anyhow::ensure!(!open(dir)?.is_empty(), "there is no ledger in `{}`", dir.display());
    let key = signing_key_file(dir, home).with_context(|| {
        let own = home.ledger();
        format!("the home's key signs nothing but `{}`, and `{}` has no key of its own", own.display(), dir.display())
    })?;
    match key.open(dir, Options::new(Timestamp::now())) {
        Ok((ledger, _)) => {
            // Whoever holds the home's ledger is its only gateway.
            let sessions = |subject: &str| match is_of_home(dir, home) {
                true => gateway::erase_sessions(&home.gateway(), subject),
                false => Ok(0),
            };
            Ok(change.make(&ledger, (rustix::process::getuid().as_raw(), Timestamp::now()), sessions)?)
        }
        Err(OpenError::Locked { holder, .. }) if is_of_home(dir, home) => {
            match super::mcp::ask(home, &Hello::Ledger(change.clone()))? {
                Some(Reply::Done { output }) => Ok(output),
                Some(Reply::Failed { error }) => anyhow::bail!("the gateway, which holds the ledger, {error}"),
                None => anyhow::bail!("the ledger is in use by {holder}, and no gateway answers"),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether this is the home's own ledger, however its path is written.
fn is_of_home(dir: &Path, home: &Home) -> bool {
    let own = home.ledger();
    dir == own || dir.canonicalize().is_ok_and(|dir| own.canonicalize().is_ok_and(|own| own == dir))
}

/// The file of the private key that lies in a ledger's own directory, as an import's does.
fn key_inside(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(OWN_KEY)).filter(|own| own.exists())
}

/// The file of the private key that may sign a ledger: the home's own by the home's key, which signs no other, any other by
/// the key that lies in it.
fn signing_key_file(dir: &Path, home: &Home) -> Option<KeyFile> {
    if is_of_home(dir, home) { Some(KeyFile::new(home.ledger_key())) } else { key_inside(dir).map(KeyFile::new) }
}

/// The key that a ledger began with, from which verification follows: of the home's own the home's, of any other the one
/// that lies in it, else the home's.
fn first_key(dir: &Path, home: &Home) -> anyhow::Result<VerifyingKey> {
    let file = signing_key_file(dir, home).unwrap_or_else(|| KeyFile::new(home.ledger_key()));
    file.first().context("`bailiwick up` makes the home's key; for another log give `--key`")
}

/// Prints; a reader that went away (`| head`) is no error.
pub(crate) fn print_line(text: &str) -> anyhow::Result<ExitCode> {
    say!("{text}")?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn shorten(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
