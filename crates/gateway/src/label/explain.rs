//! One sentence for each argument that speaks against a call. For operators and approvers only.

use policy::{ArgumentLabel, Choice, EffectKind, Request, Role, ToolFacts};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::Account;

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

pub(crate) fn why(account: &Account, tool: &ToolFacts, arguments: &Value, labels: &policy::Labels) -> Vec<Why> {
    let mut against: Vec<&ArgumentLabel> =
        labels.arguments.iter().filter(|argument| speaks_against(tool, argument)).collect();
    // What came from the source that accounts for most of the call is said first; what a call is aimed at comes
    // before what it carries along.
    against.sort_by_key(|argument| (account.rank_of(&argument.label.origins), argument.role == Role::Link));
    let mut sentences: Vec<Why> = against.into_iter().map(|argument| untrusted(tool, arguments, argument)).collect();
    if labels.request == Request::Unnamed && tool.effects.iter().any(|effect| *effect != EffectKind::Read) {
        sentences.push(unasked(account, tool));
    }
    // Whatever else stops it (its tool's schema, a rule of the operator's own): where it came from.
    if sentences.iter().all(|why| why.entry.is_none())
        && let Some((entry, source)) = account.telling()
    {
        let text = format!("most of what this call says stands in entry {entry}, {source}");
        sentences.push(Why { pointer: String::new(), entry: Some(entry), text });
    }
    sentences
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

fn untrusted(tool: &ToolFacts, arguments: &Value, argument: &ArgumentLabel) -> Why {
    let value = match arguments.pointer(&argument.pointer) {
        _ if argument.label.is_secret() => "a secret".to_owned(),
        value => value.map(shown).unwrap_or_default(),
    };
    let origin = argument.label.origins.first();
    let place = origin.map_or_else(
        || "an unknown place".to_owned(),
        |origin| {
            let entry = origin.entry.map(|entry| format!("entry {entry}, ")).unwrap_or_default();
            let field = origin.field.as_ref().map(|field| format!(", field `{field}`")).unwrap_or_default();
            format!("{entry}{}{field}", origin.source)
        },
    );
    let what = if argument.role == Role::Link { "carries a link that" } else { "is a value that" };
    // For what cannot be undone it is enough that others' text names the value, whatever else does.
    let lasting = tool.effects.iter().any(|effect| matches!(effect, EffectKind::Delete | EffectKind::Pay));
    let stands = if lasting { "stands" } else { "stands only" };
    Why {
        pointer: argument.pointer.clone(),
        entry: origin.and_then(|origin| origin.entry),
        text: format!(
            "argument `{}` (`{value}`) {what} {stands} in text somebody else wrote ({place}); it would pass if the user named it or a person approves it",
            argument.pointer.trim_start_matches('/')
        ),
    }
}

fn unasked(account: &Account, tool: &ToolFacts) -> Why {
    let best = account.best();
    let place =
        best.map(|(entry, source)| format!(", but most of it stands in entry {entry}, {source}")).unwrap_or_default();
    Why {
        pointer: String::new(),
        entry: best.map(|(entry, _)| entry),
        text: format!(
            "nothing the user said asks for `{}`{place}; it would pass if the user asked for it or a person approves it",
            tool.id
        ),
    }
}

/// A value for people: one line, short, nothing that a terminal would obey.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let clean: String = text
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '`') { ' ' } else { c }
        })
        .take(SHOWN_MAX_CHARS)
        .collect();
    if text.chars().count() > SHOWN_MAX_CHARS { format!("{clean}…") } else { clean }
}
