//! Tokens that are bound to a key (DPoP, RFC 9449): whoever finds one cannot use it.
//!
//! [`key`] makes proofs, where the gateway signs in at a server; [`check`] checks them, where an agent signs in at the
//! gateway. A proof is good for one request: its method, its address, its token and its moment. What a token says beyond
//! the key that it is bound to is not looked at here.

pub(crate) mod check;
pub mod key;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// Bears the proof.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("dpop");
/// Bears what the next proof has to say, where its reader wants to know how fresh it is.
pub(crate) const NONCE_HEADER: HeaderName = HeaderName::from_static("dpop-nonce");

/// The `typ` of a proof.
const KIND: &str = "dpop+jwt";

/// The longest nonce that is taken up, in bytes.
const NONCE_MAX_BYTES: usize = 1024;

/// What an answer wants to find in the next proof.
pub(crate) fn wanted(headers: &HeaderMap) -> Option<HeaderValue> {
    let nonce = headers.get(NONCE_HEADER)?;
    let is_one = |nonce: &&HeaderValue| !nonce.is_empty() && nonce.len() <= NONCE_MAX_BYTES && nonce.to_str().is_ok();
    Some(nonce).filter(is_one).cloned()
}

fn sha256(text: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text))
}

/// The name of a public key (RFC 7638); `None` for a kind that is not known.
fn thumbprint(key: &Map<String, Value>) -> Option<String> {
    // In the order of the letters, and nothing else of the key.
    let names: &[&str] = match key.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members = names.iter().map(|name| {
        let value = key.get(*name)?.as_str()?;
        Some(format!("{}:{}", Value::from(*name), Value::from(value)))
    });
    let members: Vec<String> = members.collect::<Option<_>>()?;
    Some(sha256(format!("{{{}}}", members.join(",")).as_bytes()))
}

/// An address as a proof names it: no query, no default port, the host in lower case. `None` if it is no address.
fn place(uri: &Uri) -> Option<String> {
    let scheme = uri.scheme_str()?;
    let host = uri.host()?.to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}{}", uri.path()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_name_that_the_standard_gives_it() {
        // The example of RFC 7638 section 3.1.
        let key = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        let key: Map<String, Value> = serde_json::from_str(key).unwrap();
        assert_eq!(thumbprint(&key).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn an_address_is_named_one_way() {
        let named = |text: &str| place(&text.parse().unwrap());
        assert_eq!(named("https://A.example:443/mcp?x=1").as_deref(), Some("https://a.example/mcp"));
        assert_eq!(named("http://127.0.0.1:7682/mcp/fs").as_deref(), Some("http://127.0.0.1:7682/mcp/fs"));
        assert_eq!(named("/mcp"), None);
    }
}
