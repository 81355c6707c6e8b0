//! `settings.toml` in the home: what the operator decides that is no policy. Absent members have their defaults; an
//! unknown one is an error, because a misspelt switch would otherwise be taken for one that is off.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::commands::ledger::replica::From;
use crate::commands::ledger::witness_key;
use crate::commands::mcp;
use crate::home::Home;
use anyhow::Context as _;
use control::cosign::WitnessAt;
use control::replica::follow::Plan;
use control::replica::s3::S3;
use gateway::breaker::Trip;
use gateway::door::hello::{Hello, Order, Reply};
use gateway::{Keep, Tls, TlsFiles};
use ledger::VerifyingKey;
use policy::Budget;
use policy::bounds::{self, Otherwise};
use serde::{Deserialize, Serialize};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// Which commands write the file.
const WITNESS: &str = "ledger witness";
const PEER: &str = "peer";

/// The operator's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) ledger: LedgerSettings,
    /// Limits of every agent, by field as in a mandate.
    budget: BTreeMap<String, u64>,
    /// When breakers open by themselves.
    pub(crate) breaker: Trip,
    /// Other gateways at which the same sessions go on.
    pub(crate) replicas: ReplicaSettings,
    /// Where the gateway keeps a copy of the ledger; nowhere without it.
    pub(crate) copy: Option<CopySettings>,
    /// Other gateways that labels come from and go to.
    pub(crate) peer: Vec<PeerSettings>,
    /// The HTTP door over TLS.
    pub(crate) tls: Option<TlsSettings>,
}

/// Where the gateway keeps a copy of the ledger.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopySettings {
    /// `s3://BUCKET/PREFIX`.
    to: String,
    endpoint: Option<String>,
    #[serde(default = "usual_region")]
    region: String,
    /// A file; without it the environment is asked.
    credentials: Option<PathBuf>,
    #[serde(default = "usual_pause")]
    every_seconds: NonZeroU64,
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

fn usual_pause() -> NonZeroU64 {
    const { NonZeroU64::new(10).unwrap() }
}

impl CopySettings {
    /// The storage, and what is copied into it.
    pub(crate) fn plan(&self, ledger: PathBuf) -> anyhow::Result<(Plan, Arc<S3>)> {
        let (endpoint, region, credentials) = (self.endpoint.clone(), self.region.clone(), self.credentials.clone());
        let from = From { place: self.to.clone(), endpoint, region, credentials };
        let every = Duration::from_secs(self.every_seconds.get());
        Ok((Plan { ledger, to: self.to.clone(), every }, from.store()?))
    }
}

/// Another gateway that labels come from or go to.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerSettings {
    pub(crate) name: String,
    /// Its public key, as its `bailiwick peer key` prints it.
    pub(crate) key: String,
    /// The server here behind which it stands.
    #[serde(default)]
    pub(crate) server: Option<String>,
    /// The agent as which it calls here.
    #[serde(default)]
    pub(crate) agent: Option<String>,
    /// Whether what its user named counts as named by ours.
    #[serde(default)]
    pub(crate) lifts: bool,
}

/// The HTTP door over TLS, and agents that are known by a certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSettings {
    /// The address and port.
    pub(crate) listen: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    /// The authorities of clients' certificates; with it, who has none is not let in.
    clients: Option<PathBuf>,
    /// What those authorities have revoked.
    #[serde(default)]
    revoked: Vec<PathBuf>,
    /// Names of this machine, as clients write them.
    #[serde(default)]
    names: Vec<String>,
    /// Agents, by SPIFFE ID or `sha256:` and the certificate's digest.
    #[serde(default)]
    agents: BTreeMap<String, String>,
}

impl TlsSettings {
    pub(crate) fn open(&self) -> anyhow::Result<Tls> {
        anyhow::ensure!(
            self.agents.is_empty() || self.clients.is_some(),
            "`tls.agents` in `settings.toml` needs `tls.clients`"
        );
        let (certificate, key, clients) = (self.certificate.clone(), self.key.clone(), self.clients.clone());
        anyhow::ensure!(
            self.revoked.is_empty() || self.clients.is_some(),
            "`tls.revoked` in `settings.toml` needs `tls.clients`"
        );
        let files = TlsFiles { certificate, key, clients, revoked: self.revoked.clone() };
        Tls::new(&files, self.names.clone(), self.agents.clone()).context("`[tls]` in `settings.toml`")
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.clients).chain(&self.revoked).cloned()
    }
}

/// Other gateways at which the same sessions go on.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplicaSettings {
    /// What they share: the key that seals sessions, what each session has seen, and what is stopped.
    folder: Option<PathBuf>,
}

impl ReplicaSettings {
    /// The shared folder, if there is one.
    pub(crate) fn folder(&self, home: &Path) -> anyhow::Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        anyhow::ensure!(folder.is_absolute(), "`replicas.folder` in `settings.toml` is no absolute path");
        // Shared with whoever has the home, and with nobody else, is no sharing.
        anyhow::ensure!(!folder.starts_with(home), "`replicas.folder` in `settings.toml` lies in the home");
        Ok(Some(folder.clone()))
    }
}

impl Settings {
    /// The budgets of every agent.
    pub(crate) fn budgets(&self) -> anyhow::Result<Vec<Budget>> {
        let one = |(field, limit): (&String, &u64)| {
            let (measure, per) =
                bounds::limit(field).with_context(|| format!("`budget.{field}` in `settings.toml` is no limit"))?;
            let (file, limit) = ("settings.toml".to_owned(), *limit);
            let otherwise = Otherwise::Deny;
            anyhow::Ok(Budget { file, line: 0, measure, per, limit, each_user: false, tools: None, otherwise })
        };
        self.budget.iter().map(one).collect()
    }
}

/// What is kept, and who watches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LedgerSettings {
    /// `keep`: results up to a size, encrypted. `digest`: only what they can be checked by.
    results: Results,
    result_size_max_bytes: usize,
    /// Who is asked to cosign checkpoints.
    pub(crate) witness: Vec<WitnessSettings>,
}

/// One witness.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessSettings {
    pub(crate) url: String,
    pub(crate) key: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Results {
    Keep,
    Digest,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { results: Results::Keep, result_size_max_bytes: 1 << 20, witness: Vec::new() }
    }
}

impl LedgerSettings {
    /// What the gateway keeps of results.
    pub(crate) fn keep(&self) -> Keep {
        match self.results {
            Results::Keep => Keep::Results { size_max_bytes: self.result_size_max_bytes.min(ledger::PAYLOAD_SIZE_MAX) },
            Results::Digest => Keep::Macs,
        }
    }
}

/// Reads a home's settings.
pub(crate) fn read(home: &Path) -> anyhow::Result<Settings> {
    toml_edit::de::from_str(&text(home)?).with_context(|| format!("`{}`", path(home).display()))
}

impl LedgerSettings {
    /// Who is asked to cosign checkpoints.
    pub(crate) fn witnesses(&self) -> anyhow::Result<Vec<WitnessAt>> {
        let one = |witness: &WitnessSettings| {
            let key = witness.key.parse().with_context(|| format!("the key of the witness `{}`", witness.url))?;
            anyhow::Ok(WitnessAt::new(&witness.url, key)?)
        };
        self.witness.iter().map(one).collect()
    }

    /// Their keys, each once, as verification demands them.
    pub(crate) fn witness_keys(&self) -> anyhow::Result<Vec<VerifyingKey>> {
        let mut keys: Vec<VerifyingKey> = Vec::new();
        for WitnessSettings { url, key } in &self.witness {
            let key = witness_key(key).map_err(|error| anyhow::anyhow!("the key of the witness `{url}`: {error}"))?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }
}

/// Adds a witness, in place of one at the same address.
pub(crate) fn add_witness(home: &Path, url: &str, key: &str) -> anyhow::Result<()> {
    remove_witness(home, url)?;
    let mut document = document(home)?;
    let ledger = document.entry("ledger").or_insert(Item::Table(Table::new()));
    let ledger = ledger.as_table_mut().context("`ledger` is no table")?;
    let witnesses = ledger.entry("witness").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let witnesses = witnesses.as_array_of_tables_mut().context("`ledger.witness` is no array of tables")?;
    let mut witness = Table::new();
    witness.insert("url", value(url));
    witness.insert("key", value(key));
    witnesses.push(witness);
    write(home, &document, WITNESS)
}

/// Removes the witness at an address; says whether there was one.
pub(crate) fn remove_witness(home: &Path, url: &str) -> anyhow::Result<bool> {
    let mut document = document(home)?;
    let witnesses = document.get_mut("ledger").and_then(|ledger| ledger.get_mut("witness"));
    let Some(witnesses) = witnesses.and_then(Item::as_array_of_tables_mut) else { return Ok(false) };
    let before = witnesses.len();
    witnesses.retain(|witness| witness.get("url").and_then(Item::as_str) != Some(url));
    let removed = witnesses.len() < before;
    write(home, &document, WITNESS)?;
    Ok(removed)
}

/// Adds another gateway, in place of one of the same name.
pub(crate) fn add_peer(home: &Path, peer: &PeerSettings) -> anyhow::Result<()> {
    let mut document = without_peer(home, &peer.name)?.0;
    let peers = document.entry("peer").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let peers = peers.as_array_of_tables_mut().context("`peer` is no array of tables")?;
    let mut table = Table::new();
    table.insert("name", value(&peer.name));
    table.insert("key", value(&peer.key));
    for (name, text) in [("server", &peer.server), ("agent", &peer.agent)] {
        if let Some(text) = text {
            table.insert(name, value(text));
        }
    }
    if peer.lifts {
        table.insert("lifts", value(true));
    }
    peers.push(table);
    write(home, &document, PEER)
}

/// Removes another gateway; says whether it was there.
pub(crate) fn remove_peer(home: &Path, name: &str) -> anyhow::Result<bool> {
    let (document, removed) = without_peer(home, name)?;
    if removed {
        write(home, &document, PEER)?;
    }
    Ok(removed)
}

fn without_peer(home: &Path, name: &str) -> anyhow::Result<(DocumentMut, bool)> {
    let mut document = document(home)?;
    let Some(peers) = document.get_mut("peer").and_then(Item::as_array_of_tables_mut) else {
        return Ok((document, false));
    };
    let before = peers.len();
    peers.retain(|peer| peer.get("name").and_then(Item::as_str) != Some(name));
    let removed = peers.len() < before;
    Ok((document, removed))
}

fn path(home: &Path) -> PathBuf {
    home.join("settings.toml")
}

fn text(home: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path(home)) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path(home).display())),
    }
}

fn document(home: &Path) -> anyhow::Result<DocumentMut> {
    text(home)?.parse().with_context(|| format!("`{}`", path(home).display()))
}

/// Tells a gateway that runs who changes the settings. One that starts later sees only that they changed.
fn tell(home: &Path, (command, text): (&str, &str)) -> anyhow::Result<()> {
    let order = Order::Settings { command: command.to_owned(), text: text.to_owned() };
    match mcp::ask(&Home::resolve(Some(home.to_owned()))?, &Hello::Order(order))? {
        Some(Reply::Failed { error }) => anyhow::bail!("the change cannot be recorded: {error}"),
        Some(Reply::Done { .. }) | None => Ok(()),
    }
}

/// Whole or not at all: the file decides what is kept. Recorded first, so that nothing is changed and not told.
fn write(home: &Path, document: &DocumentMut, command: &str) -> anyhow::Result<()> {
    let text = document.to_string();
    tell(home, (command, &text))?;
    ledger::private::write(&path(home), text.as_bytes())
        .with_context(|| format!("cannot write `{}`", path(home).display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_read_and_a_misspelt_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap().ledger.keep(), Keep::default());
        fs::write(dir.path().join("settings.toml"), "[ledger]\nresults = \"digest\"\n").unwrap();
        assert_eq!(read(dir.path()).unwrap().ledger.keep(), Keep::Macs);
        fs::write(dir.path().join("settings.toml"), "[ledger]\nresult = \"digest\"\n").unwrap();
        assert!(read(dir.path()).is_err());
    }

    #[test]
    fn witnesses_come_and_go_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let key = ledger::SigningKey::from_seed(&[1; 32]).unwrap().witness_key().to_string();
        fs::write(dir.path().join("settings.toml"), "# mine\n[ledger]\nresults = \"digest\"\n").unwrap();
        add_witness(dir.path(), "http://127.0.0.1:1", &key).unwrap();
        add_witness(dir.path(), "http://127.0.0.1:2", &key).unwrap();
        add_witness(dir.path(), "http://127.0.0.1:1", &key).unwrap();
        let ledger = read(dir.path()).unwrap().ledger;
        assert_eq!((ledger.witnesses().unwrap().len(), ledger.witness_keys().unwrap().len()), (2, 1));
        assert!(remove_witness(dir.path(), "http://127.0.0.1:1").unwrap());
        assert!(!remove_witness(dir.path(), "http://127.0.0.1:1").unwrap());
        let settings = read(dir.path()).unwrap();
        assert_eq!((settings.ledger.witness.len(), settings.ledger.keep()), (1, Keep::Macs));
        assert!(text(dir.path()).unwrap().starts_with("# mine"));
    }
}
