//! Checks rules against the schema of the tools that were seen.
//!
//! Tools come and go, so a rule is held to what it speaks of. A rule that names tools is checked against
//! exactly those: an argument that one lacks, or a condition that can never hold, is an error. A rule for a
//! group (`action in Action::"write"`) is checked against a tool without arguments, so that it must write
//! `context.arguments has path` first; where it then clashes with the type that one seen tool gives to an
//! argument, that is a warning, since calls of that tool are denied and all others work.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    ActionConstraint, PolicySet, PrincipalConstraint, ResourceConstraint, Schema, ValidationError, ValidationMode,
    ValidationResult, ValidationWarning, Validator,
};

use crate::index::{Bound, speaks_of};
use crate::rule::{File, Rule};
use crate::schema::{ANY_TOOL, Tool, other_actions, schema, shapes_only, tool_name};
use crate::snapshot::Diagnostic;
use crate::tool::ToolId;

/// What rules are checked against.
pub(crate) struct Catalogue<'a> {
    /// By the name that policies use.
    tools: BTreeMap<String, &'a Tool>,
}

impl<'a> Catalogue<'a> {
    pub(crate) fn new(tools: impl IntoIterator<Item = &'a Tool>) -> Self {
        Self { tools: tools.into_iter().map(|tool| (tool_name(&tool.facts.id), tool)).collect() }
    }

    fn schema(&self, names: &BTreeSet<String>) -> Result<Schema, String> {
        let tools = names.iter().filter_map(|name| Some((name, self.tools.get(name)?)));
        let tools =
            tools.map(|(name, tool)| (name.clone(), tool.facts.effects.iter().copied().collect(), &tool.arguments));
        Schema::from_json_value(schema(tools)).map_err(|error| error.to_string())
    }
}

/// The tools of which no schema can be made, each with the reason. Nearly always there are none, so all are tried
/// at once, and halves only where that fails: a schema costs much more than a tool in it.
pub(crate) fn inexpressible<'a>(tools: &[&'a Tool]) -> Vec<(&'a Tool, String)> {
    let shapes = tools.iter().map(|tool| (tool_name(&tool.facts.id), &tool.arguments));
    match (Schema::from_json_value(shapes_only(shapes)), tools) {
        (Ok(_), _) | (Err(_), []) => Vec::new(),
        (Err(error), [tool]) => vec![(*tool, error.to_string())],
        (Err(_), _) => {
            let (one, other) = tools.split_at(tools.len() / 2);
            [inexpressible(one), inexpressible(other)].concat()
        }
    }
}

/// All complaints about `rules`.
pub(crate) fn lint(rules: &[Rule], files: &[(String, String)], catalogue: &Catalogue<'_>) -> Vec<Diagnostic> {
    let files = files.iter().map(|(name, text)| (name.as_str(), File::new(name, text))).collect();
    let mut lint = Lint { files, catalogue, diagnostics: Vec::new() };
    let mut buckets: BTreeMap<BTreeSet<String>, Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        let known = lint.named_tools(rule);
        buckets.entry(known.unwrap_or_default()).or_default().push(rule);
    }
    for (tools, rules) in &buckets {
        lint.check(tools, rules);
    }
    for bound in [Bound::Mandate, Bound::Budget] {
        lint.check_bound(rules, bound);
    }
    lint.check_general(buckets.get(&BTreeSet::new()).map(Vec::as_slice).unwrap_or_default());
    lint.diagnostics.sort_by(|a, b| (&a.file, a.line, a.column, !a.error).cmp(&(&b.file, b.line, b.column, !b.error)));
    lint.diagnostics.dedup();
    lint.diagnostics
}

struct Lint<'a, 'c> {
    files: BTreeMap<&'a str, File<'a>>,
    catalogue: &'a Catalogue<'c>,
    diagnostics: Vec<Diagnostic>,
}

impl Lint<'_, '_> {
    /// The tools that a rule's scope names, if it names only tools that were seen.
    fn named_tools(&mut self, rule: &Rule) -> Option<BTreeSet<String>> {
        let actions = match rule.policy.action_constraint() {
            ActionConstraint::Any => return None,
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions,
        };
        let mut known = BTreeSet::new();
        let mut all = true;
        for action in actions {
            let name: &str = action.id().unescaped();
            let is_tool = self.catalogue.tools.contains_key(name);
            all &= is_tool;
            if is_tool {
                known.insert(name.to_owned());
            } else if !other_actions().any(|other| other == name) && name != ANY_TOOL {
                self.unknown_action(rule, name);
            }
        }
        all.then_some(known)
    }

    /// A server that was never seen may yet appear; one whose tools are known lacks this one.
    fn unknown_action(&mut self, rule: &Rule, name: &str) {
        let catalogue = self.catalogue;
        let names = catalogue.tools.keys().map(String::as_str);
        let Some((server, _)) = name.split_once('/') else {
            let near = nearest(name, other_actions().map(|other| -> &str { other }).chain(names));
            let hint =
                near.map_or_else(|| "tools are `server/tool`".to_owned(), |near| format!("did you mean `{near}`?"));
            self.complain(rule, true, format!("unknown action `{name}`"), Some(hint));
            return;
        };
        let server_seen =
            self.catalogue.tools.keys().any(|tool| tool.split_once('/').is_some_and(|(seen, _)| seen == server));
        let hint = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
        let message = match server_seen {
            true => format!("server `{server}` has no tool `{}`", name.split_once('/').map_or("", |(_, tool)| tool)),
            false => format!("no tool of server `{server}` was seen yet, so this rule has no effect"),
        };
        self.complain(rule, server_seen, message, hint);
    }

    /// Rules that name tools against those tools; rules for groups against the tool without arguments.
    fn check(&mut self, tools: &BTreeSet<String>, rules: &[&Rule]) {
        let Some(result) = self.validate(tools, rules) else { return };
        for error in result.validation_errors() {
            let Some(rule) = find(rules, error.policy_id()) else { continue };
            // Reported with a better hint where the scope was read.
            if !matches!(error, ValidationError::UnrecognizedActionId(_)) {
                self.cedar(rule, error, true);
            }
        }
        for warning in result.validation_warnings() {
            let Some(rule) = find(rules, warning.policy_id()) else { continue };
            match warning {
                ValidationWarning::ImpossiblePolicy(_) => self.impossible(rule, tools),
                // Its cause, an unknown action, has been said.
                ValidationWarning::InvalidActionApplication(_) if !names_only_known(rule, self.catalogue) => {}
                ValidationWarning::InvalidActionApplication(_) => self.cedar(rule, warning, true),
                _ => self.cedar(rule, warning, false),
            }
        }
    }

    /// What is said of a bound in a narrow scope says nothing outside of it, which its author may not know.
    fn check_bound(&mut self, rules: &[Rule], bound: Bound) {
        let speak: Vec<&Rule> = rules.iter().filter(|rule| speaks_of(rule, bound)).collect();
        if speak.iter().any(|rule| is_about_all(rule)) {
            return;
        }
        let bound = bound.as_str();
        for rule in speak {
            let message = format!("`{}` speaks of `context.{bound}` in its scope, and no rule does elsewhere", rule.id);
            let hint = format!("in its scope its rules alone say what exceeds a {bound}; elsewhere that is denied");
            self.complain(rule, false, message, Some(hint));
        }
    }

    fn impossible(&mut self, rule: &Rule, tools: &BTreeSet<String>) {
        // Without a named tool the condition was read against a tool without arguments, where every
        // `context.arguments has x` is false: that says nothing.
        if tools.is_empty() && (speaks_of_arguments(rule) || !names_only_known(rule, self.catalogue)) {
            return;
        }
        let hint = match tools.first() {
            Some(tool) => match self.catalogue.tools.get(tool).and_then(|tool| missing_argument(rule, tool)) {
                Some((missing, listed)) => format!("`{tool}` has no argument `{missing}`; it has {listed}"),
                None => "the condition contradicts the types of the arguments or the scope".to_owned(),
            },
            None => "the condition contradicts itself or the scope".to_owned(),
        };
        self.complain(rule, true, format!("`{}` can never match", rule.id), Some(hint));
    }

    /// Rules for groups against every tool that was seen; clashes are warnings.
    fn check_general(&mut self, rules: &[&Rule]) {
        let rules: Vec<&Rule> = rules.iter().copied().filter(|rule| speaks_of_arguments(rule)).collect();
        let complained: BTreeSet<(String, u32)> =
            self.diagnostics.iter().filter(|found| found.error).map(|found| (found.file.clone(), found.line)).collect();
        if rules.is_empty() || self.catalogue.tools.is_empty() {
            return;
        }
        let all = self.catalogue.tools.keys().cloned().collect();
        let Some(result) = self.validate(&all, &rules) else { return };
        for error in result.validation_errors() {
            let Some(rule) = find(&rules, error.policy_id()) else { continue };
            let mut found = self.diagnostic(rule, error);
            if !complained.contains(&(found.file.clone(), found.line)) {
                found.error = false;
                found.message = format!("for a tool that was seen: {}", found.message);
                found.hint =
                    Some("calls of that tool are denied; exclude it or name the tools that are meant".to_owned());
                self.diagnostics.push(found);
            }
        }
    }

    fn validate(&mut self, tools: &BTreeSet<String>, rules: &[&Rule]) -> Option<ValidationResult> {
        let set = PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone()));
        match (self.catalogue.schema(tools), set) {
            (Ok(schema), Ok(set)) => Some(Validator::new(schema).validate(&set, ValidationMode::Strict)),
            (schema, set) => {
                let message = schema.err().or(set.err().map(|error| error.to_string())).unwrap_or_default();
                let hint = Some("this is a bug in Bailiwick".to_owned());
                self.diagnostics.push(Diagnostic {
                    file: "schema".to_owned(),
                    line: 1,
                    column: 1,
                    error: true,
                    message,
                    hint,
                });
                None
            }
        }
    }

    fn cedar(&mut self, rule: &Rule, complaint: &impl miette::Diagnostic, error: bool) {
        let mut found = self.diagnostic(rule, complaint);
        found.error = error;
        // Cedar prefixes "for policy `id`, "; the place says it better.
        let prefix = format!("for policy `{}`, ", rule.id);
        found.message = found.message.strip_prefix(&prefix).unwrap_or(&found.message).to_owned();
        self.diagnostics.push(found);
    }

    fn diagnostic(&self, rule: &Rule, complaint: &(impl miette::Diagnostic + ?Sized)) -> Diagnostic {
        let name = &rule.location.file;
        let file = self.files.get(name.as_str());
        file.map_or_else(|| File::new(name, "").diagnostic(complaint), |file| file.diagnostic(complaint))
    }

    fn complain(&mut self, rule: &Rule, error: bool, message: String, hint: Option<String>) {
        let location = rule.location.clone();
        let (file, line, column) = (location.file, location.line, location.column);
        self.diagnostics.push(Diagnostic { file, line, column, error, message, hint });
    }
}

fn find<'a>(rules: &[&'a Rule], id: &cedar_policy::PolicyId) -> Option<&'a Rule> {
    let id: &str = id.as_ref();
    rules.iter().copied().find(|rule| rule.id == id)
}

/// Whether its scope is everybody, everything and everywhere.
fn is_about_all(rule: &Rule) -> bool {
    rule.policy.principal_constraint() == PrincipalConstraint::Any
        && rule.policy.action_constraint() == ActionConstraint::Any
        && rule.policy.resource_constraint() == ResourceConstraint::Any
}

fn speaks_of_arguments(rule: &Rule) -> bool {
    rule.text.contains("arguments")
}

fn names_only_known(rule: &Rule, catalogue: &Catalogue<'_>) -> bool {
    let known = |action: &cedar_policy::EntityUid| {
        let name: &str = action.id().unescaped();
        catalogue.tools.contains_key(name) || other_actions().any(|other| other == name)
    };
    match rule.policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => known(&action),
        ActionConstraint::In(actions) => actions.iter().all(known),
    }
}

/// The first `arguments has NAME` of the rule that the tool lacks, and the arguments it has.
fn missing_argument(rule: &Rule, tool: &Tool) -> Option<(String, String)> {
    let crate::shape::Shape::Record(fields) = &tool.arguments else { return None };
    let mut rest = rule.text.as_str();
    while let Some((_, after)) = rest.split_once("arguments has ") {
        let name: String =
            after.trim_start_matches('"').chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !fields.contains_key(&name) {
            let listed = fields.keys().take(12).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Some((name, if listed.is_empty() { "none".to_owned() } else { listed }));
        }
        rest = after;
    }
    None
}

/// The candidate that differs by at most a third of its letters, or by two letters exchanged.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let bound = (letters / 3).max(2).min(letters.div_ceil(2));
    let near = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= bound).min().map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        let mut next = vec![left];
        for (b, up) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(up + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// A tool as a diagnostic names it.
pub(crate) fn about_tool(id: &ToolId, message: String) -> Diagnostic {
    let hint = Some("its calls are denied".to_owned());
    Diagnostic { file: format!("tool `{id}`"), line: 1, column: 1, error: false, message, hint }
}
