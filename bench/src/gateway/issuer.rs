//! An identity provider of the benchmark's own: one key, which the gateway fetches over HTTP, and one token signed with it.

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const ISSUER: &str = "https://issuer.bench.test";
const AUDIENCE: &str = "https://gateway.bench.test";

/// Starts it; answers what the gateway is to trust, and a token for an agent.
pub(super) async fn start() -> anyhow::Result<(gateway::Identity, String)> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("no key")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let keys = json!({ "keys": [jwk(&key)?] }).to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut held = Vec::new();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", keys.len());
            // A client that leaves early gets nothing, and says so itself.
            if super::read_message(&mut stream, &mut held).await.is_ok() {
                let _ = stream.write_all(format!("{head}{keys}").as_bytes()).await;
            }
        }
    });
    let issuer =
        json!({ "name": "bench", "issuer": ISSUER, "audience": [AUDIENCE], "keys": format!("http://{address}/keys") });
    let identity: gateway::Identity = serde_json::from_value(json!({ "issuer": [issuer] }))?;
    identity.check().map_err(|fault| anyhow::anyhow!("{fault}"))?;
    Ok((identity, token(&key)?))
}

fn jwk(key: &EcdsaKeyPair) -> anyhow::Result<Value> {
    let point = key.public_key().as_ref();
    let (x, y) = (point.get(1..33).context("no point")?, point.get(33..65).context("no point")?);
    Ok(
        json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "x": BASE64.encode(x), "y": BASE64.encode(y) }),
    )
}

fn token(key: &EcdsaKeyPair) -> anyhow::Result<String> {
    let now = jiff::Timestamp::now().as_second();
    let header = json!({ "alg": "ES256", "kid": "k1", "typ": "at+jwt" });
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "user", "client_id": "agent", "scope": "mcp:read",
        "iat": now, "exp": now + 24 * 3_600,
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).context("not signed")?;
    Ok(format!("{message}.{}", BASE64.encode(signature.as_ref())))
}
