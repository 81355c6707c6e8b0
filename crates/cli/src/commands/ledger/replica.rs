//! `bailiwick ledger push` and `pull`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use control::replica::s3::{Credentials, Place, S3};
use control::replica::{self, StoreError};
use graph::plural;
use ledger::{Reader, SigningKey};
use serde_json::json;

use crate::format::Format;

/// A place in S3-compatible storage.
#[derive(clap::Args)]
pub(crate) struct From {
    /// The copy's place: `s3://BUCKET/PREFIX`.
    pub(crate) place: String,
    /// The server, if it is not AWS: `https://…`, or `http://` on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// The region.
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    pub(crate) region: String,
    /// A file with `aws_access_key_id = …` and `aws_secret_access_key = …`; without it the environment variables of the
    /// same names in capitals.
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(
    after_help = "What is in the storage is what was signed when the push began; entries since then are on this disk alone. The \
journal and the keys of payloads never leave it; payloads are in the copy up to that checkpoint, still encrypted. \
What `ledger prune` removed from the log stays in the copy without `--prune`. A server that ignores conditional writes is refused; of two \
writers with different logs the second is. Credentials are never taken from the command line.

`bailiwick up` does the same by itself where `settings.toml` has a section `[copy]`: `to`, and if they are needed \
`endpoint`, `region`, `credentials` and `every_seconds` (10).

Example:
  AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… bailiwick ledger push s3://audit/ledger --region eu-central-1 --every 10"
)]
pub(super) struct Push {
    #[command(flatten)]
    to: From,
    /// Also remove from the copy what was pruned from the log; it is then in its archive alone.
    #[arg(long)]
    prune: bool,
    /// Go on, and push again every so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
}

impl From {
    pub(crate) fn store(&self) -> anyhow::Result<Arc<S3>> {
        let place = Place::new(&self.place, self.endpoint.as_deref(), &self.region)?;
        let credentials = match &self.credentials {
            Some(path) => Credentials::from_file(path).with_context(|| format!("cannot read `{}`", path.display()))?,
            None => Credentials::from_environment(),
        };
        let hint = "there are no credentials for the storage: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file (`credentials`)";
        Ok(Arc::new(S3::new(place, credentials.context(hint)?)?))
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

pub(super) fn push(args: &Push, reader: &Reader, format: Format) -> anyhow::Result<ExitCode> {
    let store = args.to.store()?;
    // Any random bytes name the object that conditions are tried on.
    let nonce = SigningKey::generate()?.name().replace('/', "-");
    runtime()?.block_on(async {
        replica::probe(store.as_ref(), &nonce).await?;
        loop {
            let pushed = match (replica::push(reader, &store).await, args.every) {
                // It comes back; what another writer has done does not.
                (Err(StoreError::Unreachable(error)), Some(_)) => {
                    complain!("bailiwick: the storage does not answer, and is tried again: {error}");
                    None
                }
                (pushed, _) => Some(pushed?),
            };
            if let Some(pushed) = pushed.filter(|pushed| pushed.objects > 0 || args.every.is_none()) {
                let (place, entries, objects, bytes) = (&args.to.place, pushed.entries, pushed.objects, pushed.bytes);
                format.tell(
                    &json!({"place": place, "entries": entries, "objects": objects, "bytes": bytes}),
                    || {
                        let wrote = plural(objects, "object");
                        format!("`{place}` has {entries} entries; wrote {wrote}, {bytes} bytes")
                    },
                )?;
            }
            if args.prune {
                let removed = replica::prune(reader, &store).await?;
                if removed > 0 {
                    format.tell(&json!({"place": args.to.place, "removed": removed}), || {
                        format!("`{}` lost {}, pruned from the log", args.to.place, plural(removed, "object"))
                    })?;
                }
            }
            match args.every {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

pub(super) fn pull(from: &From, into: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let empty = std::fs::read_dir(into).map_or(true, |mut files| files.next().is_none());
    anyhow::ensure!(empty, "`{}` is not empty", into.display());
    let store = from.store()?;
    let entries = runtime()?.block_on(replica::pull(&store, into))?;
    format.tell(&json!({"folder": into, "entries": entries}), || {
        let into = into.display();
        format!(
            "`{into}` has {entries} entries, not verified yet\n\
             next: bailiwick ledger verify --dir {into} --key KEY --without-payloads"
        )
    })
}
