//! An action as Cedar sees it: `context`, its type, and the translation. The type and the value stand
//! side by side so that whoever adds an attribute adds both; a test holds them together.
//!
//! | attribute | what it is |
//! |---|---|
//! | `user`, `session`, `door`, `delegation` | on whose behalf, and through what |
//! | `user_gap` | effects of the tool that the user may not have by himself, see `facts.user_rights` |
//! | `now` | the time of the decision |
//! | `arguments` | typed from the tool's JSON schema, see [`crate::shape`] |
//! | `unlisted` | pointers of arguments that the schema does not list |
//! | `flow` | where the arguments came from |
//! | `seen` | what the session has seen and done |
//! | `marks` | well-known dangers recognised in paths, hosts and commands, see [`crate::marks`] |
//! | `mandate`, `budget` | what the call exceeds, see [`crate::bounds`]; absent where nothing is bounded |
//! | `facts` | what the door read out of the call, see [`crate::facts`] |

use std::cell::RefCell;
use std::collections::BTreeSet;

use cedar_policy_core::ast;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::action::{Action, Door};
use crate::bounds::{Exceeded, Excess, class_name};
use crate::facts::{Facts, texts};
use crate::label::{Choice, Confidentiality, DataClass, Labels, Request, Role, SessionLabels};
use crate::leaves::{Leaf, leaves};
use crate::marks::marks;
use crate::readers;
use crate::shape::{Shape, datetime, literal};
use crate::tool::{EffectKind, ToolFacts};

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
        "user_gap": set,
        "now": { "type": "Extension", "name": "datetime" },
        "arguments": arguments.cedar_type(),
        "unlisted": set,
        "flow": { "type": "Record", "attributes": {
            "untrusted": set, "invented": set, "delegated": set, "roles": set, "request": text,
            "confidentiality": long, "classes": set,
            "exceeds": { "type": "Boolean" }, "cleared": { "type": "Boolean" },
        } },
        "seen": { "type": "Record", "attributes": {
            "integrity": long, "confidentiality": long, "classes": set, "steps": set, "deleted": long,
        } },
        "marks": set,
        "mandate": { "type": "Record", "required": false, "attributes": {
            "denies": set, "asks": set, "purposes": set,
        } },
        "budget": { "type": "Record", "required": false, "attributes": { "denies": set, "asks": set } },
        "facts": Facts::cedar_type(),
    } })
}

/// The context of one action, or everything that is wrong with it.
pub(crate) fn context(
    action: &Action,
    tool: Option<&ToolFacts>,
    arguments: &Shape,
    (now, exceeded): (Timestamp, &Exceeded),
) -> Result<ast::Context, Vec<String>> {
    let mut unlisted = Vec::new();
    let arguments = arguments.value(&action.arguments, "", &mut unlisted).map_err(|error| error.to_string());
    let facts = Facts::of(action);
    let time = time(now).ok_or_else(|| format!("time `{now}` is out of range"));
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
        ("user_gap", texts(user_gap(&facts, tool))),
        ("now", time),
        ("arguments", arguments),
        ("unlisted", texts(&unlisted)),
        ("flow", flow(&action.labels, &leaves, tool)),
        ("seen", seen(&action.labels.session)),
        ("marks", texts(marks(&facts, &leaves, tool))),
        ("facts", facts.value()),
    ];
    let pairs = pairs.into_iter().chain(bounds(exceeded));
    let pairs = pairs.map(|(name, value)| (name.into(), value)).collect();
    Ok(ast::Context::Value(std::sync::Arc::new(pairs)))
}

/// `context.mandate` and `context.budget`.
fn bounds(exceeded: &Exceeded) -> impl Iterator<Item = (&'static str, ast::Value)> {
    let sets = |found: &[Excess]| {
        let fields = |asks| texts(found.iter().filter(|one| one.asks() == asks).map(|one| one.field.as_str()));
        [("denies", fields(false)), ("asks", fields(true))]
    };
    let mandate = exceeded.mandate.as_ref().map(|found| {
        let purposes = ("purposes", texts(&exceeded.purposes));
        ("mandate", ast::Value::record(sets(found).into_iter().chain([purposes]), None))
    });
    let budget = exceeded.budget.as_ref().map(|found| ("budget", ast::Value::record(sets(found), None)));
    mandate.into_iter().chain(budget)
}

/// What the agent would do for a user who may not do it. Empty where nobody said what the user may do; what is
/// no tool (a resource, a prompt) is read.
fn user_gap(facts: &Facts, tool: Option<&ToolFacts>) -> Vec<&'static str> {
    let Some(rights) = &facts.user_rights else { return Vec::new() };
    let effects = tool.map_or_else(|| vec![EffectKind::Read], |tool| tool.effects.iter().copied().collect());
    effects.into_iter().map(EffectKind::as_str).filter(|name| !rights.contains(*name)).collect()
}

/// `context.flow`: the roles of arguments by who chose their values, and all of them, the highest confidentiality and all
/// protected classes among them, whether the user asked for this kind of action, and whether those who get the data may
/// read it.
fn flow(labels: &Labels, leaves: &[Leaf<'_>], tool: Option<&ToolFacts>) -> ast::Value {
    // What nobody labelled is untrusted.
    let choice = |leaf: &Leaf<'_>| leaf.label.map_or(Choice::Untrusted, |label| label.choice);
    let links =
        |by: Choice| labels.arguments.iter().filter(move |label| label.role == Role::Link && label.choice == by);
    let chosen = |by: Choice| {
        let roles = leaves.iter().filter(|leaf| choice(leaf) == by).map(|leaf| leaf.role);
        // A link inside content has a label of its own beside the content's.
        let roles = roles.chain(links(by).map(|label| label.role));
        texts(roles.map(Role::as_str).collect::<BTreeSet<_>>())
    };
    let known = || leaves.iter().filter_map(|leaf| leaf.label.map(|label| &label.label));
    // And it may be anything.
    let of = |leaf: &Leaf<'_>| leaf.label.map_or(Confidentiality::Secret, |label| label.label.confidentiality);
    let confidentiality = leaves.iter().map(of).max().unwrap_or(Confidentiality::Public) as i64;
    let classes: BTreeSet<DataClass> = known().flat_map(|label| label.classes.iter().copied()).collect();
    let pairs = [
        ("untrusted", chosen(Choice::Untrusted)),
        ("invented", chosen(Choice::Model)),
        ("delegated", chosen(Choice::Delegated)),
        ("roles", texts(leaves.iter().map(|leaf| leaf.role.as_str()).collect::<BTreeSet<_>>())),
        ("request", literal(request(labels.request))),
        ("confidentiality", literal(confidentiality)),
        ("classes", texts(classes.into_iter().map(class_name))),
        ("exceeds", literal(readers::exceeds(tool, leaves))),
        ("cleared", literal(readers::are_cleared(tool, leaves))),
    ];
    ast::Value::record(pairs, None)
}

fn seen(session: &SessionLabels) -> ast::Value {
    let deleted = session.steps.get(EffectKind::Delete.as_str()).copied().unwrap_or(0);
    let deleted = i64::try_from(deleted).unwrap_or(i64::MAX);
    let pairs = [
        ("integrity", literal(session.integrity as i64)),
        ("confidentiality", literal(session.confidentiality as i64)),
        ("classes", texts(session.classes.iter().copied().map(class_name))),
        ("steps", texts(session.steps.keys().map(String::as_str))),
        ("deleted", literal(deleted)),
    ];
    ast::Value::record(pairs, None)
}

fn request(request: Request) -> &'static str {
    match request {
        Request::Named => "named",
        Request::Delegated => "delegated",
        Request::Unheard => "unheard",
        Request::Unnamed => "unnamed",
    }
}

fn door(door: Door) -> &'static str {
    match door {
        Door::McpStdio => "mcp_stdio",
        Door::McpHttp => "mcp_http",
        Door::Hook => "hook",
        Door::A2a => "a2a",
    }
}

thread_local! {
    /// The last time that this thread made. Calls come in groups, and Cedar reads a time with regular expressions.
    static LAST: RefCell<Option<(i128, ast::Value)>> = const { RefCell::new(None) };
}

fn time(now: Timestamp) -> Option<ast::Value> {
    let millisecond = now.as_nanosecond().div_euclid(1_000_000);
    let last = LAST.with_borrow(|last| last.clone()).filter(|(time, _)| *time == millisecond);
    if let Some((_, value)) = last {
        return Some(value);
    }
    let value = datetime(&milliseconds(now))?;
    LAST.set(Some((millisecond, value.clone())));
    Some(value)
}

/// Cedar's `datetime` has milliseconds.
fn milliseconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use cedar_policy::{Context, EntityUid, Schema};
    use proptest::prelude::*;

    use super::*;
    use crate::action::{Principal, Verb};
    use crate::label::{ArgumentLabel, Confidentiality, Integrity, Label};
    use crate::schema::{schema, tool_name};
    use crate::tool::ToolId;

    fn json(depth: u32) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(depth, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/ ]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn json_schema() -> impl Strategy<Value = Value> {
        let kinds = ["boolean", "integer", "number", "string", "array", "object", "null", "nonsense"];
        let leaf = prop_oneof![
            prop::sample::select(kinds.to_vec()).prop_map(|kind| json!({ "type": kind })),
            prop::sample::select(kinds.to_vec()).prop_map(|kind| json!({ "type": [kind, "null"] })),
            Just(json!({ "enum": ["a", "b"] })),
            Just(json!({ "$ref": "#" })),
            Just(json!({ "$ref": "https://example.org/far" })),
            json(1),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let properties = prop::collection::btree_map("[a-c~/ ]{0,3}", inner.clone(), 0..4);
            prop_oneof![
                inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
                prop::collection::vec(inner.clone(), 0..3).prop_map(|members| json!({ "anyOf": members })),
                (properties, any::<bool>()).prop_map(|(properties, all)| {
                    let required: Vec<_> = if all { properties.keys().cloned().collect() } else { vec![] };
                    json!({ "type": "object", "properties": properties, "required": required })
                }),
            ]
        })
    }

    fn action(arguments: Value, choices: &[Choice]) -> Action {
        let label = |choice: &Choice| ArgumentLabel {
            pointer: "/a".to_owned(),
            role: Role::Path,
            named_by_user: false,
            choice: *choice,
            label: Label {
                integrity: Integrity::Anyone,
                confidentiality: Confidentiality::Secret,
                classes: BTreeSet::from([DataClass::Credential]),
                origins: vec![],
            },
        };
        let shell = json!({ "parsed": true, "programs": ["rm"], "arguments": ["-r", "/"] });
        Action {
            principal: Principal {
                agent: "a".to_owned(),
                user: "u".to_owned(),
                session: "s".to_owned(),
                delegation: vec!["d".to_owned()],
                evidence: BTreeMap::new(),
            },
            door: Door::Hook,
            verb: Verb::CallTool,
            tool: ToolId { server: "s".to_owned(), name: "t".to_owned() },
            arguments,
            labels: Labels {
                arguments: choices.iter().map(label).collect(),
                request: Request::Unheard,
                session: SessionLabels {
                    integrity: Integrity::Anyone,
                    confidentiality: Confidentiality::Secret,
                    classes: BTreeSet::from([DataClass::Personal]),
                    steps: [("delete".to_owned(), 3)].into(),
                },
            },
            facts: BTreeMap::from([("shell".to_owned(), shell), ("project".to_owned(), json!("/w"))]),
            approval: None,
        }
    }

    proptest! {
        /// Whatever schema a server has and whatever an agent sends: the schema compiles, and the context
        /// either is of the type that policies were checked against, or is refused.
        #[test]
        fn a_context_is_of_its_type(
            input in json_schema(),
            arguments in json(3),
            choices in prop::collection::vec(prop::sample::select(&[Choice::User, Choice::Model, Choice::Untrusted][..]), 0..2),
        ) {
            let shape = Shape::of_arguments(&input);
            let action = action(arguments, &choices);
            let exceeded = Exceeded { mandate: Some(Vec::new()), budget: Some(Vec::new()), ..Exceeded::default() };
            let name = tool_name(&action.tool);
            let schema = schema([(name.clone(), vec![EffectKind::Read], &shape)]);
            let schema = Schema::from_json_value(schema).unwrap();
            if let Ok(built) = context(&action, None, &shape, (Timestamp::UNIX_EPOCH, &exceeded)) {
                let uid: EntityUid = format!("Action::{name:?}").parse().unwrap();
                Context::from(built).validate(&schema, &uid).unwrap();
            }
        }
    }

    #[test]
    fn decimals_round_away_from_zero_and_clamp() {
        let shown = |number: f64| crate::shape::decimal(Some(number)).unwrap().to_string();
        assert_eq!(shown(0.1), "decimal(\"0.1000\")");
        assert_eq!(shown(100.000_01), "decimal(\"100.0001\")");
        assert_eq!(shown(-0.000_01), "decimal(\"-0.0001\")");
        assert_eq!(shown(1e300), "decimal(\"922337203685477.5807\")");
        assert_eq!(shown(-1e300), "decimal(\"-922337203685477.5808\")");
        assert!(crate::shape::decimal(Some(f64::NAN)).is_none());
    }
}
