//! The Cedar schema and entities of a set of tools.
//!
//! Each tool is an action `Action::"server/tool"`, a member of `Action::"call_tool"` and of one group for
//! each of its effects, on the resource `Tool::"server/tool"` in `Server::"server"`. A `/` or `%` within a
//! server's name is percent-encoded, so that no server can name a tool that looks like another server's.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{self, EntityUID};
use cedar_policy_core::entities::err::EntitiesError;
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::action::{Action, Verb};
use crate::context;
use crate::facts::texts;
use crate::shape::{NOTHING, Shape, literal};
use crate::tool::{EffectKind, ToolFacts, ToolId};

/// All effect groups.
pub(crate) const EFFECTS: [EffectKind; 8] = [
    EffectKind::Read,
    EffectKind::Write,
    EffectKind::Delete,
    EffectKind::Send,
    EffectKind::Pay,
    EffectKind::Share,
    EffectKind::Execute,
    EffectKind::Publish,
];

/// The verbs that are actions of their own, and the type of what they act on.
const VERBS: [(Verb, &str); 6] = [
    (Verb::ListTool, "Tool"),
    (Verb::ReadResource, "Resource"),
    (Verb::GetPrompt, "Prompt"),
    (Verb::Sample, "Server"),
    (Verb::Elicit, "Server"),
    (Verb::ListRoots, "Server"),
];

/// A tool that nobody has and that is in every group, so that a rule for a group is checked even while no
/// tool of that group was seen.
pub(crate) const ANY_TOOL: &str = "*/*";

/// The request cannot be expressed to Cedar.
#[derive(Debug, Error)]
pub(crate) enum EntityError {
    #[error("unknown tool `{0}`")]
    UnknownTool(ToolId),
    #[error("entities: {0}")]
    Entities(Box<EntitiesError>),
}

/// One tool, ready to be judged.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) facts: ToolFacts,
    pub(crate) arguments: Shape,
    pub(crate) target: Target,
}

/// What a request is about: action, resource, and the entities that policies may look at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) action: Arc<EntityUID>,
    pub(crate) groups: Arc<[EntityUID]>,
    pub(crate) resource: Arc<EntityUID>,
    pub(crate) entities: Arc<Entities>,
}

impl Target {
    /// Whether it is a tool's, so that the action determines the resource.
    pub(crate) fn is_call(&self) -> bool {
        !self.groups.is_empty()
    }
}

impl Tool {
    pub(crate) fn new(facts: &ToolFacts) -> Result<Self, EntityError> {
        let target = call_target(facts)?;
        Ok(Self { arguments: Shape::of_arguments(&facts.input_schema), facts: facts.clone(), target })
    }
}

/// The name of a tool in policies.
pub(crate) fn tool_name(id: &ToolId) -> String {
    format!("{}/{}", id.server.replace('%', "%25").replace('/', "%2F"), id.name)
}

pub(crate) fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::CallTool => "call_tool",
        Verb::ListTool => "list_tool",
        Verb::ReadResource => "read_resource",
        Verb::GetPrompt => "get_prompt",
        Verb::Sample => "sample",
        Verb::Elicit => "elicit",
        Verb::ListRoots => "list_roots",
    }
}

/// Names that actions other than tools have.
pub(crate) fn other_actions() -> impl Iterator<Item = &'static str> {
    let verbs = VERBS.iter().map(|(verb, _)| verb_name(*verb));
    EFFECTS.iter().map(|effect| effect.as_str()).chain(verbs).chain([verb_name(Verb::CallTool)])
}

/// The schema, in Cedar's JSON format. `tools` are names, effects and argument shapes.
pub(crate) fn schema<'a>(tools: impl IntoIterator<Item = (String, Vec<EffectKind>, &'a Shape)>) -> Value {
    let text = json!({ "type": "String" });
    let place = json!({ "type": "Record", "attributes": { "server": text, "name": text } });
    let tool = json!({ "type": "Record", "attributes": {
        "server": text, "name": text,
        "effects": { "type": "Set", "element": text },
        "reversible": { "type": "Boolean" }, "open_world": { "type": "Boolean" },
    } });
    json!({ "": {
        "entityTypes": {
            "Agent": { "shape": { "type": "Record", "attributes": {} } },
            "Server": { "shape": place },
            "Tool": { "memberOfTypes": ["Server"], "shape": tool },
            "Resource": { "memberOfTypes": ["Server"], "shape": place },
            "Prompt": { "memberOfTypes": ["Server"], "shape": place },
        },
        "actions": actions(tools),
    } })
}

/// A schema of nothing but tools and the shapes of their arguments, which is all of [`schema`] that could fail.
pub(crate) fn shapes_only<'a>(tools: impl IntoIterator<Item = (String, &'a Shape)>) -> Value {
    let action = |arguments: &Shape| {
        let context = json!({ "type": "Record", "attributes": { "arguments": arguments.cedar_type() } });
        json!({ "appliesTo": { "principalTypes": ["Agent"], "resourceTypes": ["Tool"], "context": context } })
    };
    let actions: Map<String, Value> = tools.into_iter().map(|(name, arguments)| (name, action(arguments))).collect();
    json!({ "": { "entityTypes": { "Agent": {}, "Tool": {} }, "actions": actions } })
}

fn actions<'a>(tools: impl IntoIterator<Item = (String, Vec<EffectKind>, &'a Shape)>) -> Map<String, Value> {
    let applies = |resource: &str, arguments: &Shape| json!({ "principalTypes": ["Agent"], "resourceTypes": [resource], "context": context::cedar_type(arguments) });
    let member = |effects: &[EffectKind]| -> Vec<Value> {
        let effects = effects.iter().map(|effect| effect.as_str());
        std::iter::once(verb_name(Verb::CallTool)).chain(effects).map(|id| json!({ "id": id })).collect()
    };
    let mut actions = Map::new();
    actions.insert(verb_name(Verb::CallTool).to_owned(), json!({}));
    actions.extend(EFFECTS.iter().map(|effect| (effect.as_str().to_owned(), json!({}))));
    actions.extend(
        VERBS
            .iter()
            .map(|(verb, resource)| (verb_name(*verb).to_owned(), json!({ "appliesTo": applies(resource, &NOTHING) }))),
    );
    let any = (ANY_TOOL.to_owned(), EFFECTS.to_vec(), &NOTHING);
    actions.extend(tools.into_iter().chain([any]).map(|(name, effects, arguments)| {
        (name, json!({ "memberOf": member(&effects), "appliesTo": applies("Tool", arguments) }))
    }));
    actions
}

/// An entity's name.
pub(crate) fn uid(kind: &EntityKind, id: &str) -> EntityUID {
    EntityUID::from_components((**kind).clone(), ast::Eid::new(id), None)
}

/// Parsed once: a name goes through Cedar's whole parser.
pub(crate) type EntityKind = LazyLock<ast::EntityType>;
pub(crate) static ACTION: EntityKind = LazyLock::new(|| entity_type("Action"));
pub(crate) static AGENT: EntityKind = LazyLock::new(|| entity_type("Agent"));
pub(crate) static SERVER: EntityKind = LazyLock::new(|| entity_type("Server"));
pub(crate) static TOOL: EntityKind = LazyLock::new(|| entity_type("Tool"));
static RESOURCE: EntityKind = LazyLock::new(|| entity_type("Resource"));
static PROMPT: EntityKind = LazyLock::new(|| entity_type("Prompt"));

#[expect(clippy::expect_used, reason = "the six names above are identifiers of Cedar")]
fn entity_type(name: &str) -> ast::EntityType {
    ast::EntityType::from_normalized_str(name).expect("an identifier")
}

/// The target of a tool call.
fn call_target(facts: &ToolFacts) -> Result<Target, EntityError> {
    let effects = facts.effects.iter().map(|effect| effect.as_str());
    let groups: Vec<_> =
        std::iter::once(verb_name(Verb::CallTool)).chain(effects).map(|group| uid(&ACTION, group)).collect();
    let action = uid(&ACTION, &tool_name(&facts.id));
    let server = uid(&SERVER, &facts.id.server);
    let tool = tool_entity(facts, &server);
    let resource = tool.uid().clone();
    let mut all = vec![tool, server_entity(&facts.id.server, server), entity(action.clone(), [], groups.clone())];
    all.extend(groups.iter().map(|group| entity(group.clone(), [], [])));
    target(action, groups, resource, all)
}

/// The target of any verb but a tool call.
pub(crate) fn other_target(action: &Action, tool: Option<&ToolFacts>) -> Result<Target, EntityError> {
    let server = uid(&SERVER, &action.tool.server);
    let place = |kind| {
        let attributes =
            [("server", literal(action.tool.server.as_str())), ("name", literal(action.tool.name.as_str()))];
        entity(uid(kind, &tool_name(&action.tool)), attributes, [server.clone()])
    };
    let subject = match (action.verb, tool) {
        (Verb::ListTool | Verb::CallTool, Some(facts)) => Some(tool_entity(facts, &server)),
        (Verb::ListTool | Verb::CallTool, None) => return Err(EntityError::UnknownTool(action.tool.clone())),
        (Verb::ReadResource, _) => Some(place(&RESOURCE)),
        (Verb::GetPrompt, _) => Some(place(&PROMPT)),
        (Verb::Sample | Verb::Elicit | Verb::ListRoots, _) => None,
    };
    let resource = subject.as_ref().map_or_else(|| server.clone(), |subject| subject.uid().clone());
    let verb = uid(&ACTION, verb_name(action.verb));
    let mut all = vec![server_entity(&action.tool.server, server), entity(verb.clone(), [], [])];
    all.extend(subject);
    target(verb, Vec::new(), resource, all)
}

fn target(
    action: EntityUID,
    groups: Vec<EntityUID>,
    resource: EntityUID,
    all: Vec<ast::Entity>,
) -> Result<Target, EntityError> {
    let schema = None::<&NoEntitiesSchema>;
    let entities = Entities::from_entities(all, schema, TCComputation::ComputeNow, Extensions::all_available())
        .map_err(|error| EntityError::Entities(Box::new(error)))?;
    Ok(Target {
        action: Arc::new(action),
        groups: groups.into(),
        resource: Arc::new(resource),
        entities: Arc::new(entities),
    })
}

fn tool_entity(facts: &ToolFacts, server: &EntityUID) -> ast::Entity {
    let attributes = [
        ("server", literal(facts.id.server.as_str())),
        ("name", literal(facts.id.name.as_str())),
        ("effects", texts(facts.effects.iter().map(|effect| effect.as_str()))),
        ("reversible", literal(facts.reversible)),
        ("open_world", literal(facts.open_world)),
    ];
    entity(uid(&TOOL, &tool_name(&facts.id)), attributes, [server.clone()])
}

fn server_entity(name: &str, uid: EntityUID) -> ast::Entity {
    entity(uid, [("server", literal(name)), ("name", literal(name))], [])
}

fn entity(
    uid: EntityUID,
    attributes: impl IntoIterator<Item = (&'static str, ast::Value)>,
    parents: impl IntoIterator<Item = EntityUID>,
) -> ast::Entity {
    let attributes = attributes.into_iter().map(|(name, value)| (name.into(), ast::PartialValue::Value(value)));
    ast::Entity::new_with_attr_partial_value(uid, attributes, HashSet::new(), parents.into_iter().collect(), [])
}
