//! What `up` and the gateway in the background share: opening the ledger, the default policies, the gateway with
//! its doors, and keeping both in step with the files that the operator edits.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use connect::protect::UpstreamLaunch;
use control::cosign::Cosigning;
use control::replica::follow::{CopyState, Follower};
use gateway::{Ahead, Fronts, Gateway, Limits, Program, Rules, Upstream};
use ledger::{KeyFile, Ledger, OpenError, Recovery, SigningKey, VerifyingKey};
use policy::Bounds;

use crate::commands::policy::{SHIPPED_HINT, read_policies};
use crate::commands::{self, mandate, peer, upstream};
use crate::home::{Home, LEDGER_KEY};

/// How often the operator's files are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The ledger, if this process got it.
pub(crate) enum Opened {
    /// With the key that it began with, from which verification follows.
    Ours(Ledger, VerifyingKey, Recovery),
    /// Another process holds it.
    Held(String),
}

/// Opens the home's ledger for writing.
pub(crate) fn ledger(home: &Home) -> anyhow::Result<Opened> {
    home.secret(LEDGER_KEY, || Ok(SigningKey::generate()?.seed().to_vec()))?;
    let key = KeyFile::new(home.ledger_key());
    match key.open(&home.ledger(), ledger::Options::new(jiff::Timestamp::now())) {
        Ok((ledger, recovery)) => Ok(Opened::Ours(ledger, key.first()?, recovery)),
        Err(OpenError::Locked { holder, .. }) => Ok(Opened::Held(holder)),
        Err(error) => Err(error).with_context(|| format!("cannot open the ledger in `{}`", home.ledger().display())),
    }
}

/// The shipped policies, as files to edit; only where there is no policy folder yet. A file that was deleted on
/// purpose stays deleted, one that was edited stays edited, and an emptied folder permits nothing.
pub(crate) fn default_policies(home: &Home) -> anyhow::Result<()> {
    let folder = home.policy();
    if folder.exists() {
        return Ok(());
    }
    // Under its final name only when complete: a crash in between leaves no half pack that reads as somebody's choice.
    let fresh = home.root().join(format!(".policy.{}", std::process::id()));
    drop(fs::remove_dir_all(&fresh));
    fs::DirBuilder::new().mode(0o700).create(&fresh).with_context(|| format!("cannot create `{}`", fresh.display()))?;
    for (name, text) in policy::packs() {
        let path = fresh.join(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
        file.sync_all()?;
    }
    match fs::rename(&fresh, &folder) {
        // Another process was first.
        Err(_) if folder.exists() => Ok(fs::remove_dir_all(&fresh)?),
        renamed => renamed.with_context(|| format!("cannot create `{}`", folder.display())),
    }
}

/// Begins to compile what is likely to be enacted, beside the opening of the ledger. Where that fails it is said later.
pub(crate) fn ahead(home: &Home) -> Option<Ahead> {
    let (dir, home) = (home.gateway(), home.clone());
    let rules = move || {
        let (policies, bounds) = (read_policies(&home.policy()).ok()?, bounds(&home).ok()?);
        Some(Rules { policies, bounds, ..Rules::default() })
    };
    Ahead::begin(dir, rules).ok()
}

/// Starts the gateway and its door for shims and hooks, over policies that exist; and what asks the witnesses.
pub(crate) async fn gateway(
    home: &Home,
    ledger: Ledger,
    ahead: Option<Ahead>,
) -> anyhow::Result<(Gateway, Option<Cosigning>)> {
    default_policies(home)?;
    let settings = crate::settings::read(home.root())?;
    let (replicas, peers) = (settings.replicas.folder(home.root())?, peer::known(home, &settings)?);
    let settings = settings.ledger;
    let witnesses = settings.witnesses()?;
    let options = gateway::Options {
        dir: home.gateway(),
        home: home.root().to_owned(),
        rules: rules(home)?,
        ahead,
        limits: Limits { keep: settings.keep(), ..Limits::default() },
        replicas,
        peers,
        minder: minder(home),
    };
    let (gateway, diagnostics) = Gateway::start(options, ledger.clone()).await?;
    gateway.saw(|| decisive(home));
    diagnostics.iter().for_each(say);
    match fronts(home) {
        Ok(fronts) => gateway.reload_fronts(fronts),
        Err(error) => complain!("bailiwick: no server is known but those of shims: {error:#}"),
    }
    gateway.listen_unix(home.gateway_socket())?;
    let cosigning = (!witnesses.is_empty()).then(|| Cosigning::start(ledger, witnesses));
    Ok((gateway, cosigning))
}

/// This program, as it runs: also after its file was replaced.
fn minder(home: &Home) -> Option<gateway::Minder> {
    let words =
        ["/proc/self/exe".as_ref(), "--home".as_ref(), home.root().as_os_str(), "minder".as_ref(), "--of".as_ref()];
    commands::minder::IS_SUPPORTED.then(|| gateway::Minder(words.map(OsStr::to_owned).to_vec()))
}

/// Starts to keep a copy of the ledger where the settings say so. Agents work without one, so what is wrong with it is
/// said and not fatal.
pub(crate) fn copy(home: &Home, ledger: Ledger) -> anyhow::Result<Option<Follower>> {
    let Some(copy) = crate::settings::read(home.root())?.copy else {
        CopyState::forget(&home.ledger())?;
        return Ok(None);
    };
    let started = copy.plan(home.ledger()).and_then(|(plan, store)| Ok(Follower::start(plan, store, ledger)?));
    Ok(started.inspect_err(|error| complain!("bailiwick: the ledger is not copied: {error:#}")).ok())
}

/// What the operator wrote, to enact.
fn rules(home: &Home) -> anyhow::Result<Rules> {
    let trip = crate::settings::read(home.root())?.breaker;
    Ok(Rules { policies: operator_policies(home)?, bounds: bounds(home)?, trip })
}

/// The adopted mandates, and the budgets of every agent. One that cannot be read is an error: without it more would
/// be allowed.
pub(crate) fn bounds(home: &Home) -> anyhow::Result<Bounds> {
    Ok(Bounds { mandates: mandate::adopted::read(home)?, budgets: crate::settings::read(home.root())?.budgets()? })
}

/// The policies to enact. None is a choice too, but a surprising one.
fn operator_policies(home: &Home) -> anyhow::Result<Vec<(String, String)>> {
    let files = read_policies(&home.policy())?;
    if files.is_empty() {
        complain!("bailiwick: no policy in `{}`: every call is denied; {SHIPPED_HINT}", home.policy().display());
    }
    Ok(files)
}

/// Opens the door for Streamable HTTP; answers its port.
pub(crate) async fn http_door(home: &Home, gateway: &Gateway, port: u16) -> anyhow::Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(gateway.listen_http(address, fronts(home)?).await?.port())
}

/// The operator's files as they were before they were read: what is edited after that is a change.
pub(crate) struct Seen {
    decisive: Vec<Stamp>,
    fronts: Vec<Stamp>,
}

impl Seen {
    pub(crate) fn now(home: &Home) -> Self {
        Self { decisive: stamps(&decisive_paths(home)), fronts: stamps(&front_paths(home)) }
    }
}

/// Follows the operator's files until dropped: an edited policy takes effect, or is refused with the reason and
/// the old ones stay.
pub(crate) async fn watch(home: &Home, gateway: &Gateway, mut seen: Seen) {
    let mut departed = mandate::adopted::Departed::default();
    loop {
        departed.say_new(home);
        let asked = tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => None,
            asked = gateway.asked_to_reload() => Some(asked),
        };
        let now = Seen::now(home);
        if now.decisive != seen.decisive || asked.is_some() {
            gateway.saw(|| decisive(home));
            let enacted = enact(home, gateway).await;
            if let Some(asked) = asked {
                // Whoever asked may have gone.
                drop(asked.send(enacted));
            }
        }
        if now.fronts != seen.fronts {
            match fronts(home) {
                Ok(fronts) => gateway.reload_fronts(fronts),
                Err(error) => complain!("bailiwick: the servers behind the gateway stay as they were: {error:#}"),
            }
        }
        seen = now;
    }
}

async fn enact(home: &Home, gateway: &Gateway) -> Result<(), String> {
    match crate::settings::read(home.root()).and_then(|settings| peer::known(home, &settings)) {
        Ok(peers) => gateway.reload_peers(peers),
        Err(error) => complain!("bailiwick: the other gateways stay as they were: {error:#}"),
    }
    let enacted = match rules(home) {
        Ok(rules) => gateway.reload(rules).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match enacted {
        Ok(diagnostics) => diagnostics.iter().for_each(say),
        Err(error) => {
            let text = format!("the policies stay as they were: {error:#}; see `bailiwick policy check`");
            complain!("bailiwick: {text}");
            return Err(text);
        }
    }
    Ok(())
}

/// The files that decide what agents may do.
fn decisive_paths(home: &Home) -> Vec<PathBuf> {
    let mut paths = policy_paths(home);
    paths.extend(mandate::adopted::files(home).unwrap_or_default());
    paths.extend(
        ["settings.toml", "gateway/annotations.toml", "gateway/identity.toml"].map(|name| home.root().join(name)),
    );
    paths
}

/// The same with their bytes, named from the home. What is absent or cannot be read is left out.
fn decisive(home: &Home) -> Vec<(String, Vec<u8>)> {
    let named = |path: PathBuf| {
        let name = path.strip_prefix(home.root()).ok()?.to_str()?.to_owned();
        Some((name, fs::read(&path).ok()?))
    };
    decisive_paths(home).into_iter().filter_map(named).collect()
}

fn say(problem: &policy::Diagnostic) {
    complain!("bailiwick: {}:{}:{}: {}", problem.file, problem.line, problem.column, problem.message);
}

fn policy_files(home: &Home) -> anyhow::Result<Vec<PathBuf>> {
    let folder = home.policy();
    let mut paths = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("cannot list `{}`", folder.display()))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cedar"));
    paths.sort();
    Ok(paths)
}

/// A folder that cannot be listed reads as empty here and is said when it is used.
fn policy_paths(home: &Home) -> Vec<PathBuf> {
    policy_files(home).unwrap_or_default()
}

/// The remote servers behind the HTTP door, and the agents' keys.
fn fronts(home: &Home) -> anyhow::Result<Fronts> {
    let listed = upstream::read(home)?;
    let (mut upstreams, mut a2a) = (BTreeMap::new(), BTreeMap::new());
    // The address is not said: it may hold a key.
    let address = |name: &str, url: &str| url.parse().map_err(|_| anyhow::anyhow!("the address of `{name}` is none"));
    for (name, listed) in listed.servers() {
        let upstream = match &listed.launch {
            UpstreamLaunch::Http(url) => Upstream::Http(address(name, url)?),
            UpstreamLaunch::A2a(url) => {
                a2a.insert(name.to_owned(), address(name, url)?);
                continue;
            }
            UpstreamLaunch::Program { command, cwd, env } => {
                let (command, cwd) = (command.clone(), cwd.as_ref().map(PathBuf::from));
                Upstream::Program(Arc::new(Program { command, env: environment(env), cwd }))
            }
            UpstreamLaunch::Sse(_) => continue,
        };
        upstreams.insert(name.to_owned(), upstream);
    }
    let programs = listed.agents().map(|(agent, program)| (PathBuf::from(program), agent.to_owned())).collect();
    let mut keys = Vec::new();
    for path in key_files(home) {
        let Some(agent) = agent_of(&path) else { continue };
        let key = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        keys.push((agent, key.trim().to_owned()));
    }
    let tls = crate::settings::read(home.root())?.tls;
    let tls = tls.as_ref().map(crate::settings::TlsSettings::open).transpose()?.map(Arc::new);
    Ok(Fronts { upstreams, a2a, keys, programs, identity: identity(home)?, tls })
}

/// Opens the door over TLS, if `settings.toml` says where; answers its address.
pub(crate) async fn tls_door(home: &Home, gateway: &Gateway) -> anyhow::Result<Option<SocketAddr>> {
    let Some(tls) = crate::settings::read(home.root())?.tls else { return Ok(None) };
    Ok(Some(gateway.listen_tls(tls.listen).await?))
}

/// Who may sign in with a token: `gateway/identity.toml`; nobody without it.
fn identity(home: &Home) -> anyhow::Result<gateway::Identity> {
    let path = home.identity();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(gateway::Identity::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let identity: gateway::Identity =
        toml_edit::de::from_str(&text).with_context(|| format!("`{}` is not as it should be", path.display()))?;
    identity.check().map_err(|fault| anyhow::anyhow!("`{}`: {fault}", path.display()))?;
    Ok(identity)
}

/// A fronted server's environment: what every program needs, and what was set for it. Nothing else of ours, for that may
/// hold secrets of others.
fn environment(set: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    const USUAL: &[&str] = &["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
    let usual = USUAL.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    usual.chain(set.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

fn front_paths(home: &Home) -> Vec<PathBuf> {
    let mut paths = key_files(home);
    paths.extend([home.upstreams(), home.identity(), home.root().join("settings.toml")]);
    // Certificates are renewed under the same name.
    paths.extend(
        crate::settings::read(home.root())
            .ok()
            .and_then(|settings| settings.tls)
            .iter()
            .flat_map(crate::settings::TlsSettings::files),
    );
    paths
}

fn key_files(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.keys()).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| agent_of(path).is_some()).collect();
    paths.sort();
    paths
}

/// `agent-NAME.key` holds the key of the agent `NAME`.
fn agent_of(path: &std::path::Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.strip_prefix("agent-")?.strip_suffix(".key")?.to_owned())
}

/// Name, size and time: what changes when a file is edited.
type Stamp = (PathBuf, u64, Option<SystemTime>);

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let of = |path: &PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((path.clone(), meta.len(), meta.modified().ok()))
    };
    paths.iter().filter_map(of).collect()
}
