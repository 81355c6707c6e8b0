//! The gateway as an OAuth 2.1 protected resource: its metadata (RFC 9728) and its challenges (RFC 6750).

use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::{Identity, Kind, Refused, SignedIn};
use crate::dpop::check::ALGORITHMS;

/// Where the metadata lies; the path of the server follows.
pub(crate) const PATH: &str = "/.well-known/oauth-protected-resource";

/// The metadata of a server behind the gateway's address; `None` where no authorization server is trusted.
pub(crate) fn document(identity: &Identity, base: &str, server: Option<&str>) -> Option<Value> {
    let issuers = identity.issuer.iter().filter(|issuer| issuer.kind == Kind::Oauth);
    let issuers: Vec<&str> = issuers.map(|issuer| issuer.issuer.as_str()).collect();
    let scopes: Vec<&String> = identity.scopes.values().collect();
    (!issuers.is_empty()).then(|| {
        json!({
            "resource": resource(identity, base, server),
            "authorization_servers": issuers,
            "scopes_supported": scopes,
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ALGORITHMS,
            "dpop_bound_access_tokens_required": identity.is_bound(),
            "resource_name": "Bailiwick",
        })
    })
}

fn resource(identity: &Identity, base: &str, server: Option<&str>) -> String {
    let base = identity.resource.as_deref().unwrap_or(base).trim_end_matches('/');
    server.map_or_else(|| base.to_owned(), |server| endpoint(base, server))
}

/// The address of a server behind a gateway; all of them, as one, have no name.
pub(crate) fn endpoint(base: &str, server: &str) -> String {
    if server.is_empty() { format!("{base}/mcp") } else { format!("{base}/mcp/{server}") }
}

fn pointer(identity: &Identity, base: &str, server: &str) -> String {
    let base = identity.resource.as_deref().unwrap_or(base).trim_end_matches('/');
    format!("resource_metadata=\"{}\"", endpoint(&format!("{base}{PATH}"), server))
}

/// What a refused caller is told in `WWW-Authenticate`.
pub(crate) fn challenge(identity: &Identity, (base, server): (&str, &str), refused: Refused) -> Option<HeaderValue> {
    if identity.issuer.is_empty() {
        return None;
    }
    let pointer = pointer(identity, base, server);
    let scheme = if identity.is_bound() { "DPoP" } else { "Bearer" };
    let text = match refused {
        Refused::Nobody => format!("{scheme} {pointer}"),
        Refused::Invalid(why) => {
            format!("{scheme} error=\"invalid_token\", error_description=\"{why}\", {pointer}")
        }
        Refused::Proof(why) => format!(
            "DPoP error=\"invalid_dpop_proof\", error_description=\"{why}\", algs=\"{}\", {pointer}",
            ALGORITHMS.join(" ")
        ),
        Refused::Nonce => format!("DPoP error=\"use_dpop_nonce\", {pointer}"),
        Refused::NoKeys => format!("{scheme} error=\"temporarily_unavailable\", {pointer}"),
    };
    HeaderValue::from_str(&text).ok()
}

/// What a caller is told whose token is good and not enough: step up.
pub(crate) fn insufficient(
    identity: &Identity,
    who: &SignedIn,
    (base, server): (&str, &str),
    missing: &[&str],
) -> Option<HeaderValue> {
    let pointer = pointer(identity, base, server);
    let scheme = if who.bound.key.is_some() { "DPoP" } else { "Bearer" };
    let text = format!("{scheme} error=\"insufficient_scope\", scope=\"{}\", {pointer}", missing.join(" "));
    HeaderValue::from_str(&text).ok()
}
