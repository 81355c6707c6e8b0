//! Policy documents: parsed once into a form that cannot be half understood.

use serde_json::Value as Json;

use super::condition::{Condition, Context};
use super::pattern::Pattern;
use super::truth::Truth;

/// A parsed policy document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its statements in order.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The author's name for it.
    pub sid: Option<String>,
    /// The line in the source, from 1, where the source has lines.
    pub line: Option<u32>,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it names; absent in identity policies.
    pub principals: Option<Principals>,
    /// The actions, in lower case.
    pub actions: Choice,
    /// The resources; absent in trust policies.
    pub resources: Option<Choice>,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The statement grants.
    Allow,
    /// The statement forbids, and wins.
    Deny,
}

/// `Action`/`Resource`, or `NotAction`/`NotResource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Any of these.
    Of(Vec<Pattern>),
    /// All but these.
    Except(Vec<Pattern>),
}

/// `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    /// Any of these.
    Of(Vec<Named>),
    /// All but these.
    Except(Vec<Named>),
}

/// One entry of a `Principal` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// `*`
    Anyone,
    /// An ARN, an account id or a unique id under `AWS`.
    Aws(String),
    /// A service, for example `lambda.amazonaws.com`.
    Service(String),
    /// An OIDC or SAML provider.
    Federated(String),
    /// An S3 canonical user.
    Canonical(String),
}

/// Why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not a JSON object.
    #[error("a policy document is a JSON object")]
    NotAnObject,
    /// No `Statement`.
    #[error("the document has no `Statement`")]
    NoStatement,
    /// A statement is not an object, or its effect is neither `Allow` nor `Deny`.
    #[error("statement {0} has no `Effect` of `Allow` or `Deny`")]
    NoEffect(usize),
    /// A statement has neither `Action` nor `NotAction`.
    #[error("statement {0} has neither `Action` nor `NotAction`")]
    NoAction(usize),
    /// A `Condition`, or an operator in it, is no object: without it the statement would hold always.
    #[error("statement {0} has a `Condition` that is not of the form operator, key, values")]
    NoCondition(usize),
}

impl Document {
    /// Parses a document. `lines` are the statements' lines where the source has any.
    ///
    /// One bad statement makes the whole document unusable: AWS would not have stored it, so it was
    /// misread, and what was misread may hold a deny.
    pub fn parse(json: &Json, lines: &[u32]) -> Result<Self, DocumentError> {
        let object = json.as_object().ok_or(DocumentError::NotAnObject)?;
        // The older version has no policy variables, and it is the default.
        let variables = object.get("Version").and_then(Json::as_str) == Some("2012-10-17");
        let statements: Vec<&Json> = match object.get("Statement").ok_or(DocumentError::NoStatement)? {
            Json::Array(statements) => statements.iter().collect(),
            statement => vec![statement],
        };
        let parse = |(index, json)| Statement::parse(json, index, variables);
        let mut statements = statements.into_iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        for (statement, line) in statements.iter_mut().zip(lines) {
            statement.line = Some(*line);
        }
        Ok(Self { statements })
    }
}

impl Statement {
    fn parse(json: &Json, index: usize, variables: bool) -> Result<Self, DocumentError> {
        let effect = match json.get("Effect").and_then(Json::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(DocumentError::NoEffect(index)),
        };
        let action = Pattern::folded;
        // What a tool left open is so in any version.
        let resource = |text: &str| match variables || is_later(text) {
            true => Pattern::with_variables(text),
            false => Pattern::plain(text),
        };
        Ok(Self {
            sid: json.get("Sid").and_then(Json::as_str).filter(|sid| !sid.is_empty()).map(str::to_owned),
            line: None,
            effect,
            principals: principals(json),
            actions: choice(json, ["Action", "NotAction"], action).ok_or(DocumentError::NoAction(index))?,
            resources: choice(json, ["Resource", "NotResource"], resource),
            conditions: conditions(json.get("Condition"), variables).ok_or(DocumentError::NoCondition(index))?,
        })
    }

    /// Whether an action, given in lower case, is among the statement's actions.
    pub fn has_action(&self, action: &str) -> bool {
        match &self.actions {
            Choice::Of(patterns) => patterns.iter().any(|pattern| pattern.may_match(action)),
            Choice::Except(patterns) => !patterns.iter().any(|pattern| pattern.may_match(action)),
        }
    }

    /// Whether a resource is among the statement's resources.
    pub fn has_resource(&self, resource: &str, context: &Context) -> Truth {
        match &self.resources {
            None => Truth::Yes,
            Some(Choice::Of(patterns)) => Truth::any(patterns.iter().map(|pattern| covers(pattern, resource, context))),
            Some(Choice::Except(patterns)) => {
                let excepts =
                    |pattern: &Pattern| covers(pattern, resource, context).or(pattern.excepts(resource, context));
                Truth::any(patterns.iter().map(excepts)).negate()
            }
        }
    }

    /// Whether what is known of the request decides anything: only conditions and policy variables ask for it.
    pub fn asks_context(&self) -> bool {
        let named = match &self.resources {
            Some(Choice::Of(patterns) | Choice::Except(patterns)) => patterns.as_slice(),
            None => &[],
        };
        !self.conditions.is_empty() || named.iter().any(Pattern::has_variables)
    }

    /// Whether all conditions hold.
    pub fn conditions_hold(&self, context: &Context) -> Truth {
        let one = |condition: &Condition| match self.effect {
            Effect::Allow if condition.is_chosen(context) => Truth::Yes,
            Effect::Deny if condition.is_chosen(context) => Truth::No,
            _ => condition.holds(context),
        };
        Truth::all(self.conditions.iter().map(one))
    }
}

/// Whether a pattern covers a resource. A name in which the type of a resource stands where its service should
/// (`arn:aws:instance:…:instance/x`) is one that AWS would refuse: some tool put it there for a name that it did not
/// know, so what it stands for may be the resource.
fn covers(pattern: &Pattern, resource: &str, context: &Context) -> Truth {
    let truth = pattern.matches(resource, context);
    if truth != Truth::No || placeholder(pattern.as_str()).is_none() {
        return truth;
    }
    let parts = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (named, asked) = (parts(pattern.as_str()), parts(resource));
    let kind = |parts: &[String]| parts.get(5).and_then(|rest| rest.split(['/', ':']).next()).map(str::to_owned);
    let same_but_service = named.get(3..) == asked.get(3..);
    match kind(&named) == kind(&asked) {
        true if same_but_service => Truth::Yes,
        true => Truth::Unknown,
        false => Truth::No,
    }
}

/// Whether a name has a variable that a tool put there for a value that it did not know: every key of AWS has one colon.
pub(crate) fn is_later(name: &str) -> bool {
    name.split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .any(|key| key.len() > 1 && key.matches(':').count() != 1)
}

/// The type of resource of a name that no service has.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let mut parts = text.splitn(6, ':');
    let (_, service, resource) = (parts.next()?, parts.nth(1)?, parts.nth(2)?);
    let kind = resource.split(['/', ':']).next()?;
    (!kind.is_empty() && kind != "*" && service == kind).then_some(kind)
}

/// A string or a list of strings.
fn texts(json: &Json) -> Vec<String> {
    match json {
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::String(text) => vec![text.clone()],
        Json::Bool(value) => vec![value.to_string()],
        Json::Number(value) => vec![value.to_string()],
        Json::Null | Json::Object(_) => Vec::new(),
    }
}

fn choice(json: &Json, [of, except]: [&str; 2], compile: impl Fn(&str) -> Pattern) -> Option<Choice> {
    let patterns = |json: &Json| texts(json).iter().map(|text| compile(text)).collect();
    match (json.get(of), json.get(except)) {
        (Some(json), _) => Some(Choice::Of(patterns(json))),
        (None, Some(json)) => Some(Choice::Except(patterns(json))),
        (None, None) => None,
    }
}

fn conditions(json: Option<&Json>, variables: bool) -> Option<Vec<Condition>> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Some(Vec::new()) };
    let mut conditions = Vec::new();
    for (operator, keys) in json.as_object()? {
        for (key, values) in keys.as_object()? {
            conditions.push(Condition::new(operator, key, texts(values), variables));
        }
    }
    Some(conditions)
}

fn principals(json: &Json) -> Option<Principals> {
    match (json.get("Principal"), json.get("NotPrincipal")) {
        (Some(json), _) => Some(Principals::Of(named(json))),
        (None, Some(json)) => Some(Principals::Except(named(json))),
        (None, None) => None,
    }
}

fn named(json: &Json) -> Vec<Named> {
    let Json::Object(kinds) = json else {
        return texts(json)
            .into_iter()
            .map(|text| if text == "*" { Named::Anyone } else { Named::Aws(text) })
            .collect();
    };
    let name = |kind: &str, text: String| match kind {
        "AWS" if text == "*" => Named::Anyone,
        "Service" => Named::Service(text),
        "Federated" => Named::Federated(text),
        "CanonicalUser" => Named::Canonical(text),
        _ => Named::Aws(text),
    };
    kinds.iter().flat_map(|(kind, value)| texts(value).into_iter().map(move |text| name(kind, text))).collect()
}
