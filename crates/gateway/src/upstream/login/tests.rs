//! A login whose tokens are bound to a key, at a server and an authorization server that want nonces in proofs.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::call::Plumbing;
use crate::upstream::http::Target;

/// What one request was: its path, its `Authorization`, and the claims of its proof.
type Asked = (String, String, Value);

/// Both servers at one address. Each wants a nonce of its own, and says so only when it is missing.
async fn servers(listener: TcpListener, asked: Arc<Mutex<Vec<Asked>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answers(stream, asked.clone()));
    }
}

async fn answers(mut stream: TcpStream, asked: Arc<Mutex<Vec<Asked>>>) -> Option<()> {
    loop {
        let (head, _body) = request(&mut stream).await?;
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
            line.map(|line| line[name.len() + 2..].to_owned()).unwrap_or_default()
        };
        let path = head.split(' ').nth(1)?.to_owned();
        let claims = header("dpop").split('.').nth(1).map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap());
        let claims: Value = claims.map(|claims| serde_json::from_slice(&claims).unwrap()).unwrap_or_default();
        let wanted = if path == "/token" { "of the issuer" } else { "of the server" };
        let (status, nonce, body) = match (claims["nonce"] == wanted, &*path) {
            (true, "/token") => (200, "", json!({"access_token": "fresh", "token_type": "DPoP", "expires_in": 600})),
            (true, _) => (200, "", json!({"jsonrpc": "2.0", "id": 1, "result": {}})),
            (false, "/token") => (400, wanted, json!({"error": "use_dpop_nonce"})),
            (false, _) => (401, wanted, json!({})),
        };
        asked.lock().unwrap().push((path, header("authorization"), claims));
        let nonce = if nonce.is_empty() { String::new() } else { format!("dpop-nonce: {nonce}\r\n") };
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{nonce}content-length: {}", body.len());
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.ok()?;
    }
}

async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut held = Vec::new();
    loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(held[..end].to_vec()).unwrap();
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let length: usize = length.unwrap_or(0);
            if held.len() >= end + 4 + length {
                return Some((head, held[end + 4..].to_vec()));
            }
        }
        if stream.read_buf(&mut held).await.ok()? == 0 {
            return None;
        }
    }
}

#[tokio::test]
async fn nonces_of_both_servers_are_taken_up_and_every_proof_is_new() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(servers(listener, asked.clone()));
    let home = tempfile::tempdir().unwrap();
    let key = ProofKey::generate().unwrap();
    let binding = Some(Binding { key: key.clone(), required: true });
    let login = Login { token_endpoint: format!("{base}/token"), binding, ..bare(&format!("{base}/mcp")) };
    login.write(&home.path().join("far.json")).unwrap();
    let outbound = Outbound::new().with_logins(home.path().to_owned());
    let call = async || {
        let headers = [("dpop", "the caller's own"), ("authorization", "Bearer the caller's own")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let uri = login.server.parse().unwrap();
        let target = Target { uri, headers: headers.into_iter().collect(), wait: Duration::from_secs(30) };
        let answer = outbound.pass(&Plumbing::aside(Bytes::from_static(b"{}")), target).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key("dpop-nonce"), "how the gateway signs in is no matter of the caller's");
    };
    // Three at once, each without the nonce that the first answer brings.
    tokio::join!(call(), call(), call());
    call().await;
    let asked = asked.lock().unwrap();
    let paths: Vec<&str> = asked.iter().map(|(path, ..)| path.as_str()).collect();
    let count = |path: &str| paths.iter().filter(|other| **other == path).count();
    assert_eq!(count("/token"), 2, "a nonce that is missing is no reason for another token: {paths:?}");
    assert!((5..=7).contains(&count("/mcp")) && paths.ends_with(&["/mcp"]), "{paths:?}");
    let names: std::collections::BTreeSet<String> =
        asked.iter().map(|(_, _, claims)| claims["jti"].to_string()).collect();
    assert_eq!(names.len(), asked.len());
    for (path, authorization, claims) in asked.iter() {
        let (token, ath) = if path == "/mcp" { ("DPoP fresh", true) } else { ("", false) };
        assert_eq!((authorization.as_str(), claims["ath"].is_string()), (token, ath));
        assert_eq!((&claims["htm"], &claims["htu"]), (&json!("POST"), &json!(format!("{base}{path}"))));
    }
    // The file holds the key, and nothing else shows it.
    let text = std::fs::read_to_string(home.path().join("far.json")).unwrap();
    let kept: Login = serde_json::from_str(&text).unwrap();
    assert_eq!(kept.binding.as_ref().unwrap().key.thumbprint(), key.thumbprint());
    assert!(!format!("{kept:?}").contains(&String::from(key)), "a key in a debug text");
}

fn bare(server: &str) -> Login {
    Login {
        server: server.to_owned(),
        resource: server.to_owned(),
        issuer: server.to_owned(),
        token_endpoint: format!("{server}/token"),
        client: Client { id: "c".to_owned(), proof: Proof::None, registered: None },
        grant: Grant::Client,
        scopes: Vec::new(),
        binding: None,
        token: None,
    }
}

#[tokio::test]
async fn a_login_that_is_being_renewed_is_not_taken_for_what_its_file_said_before() {
    let home = tempfile::tempdir().unwrap();
    let (one, address) = (bare("http://localhost:1/a"), "http://localhost:1/a".parse().unwrap());
    one.write(&home.path().join("one.json")).unwrap();
    let logins = Logins::new(home.path().to_owned());
    let kept = logins.at(&address).unwrap();
    let renewing = kept.login.lock().await;
    let again = || {
        // As a moment later, when another login's file has changed the folder.
        let mut known = logins.hold();
        known.looked = None;
        drop(known);
        logins.at(&address).unwrap()
    };
    bare("http://localhost:1/b").write(&home.path().join("two.json")).unwrap();
    logins.hold().changed = None;
    assert!(Arc::ptr_eq(&kept, &again()), "another would renew with the same token again");
    drop(renewing);
    Login { scopes: vec!["more".to_owned()], ..one }.write(&home.path().join("one.json")).unwrap();
    assert!(!Arc::ptr_eq(&kept, &again()), "looked at again when nobody renews it");
}

#[test]
fn a_login_that_comes_right_after_a_look_is_taken_up_though_the_folder_has_the_same_time() {
    let home = tempfile::tempdir().unwrap();
    let (logins, mut known, time) = (Logins::new(home.path().to_owned()), Known::default(), SystemTime::now());
    for (name, count) in [("one", 1), ("two", 2)] {
        bare(&format!("http://localhost:1/{name}")).write(&home.path().join(format!("{name}.json"))).unwrap();
        fs::File::open(home.path()).unwrap().set_modified(time).unwrap();
        logins.look(&mut known);
        assert_eq!(known.logins.len(), count);
    }
}

#[tokio::test]
async fn a_document_is_fetched_without_a_login() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(servers(listener, asked.clone()));
    let home = tempfile::tempdir().unwrap();
    let server = format!("{base}/mcp");
    let access = Secret::new("of the login".to_owned());
    let token = Token { access, expires: None, bound: false };
    Login { token: Some(token), ..bare(&server) }.write(&home.path().join("far.json")).unwrap();
    let outbound = Outbound::new().with_logins(home.path().to_owned());
    drop(crate::signin::fetch::json(&outbound, &server).await);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.iter().map(|(_, authorization, _)| authorization.as_str()).collect::<Vec<_>>(), [""]);
}

/// A server that wants a login, whose metadata is not there or breaks off; it answers nothing else.
async fn without_metadata(listener: TcpListener, breaks: &str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        while let Some((head, _)) = request(&mut stream).await {
            let path = head.split(' ').nth(1).unwrap();
            let status = match path.contains(".well-known") {
                true if path.contains(breaks) => break,
                true => "404 Not Found",
                false => "401 Unauthorized\r\nwww-authenticate: Bearer",
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn metadata_that_cannot_be_read_is_not_taken_for_none() {
    for (breaks, why) in [
        ("nothing", None),
        ("oauth-protected-resource", Some("the server's metadata")),
        ("openid-configuration", Some("the authorization server's metadata")),
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(without_metadata(listener, breaks));
        // A server of 2025-03-26 has no metadata and is its own authorization server, which binds no token to a key.
        let found = discover::discover(&Outbound::new(), &server).await;
        match (found, why) {
            (Ok(found), None) => assert!(found.token_endpoint.ends_with("/token"), "{found:?}"),
            (Err(LoginError::Answer { what, .. }), Some(why)) => assert_eq!(what, why),
            (found, _) => panic!("{breaks}: {found:?}"),
        }
    }
}
