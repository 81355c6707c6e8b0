//! What a server wants of the client: to sample its model, to question the user, to know its folders. Judged and
//! recorded like anything else that is done; what is refused never reaches the client.

use policy::{ToolId, Verb};
use serde_json::Value;

use crate::answer;
use crate::authority::{Admitted, Authority, Errand, Patience, Refusal};
use crate::call::{self, Malformed, Wish};
use crate::pipeline::Ending;
use crate::session::Caller;
use ledger::record::Status;

/// Nobody is there to be told that a server waits.
pub(crate) struct Silent;

impl Patience for Silent {
    async fn waits(&mut self, _seconds: u64, _ask: u64) {}
}

/// Judges a wish: the permit for `call`, or the words for the server.
pub(crate) async fn admit<C>(
    authority: &Authority,
    caller: &Caller,
    server: &str,
    (call, verb, arguments): (C, Verb, Value),
) -> Result<Admitted<C>, String> {
    let name = method(verb);
    let tool = ToolId { server: server.to_owned(), name: name.to_owned() };
    let errand = Errand { call, verb, tool, arguments, facts: Default::default(), carried: None };
    authority.admit(caller, errand, Silent).await.map_err(|refusal| sentence(name, &refusal))
}

/// Judges what a result of the protocol without sessions asks the client for, all of it or none. `Ok(true)` if it asks
/// for anything. The answers come with another call, which is judged by itself.
pub(crate) async fn admit_all(
    authority: &Authority,
    caller: &Caller,
    server: &str,
    result: &str,
) -> Result<bool, String> {
    let unreadable = |fault: Malformed| format!("the server's request to the client cannot be read: {fault}");
    let Some(wishes) = call::wishes(result).map_err(unreadable)? else { return Ok(false) };
    let mut admitted = Vec::new();
    for (name, wish) in wishes {
        match wish {
            Some(Wish::Judged { verb, arguments }) => {
                admitted.push(Box::pin(admit(authority, caller, server, ((), verb, arguments))).await?);
            }
            Some(Wish::Plumbing) | None => {
                return Err(format!("the server's request `{name}` to the client is of a kind that is not known"));
            }
        }
    }
    for Admitted { permit, .. } in admitted {
        let ((), act) = permit.spend();
        act.end(Ending::without_result(Status::Ok));
    }
    Ok(true)
}

fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Elicit => "elicitation/create",
        Verb::ListRoots => "roots/list",
        _ => "sampling/createMessage",
    }
}

fn sentence(name: &str, refusal: &Refusal) -> String {
    answer::sentence(&format!("the server's request `{name}`"), refusal)
}
