//! What a server wants of the client is judged: what is refused never reaches the client.

use super::*;

const WISHES: &str = r#"
@id("allow") permit (principal, action, resource);
@id("no-sampling") @reason("No server samples here.") forbid (principal, action == Action::"sample", resource);
@id("no-bad-links") @reason("Not to this host") forbid (principal, action == Action::"elicit", resource)
when { context.facts has hosts && context.facts.hosts.contains("bad.example") };
@id("ask-roots") @ask("roots") forbid (principal, action == Action::"list_roots", resource);
"#;

/// A server that answers a tool call with what the client answered to the request in the call's arguments.
async fn serve_wishes(stream: DuplexStream) {
    let (read, mut write) = split(stream);
    let mut lines = BufReader::new(read).lines();
    let mut call = Value::Null;
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        let answer = match message["method"].as_str() {
            Some("tools/list") => json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "tools": tools() } }),
            Some("tools/call") if message["params"]["arguments"]["mrtr"].is_object() => {
                let wishes = &message["params"]["arguments"]["mrtr"];
                let result = json!({ "resultType": "input_required", "requestState": "s", "inputRequests": wishes });
                json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })
            }
            Some("tools/call") => {
                call = message["id"].clone();
                let mut wish = message["params"]["arguments"]["wish"].clone();
                wish["jsonrpc"] = json!("2.0");
                wish["id"] = json!("w");
                wish
            }
            Some(_) => continue,
            None => {
                let text = json!({ "content": [{ "type": "text", "text": message.to_string() }] });
                json!({ "jsonrpc": "2.0", "id": call, "result": text })
            }
        };
        write.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }
}

async fn world() -> (World, Client) {
    let world = World::with(WISHES, limits()).await.unwrap();
    let client = world.connect_to(|server| drop(tokio::spawn(serve_wishes(server))));
    (world, client)
}

/// The line that the client gets next that is not a notification.
async fn next(client: &mut Client) -> Value {
    loop {
        let line = client.read().await.unwrap();
        if line.get("id").is_some() {
            return line;
        }
    }
}

async fn wish(client: &mut Client, method: &str, params: Value) {
    let arguments = json!({ "wish": { "method": method, "params": params } });
    client.start("tools/call", json!({ "name": "read", "arguments": arguments })).await;
}

fn verbs(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let records = world.records().into_iter();
    records
        .filter_map(|(_, record)| match record {
            Record::Intent(intent) => Some((text(&intent.action["verb"]), text(&intent.decision["effect"]["effect"]))),
            _ => None,
        })
        .filter(|(verb, _)| verb != "call_tool")
        .collect()
}

#[tokio::test]
async fn a_refused_wish_is_an_error_for_the_server_and_nothing_for_the_client() {
    let (world, mut client) = world().await;
    let bad_link = json!({ "mode": "url", "message": "sign in", "url": "https://bad.example/x", "elicitationId": "e" });
    let cases = [
        ("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 }), "No server samples here"),
        ("elicitation/create", bad_link, "Not to this host"),
        ("window/open", json!({}), "not known to the gateway"),
    ];
    for (method, params, because) in cases {
        wish(&mut client, method, params).await;
        let answer = next(&mut client).await;
        assert!(text(&answer).contains(because), "{answer}");
    }
    assert_eq!(verbs(&world), [("sample".into(), "deny".into()), ("elicit".into(), "deny".into())]);
    client.close().await;
    world.check().await;
}

#[tokio::test]
async fn a_permitted_wish_reaches_the_client_and_its_answer_the_server() {
    let (world, mut client) = world().await;
    wish(&mut client, "elicitation/create", json!({ "message": "name?", "requestedSchema": { "type": "object" } }))
        .await;
    let asked = next(&mut client).await;
    assert_eq!((&asked["method"], &asked["params"]["message"]), (&json!("elicitation/create"), &json!("name?")));
    // Guesses of other ids, and a second answer, are dropped.
    client.send(r#"{"jsonrpc":"2.0","id":"v","result":{"action":"guess"}}"#).await;
    client.send(r#"{"jsonrpc":"2.0","id":"w","result":{"action":"accept"}}"#).await;
    client.send(r#"{"jsonrpc":"2.0","id":"w","result":{"action":"again"}}"#).await;
    let answer = next(&mut client).await;
    assert!(text(&answer).contains("accept") && !text(&answer).contains("again"), "{answer}");
    assert_eq!(verbs(&world), [("elicit".into(), "permit".into())]);
    client.close().await;
    world.check().await;
}

#[tokio::test]
async fn an_asked_wish_waits_for_its_approval() {
    let (world, mut client) = world().await;
    wish(&mut client, "roots/list", json!({})).await;
    let (ask, asked) = world.asked().await;
    // An answer before the client was asked is a guess.
    client.send(r#"{"jsonrpc":"2.0","id":"w","result":{"roots":[]}}"#).await;
    world.answer(ask, &asked.binding, true, Scope::Once);
    assert_eq!(next(&mut client).await["method"], "roots/list");
    client.send(r#"{"jsonrpc":"2.0","id":"w","result":{"roots":[{"uri":"file:///w"}]}}"#).await;
    assert!(text(&next(&mut client).await).contains("file:///w"));
    client.close().await;
    world.check().await;
}

#[tokio::test]
async fn what_a_result_asks_for_is_judged_too() {
    let (world, mut client) = world().await;
    let elicit = json!({ "method": "elicitation/create", "params": { "message": "name?" } });
    let sample = json!({ "method": "sampling/createMessage", "params": { "messages": [] } });
    let answer = client.call("read", json!({ "mrtr": { "a": elicit } })).await;
    assert_eq!(answer["result"]["resultType"], "input_required");
    let answer = client.call("read", json!({ "mrtr": { "a": elicit, "b": sample } })).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("No server samples here"), "{answer}");
    assert!(!answer.to_string().contains("inputRequests"), "{answer}");
    let answer = client.call("read", json!({ "mrtr": { "a": { "method": "tasks/get" } } })).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("not known"), "{answer}");
    client.close().await;
    world.check().await;
}

#[test]
fn escapes_hide_no_wish() {
    let hidden = r#"{"resultType":"input\u005frequired","inputRequests":{"a":{"method":"elicitation\/create"}}}"#;
    let wishes = crate::call::wishes(hidden).unwrap().unwrap();
    assert!(matches!(wishes[0].1, Some(crate::call::Wish::Judged { verb: policy::Verb::Elicit, .. })));
    assert!(crate::call::wishes(r#"{"content":[{"text":"input_required"}]}"#).unwrap().is_none());
}
