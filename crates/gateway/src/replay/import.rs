//! Other people's records, written into a ledger as if the gateway had been there.
//!
//! Every call is decided under one policy that permits what was done and says so, with facts and labels as the
//! gateway would have derived them from the same session; so the ledger can be verified, recomputed, told and run
//! again under policies that are meant. Each session's principal says in its evidence that it was imported, and from
//! where. What nobody recorded (credentials, approvals, who the user was) is not made up.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use ledger::record::{Intent, Outcome, Record, Status};
use ledger::{AppendError, Ledger, PayloadError};
use policy::{Action, Door, Effect, Principal, Role, Snapshot, Source, ToolFacts, ToolId, Verb, decide};
use serde_json::{Map, Value, json};

use crate::hook::{self, shell::Shell};
use crate::pipeline::subject;
use crate::{commands, facts, label, tools};

/// The policy that imported calls are decided under.
const POLICY: &str =
    "@id(\"imported\") @reason(\"It was done before the gateway was there.\")\npermit (principal, action, resource);\n";
/// Results beyond this size are not kept.
const RESULT_MAX_BYTES: usize = 1 << 20;
/// How many entries may wait to become durable before the import waits for them.
const UNAWAITED_MAX: usize = 1_000;
/// How deep the shapes of arguments are read.
const DEPTH_MAX: usize = 4;

/// Why an import ended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The ledger.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The ledger's payloads.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The ledger's objects.
    #[error(transparent)]
    Object(#[from] ledger::ReadError),
    /// Something has no JSON form.
    #[error("it has no JSON form: {0}")]
    Json(#[from] serde_json::Error),
    /// The policy that imported calls are decided under does not compile with these tools.
    #[error("the tools of the import cannot be taken in: {0}")]
    Policy(String),
}

/// The tools of an import: definitions where there are any, else the shapes of the arguments that were seen.
#[derive(Debug, Default)]
pub struct Tools {
    definitions: BTreeMap<ToolId, Value>,
    seen: BTreeMap<ToolId, Map<String, Value>>,
}

impl Tools {
    /// A definition in the shape of MCP.
    pub fn define(&mut self, server: &str, definition: &Value) {
        if let Some(name) = definition.get("name").and_then(Value::as_str) {
            let id = ToolId { server: server.to_owned(), name: name.to_owned() };
            self.definitions.insert(id, definition.clone());
        }
    }

    /// A call was made with these arguments.
    pub fn called(&mut self, id: &ToolId, arguments: &Value) {
        let properties = self.seen.entry(id.clone()).or_default();
        for (name, value) in arguments.as_object().into_iter().flatten() {
            let shape = shape(value, DEPTH_MAX);
            match properties.get_mut(name) {
                // Seen with another type before: then any type.
                Some(known) if *known != shape => *known = json!({}),
                Some(_) => {}
                None => _ = properties.insert(name.clone(), shape),
            }
        }
    }

    /// What is known of every tool.
    fn facts(&self) -> Vec<ToolFacts> {
        let built_in: HashMap<ToolId, ToolFacts> = hook::built_in().map(|facts| (facts.id.clone(), facts)).collect();
        let of = |(id, properties): (&ToolId, &Map<String, Value>)| {
            if let Some(facts) = built_in.get(id) {
                return facts.clone();
            }
            let made = json!({ "name": id.name, "inputSchema": { "type": "object", "properties": properties } });
            let definition = self.definitions.get(id).unwrap_or(&made);
            tools::infer(&id.server, definition, "imported".to_owned())
        };
        self.seen.iter().map(of).collect()
    }
}

/// The JSON schema of a value, roughly.
fn shape(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(_) => json!({ "type": "string" }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(number) if number.is_i64() => json!({ "type": "integer" }),
        Value::Number(_) => json!({ "type": "number" }),
        Value::Array(items) if depth > 0 => match items.first() {
            Some(first) if items.iter().all(|item| shape(item, depth - 1) == shape(first, depth - 1)) => {
                json!({ "type": "array", "items": shape(first, depth - 1) })
            }
            _ => json!({ "type": "array" }),
        },
        _ => json!({}),
    }
}

/// Writes sessions into a ledger.
pub struct Importer<'a> {
    ledger: &'a Ledger,
    snapshot: Snapshot,
    tools: HashMap<ToolId, ToolFacts>,
    now: Timestamp,
    unawaited: usize,
    /// What was written so far.
    pub done: Imported,
}

/// What an import wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Sessions.
    pub sessions: u64,
    /// Prompts of users.
    pub prompts: u64,
    /// Calls.
    pub calls: u64,
    /// Calls whose result is there.
    pub results: u64,
    /// Calls that could not be taken in as permitted, because their arguments do not fit what policy can read.
    pub unread: u64,
}

/// Where a session comes from.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The session's name.
    pub session: String,
    /// The agent.
    pub agent: String,
    /// The user, as well as it is known.
    pub user: String,
    /// File and format, for the evidence.
    pub evidence: Value,
}

/// A session that is being written.
pub struct Course {
    principal: Principal,
    labels: label::Session,
    /// How many calls were made and how many acts left, by server.
    numbers: HashMap<String, (u64, u64)>,
    open: Vec<Open>,
}

/// A call without its result.
struct Open {
    name: String,
    intent: u64,
    upstream: u64,
    at: Timestamp,
    tool: ToolId,
}

impl<'a> Importer<'a> {
    /// Records the snapshot that everything is decided under.
    pub fn new(ledger: &'a Ledger, tools: &Tools, now: Timestamp) -> Result<Self, ImportError> {
        let facts = tools.facts();
        let source = Source {
            policies: vec![("imported.cedar".to_owned(), POLICY.to_owned())],
            tools: facts.clone(),
            ..Source::default()
        };
        ledger.put_object(&source.canonical())?;
        let (snapshot, _) = Snapshot::assemble(source).map_err(|diagnostics| {
            ImportError::Policy(diagnostics.first().map(|found| found.message.clone()).unwrap_or_default())
        })?;
        let record = Record::Snapshot { snapshot: snapshot.id().0.clone(), by: "import".to_owned() };
        ledger.append(record, now)?.wait()?;
        let tools = facts.into_iter().map(|facts| (facts.id.clone(), facts)).collect();
        Ok(Self { ledger, snapshot, tools, now, unawaited: 0, done: Imported::default() })
    }

    fn append(&mut self, record: Record) -> Result<u64, ImportError> {
        let append = self.ledger.append(record, self.now)?;
        let index = append.index();
        self.unawaited += 1;
        if self.unawaited >= UNAWAITED_MAX {
            append.wait()?;
            self.unawaited = 0;
        }
        Ok(index)
    }

    /// A session begins.
    pub fn begin(&mut self, begun: Begun) -> Course {
        self.done.sessions += 1;
        let evidence = BTreeMap::from([("imported".to_owned(), begun.evidence)]);
        let principal = Principal {
            agent: begun.agent,
            user: begun.user,
            session: begun.session,
            delegation: Vec::new(),
            evidence,
        };
        Course { principal, labels: label::Session::default(), numbers: HashMap::new(), open: Vec::new() }
    }

    /// The user said something.
    pub fn says(&mut self, course: &mut Course, text: &str) -> Result<(), ImportError> {
        let payload = self.ledger.put_payload(&subject(&course.principal), text.as_bytes())?;
        let entry = self.append(Record::Prompt { session: course.principal.session.clone(), payload })?;
        course.labels.user_says(text, Some(entry));
        self.done.prompts += 1;
        Ok(())
    }

    /// A tool was called; `name` is what its result will be known by.
    pub fn call(
        &mut self,
        course: &mut Course,
        (tool, arguments): (&ToolId, &Value),
        name: &str,
        at: Option<Timestamp>,
    ) -> Result<(), ImportError> {
        let Some(facts) = self.tools.get(tool).cloned() else { return Ok(()) };
        let now = at.unwrap_or(self.now);
        let (called, sent) = course.numbers.entry(tool.server.clone()).or_default();
        *called += 1;
        let sequence = *called;
        let action = action(&course.principal, &course.labels, &facts, arguments);
        let decision = decide(&self.snapshot, &action, now);
        let permitted = decision.effect == Effect::Permit && decision.errors.is_empty();
        *sent += u64::from(permitted);
        let upstream = *sent;
        let mut intent = Intent {
            action: serde_json::to_value(&action)?,
            decision: serde_json::to_value(&decision)?,
            snapshot: decision.snapshot.0.clone(),
            now,
            session: course.principal.session.clone(),
            sequence,
            uses: None,
            payload: None,
        };
        let entry = match self.append(Record::Intent(intent.clone())) {
            Err(ImportError::Append(AppendError::TooLarge { .. })) => {
                let payload = self.ledger.put_payload(&subject(&action.principal), &serde_json::to_vec(&action)?)?;
                let mut bare = action.clone();
                bare.arguments = json!({});
                bare.labels.arguments.clear();
                bare.facts.clear();
                intent.action = serde_json::to_value(bare)?;
                intent.payload = Some(payload);
                self.append(Record::Intent(intent))?
            }
            other => other?,
        };
        self.done.calls += 1;
        if permitted {
            course.labels.called(&facts, entry, arguments);
            let (name, tool) = (name.to_owned(), tool.clone());
            course.open.push(Open { name, intent: entry, upstream, at: now, tool });
        } else {
            self.done.unread += 1;
        }
        Ok(())
    }

    /// A result came back; without a name it is that of the call made last.
    pub fn result(
        &mut self,
        course: &mut Course,
        name: &str,
        (result, failed): (&Value, bool),
        at: Option<Timestamp>,
    ) -> Result<(), ImportError> {
        let place = course.open.iter().rposition(|open| name.is_empty() || open.name == name);
        let Some(open) = place.map(|place| course.open.remove(place)) else { return Ok(()) };
        let Some(facts) = self.tools.get(&open.tool) else { return Ok(()) };
        let labels = serde_json::to_value(course.labels.result(facts, open.intent, result))?;
        let bytes = serde_json::to_vec(result)?;
        let subject = subject(&course.principal);
        let (payload, mac) = if bytes.len() <= RESULT_MAX_BYTES {
            (Some(self.ledger.put_payload(&subject, &bytes)?), None)
        } else {
            (None, Some(self.ledger.mac(&subject, &bytes)?))
        };
        let took = at.map_or(0, |at| at.duration_since(open.at).as_micros());
        let outcome = Outcome {
            payload,
            mac,
            labels,
            duration_us: u64::try_from(took).unwrap_or(0),
            size_bytes: bytes.len() as u64,
            upstream: Some(open.upstream),
            ..Outcome::bare(open.intent, if failed { Status::Error } else { Status::Ok })
        };
        self.append(Record::Outcome(outcome))?;
        self.done.results += 1;
        Ok(())
    }

    /// A session ends: of what is still open nobody knows the result.
    pub fn end(&mut self, course: Course) -> Result<(), ImportError> {
        for open in course.open {
            let upstream = Some(open.upstream);
            self.append(Record::Outcome(Outcome { upstream, ..Outcome::bare(open.intent, Status::Unknown) }))?;
        }
        Ok(())
    }

    /// Says in the ledger what it is, and where it came from.
    pub fn finish(mut self, sources: &[String]) -> Result<Imported, ImportError> {
        let details = json!({
            "sources": sources,
            "sessions": self.done.sessions,
            "calls": self.done.calls,
        });
        let details = details.as_object().cloned().unwrap_or_default();
        self.unawaited = UNAWAITED_MAX;
        self.append(Record::Log { event: "imported".to_owned(), details })?;
        Ok(self.done)
    }
}

/// The call as the gateway would have judged it.
fn action(principal: &Principal, labels: &label::Session, tool: &ToolFacts, arguments: &Value) -> Action {
    let built_in = tool.id.server == principal.agent;
    let mut read = BTreeMap::new();
    if built_in
        && tool.roles.get("/command") == Some(&Role::Command)
        && let Some(command) = arguments.get("command").and_then(Value::as_str)
    {
        read.insert("shell".to_owned(), Shell::read(command, None).fact());
    }
    commands::read(tool, arguments, &mut read);
    // No call of another time could touch this home.
    facts::of_arguments(tool, arguments, Path::new("/nonexistent/bailiwick-home"), &mut read);
    Action {
        principal: principal.clone(),
        door: if built_in { Door::Hook } else { Door::McpStdio },
        verb: Verb::CallTool,
        tool: tool.id.clone(),
        arguments: arguments.clone(),
        labels: labels.labels(tool, arguments),
        facts: read,
        approval: None,
    }
}
