//! What the operator bounds beside the policies: mandates (what an agent is meant to do) and budgets (how much).
//! They are part of the snapshot, so that a verdict can be recomputed. What a call exceeds is told to policies as
//! `context.mandate` and `context.budget`; the shipped `mandate.cedar` says what follows from it.
//!
//! INVARIANT: absence denies. Where no rule of the operator's speaks of mandates (or budgets), what exceeds one is
//! denied, and a budget whose state is not in the record denies too. This module never counts: how much was used
//! is a fact of the action, see [`USED`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use graph::compare::covers;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, Verb};
use crate::host::{self, Host};
use crate::label::{Confidentiality, DataClass, Role};
use crate::leaves::leaves;
use crate::tool::{EffectKind, ToolFacts};

/// The fact of an action that says how much of its budgets was used: account to [`Used`].
pub const USED: &str = "budget";
/// The fact of an action that lists the breakers that are open for it, as [`Opened`].
pub const OPENED: &str = "breaker";

/// All bounds of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The mandates that the operator adopted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mandates: Vec<Mandate>,
    /// Budgets of every agent, from the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

/// What an agent is meant to do. What it says nothing of is `None`, and is not bounded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mandate {
    /// The file's name among the adopted ones.
    pub name: String,
    /// The agents that it governs; every one if empty.
    pub agents: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub purpose: String,
    /// The users for whom it may act.
    pub triggers: Option<Listed>,
    /// `server/tool`, either of which may be `*`.
    pub tools: Option<Listed>,
    /// Effects.
    pub actions: Option<Listed>,
    /// Classes of data.
    pub data: Option<Listed>,
    /// Hosts.
    pub destinations: Option<Listed>,
    /// From this time on nothing is inside it.
    pub expires: Option<Expiry>,
    /// What becomes of what is outside.
    pub otherwise: Otherwise,
    /// How much.
    pub budgets: Vec<Budget>,
}

/// A list, and the line that it stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The items.
    pub items: Vec<String>,
    /// The line, from 1.
    pub line: u32,
}

/// The end of a mandate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The first moment that is outside.
    pub at: Timestamp,
    /// The line, from 1.
    pub line: u32,
}

/// What becomes of a call that exceeds a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It is denied.
    #[default]
    Deny,
    /// A person is asked.
    Ask,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Calls of tools that are permitted.
    Calls,
    /// Those with an effect other than reading.
    Writes,
    /// Hundredths of what arguments of the role `amount` say, of tools that pay.
    Cents,
    /// Bytes of arguments.
    Bytes,
    /// Questions to a person.
    Asks,
}

/// How long a budget lasts, in windows of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// How much of something in a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Where it stands: `shop.toml` or `settings.toml`.
    pub file: String,
    /// The line, from 1; 0 if nobody knows it.
    #[serde(default)]
    pub line: u32,
    /// What is counted.
    pub measure: Measure,
    /// In which time.
    pub per: Per,
    /// The most.
    pub limit: u64,
    /// Whether each user of an agent has one of his own.
    #[serde(default)]
    pub each_user: bool,
    /// Only calls of these tools, `server/tool` with `*`; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// What becomes of a call beyond it.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// What was used of a budget when a call was judged, and what the call costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Before the call.
    pub used: u64,
    /// The call's own; `None` if it cannot be known, which is more than any limit.
    pub cost: Option<u64>,
    /// When the window began.
    pub since: Timestamp,
    /// Whether a question to a person costs it, and not the call itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
}

/// A breaker that is open for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// `agent NAME`, `server NAME` or `everything`.
    pub of: String,
    /// What becomes of calls.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// When it closes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A budget that a call draws on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge<'a> {
    /// Which.
    pub budget: &'a Budget,
    /// What names its account.
    pub account: String,
    /// What the call costs.
    pub cost: Option<u64>,
}

/// One bound that a call exceeds, in words for whoever called and whoever answers for it. INVARIANT: the text names
/// places, fields, tools and times, and never a value of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    /// The field, as `tools` or `calls_per_day`.
    pub(crate) field: String,
    pub(crate) text: String,
    pub(crate) otherwise: Otherwise,
}

/// What a call exceeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// `None` where no mandate governs the agent.
    pub(crate) mandate: Option<Vec<Excess>>,
    /// The purposes of the mandates that govern it.
    pub(crate) purposes: Vec<String>,
    /// `None` where no budget is drawn on.
    pub(crate) budget: Option<Vec<Excess>>,
    /// Why no person may be asked about it.
    pub(crate) unaskable: Option<Excess>,
    pub(crate) breakers: Vec<Opened>,
}

impl Bounds {
    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        self.mandates.is_empty() && self.budgets.is_empty()
    }

    /// Whether anything is counted.
    pub fn has_budgets(&self) -> bool {
        !self.budgets.is_empty() || self.mandates.iter().any(|mandate| !mandate.budgets.is_empty())
    }

    fn governing(&self, action: &Action) -> impl Iterator<Item = &Mandate> {
        self.mandates.iter().filter(|mandate| mandate.governs(&action.principal.agent))
    }

    /// The budgets that an action draws on. Listing is free.
    pub(crate) fn charges(&self, action: &Action, tool: Option<&ToolFacts>) -> Vec<Charge<'_>> {
        if action.verb == Verb::ListTool {
            return Vec::new();
        }
        let budgets = self.governing(action).flat_map(|mandate| &mandate.budgets).chain(&self.budgets);
        let due = budgets.filter(|budget| budget.is_drawn_on(action, tool));
        due.map(|budget| Charge { budget, account: budget.account(action), cost: budget.cost(action, tool) }).collect()
    }

    /// What a call exceeds, or what is missing from the record to say so.
    pub(crate) fn exceeded(
        &self,
        action: &Action,
        tool: Option<&ToolFacts>,
        now: Timestamp,
    ) -> Result<Exceeded, String> {
        let mut exceeded = Exceeded { breakers: opened(action)?, ..Exceeded::default() };
        if self.is_empty() {
            return Ok(exceeded);
        }
        for mandate in self.governing(action) {
            exceeded.purposes.push(mandate.purpose.clone());
            exceeded.mandate.get_or_insert_default().extend(mandate.exceeded(action, tool, now));
        }
        let charges = self.charges(action, tool);
        if charges.is_empty() {
            return Ok(exceeded);
        }
        let used = used(action)?;
        for charge in charges {
            let state = used
                .get(&charge.account)
                .ok_or_else(|| format!("what was used of `{}` is not known", charge.budget))?;
            let over = charge.budget.over(state, now);
            let found = exceeded.budget.get_or_insert_default();
            match over {
                None => {}
                Some(excess) if charge.budget.measure == Measure::Asks => exceeded.unaskable = Some(excess),
                Some(excess) => found.push(excess),
            }
        }
        Ok(exceeded)
    }
}

/// What was used, as the record has it.
fn used(action: &Action) -> Result<BTreeMap<String, Used>, String> {
    let Some(fact) = action.facts.get(USED) else { return Ok(BTreeMap::new()) };
    BTreeMap::deserialize(fact).map_err(|error| format!("fact `{USED}`: {error}"))
}

fn opened(action: &Action) -> Result<Vec<Opened>, String> {
    let Some(fact) = action.facts.get(OPENED) else { return Ok(Vec::new()) };
    Vec::deserialize(fact).map_err(|error| format!("fact `{OPENED}`: {error}"))
}

impl Mandate {
    /// Whether it is for this agent.
    pub fn governs(&self, agent: &str) -> bool {
        self.agents.is_empty() || self.agents.iter().any(|name| name == agent)
    }

    fn exceeded(&self, action: &Action, tool: Option<&ToolFacts>, now: Timestamp) -> Vec<Excess> {
        let found = [
            self.expired(now),
            self.untriggered(action),
            self.other_tool(action),
            self.other_effect(action, tool),
            self.other_data(action, tool),
            self.other_host(action, tool),
        ];
        found.into_iter().flatten().collect()
    }

    fn excess(&self, field: &str, line: u32, text: String) -> Excess {
        let text = format!("`{}` line {line}: {text}.", self.name);
        Excess { field: field.to_owned(), text, otherwise: self.otherwise }
    }

    fn expired(&self, now: Timestamp) -> Option<Excess> {
        let expiry = self.expires.as_ref().filter(|expiry| now >= expiry.at)?;
        let text = format!("it ended at {}; a mandate that is still valid must be adopted", expiry.at);
        Some(self.excess("expires", expiry.line, text))
    }

    fn untriggered(&self, action: &Action) -> Option<Excess> {
        let listed = self.triggers.as_ref().filter(|listed| !listed.items.contains(&action.principal.user))?;
        let text = "`triggers` does not name the user for whom this is done".to_owned();
        Some(self.excess("triggers", listed.line, text))
    }

    fn other_tool(&self, action: &Action) -> Option<Excess> {
        let is_tool = matches!(action.verb, Verb::CallTool | Verb::ListTool);
        let listed = self.without(&action.tool.server, is_tool.then_some(&action.tool.name))?;
        let name = if is_tool { format!("tool `{}`", action.tool) } else { format!("server `{}`", action.tool.server) };
        Some(self.excess("tools", listed.line, format!("`allow.tools` does not name the {name}")))
    }

    /// `allow.tools`, where it does not name a tool, or without one nothing of a server.
    pub(crate) fn without(&self, server: &str, tool: Option<&str>) -> Option<&Listed> {
        let listed = self.tools.as_ref()?;
        (!listed.items.iter().any(|pattern| matches_tool(pattern, server, tool))).then_some(listed)
    }

    fn other_effect(&self, action: &Action, tool: Option<&ToolFacts>) -> Option<Excess> {
        let listed = self.actions.as_ref()?;
        let other = effects(action, tool).into_iter().find(|effect| !listed.items.iter().any(|item| item == effect))?;
        Some(self.excess("actions", listed.line, format!("`allow.actions` does not name `{other}`")))
    }

    /// The call's own arguments; what a result will hold nobody knows before.
    fn other_data(&self, action: &Action, tool: Option<&ToolFacts>) -> Option<Excess> {
        let listed = self.data.as_ref()?;
        let has = |word: &str| listed.items.iter().any(|item| item == word);
        let levels = LEVELS.iter().filter(|(word, _)| has(word)).map(|(_, level)| *level);
        // Classes alone say nothing of levels; an empty list says: nothing but what is public.
        let most = levels.max().or(listed.items.is_empty().then_some(Confidentiality::Public));
        let labels = || action.labels.arguments.iter().map(|argument| &argument.label);
        let leaves = leaves(&action.arguments, &action.labels.arguments, tool);
        // What nobody labelled may be anything.
        let unlabelled = leaves.iter().any(|leaf| leaf.label.is_none()).then_some(Confidentiality::Secret);
        let levels = labels().map(|label| label.confidentiality).chain(unlabelled);
        let level = levels.max().unwrap_or(Confidentiality::Public);
        let word = if most.is_some_and(|most| level > most) {
            LEVELS.iter().find(|(_, known)| *known == level).map(|(word, _)| *word)
        } else {
            let mut classes = labels().flat_map(|label| &label.classes).map(|class| class_name(*class));
            classes.find(|class| !has(class))
        };
        Some(self.excess("data", listed.line, format!("`allow.data` does not name `{}`", word?)))
    }

    fn other_host(&self, action: &Action, tool: Option<&ToolFacts>) -> Option<Excess> {
        let listed = self.destinations.as_ref()?;
        let allowed = |host: &str| listed.items.iter().any(|pattern| matches_host(pattern, host));
        let text = match hosts(action, tool) {
            None if allowed("*") => return None,
            None => "where this sends to cannot be told, and `allow.destinations` does not name `*`",
            Some(hosts) if hosts.iter().all(|host| allowed(host)) => return None,
            Some(_) => "`allow.destinations` does not name a host of this call",
        };
        Some(self.excess("destinations", listed.line, text.to_owned()))
    }
}

/// The levels of confidentiality that a mandate can name.
const LEVELS: [(&str, Confidentiality); 4] = [
    ("public", Confidentiality::Public),
    ("internal", Confidentiality::Internal),
    ("confidential", Confidentiality::Confidential),
    ("secret", Confidentiality::Secret),
];

/// The words of `allow.data` that a decision can tell apart; others are compared only by `scan`.
pub fn data_words() -> impl Iterator<Item = &'static str> {
    let classes = [DataClass::Personal, DataClass::Payment, DataClass::Credential].map(class_name);
    LEVELS.iter().map(|(word, _)| *word).chain(classes)
}

pub(crate) fn class_name(class: DataClass) -> &'static str {
    match class {
        DataClass::Personal => "personal",
        DataClass::Payment => "payment",
        DataClass::Credential => "credential",
    }
}

/// A server's name as mandates write it.
fn plain(server: &str) -> String {
    server.replace('/', "-")
}

/// Whether a pattern names a tool, or without one anything of a server.
fn matches_tool(pattern: &str, server: &str, tool: Option<&str>) -> bool {
    let parts = pattern.split_once('/');
    parts.is_some_and(|(of, name)| covers(of, &plain(server)) && tool.is_none_or(|tool| covers(name, tool)))
}

fn matches_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(&Host::of(domain).name).is_some_and(|front| front.ends_with('.')),
        None => pattern == "*" || Host::of(pattern).name == host,
    }
}

/// What is no tool (a resource, a prompt) is read; a server's own requests have no effect of a tool.
fn effects(action: &Action, tool: Option<&ToolFacts>) -> Vec<&'static str> {
    match (action.verb, tool) {
        (Verb::ReadResource | Verb::GetPrompt, _) => vec![EffectKind::Read.as_str()],
        (_, Some(tool)) => tool.effects.iter().map(|effect| effect.as_str()).collect(),
        (_, None) => Vec::new(),
    }
}

/// The fact that a call holds more paths or hosts than its door has read.
pub const UNREAD: &str = "unread";

/// The hosts that a call sends to: those that the door read out of it, those of recipients' mail addresses, and
/// destinations. `None` if it may be any. INVARIANT: absence denies. A recipient or a destination of which no host can be
/// read may be anywhere.
fn hosts(action: &Action, tool: Option<&ToolFacts>) -> Option<Vec<String>> {
    let shell = action.facts.get("shell");
    let is_unread = action.facts.get(UNREAD) == Some(&Value::Bool(true));
    if is_unread || shell.is_some_and(|shell| shell.get("parsed") != Some(&Value::Bool(true))) {
        return None;
    }
    // A program of it may reach any.
    if shell.is_some_and(|shell| shell.get("reaches").is_some_and(|reaches| reaches == "unknown")) {
        return None;
    }
    let read = action.facts.get("hosts").and_then(Value::as_array);
    let mut hosts: Vec<Host> = read.into_iter().flatten().filter_map(Value::as_str).map(Host::of).collect();
    for leaf in leaves(&action.arguments, &action.labels.arguments, tool) {
        let text = match &*leaf.value {
            Value::String(text) => Cow::Borrowed(text.trim()),
            other => Cow::Owned(other.to_string()),
        };
        match leaf.role {
            _ if text.is_empty() => {}
            Role::Recipient => hosts.extend(of_recipients(&text)?),
            Role::Destination => hosts.extend(of_destination(&text)?),
            _ => hosts.extend(host::of_url(&text)),
        }
    }
    hosts.into_iter().map(|host| host.is_read.then_some(host.name)).collect()
}

/// The hosts of mail addresses, or of an address on the web. `None` if one has none.
fn of_recipients(text: &str) -> Option<Vec<Host>> {
    let url = host::of_url(text);
    let mut hosts = Vec::new();
    for one in text.split([',', ';']).map(str::trim).filter(|one| !one.is_empty()) {
        let domains = one.split('@').skip(1);
        let domains = domains.filter_map(|rest| rest.split(|end: char| end == '>' || end.is_whitespace()).next());
        let before = hosts.len();
        hosts.extend(domains.map(Host::of));
        if hosts.len() == before && url.is_none() {
            return None;
        }
    }
    hosts.extend(url);
    Some(hosts)
}

/// The host of an address with or without a scheme, and of further ones beside it. `None` if there is none.
fn of_destination(text: &str) -> Option<Vec<Host>> {
    let parts =
        || text.split(|end: char| end.is_whitespace() || matches!(end, ',' | ';')).filter(|one| !one.is_empty());
    match host::of_url(text) {
        Some(host) => Some(parts().filter_map(host::of_url).chain([host]).collect()),
        // An address of which the host cannot be read may lead anywhere.
        None => parts().map(|one| host::bare(one).filter(|_| !one.contains("://"))).collect(),
    }
}

/// The words of fields that limit something.
const MEASURES: [(&str, Measure); 5] = [
    ("calls", Measure::Calls),
    ("writes", Measure::Writes),
    ("cents", Measure::Cents),
    ("bytes", Measure::Bytes),
    ("asks", Measure::Asks),
];
const TIMES: [(&str, Per); 3] = [("minute", Per::Minute), ("hour", Per::Hour), ("day", Per::Day)];

/// What a field such as `calls_per_day` limits; `None` for what no decision can count.
pub fn limit(field: &str) -> Option<(Measure, Per)> {
    let (measure, per) = field.split_once("_per_")?;
    let measure = MEASURES.iter().find(|(word, _)| *word == measure)?.1;
    Some((measure, TIMES.iter().find(|(word, _)| *word == per)?.1))
}

impl fmt::Display for Budget {
    /// The field that sets it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measure = MEASURES.iter().find(|(_, known)| *known == self.measure).map_or("", |(word, _)| *word);
        let per = TIMES.iter().find(|(_, known)| *known == self.per).map_or("", |(word, _)| *word);
        write!(f, "{measure}_per_{per}")
    }
}

impl Per {
    /// In seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The first second of the window that a time falls into.
    pub fn window(self, now: Timestamp) -> i64 {
        now.as_second().div_euclid(self.seconds()) * self.seconds()
    }

    fn ends(self, now: Timestamp) -> Timestamp {
        Timestamp::from_second(self.window(now) + self.seconds()).unwrap_or(Timestamp::MAX)
    }
}

impl Budget {
    /// What names the account that an action draws on. It outlives changes of the limit and of the file's lines.
    fn account(&self, action: &Action) -> String {
        let who = &action.principal;
        let user = if self.each_user { format!(" for {}", who.user) } else { String::new() };
        let tools = self.tools.as_deref().map(|tools| format!(" of {tools}")).unwrap_or_default();
        format!("{} {self}{tools}: {}{user}", self.file, who.agent)
    }

    fn is_drawn_on(&self, action: &Action, tool: Option<&ToolFacts>) -> bool {
        let has = |wanted: fn(EffectKind) -> bool| {
            tool.is_none_or(|tool| tool.effects.is_empty() || tool.effects.iter().copied().any(wanted))
        };
        let is_call = action.verb == Verb::CallTool;
        let counts = match self.measure {
            Measure::Calls | Measure::Bytes => is_call,
            Measure::Writes => is_call && has(|effect| effect != EffectKind::Read),
            Measure::Cents => is_call && has(|effect| effect == EffectKind::Pay),
            Measure::Asks => true,
        };
        counts
            && self
                .tools
                .as_deref()
                .is_none_or(|pattern| matches_tool(pattern, &action.tool.server, Some(&action.tool.name)))
    }

    fn cost(&self, action: &Action, tool: Option<&ToolFacts>) -> Option<u64> {
        match self.measure {
            Measure::Calls | Measure::Writes | Measure::Asks => Some(1),
            Measure::Bytes => u64::try_from(action.arguments.to_string().len()).ok(),
            Measure::Cents => cents(action, tool),
        }
    }

    fn over(&self, state: &Used, now: Timestamp) -> Option<Excess> {
        let is_over = |cost: u64| state.used.checked_add(cost).is_none_or(|sum| sum > self.limit);
        let free = self.per.ends(now);
        let said = match state.cost {
            Some(cost) if cost > self.limit => format!("this call alone is more than {} allow", self.limit),
            Some(cost) if is_over(cost) => format!("{} of {} are used; free again at {free}", state.used, self.limit),
            Some(_) => return None,
            None => "what this call costs cannot be read from its arguments".to_owned(),
        };
        let line = if self.line > 0 { format!(" line {}", self.line) } else { String::new() };
        let text = format!("`{}`{line}, `{self}`: {said}.", self.file);
        Some(Excess { field: self.to_string(), text, otherwise: self.otherwise })
    }
}

/// The sum of all amounts, in hundredths, rounded up. `None` if there is none, or one is no amount: money whose sum
/// nobody knows is no small sum.
fn cents(action: &Action, tool: Option<&ToolFacts>) -> Option<u64> {
    let leaves = leaves(&action.arguments, &action.labels.arguments, tool);
    let amounts = leaves.iter().filter(|leaf| leaf.role == Role::Amount).map(|leaf| match &*leaf.value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    let mut sum = None;
    for amount in amounts {
        // `NaN` is neither below nor above anything, so a range that it must lie in is asked for.
        let amount = amount.filter(|amount| (0.0..=9e13).contains(amount))?;
        // Beyond 9e15 a float skips whole numbers.
        let cents = (amount * 100.0 - 1e-6).ceil().max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let whole = cents as u64;
        sum = Some(whole.checked_add(sum.unwrap_or(0))?);
    }
    sum
}

impl Excess {
    pub(crate) fn asks(&self) -> bool {
        self.otherwise == Otherwise::Ask
    }
}

impl Opened {
    /// In words for the agent.
    pub(crate) fn text(&self) -> String {
        let until = match self.until {
            Some(until) => format!("until {until}, or until a person resumes it"),
            None => "until a person resumes it".to_owned(),
        };
        let what = match self.of.split_once(' ') {
            Some(("agent", _)) => "This agent is stopped",
            Some(("server", _)) => "This server is stopped",
            _ => "Everything is stopped",
        };
        format!("{what} {until}.")
    }
}
