//! `bailiwick witness`, and the witnesses of the home's own ledger.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use control::cosign::WitnessAt;
use ledger::witness::Witness;
use ledger::{SigningKey, VerifyingKey};
use serde_json::json;
use tokio::net::TcpListener;

use super::ledger::{log_key, print_line};
use crate::format::Format;
use crate::home::Home;
use crate::settings;

/// Run a witness: it cosigns the checkpoints of logs that only ever grow.
///
/// With one witness that the log's operator does not run, neither can the whole log be replaced nor can two people be
/// shown two logs. Its state and key lie in the home; whoever can roll them back can make it sign two histories.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick witness --log \"$(ssh gateway bailiwick ledger key)\"      run it, for one log
  bailiwick witness --print-key                                     the key that verifiers need
  bailiwick ledger witness add http://127.0.0.1:7690 --key KEY      use it, on the log's side
  bailiwick ledger verify --witness KEY                             demand its cosignature")]
pub(crate) struct Args {
    /// The public key of a log to cosign for; may be repeated.
    #[arg(long, value_name = "KEY", value_parser = log_key, required_unless_present = "print_key")]
    log: Vec<VerifyingKey>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7690")]
    listen: SocketAddr,
    /// Only print the witness's public key.
    #[arg(long)]
    print_key: bool,
}

/// The witnesses that the home's ledger asks for cosignatures.
#[derive(clap::Subcommand)]
pub(crate) enum Configure {
    /// Ask this witness from the next start on.
    Add {
        /// Its address.
        url: String,
        /// Its public key.
        #[arg(long, value_name = "KEY")]
        key: VerifyingKey,
    },
    /// Ask it no more.
    Remove {
        /// Its address.
        url: String,
    },
    /// Print the witnesses.
    List,
}

fn signing_key(home: &Home) -> anyhow::Result<SigningKey> {
    home.create()?;
    let seed = home.secret("witness.ed25519", || Ok(SigningKey::generate()?.seed().to_vec()))?;
    let key = SigningKey::from_seed(&seed).context("`keys/witness.ed25519`")?;
    let name = key.name().replacen("bailiwick/", "bailiwick-witness/", 1);
    Ok(key.named(&name)?)
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let key = signing_key(home)?;
    if args.print_key {
        return print_line(&key.witness_key().to_string());
    }
    tracing_subscriber::fmt().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    let public = key.witness_key();
    let witness = Witness::open(&home.root().join("witness"), key, args.log.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
        print_line(&format!("witness    http://{}", listener.local_addr()?))?;
        print_line(&format!("key        {public}"))?;
        for log in &args.log {
            print_line(&format!("cosigns    {}", log.name()))?;
        }
        let end = async { drop(tokio::signal::ctrl_c().await) };
        control::witness::serve(Arc::new(witness), listener, end).await?;
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn configure(command: &Configure, home: &Home, format: Format) -> anyhow::Result<ExitCode> {
    match command {
        Configure::Add { url, key } => {
            WitnessAt::new(url, key.clone())?;
            home.create()?;
            settings::add_witness(home.root(), url, &key.to_string())?;
            format.tell(&json!({"added": url, "key": key.to_string()}), || {
                format!(
                    "`{url}` is asked from the next start of the gateway on; until it has cosigned, `ledger verify` says that it has not"
                )
            })
        }
        Configure::Remove { url } => {
            let removed = settings::remove_witness(home.root(), url)?;
            format.tell(&json!({"removed": removed.then_some(url)}), || {
                format!("`{url}` {}", if removed { "is asked no more" } else { "was not asked" })
            })?;
            Ok(ExitCode::from(u8::from(!removed)))
        }
        Configure::List => {
            let witnesses = settings::read(home.root())?.ledger.witness;
            format.list(&witnesses, "no witness is asked", |one| format!("{}  {}", one.url, one.key))
        }
    }
}
