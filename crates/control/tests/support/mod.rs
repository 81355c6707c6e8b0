//! A control plane over a temporary ledger, filled as a gateway would fill it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "support of tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use control::{Brake, Control, Options, Stop, StopOrder, Store, StoredScan};
use graph::export::Report;
use graph::{Basis, EntityId, EntityKind, Evidence, Fact, Graph, Observation, Props, RelationKind};
use jiff::{SignedDuration, Timestamp};
use ledger::record::{Asked, Intent, Outcome, Status};
use ledger::{Ledger, Record, SigningKey};
use policy::label::{DataClass, Request};
use policy::{
    Action, ArgumentLabel, Choice, Confidentiality, Decision, Door, Effect, Integrity, Label, Labels, Origin,
    Principal, Reason, Role, SessionLabels, SnapshotId, ToolId, Verb,
};
use serde_json::{Value, json};

/// The parts of a running control plane.
pub(crate) struct Started {
    pub(crate) control: Control,
    pub(crate) ledger: Ledger,
}

/// What a gateway would have stopped.
#[derive(Default)]
struct Stopped(Mutex<Vec<Stop>>);

impl Brake for Stopped {
    fn stopped(&self) -> Vec<Stop> {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, StopOrder { request, by }: StopOrder) -> Result<(), String> {
        if request.of.is_empty() {
            return Err("nothing".to_owned());
        }
        let mut stops = self.0.lock().unwrap();
        stops.retain(|stop| stop.of != request.of);
        let (since, because) = (Timestamp::now(), request.because);
        if request.stopped {
            stops.push(Stop { of: request.of, asks: false, since, until: None, by, because });
        }
        Ok(())
    }
}

/// Starts one in a folder, with the key of the one before.
pub(crate) async fn start(folder: &Path) -> Started {
    let seed = folder.join("seed");
    if !seed.exists() {
        std::fs::write(&seed, SigningKey::generate().unwrap().seed()).unwrap();
    }
    let key = SigningKey::from_seed(&std::fs::read(seed).unwrap()).unwrap();
    let ledger_folder = folder.join("ledger");
    std::fs::create_dir_all(&ledger_folder).unwrap();
    let options = Options {
        ledger: ledger_folder.clone(),
        ledger_key: key.verifying_key(),
        witnesses: Vec::new(),
        policy: folder.join("policy"),
        version: "0.1.0".to_owned(),
        user: "ada".to_owned(),
    };
    std::fs::create_dir_all(&options.policy).unwrap();
    let (ledger, _) = Ledger::open(&ledger_folder, key, ledger::Options::new(Timestamp::now())).unwrap();
    let store = Store::open(&folder.join("store.sqlite")).unwrap();
    let control = Control::start(options, store, ledger.clone()).await.unwrap();
    control.stop_with(Box::<Stopped>::default());
    Started { control, ledger }
}

/// A call of an agent to a tool.
pub(crate) struct Sketch {
    pub(crate) tool: (&'static str, &'static str),
    pub(crate) arguments: Value,
    pub(crate) effect: Effect,
    pub(crate) reason: (&'static str, &'static str),
    pub(crate) labels: Vec<ArgumentLabel>,
}

/// The label of one argument.
pub(crate) fn label(pointer: &str, role: Role, choice: Choice, source: &str, entry: Option<u64>) -> ArgumentLabel {
    let untrusted = choice == Choice::Untrusted;
    ArgumentLabel {
        pointer: pointer.to_owned(),
        role,
        named_by_user: choice == Choice::User,
        choice,
        label: Label {
            integrity: if untrusted { Integrity::Anyone } else { Integrity::Trusted },
            confidentiality: Confidentiality::Internal,
            classes: [].into(),
            origins: vec![Origin {
                entry,
                source: source.to_owned(),
                field: untrusted.then(|| "/issue/body".to_owned()),
            }],
        },
    }
}

/// The label of an argument that holds a secret.
pub(crate) fn secret(pointer: &str) -> ArgumentLabel {
    let mut label = label(pointer, Role::Content, Choice::Model, "model", None);
    label.label.confidentiality = Confidentiality::Secret;
    label.label.classes = [DataClass::Credential].into();
    label
}

/// Appends the intent of a sketch.
pub(crate) fn intend(ledger: &Ledger, sketch: Sketch, sequence: u64) -> u64 {
    append(ledger, Record::Intent(intent(sketch, sequence)))
}

fn intent(sketch: Sketch, sequence: u64) -> Intent {
    let action = Action {
        principal: Principal {
            agent: "claude-code".to_owned(),
            user: "ada".to_owned(),
            session: "session-1".to_owned(),
            delegation: Vec::new(),
            evidence: BTreeMap::from([("program".to_owned(), json!("/usr/bin/claude"))]),
        },
        door: Door::McpStdio,
        verb: Verb::CallTool,
        tool: ToolId { server: sketch.tool.0.to_owned(), name: sketch.tool.1.to_owned() },
        arguments: sketch.arguments,
        labels: Labels {
            arguments: sketch.labels,
            request: Request::default(),
            session: SessionLabels {
                integrity: Integrity::Anyone,
                confidentiality: Confidentiality::Internal,
                classes: [].into(),
                steps: [].into(),
            },
        },
        facts: BTreeMap::new(),
        approval: None,
    };
    let decision = Decision {
        effect: sketch.effect,
        reasons: vec![Reason { policy: sketch.reason.0.to_owned(), text: sketch.reason.1.to_owned() }],
        errors: Vec::new(),
        snapshot: SnapshotId("5e0c".repeat(16)),
    };
    Intent {
        action: serde_json::to_value(action).unwrap(),
        decision: serde_json::to_value(decision).unwrap(),
        snapshot: "5e0c".repeat(16),
        now: Timestamp::now(),
        session: "session-1".to_owned(),
        sequence,
        uses: None,
        payload: None,
    }
}

/// Whose payloads the calls below are.
pub(crate) const SUBJECT: &str = "claude-code for ada";

fn read_sketch() -> Sketch {
    Sketch {
        tool: ("filesystem", "read_text_file"),
        arguments: json!({ "path": "/home/ada/notes.md" }),
        effect: Effect::Permit,
        reason: ("baseline/reads", "Reads are allowed and recorded."),
        labels: vec![label("/path", Role::Path, Choice::User, "user", None)],
    }
}

/// A read whose result, of these labels, is kept.
pub(crate) fn answered_call(ledger: &Ledger, labels: Value, result: &str) -> u64 {
    let intent = intend(ledger, read_sketch(), 1);
    let payload = Some(ledger.put_payload(SUBJECT, result.as_bytes()).unwrap());
    let size_bytes = result.len() as u64;
    append(ledger, Record::Outcome(Outcome { payload, labels, size_bytes, ..Outcome::bare(intent, Status::Ok) }));
    intent
}

/// A call whose action lies in a payload.
pub(crate) fn outsized_call(ledger: &Ledger) -> u64 {
    append(ledger, Record::Intent(outsized(ledger, intent(read_sketch(), 1))))
}

/// An ask whose call's action lies in a payload: a message to many.
pub(crate) fn outsized_ask(ledger: &Ledger, lasts: SignedDuration) -> u64 {
    let everybody: Vec<String> = (0..40).map(|number| format!("reader-{number}@list.example")).collect();
    let mut sketch = read_sketch();
    sketch.tool = ("mail", "send_to_many");
    sketch.effect = Effect::Ask { groups: vec!["untrusted-recipient".to_owned()] };
    sketch.labels = vec![label("/to/39", Role::Recipient, Choice::Untrusted, "github/get_issue", Some(1))];
    sketch.arguments = json!({ "to": everybody, "body": "x".repeat(70_000) });
    let intent = append(ledger, Record::Intent(outsized(ledger, intent(sketch, 1))));
    append(ledger, asked(intent, lasts, "codex wants to send to many."))
}

fn outsized(ledger: &Ledger, mut intent: Intent) -> Intent {
    intent.payload = Some(ledger.put_payload(SUBJECT, &serde_json::to_vec(&intent.action).unwrap()).unwrap());
    intent.action["arguments"] = json!({});
    intent.action["labels"]["arguments"] = json!([]);
    intent
}

fn asked(intent: u64, lasts: SignedDuration, summary: &str) -> Record {
    Record::Asked(Asked {
        intent,
        binding: format!("{intent:064x}"),
        groups: vec!["untrusted-recipient".to_owned()],
        expires: Timestamp::now() + lasts,
        summary: summary.to_owned(),
    })
}

/// Appends a record and waits until it is durable.
pub(crate) fn append(ledger: &Ledger, record: Record) -> u64 {
    ledger.append(record, Timestamp::now()).unwrap().wait().unwrap().index()
}

/// A permitted read with its outcome.
pub(crate) fn read_call(ledger: &Ledger, sequence: u64) -> u64 {
    let path = format!("/home/ada/src/engine/notes-{sequence}.md");
    let sketch = Sketch {
        tool: ("filesystem", "read_text_file"),
        arguments: json!({ "path": path }),
        effect: Effect::Permit,
        reason: ("baseline/reads", "Reads are allowed and recorded."),
        labels: vec![label("/path", Role::Path, Choice::User, "user", None)],
    };
    let intent = intend(ledger, sketch, sequence);
    let outcome = Outcome {
        duration_us: 1_840 + sequence * 13 % 900,
        size_bytes: 2_048 + sequence,
        ..Outcome::bare(intent, Status::Ok)
    };
    append(ledger, Record::Outcome(outcome));
    intent
}

/// A denied call.
pub(crate) fn denied_call(ledger: &Ledger, sequence: u64) -> u64 {
    let sketch = Sketch {
        tool: ("claude-code", "WebFetch"),
        arguments: json!({ "url": "http://169.254.169.254/latest/meta-data/iam/" }),
        effect: Effect::Deny,
        reason: ("baseline/metadata", "Metadata endpoints hand out the machine's own credentials and are closed."),
        labels: vec![label("/url", Role::Destination, Choice::Untrusted, "github/get_issue", Some(1))],
    };
    intend(ledger, sketch, sequence)
}

/// An ask to send mail to somebody that an issue's text chose. Answers the ask's entry.
pub(crate) fn ask_call(ledger: &Ledger, sequence: u64, lasts: SignedDuration) -> u64 {
    let sketch = Sketch {
        tool: ("mail", "send_message"),
        arguments: json!({
            "to": "billing@invoices.example",
            "subject": "Quarterly figures",
            "body": "As discussed, the figures for the third quarter are attached.",
            "api_key": "not-to-be-seen-by-anyone",
        }),
        effect: Effect::Ask { groups: vec!["untrusted-recipient".to_owned()] },
        reason: ("flow/untrusted-recipient", "Somebody outside chose who receives this."),
        labels: vec![
            label("/to", Role::Recipient, Choice::Untrusted, "github/get_issue", Some(1)),
            label("/subject", Role::Content, Choice::User, "user", None),
            label("/body", Role::Content, Choice::Model, "model", None),
            secret("/api_key"),
        ],
    };
    let intent = intend(ledger, sketch, sequence);
    let summary = "claude-code wants to send a message with mail/send_message to billing@invoices.example, an address that \
        it read in a GitHub issue.";
    append(ledger, asked(intent, lasts, summary))
}

/// A scan of two agents with findings.
pub(crate) fn scan() -> StoredScan {
    let graph = Graph::build(observations());
    let findings = graph::rules::run(&graph);
    let report = Report::new("0.1.0", "2026-11-21T22:00:00Z", graph, findings);
    StoredScan::of(&report, Timestamp::now())
}

const CLAUDE: &str = "/home/ada/.claude.json";
const CURSOR: &str = "/home/ada/.cursor/mcp.json";

fn observations() -> Vec<Observation> {
    let agent = |key: &str| EntityId::new(EntityKind::Agent, key);
    let server = |key: &str| EntityId::new(EntityKind::Server, key);
    let claude = agent("claude-code@/home/ada/.claude.json");
    let cursor = agent("cursor@/home/ada/.cursor/mcp.json");
    let ada = EntityId::new(EntityKind::Person, "ada@lovelace.example");
    let token =
        EntityId::new(EntityKind::Credential, "9f31c2d07b6e4a55c0de9f31c2d07b6e4a55c0de9f31c2d07b6e4a55c0de00aa");
    let github = server("claude-code@/home/ada/.claude.json#github");
    let mail = server("claude-code@/home/ada/.claude.json#mail");
    let files = server("cursor@/home/ada/.cursor/mcp.json#filesystem");
    let package = EntityId::new(EntityKind::Package, "pkg:npm/@modelcontextprotocol/server-github");
    let home = EntityId::new(EntityKind::Path, "/home/ada");
    let endpoint = EntityId::new(EntityKind::Endpoint, "http://mail.internal.example:8080");
    let send = EntityId::new(EntityKind::Tool, "claude-code@/home/ada/.claude.json#mail/send_message");
    let mut seen = vec![
        entity(
            &claude,
            "claude-code",
            json!({"client": "claude-code", "scope": "user", "config": CLAUDE}),
            (CLAUDE, 1),
        ),
        entity(&cursor, "cursor", json!({"client": "cursor", "scope": "user", "config": CURSOR}), (CURSOR, 1)),
        entity(&ada, "Ada Lovelace", json!({}), (CLAUDE, 1)),
        entity(&token, "GITHUB_TOKEN", json!({}), (CLAUDE, 14)),
        entity(
            &github,
            "github",
            json!({"transport": "stdio", "command": "npx", "args": ["-y", "@modelcontextprotocol/server-github"], "pinned": false, "client": "claude-code", "scope": "user"}),
            (CLAUDE, 9),
        ),
        entity(
            &mail,
            "mail",
            json!({"transport": "http", "url": "http://mail.internal.example:8080/mcp", "auth": false, "client": "claude-code", "scope": "user"}),
            (CLAUDE, 20),
        ),
        entity(
            &files,
            "filesystem",
            json!({"transport": "stdio", "command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem@2025.8.21", "/home/ada"], "pinned": true, "client": "cursor", "scope": "user"}),
            (CURSOR, 4),
        ),
        entity(
            &package,
            "@modelcontextprotocol/server-github",
            json!({"ecosystem": "npm", "pinned": false}),
            (CLAUDE, 10),
        ),
        entity(&home, "/home/ada", json!({"breadth": "home"}), (CURSOR, 7)),
        entity(&endpoint, "http://mail.internal.example:8080", json!({}), (CLAUDE, 21)),
        entity(
            &send,
            "send_message",
            json!({"description": "Sends a message to one or more recipients.", "annotations": {"destructiveHint": false, "openWorldHint": true}}),
            (CLAUDE, 20),
        ),
    ];
    let relations = [
        (&claude, RelationKind::Uses, &github, (CLAUDE, 9)),
        (&claude, RelationKind::Uses, &mail, (CLAUDE, 20)),
        (&cursor, RelationKind::Uses, &files, (CURSOR, 4)),
        (&ada, RelationKind::Owns, &claude, (CLAUDE, 1)),
        (&github, RelationKind::Holds, &token, (CLAUDE, 14)),
        (&github, RelationKind::Runs, &package, (CLAUDE, 10)),
        (&files, RelationKind::Reaches, &home, (CURSOR, 7)),
        (&mail, RelationKind::Connects, &endpoint, (CLAUDE, 21)),
        (&mail, RelationKind::Offers, &send, (CLAUDE, 20)),
    ];
    seen.extend(relations.into_iter().map(|(from, kind, to, at)| Observation {
        fact: Fact::Relation { from: from.clone(), kind, to: to.clone(), props: Props::new() },
        evidence: evidence(at),
    }));
    seen
}

fn entity(id: &EntityId, name: &str, props: Value, at: (&str, u32)) -> Observation {
    let Value::Object(props) = props else { panic!("props are an object") };
    let fact = Fact::Entity { id: id.clone(), name: name.to_owned(), props: props.into_iter().collect() };
    Observation { fact, evidence: evidence(at) }
}

fn evidence((source, line): (&str, u32)) -> Evidence {
    Evidence { source: source.to_owned(), line: Some(line), connector: "test".to_owned(), basis: Basis::Collected }
}
