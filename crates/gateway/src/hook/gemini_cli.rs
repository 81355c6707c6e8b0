//! Gemini CLI's hooks: `BeforeAgent`, `BeforeTool` and `AfterTool`. Its events have no id for a use of a tool. A hook
//! that runs out of time lets the tool run, so its time is longer than an ask waits.

use policy::{EffectKind, Role};
use serde_json::{Value, json};

use super::dialect::{BuiltIn, Dialect, Event, Moment, Verdict, must, text, value};

pub(super) const DIALECT: Dialect = Dialect { agent: "gemini-cli", can_ask: true, read, answer, written, tools: TOOLS };

/// MCP tools are written `mcp_server_tool`.
fn written(server: &str, name: &str) -> String {
    format!("mcp_{server}_{name}")
}

fn read(event: &Value) -> Result<Event, String> {
    let moment = match must(event, "hook_event_name")?.as_str() {
        "BeforeAgent" => Moment::Prompt(text(event, "prompt")),
        "BeforeTool" => Moment::Before,
        "AfterTool" => {
            let result = value(event, "tool_response");
            let failed = result.get("error").is_some_and(|error| !error.is_null());
            Moment::After { result, failed }
        }
        other => return Err(format!("hook event `{other}` is not known")),
    };
    let tool = if matches!(moment, Moment::Prompt(_)) { String::new() } else { must(event, "tool_name")? };
    let mcp = event.get("mcp_context").filter(|context| context.is_object());
    let server = mcp.map(|context| Ok::<_, String>((must(context, "server_name")?, must(context, "tool_name")?)));
    let mut arguments = value(event, "tool_input");
    if tool == "web_fetch"
        && let Some(arguments) = arguments.as_object_mut()
    {
        let urls = arguments.get("prompt").and_then(Value::as_str).map(addresses).unwrap_or_default();
        arguments.insert("urls".to_owned(), json!(urls));
    }
    Ok(Event {
        moment,
        session: must(event, "session_id")?,
        folder: text(event, "cwd"),
        tool,
        server: server.transpose()?,
        arguments,
        id: None,
    })
}

/// The addresses in a prompt. It takes each word with `://` in it for one, and goes there.
fn addresses(prompt: &str) -> Vec<String> {
    let address = |word: &str| {
        let at = word.find("://")?;
        let before = word.get(..at)?;
        let scheme = before.rsplit(|letter: char| !letter.is_ascii_alphanumeric()).next()?;
        word.get(at - scheme.len()..).filter(|_| !scheme.is_empty()).map(str::to_owned)
    };
    prompt.split_whitespace().filter_map(address).collect()
}

fn answer(event: &Event, verdict: &Verdict) -> Value {
    match verdict {
        _ if event.moment != Moment::Before => json!({}),
        // It has no answer that skips its own confirmation: `allow` is what saying nothing is.
        Verdict::Pass | Verdict::Vouch(_) => json!({}),
        Verdict::Ask(reason) => json!({ "decision": "ask", "reason": reason, "systemMessage": reason }),
        Verdict::Deny(reason) => json!({ "decision": "deny", "reason": reason }),
    }
}

const TOOLS: &[BuiltIn] = {
    use EffectKind::{Execute, Read, Send, Write};
    use Role::{Command, Content, Destination, Path, Query, Target};
    &[
        (
            "run_shell_command",
            &[Execute],
            false,
            true,
            &[("/command", Command), ("/description", Content), ("/dir_path", Path)],
        ),
        ("list_background_processes", &[Read], true, false, &[]),
        ("read_background_output", &[Read], true, false, &[("/pid", Target)]),
        ("read_file", &[Read], true, false, &[("/file_path", Path)]),
        ("read_many_files", &[Read], true, false, &[("/include/*", Path)]),
        ("list_directory", &[Read], true, false, &[("/dir_path", Path)]),
        ("grep_search", &[Read], true, false, &[("/pattern", Query), ("/dir_path", Path)]),
        ("glob", &[Read], true, false, &[("/pattern", Query), ("/dir_path", Path)]),
        ("write_file", &[Write], true, false, &[("/file_path", Path), ("/content", Content)]),
        (
            "replace",
            &[Write],
            true,
            false,
            &[("/file_path", Path), ("/instruction", Content), ("/old_string", Content), ("/new_string", Content)],
        ),
        // The addresses stand in its prompt, and are read out of it.
        (
            "web_fetch",
            &[Read, Send],
            false,
            true,
            &[("/prompt", Content), ("/urls/*", Destination), ("/url", Destination)],
        ),
        ("google_web_search", &[Read, Send], false, true, &[("/query", Query)]),
        ("save_memory", &[Write], true, false, &[("/fact", Content)]),
        ("write_todos", &[Read], true, false, &[]),
        ("update_topic", &[Read], true, false, &[("/title", Content), ("/summary", Content)]),
        ("complete_task", &[Read], true, false, &[]),
        ("get_internal_docs", &[Read], true, false, &[("/path", Target)]),
        ("activate_skill", &[Read], true, false, &[("/name", Target)]),
        ("invoke_agent", &[Read], true, false, &[("/agent_name", Target), ("/prompt", Content)]),
        ("ask_user", &[Read], true, false, &[]),
        ("enter_plan_mode", &[Read], true, false, &[("/reason", Content)]),
        ("exit_plan_mode", &[Read], true, false, &[]),
        ("list_mcp_resources", &[Read], true, false, &[]),
        ("read_mcp_resource", &[Read], true, false, &[("/uri", Target)]),
    ]
};
