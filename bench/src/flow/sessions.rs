//! What a decision costs in short and in very long sessions: it must not grow with what was seen. Made-up mails;
//! nothing here is recorded.

use std::time::{Duration, Instant};

use gateway::label::Session;
use gateway::tools::infer;
use policy::ToolFacts;
use serde_json::{Value, json};

use super::Policy;

/// How many results a session has seen.
const LENGTHS: [u64; 3] = [10, 1_000, 100_000];
/// How many calls are judged in each.
const CALLS: u64 = 4_000;
/// How many words a mail has, and of how many words they are drawn.
const WORDS: u64 = 60;
const VOCABULARY: u64 = 20_000;

/// Prints one line for each length.
pub(crate) fn run() -> anyhow::Result<()> {
    let list = tool("list_mails", &["folder"]);
    let send = tool("send_mail", &["to", "body"]);
    let policy = Policy::of([list.clone(), send.clone()].into_iter())?;
    println!("results   taken in, each   labels and decision: p50      p99      worst   memory of the session");
    for length in LENGTHS {
        let before = resident_bytes();
        let start = Instant::now();
        let session = session(&list, length);
        let each = start.elapsed() / u32::try_from(length).unwrap_or(u32::MAX);
        let memory = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before) / 1_000_000);
        let mut times = Vec::new();
        for call in 0..CALLS {
            let arguments = arguments(call, length);
            let start = Instant::now();
            let labels = session.labels(&send, &arguments);
            policy.judge(&send, &arguments, &labels)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let at = |share: usize| micros(times.get((times.len().saturating_sub(1)) * share / 1_000));
        let memory = memory.map_or_else(|| "unknown".to_owned(), |megabytes| format!("{megabytes} MB"));
        println!(
            "{length:>7} {:>13.0} µs {:>25.0} µs {:>5.0} µs {:>6.0} µs   {memory}",
            micros(Some(&each)),
            at(500),
            at(990),
            at(1_000)
        );
    }
    Ok(())
}

fn micros(time: Option<&Duration>) -> f64 {
    time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn tool(name: &str, arguments: &[&str]) -> ToolFacts {
    let properties: serde_json::Map<String, Value> =
        arguments.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    infer("desk", &json!({ "name": name, "inputSchema": { "properties": properties } }), String::new())
}

fn session(list: &ToolFacts, length: u64) -> Session {
    let mut session = Session::default();
    session.user_says("Please reply to Ann, and send the summary to the team", Some(0));
    for entry in 1..=length {
        session.called(list, entry, &json!({ "folder": "inbox" }));
        session.result(list, entry, &json!([mail(entry)]));
    }
    session
}

fn mail(number: u64) -> Value {
    let body: Vec<String> = (0..WORDS).map(|at| format!("word{}", (number * 31 + at * 7_919) % VOCABULARY)).collect();
    let link = format!("https://host{number}.example/page/{number}");
    json!({ "id": number, "sender": format!("person{number}@shop.example"), "body": format!("{} {link}", body.join(" ")) })
}

/// A recipient from a record, from prose, from nowhere or from the user, and a body that quotes a mail.
fn arguments(call: u64, length: u64) -> Value {
    let number = 1 + call * 7_919 % length;
    let to = match call % 4 {
        0 => format!("person{number}@shop.example"),
        1 => format!("https://host{number}.example/page/{number}"),
        2 => format!("nobody{call}@new.example"),
        _ => "Ann".to_owned(),
    };
    json!({ "to": to, "body": mail(number).get("body") })
}

/// What the process holds in memory, where the system says so.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * 4_096)
}
