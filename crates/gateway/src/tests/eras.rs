//! Clients and servers of two eras of the protocol, in all four combinations.

use super::*;

const ALLOW: &str = r#"
@id("allow") permit (principal, action, resource);
@id("no-sampling") @reason("No server samples here.") forbid (principal, action == Action::"sample", resource);
"#;

#[derive(Clone, Copy, PartialEq)]
enum Era {
    Handshake,
    Stateless,
}

/// A server of one era. `ask` asks the user for a name before it answers, `sample` the model.
async fn serve_era(era: Era, stream: DuplexStream) {
    let (read, mut write) = split(stream);
    let mut lines = BufReader::new(read).lines();
    let (mut is_open, mut waiting) = (false, Value::Null);
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        let (id, params) = (message["id"].clone(), &message["params"]);
        let method = message["method"].as_str();
        let is_enveloped = params["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28";
        let unknown = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "unknown" } });
        let good = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let said = |text: &Value| json!({ "content": [{ "type": "text", "text": text.to_string() }] });
        let name = params["name"].as_str().unwrap_or_default();
        let wish = match name {
            "sample" => json!({ "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 1 } }),
            _ => {
                json!({ "method": "elicitation/create", "params": { "message": "name?", "requestedSchema": { "type": "object" } } })
            }
        };
        let interrupts = matches!(name, "ask" | "sample");
        let answer = match (era, method) {
            (Era::Handshake, Some("initialize")) => {
                is_open = true;
                good(
                    json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": { "name": "old", "version": "1" } }),
                )
            }
            (Era::Stateless, Some("server/discover")) => good(
                json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } }),
            ),
            (_, Some("initialize" | "server/discover")) => unknown,
            (_, Some("subscriptions/listen")) | (_, None) if id.is_null() => continue,
            (Era::Handshake, None) => {
                let result = said(&message["result"]);
                json!({ "jsonrpc": "2.0", "id": waiting, "result": result })
            }
            (_, Some(_)) if id.is_null() => continue,
            // A server of one era knows nothing of the other's words.
            (Era::Handshake, _) if !is_open || line.contains("io.modelcontextprotocol") => unknown,
            (Era::Stateless, _) if !is_enveloped => unknown,
            (_, Some("tools/list")) => {
                let names = ["ask", "sample", "read", "news", "write"];
                let tools = names.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
                good(json!({ "tools": tools }))
            }
            (Era::Handshake, Some("tools/call")) if interrupts => {
                waiting = id.clone();
                let mut wish = wish;
                wish["jsonrpc"] = json!("2.0");
                wish["id"] = json!(7);
                wish
            }
            (Era::Stateless, Some("tools/call")) if interrupts && params["inputResponses"].is_null() => {
                good(json!({ "resultType": "input_required", "requestState": "s", "inputRequests": { "who": wish } }))
            }
            (Era::Stateless, Some("tools/call")) if interrupts => {
                assert_eq!(params["requestState"], "s");
                let mut result = said(&params["inputResponses"]["who"]);
                result["resultType"] = json!("complete");
                good(result)
            }
            (_, Some("tools/call")) if name == "news" => {
                good(said(&json!("for more see https://evil.example/x today")))
            }
            (_, Some("tools/call")) => good(said(&params["arguments"])),
            _ => continue,
        };
        write.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }
}

async fn world(era: Era) -> (World, Client) {
    let world = World::with(ALLOW, limits()).await.unwrap();
    let client = world.connect_to(|server| drop(tokio::spawn(serve_era(era, server))));
    (world, client)
}

fn envelope(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "new", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {}, "sampling": {} },
        "progressToken": "p",
    });
    params
}

async fn open(client: &mut Client) -> Value {
    let info = json!({ "name": "old", "version": "1" });
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} }, "clientInfo": info });
    let answer = client.request("initialize", params).await;
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    answer
}

#[tokio::test]
async fn a_client_without_sessions_sees_and_uses_a_server_with_a_handshake() {
    let (world, mut client) = world(Era::Handshake).await;
    let refused = client.request("server/discover", envelope(json!({}))).await;
    assert_eq!(refused["error"]["code"], -32601, "who speaks both eras hears that the server does not");
    let list = client.request("tools/list", envelope(json!({}))).await["result"].clone();
    assert_eq!((list["tools"].as_array().unwrap().len(), &list["resultType"]), (5, &json!("complete")));
    assert_eq!((&list["ttlMs"], &list["cacheScope"]), (&json!(0), &json!("private")));
    let call = |name: &str| envelope(json!({ "name": name, "arguments": { "n": 1 } }));
    let read = client.request("tools/call", call("read")).await;
    assert_eq!((text(&read), &read["result"]["resultType"]), (r#"{"n":1}"#, &json!("complete")));
    // The server's question is the result; the retry is the answer.
    let asked = client.request("tools/call", call("ask")).await["result"].clone();
    assert_eq!(asked["inputRequests"]["request"]["method"], "elicitation/create");
    let mut retry = call("ask");
    retry["requestState"] = asked["requestState"].clone();
    retry["inputResponses"] = json!({ "request": { "action": "accept", "content": { "name": "ann" } } });
    let done = client.request("tools/call", retry.clone()).await;
    assert!(text(&done).contains("ann"), "{done}");
    let answer = client.request("tools/call", call("sample")).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("No server samples here"), "{answer}");
    client.close().await;
    world.check().await;
}

#[tokio::test]
async fn a_client_with_a_handshake_uses_a_server_without_sessions() {
    let (world, mut client) = world(Era::Stateless).await;
    let opened = open(&mut client).await;
    assert_eq!(opened["result"]["protocolVersion"], "2025-06-18", "{opened}");
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
    assert_eq!(client.request("tools/list", json!({})).await["result"]["tools"].as_array().unwrap().len(), 5);
    assert_eq!(text(&client.call("read", json!({ "n": 1 })).await), r#"{"n":1}"#);
    client.start("tools/call", json!({ "name": "ask", "arguments": {} })).await;
    let asked = client.read().await.unwrap();
    assert_eq!(asked["method"], "elicitation/create");
    let answer =
        json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "accept", "content": { "name": "ann" } } });
    client.send(&answer.to_string()).await;
    let done = client.read().await.unwrap();
    assert!(text(&done).contains("ann"), "{done}");
    let refused = client.call("sample", json!({})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("did not give"), "{refused}");
    client.close().await;
    world.check().await;
}

#[tokio::test]
async fn sides_of_one_era_hear_each_other_as_they_are() {
    let (world, mut client) = world(Era::Handshake).await;
    let opened = open(&mut client).await;
    assert_eq!(opened["result"]["serverInfo"]["name"], "old");
    let read = client.call("read", json!({ "n": 1 })).await;
    assert!(read["result"].get("resultType").is_none(), "{read}");
    client.close().await;
    world.check().await;
    let (world, mut client) = self::world(Era::Stateless).await;
    let list = client.request("tools/list", envelope(json!({}))).await;
    assert!(list["result"].get("ttlMs").is_none(), "the server's own words: {list}");
    let asked = client.request("tools/call", envelope(json!({ "name": "ask" }))).await["result"].clone();
    assert!(asked["inputRequests"]["who"].is_object(), "{asked}");
    client.close().await;
    world.check().await;
}

#[tokio::test]
async fn what_was_read_through_a_translation_taints_what_is_written_through_it() {
    let policy = r#"
@id("allow") permit (principal, action, resource);
@id("no-link") @reason("A link of somebody else is written.")
forbid (principal, action == Action::"files/write", resource) when { context.flow.untrusted.contains("link") };
"#;
    // A client of the one era before a server of the other.
    for era in [Era::Handshake, Era::Stateless] {
        let world = World::with(policy, limits()).await.unwrap();
        let mut client = world.connect_to(|server| drop(tokio::spawn(serve_era(era, server))));
        if era == Era::Stateless {
            open(&mut client).await;
        }
        let said = json!({ "text": "see https://evil.example/x" });
        let calls = [("write", said.clone()), ("news", json!({})), ("write", said)];
        let mut answers = Vec::new();
        for (name, arguments) in calls {
            let params = json!({ "name": name, "arguments": arguments });
            let params = if era == Era::Handshake { envelope(params) } else { params };
            answers.push(text(&client.request("tools/call", params).await).to_owned());
        }
        assert!(answers[0].contains("evil.example"), "nobody has said it yet: {answers:?}");
        assert!(answers[1].contains("for more see"), "{answers:?}");
        assert!(answers[2].contains("A link of somebody else is written"), "{answers:?}");
        client.close().await;
        world.check().await;
    }
}

/// A server without sessions that wants the user's word before it answers a call.
async fn serve_asking(stream: DuplexStream, seen: Seen) {
    let (read, mut write) = split(stream);
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        seen.lock().unwrap().push(message.clone());
        let wish = json!({ "method": "elicitation/create", "params": { "message": "name?", "requestedSchema": { "type": "object" } } });
        let result = match message["method"].as_str() {
            Some("server/discover") => {
                json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } })
            }
            Some("tools/list") => {
                json!({ "resultType": "complete", "tools": [{ "name": "ask", "inputSchema": { "type": "object" } }] })
            }
            Some("tools/call") => {
                json!({ "resultType": "input_required", "requestState": "s", "inputRequests": { "who": wish } })
            }
            _ => Value::Null,
        };
        let unknown = json!({ "code": -32_601, "message": "unknown" });
        let answer = match (message["id"].is_null(), result.is_null()) {
            (true, _) => continue,
            (false, true) => json!({ "jsonrpc": "2.0", "id": message["id"], "error": unknown }),
            (false, false) => json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_is_not_sent_again_when_its_client_answers_for_it() {
    let world = World::with(ALLOW, limits()).await.unwrap();
    let seen = world.seen.clone();
    let mut client = world.connect_to(|server| drop(tokio::spawn(serve_asking(server, seen))));
    open(&mut client).await;
    let call = client.start("tools/call", json!({ "name": "ask", "arguments": {} })).await;
    let asked = loop {
        let line = client.read().await.unwrap();
        if line["method"] == "elicitation/create" {
            break line["id"].clone();
        }
    };
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": call } });
    client.send(&cancelled.to_string()).await;
    let answer = json!({ "jsonrpc": "2.0", "id": asked, "result": { "action": "accept", "content": {} } });
    client.send(&answer.to_string()).await;
    // The answer is judged beside what comes after it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.request("tools/list", json!({})).await;
    client.close().await;
    assert_eq!(world.calls_seen(), ["ask"], "once");
    world.check().await;
}
