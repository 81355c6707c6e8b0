//! One story in every format, and what is said of what cannot be read.

use serde_json::json;

use super::*;

fn read(text: &str) -> History {
    let mut history = History::default();
    read_text(Path::new("log.jsonl"), text, &mut history);
    history
}

fn story(session: &Session) -> Vec<String> {
    let say = |what: &What| match what {
        What::System { text } => format!("system {text}"),
        What::User { text } => format!("user {text}"),
        What::Says { text } => format!("says {text}"),
        What::Call(call) => format!("call {} {}/{} {}", call.id, call.server, call.tool, call.arguments),
        What::Result(answer) => format!("result {} {} {}", answer.id, answer.content, answer.failed),
    };
    session.steps.iter().map(|step| say(&step.what)).collect()
}

fn only(history: &History) -> &Session {
    assert_eq!((history.sessions.len(), history.unread.len()), (1, 0), "{:?}", history.unread);
    history.sessions.first().unwrap()
}

const STORY: [&str; 4] =
    ["user what is new?", r#"call c1 mail/list {"max":3}"#, r#"result c1 "nothing" false"#, "says nothing is new"];

#[test]
fn one_story_in_every_format() {
    let chat = json!({"model": "m", "messages": [
        {"role": "user", "content": "what is new?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "mcp__mail__list", "arguments": "{\"max\":3}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
        {"role": "assistant", "content": "nothing is new"}]});
    let responses = json!({"input": [
        {"role": "user", "content": [{"type": "input_text", "text": "what is new?"}]},
        {"type": "function_call", "call_id": "c1", "name": "mcp__mail__list", "arguments": "{\"max\":3}"},
        {"type": "function_call_output", "call_id": "c1", "output": "nothing"}],
        "response": {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "nothing is new"}]}]}});
    let anthropic = json!({"messages": [
        {"role": "user", "content": "what is new?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "mcp__mail__list", "input": {"max": 3}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "nothing"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "nothing is new"}]}]});
    let run = json!({"id": "r", "suite": "mail", "events": [
        {"e": "user", "text": "what is new?"}, {"e": "call", "i": 0, "id": "c1", "tool": "list", "args": {"max": 3}},
        {"e": "result", "id": "c1", "text": "nothing"}, {"e": "say", "text": "nothing is new"}]});
    for text in [chat, responses, anthropic, run] {
        assert_eq!(story(only(&read(&text.to_string()))), STORY, "{text}");
    }
}

#[test]
fn each_conversation_of_a_list_is_a_session_of_its_own() {
    let said =
        |text: &str| json!({"traj": [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}]});
    let history = read(&json!([said("pay ann"), said("pay lee")]).to_string());
    let stories: Vec<_> = history.sessions.iter().map(|one| (one.id.as_str(), story(one))).collect();
    let expected = |text: &str| vec![format!("user {text}"), "says yes".to_owned()];
    assert_eq!(stories, [("log.jsonl:1.1", expected("pay ann")), ("log.jsonl:1.2", expected("pay lee"))]);
    // A log of requests, each of which repeats the one before, is one.
    let (first, mut second) = (said("pay ann"), said("pay ann"));
    second["traj"].as_array_mut().unwrap().push(json!({"role": "user", "content": "thanks"}));
    assert_eq!(only(&read(&json!([first, second]).to_string())).steps.len(), 3);
}

#[test]
fn a_transcript_is_one_session_and_only_its_user_is_the_user() {
    let lines = [
        json!({"type": "summary", "summary": "s", "leafUuid": "x"}),
        json!({"type": "user", "sessionId": "s1", "timestamp": "2026-01-02T03:04:05Z", "message": {"role": "user", "content": "fix it"}}),
        json!({"type": "user", "isMeta": true, "sessionId": "s1", "message": {"role": "user", "content": "caveat"}}),
        json!({"type": "user", "isSidechain": true, "sessionId": "s1", "message": {"role": "user", "content": "sub task"}}),
        json!({"type": "user", "origin": {"kind": "human"}, "sessionId": "s1", "message": {"role": "user", "content": "go on"}}),
        json!({"type": "user", "origin": {"kind": "task-notification"}, "sessionId": "s1", "message": {"role": "user", "content": "found"}}),
        json!({"type": "assistant", "sessionId": "s1", "message": {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "/a"}}]}}),
        json!({"type": "user", "sessionId": "s1", "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": [{"type": "text", "text": "gone"}]}]}}),
    ];
    let history = read(&lines.map(|line| line.to_string()).join("\n"));
    let session = only(&history);
    assert_eq!(
        story(session),
        [
            "user fix it",
            "says sub task",
            "user go on",
            "says found",
            r#"call t /Read {"file_path":"/a"}"#,
            r#"result t {"content":[{"type":"text","text":"gone"}]} true"#
        ]
    );
    assert_eq!(
        session.steps.first().and_then(|step| step.at).map(|at| at.to_string()).as_deref(),
        Some("2026-01-02T03:04:05Z")
    );
}

#[test]
fn a_log_of_requests_is_one_conversation() {
    let user = json!({"role": "user", "content": "hello"});
    let said = json!({"role": "assistant", "content": "hi"});
    let more = json!({"role": "user", "content": "bye"});
    let lines = [
        json!({"request": {"model": "m", "messages": [user]}, "response": {"choices": [{"message": said}]}}),
        json!({"request": {"model": "m", "messages": [user, said, more]}}),
        json!({"request": {"model": "m", "messages": [{"role": "user", "content": "another"}]}}),
    ];
    let history = read(&lines.map(|line| line.to_string()).join("\n"));
    let stories: Vec<_> = history.sessions.iter().map(story).collect();
    assert_eq!(stories, [vec!["user hello", "says hi", "user bye"], vec!["user another"]]);
}

#[test]
fn spans_tell_the_story_once() {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let first = r#"[{"role":"user","parts":[{"type":"text","content":"what is new?"}]}]"#;
    let asks = r#"[{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"mcp__mail__list","arguments":{"max":3}}]}]"#;
    let says = r#"[{"role":"assistant","parts":[{"type":"text","content":"nothing is new"}]}]"#;
    let span = |start: u64, attributes: Vec<Value>| json!({"traceId": "t", "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1).to_string(), "attributes": attributes});
    let spans = [
        span(
            1,
            vec![
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.input.messages", first),
                text("gen_ai.output.messages", asks),
            ],
        ),
        span(
            3,
            vec![
                text("gen_ai.operation.name", "execute_tool"),
                text("gen_ai.tool.name", "mcp__mail__list"),
                text("gen_ai.tool.call.id", "c1"),
                text("gen_ai.tool.call.arguments", "{\"max\":3}"),
                text("gen_ai.tool.call.result", "nothing"),
            ],
        ),
        span(
            5,
            vec![
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.input.messages", first),
                text("gen_ai.output.messages", says),
            ],
        ),
    ];
    let batch = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    assert_eq!(story(only(&read(&batch.to_string()))), STORY);
}

#[test]
fn spans_of_calls_in_the_same_words_are_calls_of_their_own() {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let tool = |id: &str, more: Vec<Value>| {
        let mut attributes = vec![
            text("gen_ai.operation.name", "execute_tool"),
            text("gen_ai.tool.name", "pay"),
            text("gen_ai.tool.call.arguments", "{\"to\":\"ann\"}"),
        ];
        attributes.extend(more);
        json!({"traceId": "t", "spanId": id, "startTimeUnixNano": "5", "endTimeUnixNano": "6", "attributes": attributes})
    };
    let of = |spans: &[Value]| {
        let batch = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
        only(&read(&batch.to_string())).calls().cloned().collect::<Vec<_>>()
    };
    let twice = [tool("a", vec![]), tool("b", vec![]), tool("a", vec![])];
    assert_eq!(of(&twice).len(), 2, "the third is the first, exported again");
    // A model that tells the first of them, and tells it again with the conversation so far.
    let asks =
        r#"[{"role":"assistant","parts":[{"type":"tool_call","name":"pay","arguments":{"to":"ann"}}]}]"#.to_owned();
    let model = |start: &str, name: &str| {
        json!({"traceId": "t", "spanId": start, "startTimeUnixNano": start, "endTimeUnixNano": start,
            "attributes": [text("gen_ai.operation.name", "chat"), text(name, &asks)]})
    };
    let told = [model("1", "gen_ai.output.messages"), tool("a", vec![]), model("7", "gen_ai.input.messages")];
    assert_eq!(of(&told).len(), 1);
    assert_eq!(of(&[&told[..], &[tool("b", vec![])]].concat()).len(), 2);
    let ours = of(&[tool("a", vec![text("bailiwick.server", "bank"), text("gen_ai.tool.call.id", "7")])]);
    let denied = tool("c", vec![text("bailiwick.server", "bank"), text("bailiwick.decision", "deny")]);
    assert_eq!(
        of(&[tool("a", vec![text("bailiwick.decision", "permit")]), denied]).len(),
        1,
        "what was denied was not done"
    );
    let ours = ours.first().unwrap();
    assert_eq!((ours.server.as_str(), ours.tool.as_str(), ours.id.as_str()), ("bank", "pay", "7"));
}

#[test]
fn what_cannot_be_read_is_said_with_its_line() {
    let history = read("{\"role\": 1}\nnot json\n{\"messages\": []}");
    let said: Vec<_> =
        history.unread.iter().map(|unread| (unread.line, unread.reason.chars().take(11).collect::<String>())).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said.get(1).map(|(line, _)| *line), Some(Some(2)));
}

#[test]
fn no_call_of_an_api_is_lost() {
    let items = json!({"model": "m", "input": "look", "output": [
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "custom_tool_call", "call_id": "p", "name": "apply_patch", "input": "*** patch"},
        {"type": "custom_tool_call_output", "call_id": "p", "output": "done"},
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"query": "x", "type": "search"}},
        {"type": "mcp_call", "id": "g", "server_label": "git", "name": "log", "arguments": "{}", "output": "one", "error": null},
        {"type": "mcp_call", "id": "h", "server_label": "git", "name": "log", "arguments": "{}", "error": "gone"},
        {"type": "code_interpreter_call", "id": "c", "code": "1+1", "container_id": "x", "outputs": null}]});
    let expected = [
        "user look",
        r#"call p /apply_patch {"input":"*** patch"}"#,
        r#"result p "done" false"#,
        r#"call w /web_search {"query":"x","type":"search"}"#,
        "call g git/log {}",
        r#"result g "one" false"#,
        "call h git/log {}",
        r#"result h "gone" true"#,
        r#"call c /code_interpreter {"code":"1+1","container_id":"x"}"#,
    ];
    assert_eq!(story(only(&read(&items.to_string()))), expected);
    let old = json!({"messages": [
        {"role": "user", "content": ["now", {"type": "text", "text": "and then"}]},
        {"role": "assistant", "content": null, "function_call": {"name": "pay", "arguments": "{\"to\":\"ann\"}"}},
        {"role": "function", "name": "pay", "content": "paid"}]});
    let expected = ["user now", "user and then", r#"call  /pay {"to":"ann"}"#, r#"result  "paid" false"#];
    assert_eq!(story(only(&read(&old.to_string()))), expected);
    // Answers alone, as they are kept.
    let used = json!([{"type": "tool_use", "id": "t", "name": "pay", "input": {}}]);
    let alone = [
        json!({"object": "chat.completion", "choices": [{"message": {"role": "assistant", "tool_calls": [
            {"id": "t", "function": {"name": "pay", "arguments": "{}"}}]}}]}),
        json!({"type": "message", "role": "assistant", "content": used, "stop_reason": "tool_use"}),
    ];
    for answer in alone {
        assert_eq!(story(only(&read(&answer.to_string()))), ["call t /pay {}"], "{answer}");
    }
}

#[test]
fn what_is_of_an_unknown_kind_is_said_once() {
    let said = |value: Value| {
        let history = read(&value.to_string());
        history.unread.into_iter().map(|unread| unread.reason).collect::<Vec<_>>()
    };
    let known =
        json!([{"type": "thinking", "thinking": "hm"}, {"type": "image", "source": {}}, {"type": "text", "text": ""}]);
    assert_eq!(said(json!({"messages": [{"role": "user", "content": known}]})), [] as [&str; 0]);
    let item = json!({"type": "teleport_request", "to": "moon"});
    let block = json!({"type": "tool_dream", "name": "pay"});
    let all = json!({"input": [{"role": "assistant", "content": [block, block]}, item, item]});
    let expected =
        ["tool_dream", "teleport_request"].map(|kind| format!("holds `{kind}`, of which this version knows nothing"));
    assert_eq!(said(all), expected);
}

#[test]
fn spans_of_tools_belong_to_the_conversation_that_they_lie_in() {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let span = |id: &str, parent: &str, start: u64, attributes: Vec<Value>| {
        json!({"traceId": "t", "spanId": id, "parentSpanId": parent, "name": "tools/call pay",
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": (start + 1).to_string(), "attributes": attributes})
    };
    let batch = |span: Value| json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
    let operation = |name: &str| text("gen_ai.operation.name", name);
    let mcp = || text("mcp.method.name", "tools/call");
    let failed = || text("error.type", "timeout");
    // What lies inside ends first, and is exported first: the server's part of a call, the client's, the agent's.
    let lines = [
        batch(span("3", "2", 3, vec![mcp(), text("gen_ai.tool.name", "pay")])),
        batch(span("2", "1", 2, vec![mcp(), failed()])),
        batch(span("4", "elsewhere", 4, vec![operation("execute_tool"), text("gen_ai.tool.name", "ask")])),
        batch(span("1", "", 1, vec![operation("invoke_agent"), text("gen_ai.conversation.id", "talk")])),
    ];
    let history = read(&lines.join("\n"));
    let session = only(&history);
    assert_eq!(session.id, "talk");
    assert_eq!(story(session), ["call 2 /pay {}", r#"result 2 "timeout" true"#, "call 4 /ask {}"]);
}

#[test]
fn a_line_that_is_no_text_loses_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let said = |text: &str| json!({"messages": [{"role": "user", "content": text}]}).to_string();
    std::fs::write(&path, [said("one").as_bytes(), b"\n\xff\xfe\n", said("two").as_bytes()].concat()).unwrap();
    let history = super::read(std::slice::from_ref(&path));
    let unread: Vec<_> = history.unread.iter().map(|unread| (unread.line, unread.reason.as_str())).collect();
    assert_eq!((history.sessions.len(), unread), (2, vec![(Some(2), "is not UTF-8 text")]));
    let again = super::read(&[path.clone(), dir.path().to_owned(), dir.path().join("./log.jsonl")]);
    assert_eq!((again.sessions.len(), again.unread.len()), (2, 1), "each file is read once");
    std::fs::write(&path, b"\x28\xb5\x2f\xfd\n\xff").unwrap();
    let absent = dir.path().join("absent");
    let reasons: Vec<_> = super::read(&[path, absent]).unread.into_iter().map(|unread| unread.reason).collect();
    assert_eq!(reasons, ["is not UTF-8 text (packed files must be unpacked first)", "does not exist"]);
}
