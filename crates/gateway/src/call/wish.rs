//! What a server asks of its client.

use policy::Verb;
use serde_json::Value;

use super::Malformed;
use super::strict::strict_value;

/// What a server's own request to the client means to policy.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Policy decides about it.
    Judged {
        /// What is wished.
        verb: Verb,
        /// The parameters, an object.
        arguments: Value,
    },
    /// Passes: it keeps the conversation or a task going.
    Plumbing,
}

impl Wish {
    /// Sorts a server's request, by its method and its parameters' JSON text. An unknown method is `None`.
    pub(crate) fn sort(method: &str, params: &str) -> Result<Option<Self>, Malformed> {
        let verb = match method {
            "sampling/createMessage" => Verb::Sample,
            "elicitation/create" => Verb::Elicit,
            "roots/list" => Verb::ListRoots,
            "ping" | "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel" => return Ok(Some(Self::Plumbing)),
            _ => return Ok(None),
        };
        let arguments = strict_value(params)?;
        let arguments = if arguments.is_object() { arguments } else { return Err(Malformed::Parameter("params")) };
        Ok(Some(Self::Judged { verb, arguments }))
    }
}

/// A wish by the name that its answer will have; `None` if it is of no known kind.
pub(crate) type Named = (String, Option<Wish>);

/// What the user or the client must say before a server goes on, in a result of the protocol without sessions: the
/// requests by name. `None` if the result needs nothing.
pub(crate) fn wishes(result: &str) -> Result<Option<Vec<Named>>, Malformed> {
    // The word could be written with escapes.
    if !result.contains("input_required") && !result.contains("\\u") {
        return Ok(None);
    }
    let value = strict_value(result)?;
    // A result says it of itself, a task as its status.
    let says = |name| value.get(name).and_then(Value::as_str) == Some("input_required");
    let asks = says("resultType") || (says("status") && value.get("inputRequests").is_some());
    if !asks {
        return Ok(None);
    }
    let requests = value.get("inputRequests").and_then(Value::as_object).into_iter().flatten();
    let wish = |(name, request): (&String, &Value)| {
        let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
        let params = request.get("params").map_or_else(|| "{}".to_owned(), Value::to_string);
        Ok((name.clone(), Wish::sort(method, &params)?))
    };
    requests.map(wish).collect::<Result<_, _>>().map(Some)
}
