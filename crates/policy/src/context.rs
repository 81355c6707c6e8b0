//! An action as Cedar sees it: `context`, its type, and the translation. The type and the value stand
//! side by side so that whoever adds an attribute adds both; a test holds them together.
//!
//! | attribute | what it is |
//! |---|---|
//! | `user`, `session`, `door`, `delegation` | on whose behalf, and through what |
//! | `now` | the time of the decision |
//! | `arguments` | typed from the tool's JSON schema, see [`crate::shape`] |
//! | `unlisted` | pointers of arguments that the schema does not list |
//! | `flow` | where the arguments came from |
//! | `seen` | what the session has seen |
//! | `marks` | well-known dangers recognised in paths, hosts and commands, see [`crate::marks`] |
//! | `facts` | what the door read out of the call, see [`crate::facts`] |

use std::collections::BTreeSet;

use cedar_policy_core::ast;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::action::{Action, Door};
use crate::facts::{Facts, texts};
use crate::label::{Choice, DataClass, Labels, Request, Role, SessionLabels};
use crate::leaves::{Leaf, leaves};
use crate::marks::marks;
use crate::shape::{Shape, datetime, literal};
use crate::tool::ToolFacts;

/// The type of `context` for actions whose arguments have a given type, in Cedar's JSON schema format.
pub(crate) fn cedar_type(arguments: &Shape) -> Value {
    let text = json!({ "type": "String" });
    let set = json!({ "type": "Set", "element": { "type": "String" } });
    let long = json!({ "type": "Long" });
    json!({ "type": "Record", "attributes": {
        "user": text,
        "session": text,
        "door": text,
        "delegation": set,
        "now": { "type": "Extension", "name": "datetime" },
        "arguments": arguments.cedar_type(),
        "unlisted": set,
        "flow": { "type": "Record", "attributes": {
            "untrusted": set, "invented": set, "delegated": set, "request": text,
            "confidentiality": long, "classes": set,
        } },
        "seen": { "type": "Record", "attributes": {
            "integrity": long, "confidentiality": long, "classes": set,
        } },
        "marks": set,
        "facts": Facts::cedar_type(),
    } })
}

/// The context of one action, or everything that is wrong with it.
pub(crate) fn context(
    action: &Action,
    tool: Option<&ToolFacts>,
    arguments: &Shape,
    now: Timestamp,
) -> Result<ast::Context, Vec<String>> {
    let mut unlisted = Vec::new();
    let arguments = arguments.value(&action.arguments, "", &mut unlisted).map_err(|error| error.to_string());
    let facts = Facts::of(action);
    let time = datetime(&milliseconds(now)).ok_or_else(|| format!("time `{now}` is out of range"));
    let (arguments, facts, time) = match (arguments, facts, time) {
        (Ok(arguments), Ok(facts), Ok(time)) => (arguments, facts, time),
        (arguments, facts, time) => {
            return Err([arguments.err(), facts.err(), time.err()].into_iter().flatten().collect());
        }
    };
    let leaves = leaves(&action.arguments, &action.labels.arguments, tool);
    let pairs = [
        ("user", literal(action.principal.user.as_str())),
        ("session", literal(action.principal.session.as_str())),
        ("door", literal(door(action.door))),
        ("delegation", texts(&action.principal.delegation)),
        ("now", time),
        ("arguments", arguments),
        ("unlisted", texts(&unlisted)),
        ("flow", flow(&action.labels, &leaves)),
        ("seen", seen(&action.labels.session)),
        ("marks", texts(marks(&facts, &leaves, tool))),
        ("facts", facts.value()),
    ];
    let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Ok(ast::Context::Value(std::sync::Arc::new(pairs)))
}

/// `context.flow`: the roles of arguments by who chose their values, the highest confidentiality and all
/// protected classes among them, and whether the user asked for this kind of action.
fn flow(labels: &Labels, leaves: &[Leaf<'_>]) -> ast::Value {
    // What nobody labelled is untrusted.
    let choice = |leaf: &Leaf<'_>| leaf.label.map_or(Choice::Untrusted, |label| label.choice);
    let chosen = |by: Choice| {
        texts(leaves.iter().filter(|leaf| choice(leaf) == by).map(|leaf| role(leaf.role)).collect::<BTreeSet<_>>())
    };
    let known = || leaves.iter().filter_map(|leaf| leaf.label.map(|label| &label.label));
    let confidentiality = known().map(|label| label.confidentiality as i64).max().unwrap_or(0);
    let classes: BTreeSet<DataClass> = known().flat_map(|label| label.classes.iter().copied()).collect();
    let pairs = [
        ("untrusted", chosen(Choice::Untrusted)),
        ("invented", chosen(Choice::Model)),
        ("delegated", chosen(Choice::Delegated)),
        ("request", literal(request(labels.request))),
        ("confidentiality", literal(confidentiality)),
        ("classes", texts(classes.into_iter().map(class))),
    ];
    ast::Value::record(pairs, None)
}

fn seen(session: &SessionLabels) -> ast::Value {
    let pairs = [
        ("integrity", literal(session.integrity as i64)),
        ("confidentiality", literal(session.confidentiality as i64)),
        ("classes", texts(session.classes.iter().copied().map(class))),
    ];
    ast::Value::record(pairs, None)
}

/// The names are those of the record, so that a policy and an entry say the same word.
fn role(role: Role) -> &'static str {
    match role {
        Role::Recipient => "recipient",
        Role::Destination => "destination",
        Role::Account => "account",
        Role::Path => "path",
        Role::Command => "command",
        Role::Query => "query",
        Role::Amount => "amount",
        Role::Permission => "permission",
        Role::Target => "target",
        Role::Link => "link",
        Role::Content => "content",
        Role::Other => "other",
    }
}

fn request(request: Request) -> &'static str {
    match request {
        Request::Named => "named",
        Request::Delegated => "delegated",
        Request::Unheard => "unheard",
        Request::Unnamed => "unnamed",
    }
}

fn class(class: DataClass) -> &'static str {
    match class {
        DataClass::Personal => "personal",
        DataClass::Payment => "payment",
        DataClass::Credential => "credential",
    }
}

fn door(door: Door) -> &'static str {
    match door {
        Door::McpStdio => "mcp_stdio",
        Door::McpHttp => "mcp_http",
        Door::Hook => "hook",
    }
}

/// Cedar's `datetime` has milliseconds.
fn milliseconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
