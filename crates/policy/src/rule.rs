//! Policy files, read: each policy with its id, place and annotations, and what is wrong with the text.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use serde::{Deserialize, Serialize};

use crate::snapshot::Diagnostic;

/// The annotations that mean something here.
const ANNOTATIONS: [&str; 3] = ["id", "reason", "ask"];

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The policy file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// One policy.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    /// `@reason`.
    pub(crate) reason: String,
    /// `@ask`: an approval of this group lifts the forbid.
    pub(crate) ask: Option<String>,
    pub(crate) forbids: bool,
    pub(crate) policy: Policy,
    pub(crate) location: Location,
    /// The policy as it is written.
    pub(crate) text: String,
}

/// A policy file, and where its lines begin.
pub(crate) struct File<'a> {
    name: &'a str,
    text: &'a str,
    starts: Vec<usize>,
}

/// Reads all files. Rules come in order of id, which is the order of a decision's reasons.
pub(crate) fn read(files: &[(String, String)]) -> (Vec<Rule>, Vec<Diagnostic>) {
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for (name, text) in files {
        let file = File::new(name, text);
        match PolicySet::from_str(text) {
            Err(errors) => diagnostics.extend(errors.iter().map(|error| file.diagnostic(error))),
            Ok(set) => {
                for rule in read_set(&file, &set, &mut diagnostics) {
                    add(rule, &mut rules, &mut diagnostics);
                }
            }
        }
    }
    (rules.into_values().collect(), diagnostics)
}

fn read_set(file: &File<'_>, set: &PolicySet, diagnostics: &mut Vec<Diagnostic>) -> Vec<Rule> {
    for template in set.templates() {
        let offset = template.as_ref().loc().map_or(0, |loc| loc.start());
        let message = "a template with slots is not a policy".to_owned();
        let hint = Some("name the principal and the resource instead of `?principal` and `?resource`".to_owned());
        diagnostics.push(file.complaint(offset, message, hint));
    }
    let mut policies: Vec<_> = set.policies().map(|policy| (start(policy), policy)).collect();
    policies.sort_by_key(|(offset, _)| *offset);
    let numbered = policies.into_iter().enumerate();
    numbered.map(|(number, (offset, policy))| rule(file, (number + 1, offset), policy, diagnostics)).collect()
}

fn rule(file: &File<'_>, (number, offset): (usize, usize), policy: &Policy, diagnostics: &mut Vec<Diagnostic>) -> Rule {
    let id = match policy.annotation("id") {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("{}#{number}", file.name),
    };
    let forbids = policy.effect() == Effect::Forbid;
    let ask = policy.annotation("ask").map(str::to_owned);
    let mut complain = |message: String, hint: &str| {
        diagnostics.push(file.complaint(offset, message, Some(hint.to_owned())));
    };
    if ask.is_some() && !forbids {
        complain(format!("`@ask` on `{id}`, which permits"), "only a `forbid` can be lifted by an approval");
    }
    if ask.as_deref() == Some("") {
        complain(format!("`@ask` on `{id}` names no group"), "write `@ask(\"a group that people understand\")`");
    }
    for (name, _) in policy.annotations().filter(|(name, _)| !ANNOTATIONS.contains(name)) {
        if let Some(meant) = crate::lint::nearest(name, ANNOTATIONS) {
            complain(format!("unknown annotation `@{name}`"), &format!("did you mean `@{meant}`?"));
        }
    }
    let (line, column) = file.position(offset);
    Rule {
        reason: policy.annotation("reason").unwrap_or_default().to_owned(),
        ask,
        forbids,
        policy: policy.new_id(PolicyId::new(&id)),
        location: Location { file: file.name.to_owned(), line, column },
        text: policy.as_ref().loc().and_then(|loc| loc.snippet()).unwrap_or_default().to_owned(),
        id,
    }
}

/// INVARIANT: ids are unique, so that a reason names one policy.
fn add(rule: Rule, rules: &mut BTreeMap<String, Rule>, diagnostics: &mut Vec<Diagnostic>) {
    if let Some(first) = rules.get(&rule.id) {
        let Location { file, line, column } = rule.location;
        let message = format!("`@id(\"{}\")` is taken", rule.id);
        let hint = Some(format!(
            "the first one is at {}:{}:{}",
            first.location.file, first.location.line, first.location.column
        ));
        diagnostics.push(Diagnostic { file, line, column, error: true, message, hint });
    } else {
        rules.insert(rule.id.clone(), rule);
    }
}

fn start(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |loc| loc.start())
}

impl<'a> File<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, text, starts }
    }

    /// Cedar's own complaint, at its first label.
    pub(crate) fn diagnostic(&self, error: &(impl miette::Diagnostic + ?Sized)) -> Diagnostic {
        let label = error.labels().and_then(|mut labels| labels.next());
        let offset = label.as_ref().map_or(0, |label| label.offset());
        let detail = label.and_then(|label| label.label().map(str::to_owned));
        let hint = error.help().map(|help| help.to_string()).or(detail);
        self.complaint(offset, error.to_string(), hint)
    }

    fn complaint(&self, offset: usize, message: String, hint: Option<String>) -> Diagnostic {
        let (line, column) = self.position(offset);
        Diagnostic { file: self.name.to_owned(), line, column, error: true, message, hint }
    }

    /// Line and column from 1, in characters.
    fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|at| self.starts.get(at)).copied().unwrap_or_default();
        let column = self.text.get(start..offset).unwrap_or_default().chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}
