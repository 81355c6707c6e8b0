//! What an agent is told when a call does not pass. Another text goes to the operator's log and the ledger.
//!
//! A refused `tools/call` is a tool result with `isError`, because agents read those and act on them; every
//! other refused request is a JSON-RPC error with [`DENIED`].

use bytes::Bytes;
use policy::Decision;
use serde_json::{Value, json};

use crate::authority::Refusal;
use crate::call::{self, Id, Malformed, Reference, Request, Subject};
use crate::label::Why;

/// JSON-RPC error code: policy refuses the request.
pub(crate) const DENIED: i64 = -32_010;
/// JSON-RPC error code: the gateway is at a bound.
pub(crate) const BUSY: i64 = -32_011;
/// JSON-RPC error code: the upstream went away or did not answer.
pub(crate) const UPSTREAM: i64 = -32_012;
/// JSON-RPC error code: the upstream wants a login that is not there, so nothing was done.
pub(crate) const LOGIN: i64 = -32_013;
/// The most sentences about arguments that an agent is told.
const WHY_MAX: usize = 3;
const PARSE: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const INVALID_PARAMS: i64 = -32_602;
const METHOD_NOT_FOUND: i64 = -32_601;

/// The answer to a request that is refused.
pub(crate) fn refusal(request: &Request, subject: &Subject, server: &str, refusal: &Refusal) -> Bytes {
    let what = match subject {
        Subject::Tool { name, .. } => format!("`{server}/{name}`"),
        Subject::Resource { uri } => format!("resource `{uri}` of `{server}`"),
        Subject::Prompt { name, .. } => format!("prompt `{name}` of `{server}`"),
        Subject::Completion { of: Reference::Prompt(name), .. } => {
            format!("completions for prompt `{name}` of `{server}`")
        }
        Subject::Completion { of: Reference::Template(uri), .. } => {
            format!("completions for resource `{uri}` of `{server}`")
        }
    };
    let text = sentence(&what, refusal);
    // What a task is told is about a tool and has another result.
    if !matches!(subject, Subject::Tool { .. }) || request.method != "tools/call" {
        return error(Some(&request.id), DENIED, &text);
    }
    let mut result = json!({ "content": [{ "type": "text", "text": text }], "isError": true });
    if call::is_stateless(request)
        && let Some(result) = result.as_object_mut()
    {
        result.insert("resultType".to_owned(), Value::from("complete"));
    }
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request.id))
}

/// One refusal in words that an agent can act on.
pub(crate) fn sentence(what: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Denied { intent, decision, .. } if is_malformed(decision) => format!(
            "Bailiwick did not run {what}: {} (ledger entry {intent}). Nothing was done. \
             Mend the arguments as the tool's schema says and call it again.",
            decision.errors.join("; ")
        ),
        Refusal::Denied { intent, decision, why } => format!(
            "Bailiwick denied {what}: {} (ledger entry {intent}). Nothing was done. \
             The same call will be denied again while this holds; take another way or tell the user.",
            because_of(decision, why)
        ),
        Refusal::Quarantined { intent, tool } => format!(
            "Bailiwick denied {what}: the tool's definition changed since it was approved (ledger entry {intent}). \
             Nothing was done. Tell the user; `bailiwick tools approve {}` approves the new definition.",
            tool.server
        ),
        Refusal::Unknown { intent, tool } => format!(
            "Bailiwick denied {what}: it has not seen such a tool at `{}`, and what is not known is not run \
             (ledger entry {intent}). Nothing was done. List the tools; if the server is not behind Bailiwick yet, \
             tell the user to run `bailiwick protect`.",
            tool.server
        ),
        Refusal::Rejected { ask, by } => {
            format!("Bailiwick denied {what}: {by} was asked and said no (ask {ask}). Nothing was done. Do not retry.")
        }
        Refusal::Unanswered { cause, decision, why } => format!(
            "Bailiwick did not run {what}: a human must approve it ({}), and {cause}. Nothing was done. \
             Tell the user; approvals are given in the console or with `bailiwick approve`.",
            because_of(decision, why)
        ),
        Refusal::Unrecorded => format!(
            "Bailiwick denied {what}: the decision could not be recorded, and nothing is done without a record. \
             Tell the user that the ledger does not accept entries."
        ),
    }
}

/// Whether nothing but the tool's own schema refuses a call. Its errors name arguments and types, which the agent was given.
fn is_malformed(decision: &Decision) -> bool {
    !decision.errors.is_empty() && decision.errors.iter().all(|error| policy::is_malformed(error))
}

/// The reasons of a decision, and what in the arguments speaks against the call.
pub(crate) fn because_of(decision: &Decision, why: &[Why]) -> String {
    let mut text = because(decision);
    for why in why.iter().take(WHY_MAX) {
        text += &format!(". {}", why.sentence());
    }
    text
}

/// The reasons of a decision, for an agent. Policy errors name policies, which is the operator's business.
pub(crate) fn because(decision: &Decision) -> String {
    if !decision.errors.is_empty() {
        return "the policy could not be evaluated".to_owned();
    }
    let reasons: Vec<&str> = decision
        .reasons
        .iter()
        .map(|reason| if reason.text.is_empty() { reason.policy.as_str() } else { reason.text.trim_end_matches('.') })
        .collect();
    if reasons.is_empty() { "no policy permits it".to_owned() } else { reasons.join("; ") }
}

/// A result that must not go on, because other gateways could not be told of it.
pub(crate) fn withheld(id: Option<&Id>, error: &crate::session::Unshared) -> Bytes {
    tracing::error!(%error, "a result is withheld");
    self::error(
        id,
        UPSTREAM,
        "the call was made, and its result is withheld: it could not be shared with other gateways",
    )
}

/// The answer to a request about a task that its session does not have.
pub(crate) fn no_such_task(request: &Request) -> Bytes {
    error(Some(&request.id), INVALID_PARAMS, "this session has no such task")
}

/// An answer with a JSON-RPC error.
pub(crate) fn error(id: Option<&Id>, code: i64, message: &str) -> Bytes {
    let id = id.map_or("null", Id::json);
    let error = json!({ "code": code, "message": message });
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

/// Whether an error says that the upstream went away or did not answer.
pub(crate) fn is_lost(error: &str) -> bool {
    let [code] = call::fields(error, &["code"]).unwrap_or_default();
    code.is_some_and(|code| code.get() == UPSTREAM.to_string())
}

/// The answer to a message that cannot be read.
pub(crate) fn malformed(id: Option<&Id>, fault: &Malformed) -> Bytes {
    let code = match fault {
        Malformed::NotJson(_) => PARSE,
        Malformed::Parameter(_) => INVALID_PARAMS,
        _ => INVALID_REQUEST,
    };
    error(id, code, &fault.to_string())
}

/// The answer to a request whose method nobody knows.
pub(crate) fn unknown_method(request: &Request) -> Bytes {
    error(Some(&request.id), METHOD_NOT_FOUND, &format!("method `{}` is not known to the gateway", request.method))
}

/// A notification that a call still waits for approval.
pub(crate) fn progress(token: &str, seconds: u64, ask: u64) -> Bytes {
    let message = json!(format!("waiting for a human to approve (ask {ask})"));
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{seconds},"message":{message}}}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_how_to_mend_its_own_mistake_and_no_error_of_a_policy() {
        let told = |error: &str| {
            let snapshot = policy::SnapshotId("s".to_owned());
            let errors = vec![error.to_owned()];
            let decision = Decision { effect: policy::Effect::Deny, reasons: Vec::new(), errors, snapshot };
            sentence("`mail/search`", &Refusal::Denied { intent: 7, decision, why: Vec::new() })
        };
        let missing = "argument `/query` is required by the tool's schema and missing";
        assert!(told(missing).contains(missing) && told(missing).contains("call it again"));
        let policy = told("error while evaluating policy `ask-secret`: no attribute");
        assert!(!policy.contains("ask-secret") && policy.contains("could not be evaluated"), "{policy}");
    }
}
