//! `bailiwick login`, `bailiwick logout`: the operator's login at a server over HTTP that wants a token.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use connect::protect::UpstreamLaunch;
use gateway::upstream::http::Outbound;
use gateway::upstream::login::person::{self, Wants};
use gateway::upstream::login::{Client, Grant, Login, Proof, Secret, discover, obtained};

use crate::home::Home;

/// Sign in at a server over HTTP that wants a token (OAuth 2.1).
///
/// Every agent that policy lets call the server does so with this login, and sees none of its tokens. They lie in
/// `gateway/logins/SERVER.json`, which only you can read, leave for that server's address alone, and are renewed by
/// themselves where the authorization server allows it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick login docs                              prints an address; a person signs in there
  bailiwick login docs --scope docs:write           the same, with more than was asked for before
  bailiwick login docs --client ID --client-secret-env SECRET
                                                    as a client that was registered by hand
  bailiwick login docs --grant client --client ID --client-key key.pem
                                                    as the gateway itself, for nobody
  bailiwick login docs --grant workload --client ID --assertion /var/run/token
                                                    with the token of a workload (RFC 7523)
  bailiwick login docs --grant enterprise --client ID --client-secret-env SECRET \\
      --provider https://idp.example/token --provider-client ID2 --id-token id.jwt
                                                    with the word of the enterprise's identity provider (ID-JAG)
  bailiwick logout docs                             forget it")]
pub(crate) struct Args {
    /// The server, as `bailiwick upstream list` names it.
    server: String,
    /// A scope beside those that the server asks for.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// What gets a token.
    #[arg(long, value_enum, default_value = "person")]
    grant: GrantKind,
    /// The client's name at the authorization server, if it was registered there by hand.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The variable of this environment that holds the client's secret.
    #[arg(long, value_name = "NAME", requires = "client")]
    client_secret_env: Option<String>,
    /// The client's private key (PKCS #8, PEM), instead of a secret.
    #[arg(long, value_name = "FILE", requires = "client", conflicts_with = "client_secret_env")]
    client_key: Option<PathBuf>,
    /// The algorithm of that key.
    #[arg(long, value_name = "NAME", default_value = "ES256")]
    client_key_algorithm: String,
    /// The https address of a client id metadata document, for authorization servers that take one for a name.
    #[arg(long, value_name = "URL", conflicts_with = "client")]
    client_document: Option<String>,
    /// The port of 127.0.0.1 that the browser comes back to; any, unless told.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// The file with the workload's token; somebody keeps it fresh.
    #[arg(long, value_name = "FILE", required_if_eq("grant", "workload"))]
    assertion: Option<PathBuf>,
    /// The token endpoint of the enterprise's identity provider.
    #[arg(long, value_name = "URL", required_if_eq("grant", "enterprise"))]
    provider: Option<String>,
    /// The client's name at the identity provider.
    #[arg(long, value_name = "ID", required_if_eq("grant", "enterprise"))]
    provider_client: Option<String>,
    /// The variable of this environment that holds the client's secret at the identity provider.
    #[arg(long, value_name = "NAME")]
    provider_client_secret_env: Option<String>,
    /// The file with the user's ID token; somebody keeps it fresh.
    #[arg(long, value_name = "FILE", required_if_eq("grant", "enterprise"))]
    id_token: Option<PathBuf>,
}

/// Forget the login at a server.
///
/// The tokens are deleted here; they stay good at their issuer until they end.
#[derive(clap::Args)]
#[command(after_help = "Example: bailiwick logout docs")]
pub(crate) struct LogoutArgs {
    /// The server, as `bailiwick upstream list` names it.
    server: String,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum GrantKind {
    /// A person signs in with a browser (authorization code, PKCE).
    Person,
    /// The client itself (client credentials).
    Client,
    /// A workload with a token of its platform (RFC 7523).
    Workload,
    /// A user for whom the enterprise's identity provider vouches (ID-JAG).
    Enterprise,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let upstreams = super::upstream::read(home)?;
    let launch = upstreams.servers().find(|(name, _)| *name == args.server).map(|(_, upstream)| &upstream.launch);
    let launch = launch.with_context(|| format!("there is no `{}`; see `bailiwick upstream list`", args.server))?;
    let UpstreamLaunch::Http(address) = launch else {
        anyhow::bail!(
            "`{}` is no remote MCP server: a program gets what it needs with `--env`, an agent over A2A what its callers send",
            args.server
        );
    };
    let server = address.parse().with_context(|| format!("`{address}`"))?;
    let path = home.login(&args.server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let login = runtime.block_on(async {
        let outbound = Outbound::new();
        if args.grant == GrantKind::Person {
            let wants = Wants {
                scopes: args.scope.clone(),
                client: args.client()?,
                document: args.client_document.clone(),
                port: args.port,
                before: Login::read(&path)?,
            };
            return anyhow::Ok(person::sign_in(&outbound, &server, wants, open).await?);
        }
        let found = discover::discover(&outbound, &server).await?;
        let client = args.client()?.context("`--client` says who the gateway is at the authorization server")?;
        let (client, binding) = (found.fit(client), found.binding()?);
        let mut scopes = found.scopes;
        scopes.extend(args.scope.iter().filter(|scope| !scopes.contains(scope)).cloned().collect::<Vec<_>>());
        let login = Login {
            server: server.to_string(),
            resource: found.resource,
            issuer: found.issuer,
            token_endpoint: found.token_endpoint,
            client,
            grant: args.grant()?,
            scopes,
            binding,
            token: None,
        };
        Ok(obtained(&outbound, login).await?)
    })?;
    login.write(&path)?;
    let ends = login.token.as_ref().and_then(|token| token.expires);
    let ends = ends.map_or_else(String::new, |end| format!(", good until {end:.0}"));
    say!("signed in at `{}` by {}{ends}", args.server, login.issuer)?;
    if login.token.as_ref().is_some_and(|token| token.bound) {
        say!("its tokens are bound to a key that stays here (DPoP)")?;
    }
    if !login.scopes.is_empty() {
        say!("scopes: {}", login.scopes.join(" "))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn logout(args: &LogoutArgs, home: &Home) -> anyhow::Result<ExitCode> {
    let path = home.login(&args.server);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            anyhow::bail!("there is no login at `{}`", args.server)
        }
        other => other.with_context(|| format!("cannot remove `{}`", path.display()))?,
    }
    say!("forgotten; the tokens stay good at their issuer until they end")?;
    Ok(ExitCode::SUCCESS)
}

fn open(address: &str) {
    // That nobody reads it is found out when nobody signs in.
    drop(say!("Open this address in a browser of this machine, and sign in:\n\n{address}\n"));
}

impl Args {
    fn client(&self) -> anyhow::Result<Option<Client>> {
        let Some(id) = &self.client else { return Ok(None) };
        let proof = match (&self.client_key, &self.client_secret_env) {
            (Some(file), _) => {
                let pem = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
                Proof::Key { pem: Secret::new(pem), algorithm: self.client_key_algorithm.clone() }
            }
            (None, Some(name)) => Proof::Basic(secret(name)?),
            (None, None) => Proof::None,
        };
        Ok(Some(Client { id: id.clone(), proof, registered: None }))
    }

    fn grant(&self) -> anyhow::Result<Grant> {
        let absolute = |file: &Option<PathBuf>| {
            let file = file.as_ref().context("a file is missing; see `bailiwick login --help`")?;
            std::path::absolute(file).with_context(|| format!("`{}`", file.display()))
        };
        Ok(match self.grant {
            GrantKind::Person => Grant::Person { refresh: None },
            GrantKind::Client => Grant::Client,
            GrantKind::Workload => Grant::Workload { assertion: absolute(&self.assertion)? },
            GrantKind::Enterprise => {
                let proof = self.provider_client_secret_env.as_deref().map(secret).transpose()?;
                let client = Client {
                    id: self.provider_client.clone().context("`--provider-client` is missing")?,
                    proof: proof.map_or(Proof::None, Proof::Post),
                    registered: None,
                };
                let provider = self.provider.clone().context("`--provider` is missing")?;
                Grant::Enterprise { provider, client, id_token: absolute(&self.id_token)? }
            }
        })
    }
}

fn secret(name: &str) -> anyhow::Result<Secret> {
    Ok(Secret::new(
        std::env::var(name).with_context(|| format!("`${name}` is not set; put the secret into that variable"))?,
    ))
}
