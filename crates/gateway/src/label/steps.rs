//! What a call that was let through did, in words that policies about sequences can use.
//!
//! By the tool's facts, its name and flags among the arguments; what a command does inside is not seen here. Never
//! decides anything.

use policy::{EffectKind, ToolFacts};
use serde_json::Value;

use super::{trace, words::split_name};

const LOGGING: &[&str] = &["log", "logging", "trail", "audit", "auditing", "monitor", "monitoring", "alarm", "alert"];
const OFF: &[&str] =
    &["disable", "stop", "delete", "remove", "suspend", "pause", "deactivate", "purge", "mute", "silence"];
const SETS: &[&str] = &["set", "update", "configure", "modify", "put", "change", "enable"];
const NO: &[&str] = &["false", "off", "disabled", "none"];
const CREDENTIALS: &[&str] = &["key", "token", "credential", "secret", "password", "certificate", "apikey"];
const MAKES: &[&str] = &["create", "generate", "issue", "mint", "rotate", "reset", "add", "register"];

/// The steps of one call: its effects but for reading, and what its name says.
pub(crate) fn steps(tool: &ToolFacts, arguments: &Value) -> Vec<&'static str> {
    let effects = tool.effects.iter().filter(|effect| **effect != EffectKind::Read);
    let mut steps: Vec<&'static str> = effects.map(|effect| effect.as_str()).collect();
    let name = split_name(&tool.id.name);
    let has = |list: &[&str]| {
        name.iter()
            .any(|word| list.contains(&word.as_str()) || word.strip_suffix('s').is_some_and(|one| list.contains(&one)))
    };
    let says_no = || trace::leaves(arguments).iter().any(|(_, text)| NO.contains(&text.to_lowercase().as_str()));
    if has(LOGGING) && (has(OFF) || (has(SETS) && says_no())) {
        steps.push("logging_off");
    }
    if has(CREDENTIALS) && has(MAKES) {
        steps.push("credential_made");
    }
    steps
}
