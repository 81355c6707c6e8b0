//! What an agent sees of a server's tools: those that policy would let it call or ask for, in the definitions that were
//! approved.

use bytes::Bytes;
use ledger::record::Record;
use policy::ToolId;
use serde_json::Value;

use crate::answer;
use crate::authority::Authority;
use crate::call::{self, Response};
use crate::catalogue::{self, Known};
use crate::session::Caller;

/// The most bytes of names that are kept of what is withheld from a list.
const NAMES_MAX_BYTES: usize = 32 * 1024;
/// The most of one name, in characters.
const NAME_MAX_CHARS: usize = 128;

/// A `tools/list` answer without what the caller may not see, which is recorded. If everything may be
/// seen, the answer's own bytes.
pub(crate) async fn tools(authority: &Authority, caller: &Caller, server: &str, response: &Response) -> Bytes {
    authority.catch_up(caller).await;
    // From now on a name of this server can be taken for another's.
    if let Err(error) = caller.session.is_shown(server, &authority.memory).await {
        return answer::withheld(Some(&response.id), &error);
    }
    let Some((body, withheld)) = filtered(authority, caller, server, response.body()) else {
        return answer::error(Some(&response.id), answer::UPSTREAM, "the server's list of tools cannot be read");
    };
    // Of what the agent gets to see only.
    authority.overhears(caller, server, body.as_deref().unwrap_or(response.body()));
    for (because, names) in withheld {
        let names = in_brief(names);
        if caller.session.withholds(&format!("{server} {because}"), &names) {
            authority.journal.note(Record::Withheld {
                session: caller.session.id.clone(),
                server: server.to_owned(),
                names,
                because: because.to_owned(),
            });
        }
    }
    body.map_or_else(|| response.raw().clone(), |body| response.with_body(&body))
}

/// Names as the record and the session keep them: a server lists as many and as long ones as it likes. What is left out is
/// counted.
fn in_brief(names: Vec<String>) -> Vec<String> {
    let (all, mut left) = (names.len(), NAMES_MAX_BYTES);
    let cut = |name: String| {
        let end = name.char_indices().nth(NAME_MAX_CHARS).map(|(at, _)| at);
        match end {
            Some(end) => format!("{}…", name.get(..end).unwrap_or_default()),
            None => name,
        }
    };
    let fits = |name: &String| {
        // As JSON has it, with a comma.
        let size = Value::from(name.as_str()).to_string().len() + 1;
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    let mut brief: Vec<String> = names.into_iter().map(cut).take_while(fits).collect();
    let more = all - brief.len();
    brief.extend((more > 0).then(|| format!("(and {more} more)")));
    brief
}

type Withheld = [(&'static str, Vec<String>); 2];

fn filtered(authority: &Authority, caller: &Caller, server: &str, body: &str) -> Option<(Option<String>, Withheld)> {
    let [tools] = call::fields(body, &["tools"]).ok()?;
    let Some(tools) = tools else { return Some((None, Withheld::default())) };
    let definitions: Vec<&serde_json::value::RawValue> = serde_json::from_str(tools.get()).ok()?;
    let force = authority.law.force();
    let (mut kept, mut denied, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for definition in &definitions {
        let name =
            call::fields(definition.get(), &["name"]).ok().and_then(|[name]| serde_json::from_str(name?.get()).ok());
        let Some(name): Option<String> = name else {
            denied.push("(no name)".to_owned());
            continue;
        };
        let id = ToolId { server: server.to_owned(), name };
        match authority.catalogue.get(&id) {
            // The definition that is shown must be the one that was approved.
            Known::Facts(facts) if facts.pin == catalogue::pin(definition) => {
                if authority.may_see(caller, &id, &force) {
                    kept.push(definition.get());
                } else {
                    denied.push(id.name);
                }
            }
            Known::Quarantined | Known::Facts(_) => changed.push(id.name),
            Known::Unknown => denied.push(id.name),
        }
    }
    let whole = kept.len() == definitions.len();
    let span = call::span_in(body, tools);
    let rebuilt = (!whole).then(|| {
        let (before, after) = (body.get(..span.start).unwrap_or_default(), body.get(span.end..).unwrap_or_default());
        format!("{before}[{}]{after}", kept.join(","))
    });
    Some((rebuilt, [("policy", denied), ("definition changed", changed)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_counted() {
        let few = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(in_brief(few.clone()), few);
        let size = |names: &[String]| Value::from(names.to_vec()).to_string().len();
        let many: Vec<String> = (0..100_000).map(|number| format!("tool {number}")).collect();
        let brief = in_brief(many);
        let named = brief.len() - 1;
        assert!(size(&brief) < NAMES_MAX_BYTES + 100 && named > 2_000, "{named}");
        assert_eq!(brief.last(), Some(&format!("(and {} more)", 100_000 - named)));
        let long = in_brief(vec!["\u{1}é".repeat(4_096); 500]);
        assert!(size(&long) < NAMES_MAX_BYTES + 100 && long[0].ends_with('…'), "{}", size(&long));
    }
}
