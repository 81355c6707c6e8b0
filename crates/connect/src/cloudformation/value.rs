//! What the values of a template come to before its stack is made.
//!
//! `Ref`, `Fn::GetAtt`, `Fn::Sub`, `Fn::Join`, `Fn::Split`, `Fn::Select`, `Fn::FindInMap`, parameters with a default and
//! conditions that hang on nothing else are followed. What cannot be known (a parameter without default, an import of
//! another stack) becomes `*` in no grant: it is written as `${Name}`, which names nothing, and said. So are a choice
//! that cannot be made, a name that is made of itself and what the [`Budget`] does not reach ([`Template::report`]).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{WORKLOADS, principal_kind};
use crate::account;
use crate::aws::{Reader, text};
use crate::budget::Budget;
use crate::document::{Node, Value};

/// What a template calls its region as long as it is not deployed.
const REGION: &str = "us-east-1";

/// A value that was not computed.
const UNKNOWN: &str = "${not computed}";

/// What hangs on where a stack is made.
const PLACES: &[&str] = &["AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::URLSuffix", "AWS::StackName"];

/// Properties that name a resource.
const NAMES: [&str; 12] = [
    "UserName",
    "GroupName",
    "RoleName",
    "ManagedPolicyName",
    "InstanceProfileName",
    "FunctionName",
    "AgentName",
    "BucketName",
    "QueueName",
    "TableName",
    "TopicName",
    "Name",
];

pub(super) struct Template<'t> {
    /// The account that its ARNs name, or one that nobody has.
    pub(super) account: String,
    resources: &'t Node,
    parameters: Option<&'t Node>,
    conditions: Option<&'t Node>,
    mappings: Option<&'t Node>,
    /// What its stack is called in the names that CloudFormation makes up, where another template would have the same.
    stack: Option<String>,
    budget: Budget,
    /// The resources whose name is being computed, outermost first.
    open: RefCell<Vec<String>>,
    /// What could not be followed and is not reported yet, and whether it is known once the stack is made.
    said: RefCell<BTreeSet<(String, bool)>>,
    /// What stands as `${Name}` in a value and is not reported yet.
    unnamed: RefCell<BTreeSet<String>>,
}

impl<'t> Template<'t> {
    /// What other files know of whose account it is made in is asked where the template does not name what it makes.
    pub(super) fn new(root: &'t Node, resources: &'t Node, known: impl FnOnce() -> Option<(String, String)>) -> Self {
        let names = |entry: &'t crate::document::Entry| {
            let given = entry.node.get("Properties").map(Node::entries).unwrap_or_default().iter();
            let given =
                given.filter(|property| property.key.ends_with("Name")).filter_map(|property| property.node.text());
            std::iter::once(entry.key.as_str()).chain(given)
        };
        let made: BTreeSet<&str> = resources.entries().iter().flat_map(names).collect();
        let named = account::named(resources, &made, known).map(|(_, account)| account);
        let account = named.unwrap_or_else(|| account::UNKNOWN.to_owned());
        Self {
            account,
            resources,
            parameters: root.get("Parameters"),
            conditions: root.get("Conditions"),
            mappings: root.get("Mappings"),
            stack: None,
            budget: Budget::default(),
            open: RefCell::default(),
            said: RefCell::default(),
            unnamed: RefCell::default(),
        }
    }

    /// The same, with names that no other template's are: two that have an id in common speak of two things.
    pub(super) fn apart(self, source: &Arc<str>, made_up: &mut BTreeMap<String, Arc<str>>) -> Self {
        let entries = self.resources.entries().iter();
        let ids: Vec<&str> = entries.filter(|entry| !is_named(&entry.node)).map(|entry| entry.key.as_str()).collect();
        let is_free = |stack: Option<&str>| {
            ids.iter().all(|id| made_up.get(&name_in(stack, id)).is_none_or(|template| template == source))
        };
        let stack = if is_free(None) { None } else { stacks(source).find(|stack| is_free(Some(stack.as_str()))) };
        for id in ids {
            made_up.insert(name_in(stack.as_deref(), id), source.clone());
        }
        Self { stack, ..self }
    }

    /// The name that CloudFormation makes up for what has none, as far as it is known: it ends in random letters.
    pub(super) fn made_up(&self, id: &str) -> String {
        name_in(self.stack.as_deref(), id)
    }

    /// The ARN of the role that the serverless transform makes for a function.
    pub(super) fn generated_role(&self, id: &str) -> String {
        format!("arn:aws:iam::{}:role/{}Role", self.account, self.made_up(id))
    }

    /// Says at a node what could not be followed since the last time; whether more is lost by it than a name, which the
    /// value still holds as `${Name}`.
    pub(super) fn report(&self, reader: &mut Reader<'_>, node: &Node) -> bool {
        let said = self.said.take();
        let spent = self.budget.said().map(|reason| (reason.to_owned(), false));
        let any = !said.is_empty() || spent.is_some();
        let unnamed = self.unnamed.take().into_iter().map(|reason| (reason, true));
        for (reason, is_pending) in said.into_iter().chain(spent).chain(unnamed) {
            let known = reader.unread.iter().any(|unread| unread.reason == reason);
            match is_pending {
                _ if known => {}
                true => reader.pending(node, reason),
                false => reader.miss(node, reason),
            }
        }
        any
    }

    fn say(&self, reason: String, is_pending: bool) {
        self.said.borrow_mut().insert((reason, is_pending));
    }

    /// What stands for a value that is known once the stack is made.
    fn later(&self, name: &str, reason: String) -> String {
        self.unnamed.borrow_mut().insert(reason);
        format!("${{{name}}}")
    }

    /// A value with its functions followed as far as the template tells. What is given as absent (`AWS::NoValue`) is
    /// nothing, and stands in no list or map.
    pub(super) fn value(&self, node: &Node) -> Json {
        let computed = self.budget.within(|| self.computed(node));
        match computed {
            Some(Json::String(text)) if !self.budget.text(text.len()) => Json::from(UNKNOWN),
            Some(computed) => computed,
            None => Json::from(UNKNOWN),
        }
    }

    fn computed(&self, node: &Node) -> Json {
        if let [entry] = node.entries() {
            match entry.key.as_str() {
                "Ref" => return self.reference(entry.node.text().unwrap_or_default()),
                "Fn::GetAtt" => return Json::String(self.attribute(&entry.node)),
                "Fn::Sub" => return Json::String(self.substituted(&entry.node)),
                "Fn::Join" => return Json::String(self.joined(&entry.node)),
                "Fn::If" => return self.branch(&entry.node),
                "Fn::FindInMap" => return self.mapped(&entry.node).unwrap_or_else(|| self.unfollowed("Fn::FindInMap")),
                "Fn::Select" => return self.selected(&entry.node).unwrap_or_else(|| self.unfollowed("Fn::Select")),
                "Fn::Split" => return self.parted(&entry.node).unwrap_or_else(|| self.unfollowed("Fn::Split")),
                key if key.starts_with("Fn::") => return self.unfollowed(key),
                _ => {}
            }
        }
        let is_there = |value: &Json| !value.is_null();
        match &node.value {
            Value::List(items) => Json::Array(items.iter().map(|item| self.value(item)).filter(is_there).collect()),
            Value::Map(entries) => {
                let each = entries.iter().map(|entry| (entry.key.clone(), self.value(&entry.node)));
                Json::Object(each.filter(|(_, value)| is_there(value)).collect())
            }
            _ => node.to_json(),
        }
    }

    fn unfollowed(&self, function: &str) -> Json {
        Json::String(self.later(function, format!("what `{function}` comes to is known once the stack is made")))
    }

    /// What the template's mappings hold under two keys, unless these hang on where the stack is made.
    fn mapped(&self, node: &Node) -> Option<Json> {
        let [map, top, second] = node.items() else { return None };
        let key = |node: &Node| self.compared(node);
        Some(self.value(self.mappings?.get(&key(map)?)?.get(&key(top)?)?.get(&key(second)?)?))
    }

    fn selected(&self, node: &Node) -> Option<Json> {
        let [at, list] = node.items() else { return None };
        match self.value(list) {
            Json::Array(items) => items.into_iter().nth(self.compared(at)?.parse().ok()?),
            _ => None,
        }
    }

    fn parted(&self, node: &Node) -> Option<Json> {
        let [between, text] = node.items() else { return None };
        let (between, text) = (between.text()?, self.text(Some(text))?);
        let known = !text.contains("${") && !between.is_empty() && self.budget.text(text.len());
        known.then(|| text.split(between).map(Json::from).collect())
    }

    pub(super) fn text(&self, node: Option<&Node>) -> Option<String> {
        self.value(node?).as_str().map(str::to_owned)
    }

    pub(super) fn texts(&self, node: Option<&Node>) -> Vec<String> {
        match node.map(|node| self.value(node)) {
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
            Some(Json::String(one)) => vec![one],
            _ => Vec::new(),
        }
    }

    /// Whether a node stands for nothing.
    pub(super) fn is_absent(&self, node: &Node) -> bool {
        self.value(node).is_null()
    }

    /// The node that a choice comes to; the choice itself, where that cannot be told.
    pub(super) fn chosen<'n>(&self, node: &'n Node) -> &'n Node {
        match node.entries() {
            [entry] if entry.key == "Fn::If" => match (self.holds_for(&entry.node), entry.node.items()) {
                (Some(true), [_, then, _]) => self.budget.within(|| self.chosen(then)).unwrap_or(node),
                (Some(false), [_, _, other]) => self.budget.within(|| self.chosen(other)).unwrap_or(node),
                _ => node,
            },
            _ => node,
        }
    }

    fn branch(&self, choice: &Node) -> Json {
        let [name, then, other] = choice.items() else { return Json::from("${Fn::If}") };
        match self.holds_for(choice) {
            Some(true) => self.value(then),
            Some(false) => self.value(other),
            None => {
                let (then, other) = (self.value(then), self.value(other));
                if then == other {
                    return then;
                }
                let what = format!(
                    "which value `Fn::If` takes hangs on condition `{}`, which the template alone does not decide",
                    name.text().unwrap_or_default()
                );
                self.say(what, true);
                Json::from("${Fn::If}")
            }
        }
    }

    fn holds_for(&self, choice: &Node) -> Option<bool> {
        self.condition(choice.items().first()?.text()?)
    }

    /// Whether a resource is made. Where that cannot be told it is taken to be, and said.
    pub(super) fn is_made(&self, id: &str, resource: &Node) -> bool {
        let Some(name) = text(resource, "Condition") else { return true };
        let holds = self.condition(name);
        if holds.is_none() {
            let what = format!(
                "whether `{id}` is made hangs on condition `{name}`, which the template alone does not decide: it is taken to be"
            );
            self.say(what, true);
        }
        holds.unwrap_or(true)
    }

    fn condition(&self, name: &str) -> Option<bool> {
        self.budget.within(|| self.holds(self.conditions?.get(name)?))?
    }

    /// Whether a condition holds, if it hangs on parameters with a default alone.
    fn holds(&self, node: &Node) -> Option<bool> {
        let [entry] = node.entries() else { return None };
        let each = || entry.node.items().iter().map(|item| self.budget.within(|| self.holds(item)).flatten());
        match entry.key.as_str() {
            "Condition" => self.condition(entry.node.text()?),
            "Fn::Equals" => match entry.node.items() {
                [left, right] => Some(self.compared(left)? == self.compared(right)?),
                _ => None,
            },
            "Fn::Not" => each().next()?.map(|holds| !holds),
            "Fn::And" => all(each(), false),
            "Fn::Or" => all(each(), true),
            _ => None,
        }
    }

    /// The text that a condition compares.
    fn compared(&self, node: &Node) -> Option<String> {
        if hangs_on_place(node) {
            return None;
        }
        let text = match self.value(node) {
            Json::String(text) => text,
            Json::Bool(value) => value.to_string(),
            Json::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.contains("${")).then_some(text)
    }

    fn reference(&self, name: &str) -> Json {
        match name {
            "AWS::AccountId" => return Json::from(self.account.as_str()),
            "AWS::Region" => return Json::from(REGION),
            "AWS::Partition" => return Json::from("aws"),
            "AWS::URLSuffix" => return Json::from("amazonaws.com"),
            "AWS::StackName" => return Json::from(self.stack.as_deref().unwrap_or("stack")),
            "AWS::NoValue" => return Json::Null,
            _ => {}
        }
        if let Some(default) = self.default_of(name) {
            return default;
        }
        Json::String(match self.resources.get(name).map(|node| text(node, "Type").unwrap_or_default()) {
            // A reference to these is their ARN; to everything else it is the name.
            Some(
                "AWS::IAM::ManagedPolicy"
                | "AWS::SNS::Topic"
                | "AWS::SecretsManager::Secret"
                | "AWS::StepFunctions::StateMachine",
            ) => self.arn(name),
            Some(_) => self.name(name),
            None if self.parameters.is_some_and(|all| all.get(name).is_some()) => {
                self.later(name, format!("what parameter `{name}` is given is known once the stack is made"))
            }
            None => self.later(name, format!("`{name}` is no parameter and no resource of the template")),
        })
    }

    /// What a parameter is where nothing else is given.
    fn default_of(&self, name: &str) -> Option<Json> {
        let parameter = self.parameters?.get(name)?;
        let default = parameter.get("Default")?.scalar()?;
        match text(parameter, "Type").unwrap_or_default() {
            // The default is where the value is kept, not the value.
            kind if kind.starts_with("AWS::SSM::Parameter::Value") => None,
            kind if kind == "CommaDelimitedList" || kind.starts_with("List<") => {
                Some(default.split(',').map(|one| Json::from(one.trim())).collect())
            }
            _ => Some(Json::String(default)),
        }
    }

    /// `[Role, Arn]` or `Role.Arn`.
    fn attribute(&self, node: &Node) -> String {
        let whole = node.text().map(str::to_owned);
        let parts: Vec<&str> = node.items().iter().filter_map(Node::text).collect();
        self.attribute_of(&whole.unwrap_or_else(|| parts.join(".")))
    }

    fn attribute_of(&self, whole: &str) -> String {
        match whole.split_once('.') {
            Some((name, attribute)) if attribute.ends_with("Arn") => self.arn(name),
            Some((name, _)) => self.name(name),
            None => format!("${{{whole}}}"),
        }
    }

    fn substituted(&self, node: &Node) -> String {
        let (written, own) = match node.items() {
            [written, own] => (written.text().unwrap_or_default(), Some(own)),
            _ => (node.text().unwrap_or_default(), None),
        };
        let mut out = String::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else { break };
            rest = tail;
            // `${!Literal}` is written `${Literal}`: a policy variable.
            let value = match name.strip_prefix('!') {
                Some(literal) => format!("${{{literal}}}"),
                None => self.named(name, own.and_then(|own| own.get(name))),
            };
            if !self.budget.text(out.len() + value.len()) {
                return UNKNOWN.to_owned();
            }
            out.push_str(&value);
        }
        out + rest
    }

    fn named(&self, name: &str, own: Option<&Node>) -> String {
        match own.map(|own| self.value(own)) {
            Some(Json::String(value)) => value,
            _ if name.contains('.') => self.attribute_of(name),
            _ => match self.reference(name) {
                Json::String(value) => value,
                _ => format!("${{{name}}}"),
            },
        }
    }

    fn joined(&self, node: &Node) -> String {
        let [between, parts] = node.items() else { return String::new() };
        let (parts, between) = (self.texts(Some(parts)), between.text().unwrap_or_default());
        let bytes: usize = parts.iter().map(|part| part.len().saturating_add(between.len())).sum();
        if self.budget.text(bytes) { parts.join(between) } else { UNKNOWN.to_owned() }
    }

    /// The name that a resource has or, as CloudFormation invents it later, its logical id.
    pub(super) fn name(&self, id: &str) -> String {
        let properties = self.resources.get(id).and_then(|node| node.get("Properties"));
        let given = NAMES.iter().find_map(|key| self.part(id, properties?.get(key)?));
        given.unwrap_or_else(|| self.made_up(id))
    }

    /// A part of what a resource is called by. One that hangs on itself is none.
    fn part(&self, id: &str, node: &Node) -> Option<String> {
        if self.open.borrow().iter().any(|open| open == id) {
            self.say(format!("`{id}` is named after itself"), false);
            return Some(format!("${{{id}}}"));
        }
        self.open.borrow_mut().push(id.to_owned());
        let text = self.text(Some(node));
        self.open.borrow_mut().pop();
        text
    }

    pub(super) fn arn(&self, id: &str) -> String {
        let (node, account) = (self.resources.get(id), &self.account);
        let (kind, name) = (node.and_then(|node| text(node, "Type")).unwrap_or_default(), self.name(id));
        let path = node.and_then(|node| self.part(id, node.get("Properties")?.get("Path")?));
        let path = path.unwrap_or_else(|| "/".to_owned());
        match kind {
            "AWS::IAM::ManagedPolicy" => format!("arn:aws:iam::{account}:policy{path}{name}"),
            "AWS::IAM::InstanceProfile" => format!("arn:aws:iam::{account}:instance-profile{path}{name}"),
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{}", name.to_ascii_lowercase()),
            "AWS::SQS::Queue" => format!("arn:aws:sqs:{REGION}:{account}:{name}"),
            "AWS::SNS::Topic" => format!("arn:aws:sns:{REGION}:{account}:{name}"),
            "AWS::DynamoDB::Table" => format!("arn:aws:dynamodb:{REGION}:{account}:table/{name}"),
            "AWS::SecretsManager::Secret" => format!("arn:aws:secretsmanager:{REGION}:{account}:secret:{name}"),
            "AWS::KMS::Key" => format!("arn:aws:kms:{REGION}:{account}:key/{name}"),
            _ => match (principal_kind(kind), WORKLOADS.iter().find(|one| one.0 == kind)) {
                (Some((_, _, word)), _) => format!("arn:aws:iam::{account}:{word}{path}{name}"),
                (None, Some((.., form))) => format!("arn:aws:{}{name}", form.replace("{account}", account)),
                (None, None) => {
                    let what = if kind.is_empty() { String::new() } else { format!(" ({kind})") };
                    self.later(&format!("{id}.Arn"), format!("the ARN of `{id}`{what} is known once the stack is made"))
                }
            },
        }
    }

    /// The ARN of what a policy belongs to, from what its resource calls it.
    pub(super) fn owner(&self, kind: &str, named: &str) -> String {
        if named.starts_with("arn:") {
            return named.to_owned();
        }
        // A queue is named by its address, which ends in its name.
        let (name, account) = (named.rsplit('/').next().unwrap_or(named), &self.account);
        match kind {
            "AWS::S3::BucketPolicy" => format!("arn:aws:s3:::{}", named.to_ascii_lowercase()),
            "AWS::SQS::QueuePolicy" => format!("arn:aws:sqs:{REGION}:{account}:{name}"),
            "AWS::SecretsManager::ResourcePolicy" => format!("arn:aws:secretsmanager:{REGION}:{account}:secret:{name}"),
            _ => named.to_owned(),
        }
    }
}

/// Whether a resource says its name itself.
fn is_named(resource: &Node) -> bool {
    let properties = resource.get("Properties");
    properties.is_some_and(|properties| NAMES.iter().any(|key| properties.get(key).is_some()))
}

fn name_in(stack: Option<&str>, id: &str) -> String {
    stack.map_or_else(|| id.to_owned(), |stack| format!("{stack}-{id}"))
}

/// What the stack of a file may be called: as the file, with its folder where many have one name, or with a number.
fn stacks(source: &str) -> impl Iterator<Item = String> {
    let plain = |part: &OsStr| -> String {
        let letters = part.to_string_lossy();
        letters.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
    };
    let path = Path::new(source);
    let file = path.file_stem().map_or_else(|| "stack".to_owned(), plain);
    let folder = path.parent().and_then(Path::file_name).map(|folder| format!("{}-{file}", plain(folder)));
    let numbered = (2_u32..).map({
        let file = file.clone();
        move |number| format!("{file}-{number}")
    });
    std::iter::once(file).chain(folder).chain(numbered)
}

/// `any` if one is, else the opposite if all are known.
fn all(each: impl Iterator<Item = Option<bool>>, any: bool) -> Option<bool> {
    let each: Vec<Option<bool>> = each.collect();
    if each.contains(&Some(any)) {
        return Some(any);
    }
    each.iter().all(Option::is_some).then_some(!any)
}

/// Whether something that is known only where the stack is made stands in a node.
fn hangs_on_place(node: &Node) -> bool {
    node.text().is_some_and(|text| PLACES.iter().any(|place| text.contains(place)))
        || node.items().iter().any(hangs_on_place)
        || node.entries().iter().any(|entry| hangs_on_place(&entry.node))
}
