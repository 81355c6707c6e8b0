//! Orders of the operator that change what agents may do: adopting a mandate, stopping and resuming, lending keys. Each is recorded
//! with the user that the kernel names.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use ledger::private;
use policy::bounds::Otherwise;
use serde_json::{Value, json};

use crate::breaker::Standing;
use crate::disk;
use crate::door::hello::{Order, Reply};
use crate::door::unix::Peer;
use crate::gateway::Shared;
use crate::identity;

/// The largest mandate, in bytes.
const MANDATE_MAX_BYTES: usize = 1 << 20;

/// Does what is ordered.
pub(crate) async fn obey(shared: &Shared, peer: Peer, order: Order) -> Reply {
    let (breakers, journal) = (&shared.authority.breakers, &shared.authority.journal);
    let done = match order {
        Order::Mandate { name, text, because } => mandate(shared, peer, (&name, text), because).await,
        Order::Stop { of, because, seconds, ask } => {
            breakers.set(&of, standing((peer, journal.now()), because, seconds, ask), journal).map(|()| Value::Null)
        }
        Order::Resume { of, because } => {
            breakers.reset(&of, (&who(peer.uid, "resume"), &because), journal).map(Value::from)
        }
        Order::Settings { command, text } => settings(shared, who(peer.uid, &command), &text).await,
        Order::Stopped => Ok(json!(breakers.list())),
        Order::Lease { agent, seconds, because } => {
            let made = shared.leases.make((agent, seconds), (who(peer.uid, "lease"), because), journal).await;
            made.map(|made| json!(made))
        }
        Order::EndLease { lease, because } => {
            shared.leases.end(&lease, (who(peer.uid, "lease --end"), because), journal).await.map(Value::from)
        }
        Order::Leases => Ok(json!(shared.leases.list(journal))),
    };
    match done {
        Ok(output) => Reply::Done { output },
        Err(error) => Reply::Failed { error },
    }
}

/// A user as records name him.
pub(crate) fn who(uid: u32, command: &str) -> String {
    format!("{} (uid {uid}, bailiwick {command})", identity::user_name(uid))
}

/// Only recorded: the command writes them itself, for it does so without a gateway, too.
async fn settings(shared: &Shared, by: String, text: &str) -> Result<Value, String> {
    let (changes, journal) = (&shared.authority.changes, &shared.authority.journal);
    changes.made(("settings.toml", Some(text.as_bytes())), (by, String::new()), journal).await?;
    Ok(Value::Null)
}

/// Puts a mandate into the home or takes it out, and waits until it is in force. The entry comes first: a crash between
/// leaves a change that is told and not made, never one that is made and not told.
async fn mandate(
    shared: &Shared,
    peer: Peer,
    (name, text): (&str, Option<String>),
    because: String,
) -> Result<Value, String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(format!("`{name}` is no name of a mandate: letters, digits, `.`, `_` and `-`"));
    }
    if text.as_ref().is_some_and(|text| text.len() > MANDATE_MAX_BYTES) {
        return Err(format!("the mandate is larger than {MANDATE_MAX_BYTES} bytes"));
    }
    let (authority, bytes) = (&shared.authority, text.as_ref().map(String::as_bytes));
    let folder = authority.home.join("mandates");
    let file = folder.join(format!("{name}.toml"));
    let command = if text.is_some() { "mandate adopt" } else { "mandate withdraw" };
    let path = format!("mandates/{name}.toml");
    let writing = authority.changes.writing(&path);
    authority.changes.made((&path, bytes), (who(peer.uid, command), because), &authority.journal).await?;
    let written = match bytes {
        Some(bytes) => disk::make_private(&folder).and_then(|()| private::write(&file, bytes)),
        None => fs::remove_file(&file),
    };
    drop(writing);
    written.map_err(|error| format!("`{}`: {error}", file.display()))?;
    shared.reload().await?;
    Ok(json!({ "snapshot": authority.law.force().snapshot.id() }))
}

fn standing((peer, since): (Peer, Timestamp), because: String, seconds: Option<u32>, ask: bool) -> Standing {
    let end = |seconds| since.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX);
    let otherwise = if ask { Otherwise::Ask } else { Otherwise::Deny };
    Standing { otherwise, since, until: seconds.map(end), by: who(peer.uid, "stop"), because }
}
