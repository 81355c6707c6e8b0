//! A cluster's audit log: what its API server was asked. Lines of the log, lists of events as webhooks get them, and the
//! events of CloudWatch in which EKS keeps them.
//!
//! Source of the forms: "Auditing" of the Kubernetes documentation and its reference of `audit.k8s.io/v1`. What was refused is
//! no use of a permission, and is left out; so are requests for no resource (`/healthz`).

use graph::Unread;
use graph::kubernetes::estate::Subject;
use graph::kubernetes::observed::Call;

use crate::aws::{Reader, moment, text};
use crate::document::{Document, Format, Node};

/// The API group of the events.
const GROUP: &str = "audit.k8s.io/";

/// Reads events; false where there are none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let is_audit = |node: &Node| text(node, "apiVersion").is_some_and(|version| version.starts_with(GROUP));
    let logged = root.get("events").map(Node::items).unwrap_or_default().iter();
    let messages = logged.filter_map(|event| text(event, "message").filter(|message| message.contains(GROUP)));
    let (logged, torn): (Vec<_>, Vec<_>) =
        messages.map(|message| Document::parse(message, Format::Json)).partition(Result::is_ok);
    let logged: Vec<Document> = logged.into_iter().flatten().filter(|message| is_audit(message.root())).collect();
    let events: Vec<&Node> = match (is_audit(root), root.get("items")) {
        (true, Some(items)) => items.items().iter().collect(),
        (true, None) => vec![root],
        (false, _) => logged.iter().map(Document::root).collect(),
    };
    let unread = events.iter().filter(|event| record(reader, event).is_none()).count() + torn.len();
    if unread > 0 {
        let reason =
            format!("{} cut off, or without a time or a caller", graph::plural(unread, "event of an audit log"));
        reader.unread.push(Unread::new(&*reader.source, None, reason));
    }
    unread > 0 || !events.is_empty() || is_audit(root)
}

/// `None` where the event cannot be read.
fn record(reader: &mut Reader<'_>, event: &Node) -> Option<()> {
    if !is_first(reader, event) {
        return Some(());
    }
    let time = moment(text(event, "requestReceivedTimestamp").or_else(|| text(event, "stageTimestamp"))?)?;
    let user = event.get("user")?;
    let mut calls = Vec::new();
    let object = event.get("objectRef").filter(|object| text(object, "resource").is_some());
    if let Some(object) = object.filter(|_| !is_refused(event)) {
        let own = asker(user)?;
        match event.get("impersonatedUser").and_then(|other| Some((asker(other)?, other))) {
            Some((other, as_whom)) => {
                calls.extend(impersonated(as_whom).into_iter().map(|what| impersonation(&own, what)));
                calls.extend(call(event, object, other));
            }
            None => calls.extend(call(event, object, own)),
        }
    }
    reader.cluster.calls.add(&time, calls);
    Some(())
}

/// Whether it is the first event that says what became of a request: it has several, one for each stage. A watch answers
/// when it begins, and again when it ends.
fn is_first(reader: &mut Reader<'_>, event: &Node) -> bool {
    match text(event, "stage") {
        Some("RequestReceived") => false,
        _ => text(event, "auditID").is_none_or(|id| reader.audited.insert(id.to_owned())),
    }
}

fn is_refused(event: &Node) -> bool {
    let decision = event.get("annotations").and_then(|notes| text(notes, "authorization.k8s.io/decision"));
    let code = event.get("responseStatus").and_then(|status| status.get("code")).and_then(Node::scalar);
    decision == Some("forbid") || matches!(code.as_deref(), Some("401" | "403"))
}

/// A user and its groups.
fn asker(user: &Node) -> Option<(Subject, Vec<String>)> {
    Some((Subject::of_user(text(user, "username")?), super::list(user, "groups")))
}

fn call(event: &Node, object: &Node, (who, groups): (Subject, Vec<String>)) -> Option<Call> {
    let word = |key: &str| text(object, key).filter(|word| !word.is_empty());
    let verb = text(event, "verb")?;
    let resource = word("resource")?;
    // Of what is made or deleted together the API server asks for no name, whatever the body says.
    let name =
        word("name").filter(|_| !["create", "deletecollection"].contains(&verb) || word("subresource").is_some());
    Some(Call {
        who,
        groups,
        verb: verb.to_owned(),
        group: word("apiGroup").unwrap_or_default().to_owned(),
        resource: word("subresource").map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}")),
        namespace: word("namespace").map(str::to_owned),
        name: name.map(str::to_owned),
    })
}

/// Whom somebody acts as: the resource, the namespace and the name that a rule for `impersonate` speaks of.
fn impersonated(as_whom: &Node) -> Vec<(&'static str, Option<String>, String)> {
    let user = text(as_whom, "username").map(Subject::of_user);
    let user = user.map(|user| match user {
        Subject::ServiceAccount(namespace, name) => ("serviceaccounts", Some(namespace), name),
        Subject::User(name) | Subject::Group(name) => ("users", None, name),
    });
    // These the API server adds by itself.
    let is_added = |group: &str| {
        ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"].contains(&group)
            || group.starts_with("system:serviceaccounts:")
    };
    let groups = super::list(as_whom, "groups").into_iter().filter(|group| !is_added(group));
    user.into_iter().chain(groups.map(|group| ("groups", None, group))).collect()
}

fn impersonation(
    (who, groups): &(Subject, Vec<String>),
    (resource, namespace, name): (&str, Option<String>, String),
) -> Call {
    Call {
        who: who.clone(),
        groups: groups.clone(),
        verb: "impersonate".to_owned(),
        group: String::new(),
        resource: resource.to_owned(),
        namespace,
        name: Some(name),
    }
}
