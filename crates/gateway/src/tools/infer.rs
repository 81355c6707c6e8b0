//! What a tool does and which of its arguments matter, from its definition alone.
//!
//! The verb of the name decides, then the description, then the MCP annotations; annotations are the server's
//! own claim, so they may make a tool more dangerous but never hide a verb that says otherwise. What nothing
//! is known about writes and executes. Never looks at values, only at the definition.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Confidentiality, EffectKind, FieldFacts, Role, Says, ToolFacts, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commands::Signs;
use super::roles::Name;
use crate::label::words::{effects_of, split_name};

/// The member of a definition that says that another agent answers, and which.
pub(crate) const AGENT_CARD: &str = "agentCard";
/// How deep schemas are read for roles.
const DEPTH_MAX: usize = 5;
/// How many roles one tool may have.
const ROLES_MAX: usize = 256;

/// Words between verbs.
const JOINS: &[&str] = &["and", "or", "then"];
/// Words that name a thing as often as an act.
const WEAK_VERBS: &[&str] = &["help", "load", "resolve", "return", "status"];
const PAYMENT_NOUNS: &[&str] = &["payment", "money", "transaction", "fund", "invoice", "bill", "payout", "transfer"];
const PEOPLE_NOUNS: &[&str] =
    &["user", "member", "participant", "attendee", "collaborator", "guest", "reviewer", "permission", "role", "access"];
/// A conversation, or who takes it over.
const HANDOVER_NOUNS: &[&str] =
    &["agent", "call", "case", "chat", "conversation", "human", "operator", "person", "ticket"];
/// Who takes a conversation over on the side of whoever runs the tool.
const STAFF_NOUNS: &[&str] = &["human", "operator", "person", "staff", "supervisor"];
const CODE_NOUNS: &[&str] = &["git", "branch", "commit", "repo", "repository", "revision"];
/// What other people get to read.
const COMMENT_NOUNS: &[&str] = &["comment", "reply"];
const FILE_NOUNS: &[&str] = &["file", "directory", "directories", "folder", "path", "filename"];
const WEB_NOUNS: &[&str] = &["webpage", "website", "web", "url", "page", "http", "internet", "site", "browser"];

/// Facts from a tool's MCP definition (`name`, `description`, `inputSchema`, `annotations`).
/// `pin` is the digest of the raw bytes, which the caller has.
pub fn infer(server: &str, definition: &Value, pin: String) -> ToolFacts {
    let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
    let description = definition.get("description").and_then(Value::as_str).unwrap_or_default();
    let schema = definition.get("inputSchema").cloned().unwrap_or(Value::Null);
    let hints = definition.get("annotations").map(Hints::read).unwrap_or_default();
    let unhinted = effects(name, description);
    let signs = Signs::of(name, description, unhinted.contains(&EffectKind::Execute));
    let roles = Roles::new(name, &schema, &unhinted).read().found;
    // A server may call what says that it reaches somebody, somewhere or a shell anything but read-only.
    let reaches = |role: &Role| matches!(role, Role::Recipient | Role::Destination | Role::Command | Role::Permission);
    let effects = hints.apply(unhinted, roles.values().any(reaches));
    let Roles { found: roles, commands, .. } = Roles { signs, ..Roles::new(name, &schema, &effects) }.read();
    // What is made public everybody reads. Another agent may read what nobody protects, until somebody says otherwise.
    let (is_public, is_agent) = (effects.contains(&EffectKind::Publish), definition.get(AGENT_CARD).is_some());
    let may_read = [(is_public, Confidentiality::Public), (is_agent, Confidentiality::Internal)];
    let may_read = may_read.into_iter().find(|(holds, _)| *holds);
    let readers = may_read.map(|(_, may)| ("*".to_owned(), may)).into_iter().collect();
    let open_world = hints.open_world == Some(true) || opens(name, &effects, &roles);
    ToolFacts {
        id: ToolId { server: server.to_owned(), name: name.to_owned() },
        reversible: hints.destructive != Some(true)
            && effects.iter().all(|effect| matches!(effect, EffectKind::Read | EffectKind::Write | EffectKind::Share)),
        open_world,
        input_schema: schema,
        effects,
        roles,
        commands,
        results: BTreeMap::new(),
        readers,
        is_agent,
        pin,
    }
}

/// A correction of what was inferred: at most three lines a tool in an annotation file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    /// What the tool does, in place of what was inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<BTreeSet<EffectKind>>,
    /// Whether it reaches beyond its own data, in place of what was inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world: Option<bool>,
    /// Roles of arguments, over those that were inferred.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Role>,
    /// The arguments that a shell reads, in place of what was inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<BTreeSet<String>>,
    /// Who could have written which field of a result, who may read it, and which classes of data it holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, FieldFacts>,
    /// What may be read at which destination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readers: BTreeMap<String, Confidentiality>,
}

/// Corrects facts by an annotation.
pub fn annotate(facts: &mut ToolFacts, annotation: &Annotation) {
    if let Some(effects) = &annotation.effects {
        facts.effects = effects.clone();
    }
    if let Some(open_world) = annotation.open_world {
        facts.open_world = open_world;
    }
    facts.roles.extend(annotation.roles.iter().map(|(pointer, role)| (pointer.clone(), *role)));
    if let Some(shell) = &annotation.shell {
        facts.commands = shell.iter().map(|pointer| (pointer.clone(), Says::Operator)).collect();
    }
    facts.results.extend(annotation.results.clone());
    facts.readers.extend(annotation.readers.clone());
}

/// The MCP annotations that say something about effects.
#[derive(Default)]
struct Hints {
    read_only: Option<bool>,
    destructive: Option<bool>,
    open_world: Option<bool>,
}

impl Hints {
    fn read(annotations: &Value) -> Self {
        let hint = |name: &str| annotations.get(name).and_then(Value::as_bool);
        Hints {
            read_only: hint("readOnlyHint"),
            destructive: hint("destructiveHint"),
            open_world: hint("openWorldHint"),
        }
    }

    /// A server may not call a tool read-only whose name says that it sends, pays or deletes.
    fn apply(&self, mut effects: BTreeSet<EffectKind>, reaches: bool) -> BTreeSet<EffectKind> {
        let unknown = effects.is_empty();
        match self.read_only {
            Some(true)
                if (unknown && !reaches)
                    || (!unknown
                        && effects.iter().all(|effect| {
                            *effect == EffectKind::Read || (*effect == EffectKind::Write && !reaches)
                        })) =>
            {
                BTreeSet::from([EffectKind::Read])
            }
            Some(false) if effects == BTreeSet::from([EffectKind::Read]) => {
                BTreeSet::from([EffectKind::Read, EffectKind::Write])
            }
            _ if unknown => BTreeSet::from([EffectKind::Write, EffectKind::Execute]),
            _ => {
                if self.destructive == Some(true) && !effects.contains(&EffectKind::Read) {
                    effects.insert(EffectKind::Delete);
                }
                effects
            }
        }
    }
}

/// The effects that name and description speak of; empty if neither does.
pub(crate) fn effects(name: &str, description: &str) -> BTreeSet<EffectKind> {
    let words = split_name(name);
    let is_verb = |at: &usize| words.get(*at).is_some_and(|word| !effects_of(word).is_empty());
    let named: Vec<usize> = (0..words.len()).filter(is_verb).collect();
    if let Some(first) = named.first() {
        // "Find and delete" does both; a word that is a noun as often gives way to a verb.
        let joined = |at: &usize| words.get(at.wrapping_sub(1)).is_some_and(|word| JOINS.contains(&word.as_str()));
        let verb = |at: &usize| words.get(*at).map(String::as_str).unwrap_or_default();
        let weak = named.len() > 1 && WEAK_VERBS.contains(&verb(first));
        let does = named.iter().filter(|at| if weak { *at != first } else { *at == first || joined(at) });
        return does.flat_map(|at| refine(verb(at), &words)).collect();
    }
    let words: Vec<String> = description.split_whitespace().take(6).flat_map(split_name).collect();
    words.iter().find(|word| !effects_of(word).is_empty()).map(|verb| refine(verb, &words)).unwrap_or_default()
}

/// Whether a tool hands the conversation to a person of one's own side, as its name says.
pub(crate) fn asks_a_person(name: &str) -> bool {
    let words = split_name(name);
    let has = |nouns: &[&str]| words.iter().any(|word| nouns.contains(&word.trim_end_matches('s')));
    words.first().is_some_and(|verb| verb == "transfer") && has(STAFF_NOUNS)
}

/// One verb means different things beside different nouns: sending money pays, adding a user shares.
fn refine(verb: &str, words: &[String]) -> BTreeSet<EffectKind> {
    let has = |nouns: &[&str]| words.iter().any(|word| nouns.contains(&word.trim_end_matches('s')));
    let mut effects: BTreeSet<EffectKind> = effects_of(verb).into_iter().collect();
    if effects.contains(&EffectKind::Read) {
        return BTreeSet::from([EffectKind::Read]);
    }
    if effects.contains(&EffectKind::Delete) {
        return BTreeSet::from([EffectKind::Delete]);
    }
    // A transfer is of money, unless it is of the conversation. To hand that to a person of one's own side is what asking a
    // person is, too, and nothing that text could gain by; where a place can be named, it has a role of its own.
    if verb == "transfer" && has(HANDOVER_NOUNS) {
        return BTreeSet::from([if has(STAFF_NOUNS) { EffectKind::Write } else { EffectKind::Send }]);
    }
    // Who clones a repository reads it.
    if verb == "clone" && has(CODE_NOUNS) {
        return BTreeSet::from([EffectKind::Read]);
    }
    // Nor does who checks out a branch pay.
    if verb == "checkout" && has(CODE_NOUNS) {
        return BTreeSet::from([EffectKind::Write]);
    }
    if has(PAYMENT_NOUNS) {
        return BTreeSet::from([EffectKind::Pay]);
    }
    // Whoever adds a comment writes to whoever follows it.
    if has(COMMENT_NOUNS) && effects.contains(&EffectKind::Write) {
        return BTreeSet::from([EffectKind::Send]);
    }
    // `add`, `give` and `invite` share only where people are concerned; `post` publishes only to the web.
    if !has(PEOPLE_NOUNS) && effects.len() > 1 {
        effects.remove(&EffectKind::Share);
    }
    if has(WEB_NOUNS) && effects.contains(&EffectKind::Publish) {
        return BTreeSet::from([EffectKind::Publish]);
    }
    if effects.contains(&EffectKind::Send) && effects.contains(&EffectKind::Publish) {
        effects.remove(&EffectKind::Publish);
    }
    if effects.contains(&EffectKind::Write) && effects.contains(&EffectKind::Send) {
        let files = has(&["file", "document", "note", "memory", "row", "record", "cell", "code", "event"]);
        effects.remove(if files { &EffectKind::Send } else { &EffectKind::Write });
    }
    if effects.contains(&EffectKind::Write) {
        effects.remove(&EffectKind::Publish);
        effects.remove(&EffectKind::Execute);
    }
    effects
}

fn is_file_noun(word: &str) -> bool {
    FILE_NOUNS.contains(&word) || word.strip_suffix('s').is_some_and(|one| FILE_NOUNS.contains(&one))
}

/// Whether a tool reaches beyond its own data.
fn opens(name: &str, effects: &BTreeSet<EffectKind>, roles: &BTreeMap<String, Role>) -> bool {
    let outward =
        effects.iter().any(|effect| !matches!(effect, EffectKind::Read | EffectKind::Write | EffectKind::Delete));
    let web = split_name(name).iter().any(|word| WEB_NOUNS.contains(&word.as_str()));
    outward || web || roles.values().any(|role| matches!(role, Role::Destination | Role::Recipient))
}

/// Reads roles off a schema.
struct Roles<'a> {
    /// Whether the tool's name speaks of files.
    of_files: bool,
    schema: &'a Value,
    effects: &'a BTreeSet<EffectKind>,
    signs: Signs,
    found: BTreeMap<String, Role>,
    /// Those of them that a shell reads.
    commands: BTreeMap<String, Says>,
}

impl<'a> Roles<'a> {
    fn new(name: &str, schema: &'a Value, effects: &'a BTreeSet<EffectKind>) -> Self {
        let of_files = split_name(name).iter().any(|word| is_file_noun(word));
        let (signs, found, commands) = (Signs::default(), BTreeMap::new(), BTreeMap::new());
        Roles { of_files, schema, effects, signs, found, commands }
    }

    fn read(mut self) -> Self {
        self.object(self.schema, "", 0);
        self
    }

    fn object(&mut self, schema: &'a Value, pointer: &str, depth: usize) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (name, property) in properties {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            self.property(name, property, &pointer, depth);
            if self.found.contains_key(&pointer) && self.signs.is_command(name, self.resolve(property), properties) {
                self.commands.insert(pointer, Says::Definition);
            }
        }
    }

    fn property(&mut self, name: &str, property: &'a Value, pointer: &str, depth: usize) {
        if depth >= DEPTH_MAX || self.found.len() >= ROLES_MAX {
            return;
        }
        let property = self.resolve(property);
        let items = property.get("items").map(|items| self.resolve(items));
        if property.get("properties").is_some() {
            return self.object(property, pointer, depth + 1);
        }
        match items {
            Some(items) if items.get("properties").is_some() => self.object(items, &format!("{pointer}/*"), depth + 1),
            Some(items) => {
                let role = self.role(name, items);
                self.found.insert(format!("{pointer}/*"), role);
                self.found.insert(pointer.to_owned(), role);
            }
            None => {
                let role = self.role(name, property);
                self.found.insert(pointer.to_owned(), role);
            }
        }
    }

    /// Follows a local `$ref`, and takes the first alternative that is not null.
    fn resolve(&self, property: &'a Value) -> &'a Value {
        let target = property
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix('#'))
            .and_then(|path| self.schema.pointer(path));
        let property = target.unwrap_or(property);
        let alternatives = property.get("anyOf").or_else(|| property.get("oneOf")).and_then(Value::as_array);
        alternatives
            .and_then(|all| all.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")))
            .unwrap_or(property)
    }

    fn role(&self, name: &str, property: &Value) -> Role {
        match property.get("format").and_then(Value::as_str) {
            Some("email") => return Role::Recipient,
            Some("uri" | "url" | "hostname") => return Role::Destination,
            _ => {}
        }
        let described = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let of_files = self.of_files || split_name(described).iter().take(12).any(|word| is_file_noun(word));
        Name { words: split_name(name), effects: self.effects, of_files }.role()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(definition: Value) -> ToolFacts {
        infer("demo", &definition, String::new())
    }

    #[test]
    fn nothing_known_writes_and_executes() {
        let facts = facts(json!({"name": "frobnicate"}));
        assert_eq!(facts.effects, BTreeSet::from([EffectKind::Write, EffectKind::Execute]));
    }

    #[test]
    fn a_read_only_claim_does_not_hide_a_verb() {
        let facts = facts(json!({"name": "delete_row", "annotations": {"readOnlyHint": true}}));
        assert!(facts.effects.contains(&EffectKind::Delete));
    }

    #[test]
    fn sending_money_pays() {
        let facts = facts(
            json!({"name": "send_payment", "inputSchema": {"properties": {"iban": {"type": "string"}, "amount": {"type": "number"}}}}),
        );
        assert_eq!(facts.effects, BTreeSet::from([EffectKind::Pay]));
        assert_eq!(facts.roles.get("/iban"), Some(&Role::Recipient));
    }

    #[test]
    fn a_conversation_that_is_handed_over_is_no_payment() {
        let effects = |name: &str| facts(json!({ "name": name })).effects;
        assert_eq!(effects("transfer_call_to_operator"), BTreeSet::from([EffectKind::Write]));
        assert_eq!(effects("transfer_chat_to_number"), BTreeSet::from([EffectKind::Send]));
        assert_eq!(effects("transfer_funds"), BTreeSet::from([EffectKind::Pay]));
        assert_eq!(effects("transfer"), BTreeSet::from([EffectKind::Pay]));
    }

    #[test]
    fn roles_of_items_are_found_through_references() {
        let facts = facts(
            json!({"name": "notify", "inputSchema": {"properties": {"to": {"type": "array", "items": {"$ref": "#/$defs/a"}}}, "$defs": {"a": {"type": "string", "format": "email"}}}}),
        );
        assert_eq!(facts.roles.get("/to/*"), Some(&Role::Recipient));
    }

    /// What tools of well-known kinds of servers are taken for, by name and names of arguments alone.
    #[test]
    fn tools_of_common_servers_are_what_they_say() {
        use EffectKind::{Delete, Execute, Publish, Read, Send, Write};
        type Expected = (&'static str, &'static [EffectKind], &'static [(&'static str, Role)]);
        let table: &[Expected] = &[
            ("move_file", &[Write], &[("source", Role::Path), ("destination", Role::Path)]),
            ("edit_file", &[Write], &[("path", Role::Path), ("edits", Role::Other)]),
            ("directory_tree", &[Write, Execute], &[("path", Role::Path)]),
            ("git_checkout", &[Write], &[("repo_path", Role::Path), ("branch_name", Role::Target)]),
            ("git_add", &[Write], &[("repo_path", Role::Path), ("files", Role::Path)]),
            ("git_commit", &[Write], &[("repo_path", Role::Path), ("message", Role::Content)]),
            (
                "create_issue",
                &[Write],
                &[("owner", Role::Target), ("repo", Role::Target), ("assignees", Role::Recipient)],
            ),
            ("add_issue_comment", &[Send], &[("repo", Role::Target), ("body", Role::Content)]),
            ("create_repository", &[Write], &[("private", Role::Permission)]),
            ("fork_repository", &[Write], &[("repo", Role::Target)]),
            ("slack_post_message", &[Send], &[("channel_id", Role::Destination), ("text", Role::Content)]),
            ("slack_reply_to_thread", &[Send], &[("channel_id", Role::Destination), ("text", Role::Content)]),
            ("send_email", &[Send], &[("to", Role::Recipient), ("bcc", Role::Recipient), ("body", Role::Content)]),
            ("create_filter", &[Write], &[("forward", Role::Recipient)]),
            ("batch_delete_emails", &[Delete], &[("messageIds", Role::Target)]),
            ("query", &[Read], &[("sql", Role::Query)]),
            ("execute_sql", &[Execute], &[("sql", Role::Command)]),
            ("browser_navigate", &[Read], &[("url", Role::Destination)]),
            ("browser_snapshot", &[Read], &[]),
            ("browser_evaluate", &[Execute], &[("function", Role::Command)]),
            ("upload_to_website", &[Publish], &[]),
            ("search_flights", &[Read], &[("destination", Role::Other)]),
        ];
        for (name, effects, roles) in table {
            let properties: serde_json::Map<String, Value> =
                roles.iter().map(|(name, _)| ((*name).to_owned(), json!({}))).collect();
            let facts = facts(json!({"name": name, "inputSchema": {"properties": properties}}));
            assert_eq!(facts.effects, effects.iter().copied().collect(), "{name}");
            for (argument, role) in *roles {
                assert_eq!(facts.roles.get(&format!("/{argument}")), Some(role), "{name} {argument}");
            }
        }
    }
}
