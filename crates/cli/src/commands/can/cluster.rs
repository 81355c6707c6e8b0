//! The three questions about a cluster.

use std::process::ExitCode;

use graph::kubernetes::builtin::group_of;
use graph::kubernetes::{Estate, Evaluator, Request, Subject, report};

use super::exit;
use crate::format::Format;
use crate::output;

/// A question as it was typed.
pub(super) struct Question {
    verb: String,
    resource: String,
    group: String,
    name: Option<String>,
    namespace: Option<String>,
}

impl Question {
    /// `RESOURCE[.GROUP][/SUBRESOURCE][:NAME]` or `/PATH`, as `kubectl auth can-i` names resources and what is none.
    pub(super) fn new(verb: &str, resource: &str, namespace: Option<&str>) -> Self {
        if resource.starts_with('/') {
            let (verb, resource) = (verb.to_owned(), resource.to_owned());
            return Self { verb, resource, group: String::new(), name: None, namespace: None };
        }
        let (resource, name) = match resource.split_once(':') {
            Some((resource, name)) => (resource, Some(name.to_owned())),
            None => (resource, None),
        };
        let (resource, below) = match resource.split_once('/') {
            Some((resource, below)) => (resource, format!("/{below}")),
            None => (resource, String::new()),
        };
        let (resource, group) = resource.split_once('.').unwrap_or((resource, group_of(resource)));
        let (verb, group, namespace) = (verb.to_owned(), group.to_owned(), namespace.map(str::to_owned));
        Self { verb, resource: format!("{resource}{below}"), group, name, namespace }
    }

    fn request(&self) -> Request<'_> {
        Request {
            verb: &self.verb,
            group: &self.group,
            resource: &self.resource,
            namespace: self.namespace.as_deref(),
            name: self.name.as_deref(),
        }
    }
}

/// Finds whom the files name: `serviceaccount/NAMESPACE/NAME`, `system:serviceaccount:NAMESPACE:NAME`,
/// `kube-user/NAME`, `kube-group/NAME`, or a last part that only one has.
fn find(estate: &Estate, name: &str) -> anyhow::Result<Subject> {
    if let account @ Subject::ServiceAccount(..) = Subject::of_user(name) {
        return Ok(account);
    }
    let subjects = estate.subjects();
    if let Some(subject) = subjects.iter().find(|subject| subject.name() == name) {
        return Ok(subject.clone());
    }
    let ends = |subject: &&Subject| subject.name().rsplit_once('/').is_some_and(|(_, last)| last == name);
    let hits: Vec<&Subject> = subjects.iter().filter(ends).collect();
    match hits.as_slice() {
        [one] => Ok((*one).clone()),
        [] => anyhow::bail!("no principal `{name}` in the files"),
        many => {
            let names: Vec<String> = many.iter().map(|one| one.name()).collect();
            anyhow::bail!("`{name}` is more than one principal: {}", names.join(", "))
        }
    }
}

pub(super) fn can(estate: &Estate, who: &str, question: &Question, format: Format) -> anyhow::Result<ExitCode> {
    let (subject, evaluator, request) = (find(estate, who)?, Evaluator::new(estate), question.request());
    let answer = evaluator.decide(&subject, &request);
    match format {
        Format::Json => say!("{:#}", report::answer_json(&evaluator, &answer))?,
        Format::Text => {
            let question = format!("{} {}", subject.name(), request.text());
            output::print(&report::answer(&evaluator, &question, &answer))?;
        }
    }
    Ok(exit(answer.verdict))
}

pub(super) fn who(estate: &Estate, question: &Question, format: Format) -> anyhow::Result<ExitCode> {
    let (evaluator, request) = (Evaluator::new(estate), question.request());
    let found = evaluator.who_can(&request);
    if format == Format::Json {
        let answers = found.iter().map(|(subject, answer)| {
            serde_json::json!({"principal": subject.name(), "answer": report::answer_json(&evaluator, answer)})
        });
        say!("{:#}", serde_json::Value::Array(answers.collect()))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (subject, answer) in &found {
        output::print(&report::answer(&evaluator, &subject.name(), answer))?;
    }
    let whole = if request.namespace.is_none() && !request.is_for_path() {
        " in the whole cluster; `-n` asks about one namespace"
    } else {
        ""
    };
    say!("{} of the files' principals can {}{whole}", found.len(), request.text())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn what(estate: &Estate, who: &str, format: Format) -> anyhow::Result<ExitCode> {
    let (subject, evaluator) = (find(estate, who)?, Evaluator::new(estate));
    let held = evaluator.what_can(&subject);
    match format {
        Format::Json => say!("{:#}", report::held_json(&evaluator, &subject, &held))?,
        Format::Text => output::print(&report::held(&evaluator, &held))?,
    }
    Ok(ExitCode::SUCCESS)
}
