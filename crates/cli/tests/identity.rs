//! Agents that sign in over HTTP with tokens of a real OpenID provider, at the real gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use ledger::record::Record;
use serde_json::{Value, json};
use support::{Running, World, free_port, repository, tools};

/// An answer: status, head in lower case, body.
struct Answer(u16, String, String);

fn exchange(port: u16, text: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer(status, head.to_lowercase(), body.to_owned())
}

fn get(port: u16, path: &str) -> Answer {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"))
}

fn call(port: u16, tool: &str, headers: &str) -> Answer {
    let headers = format!("mcp-name: {tool}\r\n{headers}");
    request(port, ("tools/call", json!({"name": tool, "arguments": {}})), &headers)
}

/// The tools are seen once, so that they are known when they are called.
fn list(port: u16, headers: &str) -> Answer {
    request(port, ("tools/list", json!({})), headers)
}

fn request(port: u16, (method, mut params): (&str, Value), headers: &str) -> Answer {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let head = format!(
        "POST /mcp/far HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n\
         content-length: {}\r\n{headers}\r\n",
        body.len()
    );
    exchange(port, &format!("{head}{body}"))
}

fn with(token: &Value) -> String {
    format!("authorization: Bearer {}\r\n", token.as_str().unwrap())
}

/// The provider, and the line that it prints.
fn provider(world: &World, tools: &str, audience: &str) -> (Running, Value) {
    let mut child = world
        .command(world.tool("node_modules/node/bin/node"))
        .args([repository("tests/agents/idp.mjs"), free_port().to_string(), audience.to_owned(), tools.to_owned()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with('{')).expect("the provider started");
    std::thread::spawn(move || lines.for_each(drop));
    (Running(child), serde_json::from_str(&line).unwrap())
}

/// The principals of all calls so far, with their effect.
fn principals(world: &World) -> Vec<(Value, Value)> {
    let intent = |(_, record)| match record {
        Record::Intent(intent) if intent.action["verb"] == "call_tool" => {
            Some((intent.action["principal"].clone(), intent.decision["effect"]["effect"].clone()))
        }
        _ => None,
    };
    world.records().into_iter().filter_map(intent).collect()
}

#[test]
fn agents_sign_in_with_tokens_of_a_real_provider() {
    let Some(tools) = tools("agents_sign_in_with_tokens_of_a_real_provider") else { return };
    let world = World::new(&tools);
    let port = free_port();
    let audience = format!("http://127.0.0.1:{port}/mcp/far");
    let (_provider, idp) = provider(&world, &tools.display().to_string(), &audience);
    let _server = world.protected_remote_server(port);
    let issuer = idp["issuer"].as_str().unwrap();
    let identity = format!(
        "[[issuer]]\nname = \"corp\"\nissuer = \"{issuer}\"\n\n\
         [scopes]\nwrite = \"mcp:write\"\nsend = \"mcp:write\"\nexecute = \"mcp:write\"\nread = \"mcp:read\"\n"
    );
    world.write("bailiwick/gateway/identity.toml", &identity);
    let _gateway = world.up_on(port);

    // Nobody signed in: the answer says where to.
    let Answer(status, head, _) = call(port, "test_simple_text", "");
    assert_eq!(status, 401);
    let metadata = format!("http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp/far");
    assert!(head.contains(&format!("www-authenticate: bearer resource_metadata=\"{metadata}\"")), "{head}");
    let Answer(status, _, body) = get(port, "/.well-known/oauth-protected-resource/mcp/far");
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &document["resource"]), (200, &json!(audience)));
    assert_eq!(document["authorization_servers"], json!([issuer]));
    assert_eq!(get(port, "/.well-known/oauth-protected-resource/mcp/none").0, 404);

    // A token of the provider; the decision and its evidence are in the ledger, the token is not.
    let Answer(status, _, body) = list(port, &with(&idp["full"]));
    assert!(status == 200 && body.contains("test_simple_text"), "{body}");
    let Answer(status, _, body) = call(port, "test_simple_text", &with(&idp["full"]));
    assert!(status == 200 && body.contains("This is a simple text response"), "{body}");
    let (principal, _) = principals(&world).pop().unwrap();
    assert_eq!(principal["agent"], "corp/helper");
    assert_eq!(principal["evidence"]["issuer"], json!(issuer));
    assert!(!format!("{:?}", world.records()).contains(idp["full"].as_str().unwrap()), "a token in the ledger");

    // For another audience, touched, of nobody: refused, and nothing is decided.
    let before = principals(&world).len();
    let touched = format!("{}x", idp["full"].as_str().unwrap());
    for token in [&idp["elsewhere"], &json!(touched), &json!("a.b.c")] {
        let Answer(status, head, _) = call(port, "test_simple_text", &with(token));
        assert_eq!(status, 401);
        assert!(head.contains("error=\"invalid_token\""), "{head}");
    }
    let both = format!("x-bailiwick-key: wrong\r\n{}", with(&idp["full"]));
    assert_eq!(call(port, "test_simple_text", &both).0, 401, "a wrong key is not made good by a token");
    assert_eq!(principals(&world).len(), before);

    // A chain of actors is the delegation, its subject the user.
    assert_eq!(call(port, "test_simple_text", &with(&idp["delegated"])).0, 200);
    let (principal, _) = principals(&world).pop().unwrap();
    assert_eq!(principal["user"], "corp/ann");
    assert_eq!((&principal["agent"], &principal["delegation"]), (&json!("corp/helper"), &json!(["corp/outer"])));

    // Good and not enough: step up.
    let before = principals(&world).len();
    let Answer(status, head, _) = call(port, "test_simple_text", &with(&idp["none"]));
    assert_eq!(status, 403);
    assert!(head.contains("error=\"insufficient_scope\", scope=\"mcp:write\""), "{head}");
    assert_eq!(principals(&world).len(), before);
    // Who was turned away is on record, with why and how often.
    let turned_away = |word: &str| {
        support::wait_for(word, || {
            world.records().into_iter().find_map(|(_, record)| match record {
                ledger::record::Record::Log { event, details } if event == "refused" => {
                    details["why"].as_str().is_some_and(|why| why.contains(word)).then_some(details)
                }
                _ => None,
            })
        })
    };
    let details = turned_away("a scope: mcp:write");
    assert_eq!(
        (&details["server"], &details["agent"], &details["count"]),
        (&json!("far"), &json!("corp/helper"), &json!(1))
    );
    assert_eq!(turned_away("the token is not accepted")["server"], "far");
    world.verify();
}

/// Tokens that are bound to a key are of no use to whoever does not prove that he has it, with proofs of another library.
#[test]
fn a_bound_token_lets_in_with_a_proof_of_its_key() {
    let Some(tools) = tools("a_bound_token_lets_in_with_a_proof_of_its_key") else { return };
    let world = World::new(&tools);
    let port = free_port();
    let audience = format!("http://127.0.0.1:{port}/mcp/far");
    let (_provider, idp) = provider(&world, &tools.display().to_string(), &audience);
    let _server = world.protected_remote_server(port);
    let issuer = idp["issuer"].as_str().unwrap();
    let identity = |more: &str| {
        let text = format!("{more}\n[[issuer]]\nname = \"corp\"\nissuer = \"{issuer}\"\nbound = true\n");
        world.write("bailiwick/gateway/identity.toml", &text);
    };
    identity("");
    let _gateway = world.up_on(port);
    let ways = || -> Value {
        let mut node = world.command(world.tool("node_modules/node/bin/node"));
        let script = repository("tests/agents/dpop.mjs");
        let output = node.args([&script, issuer, &audience]).arg(&tools).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // A list would take a proof of its own; whoever calls first has the gateway list.
    let said = ways();
    let challenge = |said: &Value, way: &str| {
        assert_eq!(said[way][0], 401, "{way}: {said}");
        said[way][1].as_str().unwrap().to_owned()
    };
    assert_eq!(said["good"][0], 200, "{said}");
    assert!(said["good"][2].as_str().unwrap().contains("simple text response"), "{said}");
    let wrong = [
        ("replayed", "it was there before"),
        ("bearer", "it is bound to a key"),
        ("unproven", "there must be one"),
        ("foreign", "another key"),
        ("elsewhere", "another address"),
    ];
    for (way, why) in wrong {
        assert!(challenge(&said, way).contains(why), "{way}: {said}");
    }
    assert_eq!(call(port, "test_simple_text", &with(&idp["full"])).0, 401, "a token that is bound to nothing");
    assert_eq!(principals(&world).len(), 1);
    assert!(principals(&world)[0].0["evidence"]["proof_key"].is_string());
    // The operator wants proofs to be fresh by the gateway's own word.
    identity("proof_nonce = true");
    let said = support::wait_for("the nonce to be wanted", || Some(ways()).filter(|said| said["good"][0] == 401));
    assert!(challenge(&said, "good").contains("use_dpop_nonce"), "{said}");
    assert_eq!(said["again"][0], 200, "{said}");
    assert!(challenge(&said, "replayed").contains("use_dpop_nonce"), "{said}");
    world.verify();
}

#[test]
fn agents_are_known_by_their_certificates() {
    let Some(tools) = tools("agents_are_known_by_their_certificates") else { return };
    let world = World::new(&tools);
    let script = |words: &[&str]| {
        let mut python = world.command(world.tool("venv/bin/python"));
        let output = python.arg(repository("tests/agents/tls.py")).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = world.path("files").display().to_string();
    let made: Value = serde_json::from_str(&script(&["make", &dir])).unwrap();
    let (port, secure) = (free_port(), free_port().to_string());
    let settings = |plain: &str, revoked: &str| {
        format!(
            "[tls]\nrevoked = [{revoked}]\nlisten = \"127.0.0.1:{secure}\"\ncertificate = \"{dir}/server.pem\"\nkey = \"{dir}/server.pem\"\n\
             clients = \"{dir}/ca.pem\"\nnames = [\"gateway.example\"]\n[tls.agents]\n\
             \"spiffe://example.org/agent\" = \"helper\"\n\"sha256:{plain}\" = \"builder\"\n"
        )
    };
    let digest = made["digest"].as_str().unwrap();
    world.write("bailiwick/settings.toml", &settings(digest, ""));
    world.write("bailiwick/policy/90-test.cedar", r#"@id("test-allow") permit (principal, action, resource);"#);
    let _server = world.protected_remote_server(port);
    let _gateway = world.up_on(port);
    let call = |name: &str, host: &str| script(&["call", &secure, &dir, name, host]);
    for (name, agent, evidence) in [("svid", "helper", "spiffe_id"), ("plain", "builder", "certificate")] {
        let answer = call(name, "localhost");
        assert!(answer.starts_with("200") && answer.contains("simple text response"), "{name}: {answer}");
        let (principal, _) = principals(&world).pop().unwrap();
        assert_eq!(principal["agent"], agent);
        assert!(principal["evidence"][evidence].is_string(), "{principal}");
    }
    // An authority's word alone makes nobody an agent, and two names are none.
    let before = principals(&world).len();
    for name in ["unlisted", "two"] {
        assert!(call(name, "localhost").starts_with("401"), "{name}");
    }
    for name in ["-", "expired", "foreign"] {
        assert!(call(name, "localhost").starts_with("refused"), "{name}");
    }
    assert!(call("svid", "other.example").starts_with("403"));
    assert_eq!(principals(&world).len(), before);
    assert!(call("svid", "gateway.example").starts_with("200"));
    // What an authority takes back, or stops to speak of.
    let lists =
        |name: &str| world.write("bailiwick/settings.toml", &settings(digest, &format!("\"{dir}/{name}.crl\"")));
    let hold = |name: &str| {
        let mut python = world.command(world.tool("venv/bin/python"));
        python.arg(repository("tests/agents/tls.py")).args(["hold", &secure, &dir, name]).stdout(Stdio::piped());
        let mut held = python.spawn().unwrap();
        let mut lines = BufReader::new(held.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("open"));
        (Running(held), lines)
    };
    let ((mut stays, _), (_goes, mut told)) = (hold("svid"), hold("plain"));
    lists("plain");
    assert_eq!(told.next().as_deref(), Some("ended"));
    // An idle connection would end, too, but later and not for this.
    support::wait_for("the reason", || {
        let why = |(_, record)| match record {
            Record::Log { event, details } if event == "refused" => Some(details["why"].to_string()),
            _ => None,
        };
        world.records().into_iter().filter_map(why).find(|why| why.contains("trusted no more"))
    });
    assert!(stays.0.try_wait().unwrap().is_none(), "and another's ended with it");
    support::wait_for("the list to hold", || call("plain", "localhost").starts_with("refused").then_some(()));
    assert!(call("svid", "localhost").starts_with("200"));
    lists("old");
    support::wait_for("the old list to be none", || call("svid", "localhost").starts_with("refused").then_some(()));
    lists("none");
    support::wait_for("the new list to hold", || call("plain", "localhost").starts_with("200").then_some(()));
    // What the operator takes away holds without a restart.
    world.write("bailiwick/settings.toml", &settings("0000", ""));
    support::wait_for("the row to go", || call("plain", "localhost").starts_with("401").then_some(()));
    assert!(call("svid", "localhost").starts_with("200"));
    world.verify();
}

/// What a user may not do, an agent does not do for him without somebody's approval.
#[test]
fn a_user_s_own_rights_bound_the_agent_s() {
    let Some(tools) = tools("a_user_s_own_rights_bound_the_agent_s") else { return };
    let world = World::new(&tools);
    let port = free_port();
    let audience = format!("http://127.0.0.1:{port}/mcp/far");
    let (_provider, idp) = provider(&world, &tools.display().to_string(), &audience);
    let _server = world.protected_remote_server(port);
    let identity = format!(
        "[[issuer]]\nname = \"corp\"\nissuer = {}\n\n[[right]]\nclaim = \"groups\"\nvalue = \"staff\"\neffects = [\"read\"]\n",
        idp["issuer"]
    );
    world.write("bailiwick/gateway/identity.toml", &identity);
    let _gateway = world.up_on(port);
    assert_eq!(list(port, &with(&idp["delegated"])).0, 200);
    // Ann is a guest, and no row speaks of guests.
    let asked = {
        let headers = with(&idp["delegated"]);
        std::thread::spawn(move || call(port, "test_simple_text", &headers))
    };
    let ask = world.open_ask();
    world.ok(&["approve", &ask.to_string()]);
    let Answer(status, _, body) = asked.join().unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("simple text response"), "{body}");
    let effects: Vec<Value> = principals(&world).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(effects, ["ask", "permit"]);
    world.verify();
}

/// A key that is lent lets in as its agent, until somebody ends it.
#[test]
fn a_lent_key_lets_in_until_it_is_ended_and_the_log_tells() {
    let Some(tools) = tools("a_lent_key_lets_in_until_it_is_ended_and_the_log_tells") else { return };
    let world = World::new(&tools);
    let port = free_port();
    let _server = world.protected_remote_server(port);
    let _gateway = world.up_on(port);
    let said = world.ok(&["lease", "robot", "--minutes", "5", "--because", "a trial", "--format", "json"]);
    let made: Value = serde_json::from_str(&said).unwrap();
    let (lease, key) = (made["lease"].as_str().unwrap(), made["key"].as_str().unwrap());
    let with_key = format!("x-bailiwick-key: {key}\r\n");
    list(port, &with_key);
    let Answer(status, _, body) = call(port, "test_simple_text", &with_key);
    assert!(status == 200 && body.contains("This is a simple text response"), "{body}");
    let (principal, _) = principals(&world).pop().unwrap();
    assert_eq!((&principal["agent"], &principal["evidence"]["lease"]["lease"]), (&json!("robot"), &json!(lease)));
    assert!(world.ok(&["lease"]).contains("robot until"));
    assert!(world.ok(&["trace", principal["session"].as_str().unwrap()]).contains(lease));
    assert!(world.ok(&["lease", "--end", lease]).contains("Ended"));
    assert_ne!(call(port, "test_simple_text", &with_key).0, 200);
    let told = |(_, record)| match record {
        Record::Lease { state, by, because, .. } => Some((state, by.contains("bailiwick lease"), because)),
        _ => None,
    };
    let told: Vec<_> = world.records().into_iter().filter_map(told).collect();
    let line = |state: &str, by: bool, because: &str| (state.to_owned(), by, because.to_owned());
    assert_eq!(told, [line("made", true, "a trial"), line("used", false, "a trial"), line("ended", true, "")]);
    assert!(!format!("{:?}", world.records()).contains(key), "a key in the ledger");
    world.verify();
}
