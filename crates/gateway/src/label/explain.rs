//! One sentence for each argument that speaks against a call: which, where its value came from, and what would let it
//! pass. For operators and approvers, and for the agent: of values it quotes only what the agent itself wanted to send, of
//! places only those whose content the agent was given.
//!
//! What would let a call pass is not guessed: the law is asked again about the same call, had the user named its values,
//! asked for it, or were nothing in it protected.

use std::collections::HashMap;

use jiff::Timestamp;
use policy::{
    Action, ArgumentLabel, Choice, Confidentiality, Decision, Effect, EffectKind, Label, Labels, Request, Role,
};
use policy::{Snapshot, ToolFacts, decide};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::Account;
use super::trace::Tracer;

/// How much of a value is shown.
const SHOWN_MAX_CHARS: usize = 60;

/// Why one argument (or the call as a whole) speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The argument as a JSON pointer; empty for the call as a whole.
    pub pointer: String,
    /// The entry that its value came from, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The sentence.
    pub text: String,
}

impl Why {
    /// The sentence as one that stands by itself.
    pub(crate) fn sentence(&self) -> String {
        let mut letters = self.text.trim_end_matches('.').chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// What a stop leaves open.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Whether a person may approve the call as it is.
    approved: bool,
    /// What became of it, had the user named its values.
    named: Had,
    /// Had the user asked for it.
    asked: Had,
    /// Both.
    both: Had,
    /// Whether it is stopped for what it carries.
    protects: bool,
}

/// What would have become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Had {
    Permit,
    Ask,
    Deny,
}

/// Of an ask of which nothing else is known.
impl Default for Ways {
    fn default() -> Self {
        let passes = Had::Permit;
        Self { approved: true, named: passes, asked: passes, both: passes, protects: false }
    }
}

impl Ways {
    /// What the law leaves open of a call that it stopped.
    pub fn of(snapshot: &Snapshot, action: &Action, stopped: &Decision, now: Timestamp) -> Self {
        let had = |change: &dyn Fn(&mut Labels)| {
            let mut other = action.clone();
            change(&mut other.labels);
            decide(snapshot, &other, now)
        };
        let both = |labels: &mut Labels| {
            name(labels);
            labels.request = Request::Named;
        };
        let open = had(&open);
        Self {
            approved: stopped.errors.is_empty() && matches!(stopped.effect, Effect::Ask { .. }),
            named: became(&had(&name)),
            asked: became(&had(&|labels| labels.request = Request::Named)),
            both: became(&had(&both)),
            protects: open.effect != stopped.effect || open.reasons != stopped.reasons,
        }
    }

    /// The end of a sentence about what the user may say: alone, and together with the rest.
    fn if_user(self, alone: (Had, &str), together: &str) -> String {
        let (had, what) = match (alone.0, self.both) {
            (Had::Permit, _) => (Had::Permit, alone.1),
            (_, both) => (both, together),
        };
        match (had, self.approved) {
            // What is joined already is parted from the rest.
            (Had::Permit, true) if what.contains(" and ") => format!("it passes if {what}, or a person approves it"),
            (Had::Permit, true) => format!("it passes if {what} or a person approves it"),
            (Had::Permit, false) => format!("it passes if {what}"),
            (_, true) => "it passes if a person approves it".to_owned(),
            (Had::Ask, false) => format!("if {what}, a person may approve it"),
            (Had::Deny, false) => "nothing that the user says lifts this".to_owned(),
        }
    }

    fn without(self) -> String {
        let mut text = "it passes without that".to_owned();
        if self.named == Had::Permit {
            text.push_str(", or if the user names where it goes");
        }
        if self.approved {
            text.push_str(", or if a person approves it");
        }
        text
    }
}

fn became(decision: &Decision) -> Had {
    match decision.effect {
        _ if !decision.errors.is_empty() => Had::Deny,
        Effect::Permit => Had::Permit,
        Effect::Ask { .. } => Had::Ask,
        Effect::Deny => Had::Deny,
    }
}

/// Had the user named the values that others chose, and the places that it goes to.
fn name(labels: &mut Labels) {
    labels.arguments.retain(|argument| argument.role != Role::Link);
    for argument in &mut labels.arguments {
        let is_place = matches!(argument.role, Role::Recipient | Role::Destination | Role::Account);
        if is_place || argument.choice == Choice::Untrusted {
            argument.choice = Choice::User;
            argument.named_by_user = true;
        }
    }
}

/// Were nothing in it protected.
fn open(labels: &mut Labels) {
    for argument in &mut labels.arguments {
        argument.label.confidentiality = Confidentiality::Public;
        argument.label.classes.clear();
    }
}

pub(crate) fn why(tracer: &Tracer<'_>, arguments: &Value, labels: &Labels, ways: Ways) -> Vec<Why> {
    let (account, tool) = (Account::of(tracer, arguments), tracer.tool);
    let mut against = against(tracer, arguments, labels);
    // What came from the source that accounts for most of the call is said first; what a call is aimed at comes
    // before what it carries along.
    against.sort_by_key(|it| (account.rank_of(&it.label.label.origins), it.label.role == Role::Link));
    let lifted = match against.len() {
        0 | 1 => ways.if_user((ways.named, "the user names it"), "the user names it and asks for this"),
        _ => ways.if_user(
            (ways.named, "the user names it and the rest"),
            "the user names it and the rest, and asks for this",
        ),
    };
    let mut sentences: Vec<Why> = against.iter().map(|it| untrusted(tool, it)).collect();
    // Said once, and of all: whoever names only one of several gets nowhere.
    if let (Some(first), Some(it)) = (sentences.first_mut(), against.first()) {
        let lifted = match it.label.named_by_user {
            true => lifted.replacen("the user names it", "the user names the amount", 1),
            false => lifted,
        };
        first.text += &format!("; {lifted}");
    }
    if labels.request == Request::Unnamed && tool.effects.iter().any(|effect| *effect != EffectKind::Read) {
        let said = sentences.iter().any(|why| why.entry.is_some());
        sentences.push(unasked(&account, tool, (ways, said)));
    }
    // Whatever else stops it (its tool's schema, a rule of the operator's own): where it came from.
    if sentences.iter().all(|why| why.entry.is_none())
        && let Some((entry, source)) = account.telling()
    {
        let text = format!("most of what this call says stands in entry {entry}, {source}");
        sentences.push(Why { pointer: String::new(), entry: Some(entry), text });
    }
    if ways.protects {
        sentences.extend(most_protected(labels).map(|argument| protected(argument, ways)));
    }
    sentences
}

/// An argument that speaks against a call.
struct Against<'a> {
    label: &'a ArgumentLabel,
    /// What of it does, for people.
    value: String,
}

fn against<'a>(tracer: &Tracer<'_>, arguments: &Value, labels: &'a Labels) -> Vec<Against<'a>> {
    let mut links: HashMap<&str, Vec<(String, Label)>> = HashMap::new();
    let speaking = labels.arguments.iter().filter(|label| speaks_against(tracer.tool, label));
    let mut value = |label: &'a ArgumentLabel| {
        let whole = arguments.pointer(&label.pointer);
        let of_whole = whole.and_then(Value::as_str).unwrap_or_default();
        // Of the links in a text the one with this label.
        let mut link = || {
            let links = links.entry(&label.pointer).or_insert_with(|| tracer.labelled_links(of_whole));
            let at = links.iter().position(|(_, of)| is_from_where(of, &label.label))?;
            Some(links.remove(at).0)
        };
        match whole {
            _ if label.label.is_secret() => "a secret".to_owned(),
            Some(whole) if label.role == Role::Link => link().map_or_else(|| shown(whole), |link| clean(&link)),
            Some(whole) => shown(whole),
            None => name_at(&label.pointer).map(|(_, name)| name).unwrap_or_default(),
        }
    };
    speaking.map(|label| Against { label, value: value(label) }).collect()
}

/// Whether two labels name the same places, in whatever order.
fn is_from_where(one: &Label, other: &Label) -> bool {
    one.origins.len() == other.origins.len() && one.origins.iter().all(|origin| other.origins.contains(origin))
}

/// The argument that carries what is protected most.
fn most_protected(labels: &Labels) -> Option<&ArgumentLabel> {
    let carries = labels.arguments.iter().filter(|it| it.label.confidentiality >= Confidentiality::Confidential);
    // Of equals the first.
    carries.rev().max_by_key(|argument| argument.label.confidentiality)
}

fn protected(argument: &ArgumentLabel, ways: Ways) -> Why {
    let what = if argument.label.is_secret() { "a secret" } else { "confidential data" };
    let from = place(argument).map(|place| format!(" from {place}")).unwrap_or_default();
    Why {
        pointer: argument.pointer.clone(),
        entry: argument.label.origins.first().and_then(|origin| origin.entry),
        text: format!("`{}` carries {what}{from}; {}", name_of(&argument.pointer), ways.without()),
    }
}

/// Where the value of an argument came from, if the session knows. The names of fields are words of whoever wrote the result.
fn place(argument: &ArgumentLabel) -> Option<String> {
    let origin = argument.label.origins.first().filter(|origin| origin.entry.is_some() || origin.source != "model")?;
    let entry = origin.entry.map(|entry| format!("entry {entry}, ")).unwrap_or_default();
    let field = origin.field.as_ref().map(|field| format!(", field `{}`", clean(field))).unwrap_or_default();
    Some(format!("{entry}{}{field}", origin.source))
}

/// The same roles that `flow.cedar` asks about.
fn speaks_against(tool: &ToolFacts, argument: &ArgumentLabel) -> bool {
    let reads = tool.effects.iter().all(|effect| *effect == EffectKind::Read);
    let matters = match argument.role {
        Role::Destination => true,
        Role::Recipient | Role::Account | Role::Path | Role::Command | Role::Permission | Role::Target | Role::Link => {
            !reads
        }
        Role::Query | Role::Amount | Role::Content | Role::Other => false,
    };
    matters && argument.choice == Choice::Untrusted
}

/// Of a pointer that is a member's name where it stands, and the name.
fn name_at(pointer: &str) -> Option<(&str, String)> {
    let (above, name) = pointer.strip_suffix(&policy::name_pointer(""))?.rsplit_once('/')?;
    Some((above, shown(&Value::from(name.replace("~1", "/").replace("~0", "~")))))
}

/// An argument for people.
fn name_of(pointer: &str) -> String {
    let pointer = name_at(pointer).map_or(pointer, |(above, _)| above);
    clean(pointer.trim_start_matches('/'))
}

fn untrusted(tool: &ToolFacts, Against { label, value }: &Against<'_>) -> Why {
    let (name, place) = (name_of(&label.pointer), place(label));
    // For what cannot be undone it is enough that others' text names the value, whatever else does.
    let lasting = tool.effects.iter().any(|effect| matches!(effect, EffectKind::Delete | EffectKind::Pay));
    let has = match label.role {
        _ if name_at(&label.pointer).is_some() => "names",
        Role::Link => "carries the link",
        _ => "is",
    };
    let text = match place {
        Some(place) if label.named_by_user => {
            format!(
                "the user named `{name}` (`{value}`), but not the amount, and text of others names it, too ({place})"
            )
        }
        Some(place) if lasting => format!("`{name}` {has} `{value}`, which text of others names ({place})"),
        Some(place) => format!("`{name}` {has} `{value}`, which comes from text of others ({place})"),
        None => format!("`{name}` {has} `{value}`, and nobody knows any more where that comes from"),
    };
    Why { pointer: label.pointer.clone(), entry: label.label.origins.first().and_then(|origin| origin.entry), text }
}

/// `said`: another sentence says already where it comes from and what would let it pass.
fn unasked(account: &Account, tool: &ToolFacts, (ways, said): (Ways, bool)) -> Why {
    let (best, asking) = (account.best(), account.asking());
    let speaks = asking.filter(|_| asking != best);
    let entry = speaks.or(best).map(|(entry, _)| entry);
    let mut text = format!("the user did not ask for `{}`", tool.id);
    if !said {
        text += &match (speaks, best) {
            (Some((entry, source)), _) => format!(", but entry {entry}, {source}, speaks of it"),
            (None, Some((entry, source))) => format!("; most of what it says stands in entry {entry}, {source}"),
            (None, None) => String::new(),
        };
        let lifted = ways.if_user((ways.asked, "the user asks for it"), "the user asks for it and names its values");
        text += &format!("; {lifted}");
    }
    Why { pointer: String::new(), entry, text }
}

/// A value for people.
fn shown(value: &Value) -> String {
    clean(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// One line, short, nothing that a terminal would obey or that ends a quotation.
fn clean(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '`') { ' ' } else { c }
        })
        .take(SHOWN_MAX_CHARS)
        .collect();
    if text.chars().count() > SHOWN_MAX_CHARS { format!("{clean}…") } else { clean }
}
