//! Calls that wait for a human, and that their clients may retract meanwhile. Nothing of them was sent: there is nothing for
//! a server to cancel, and an approval that comes later must find nobody.

use tokio::sync::oneshot;

use super::screen::Conversation;
use crate::call::Id;
use crate::door::claims::Claims;

/// A request of a session.
pub(super) type Requested = (Conversation, Id);

/// The calls that wait.
#[derive(Debug, Default)]
pub(super) struct Retractable(Claims<Requested, oneshot::Sender<()>>);

/// A call that waits, until this is dropped.
struct Kept<'r> {
    retractable: &'r Retractable,
    requested: Requested,
}

impl Retractable {
    /// Does what waits for a human; `None` if the client retracted it meanwhile. Without a session nobody can tell whose
    /// request an id names: then only to leave is to retract.
    pub(super) async fn unless_retracted<T>(
        &self,
        requested: Option<Requested>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(requested) = requested else { return Some(work.await) };
        let (tell, told) = oneshot::channel();
        let is_same = |(other, _): &Requested| other.agent == requested.0.agent;
        if self.0.keep(requested.clone(), tell, None, is_same).is_err() {
            // No room, or the id is in use already: it goes on as without a session.
            return Some(work.await);
        }
        let _kept = Kept { retractable: self, requested };
        let retracted = async {
            if told.await.is_err() {
                // Nobody can retract it any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = retracted => None,
            done = work => Some(done),
        }
    }

    /// A client retracts a request; whether it waited for a human.
    pub(super) fn retract(&self, requested: &Requested) -> bool {
        self.0.take(requested).is_some_and(|tell| tell.send(()).is_ok())
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        drop(self.retractable.0.take(&self.requested));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Message;

    fn requested(agent: &str, id: &str) -> Requested {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let Ok(Message::Request(request)) = Message::read(text.into()) else { panic!("{id}") };
        let [agent, whose, server] = [agent, "", "files"].map(str::to_owned);
        (Conversation { agent, whose, server, session: b"s".to_vec() }, request.id)
    }

    #[tokio::test]
    async fn a_call_is_retracted_by_its_own_client_and_id_while_it_waits() {
        let (all, own) = (Retractable::default(), requested("a", "7"));
        let waits = all.unless_retracted(Some(own.clone()), std::future::pending::<()>());
        let retracts = async {
            assert!(
                !all.retract(&requested("b", "7")) && !all.retract(&requested("a", "\"7\"")),
                "another's, another id"
            );
            assert!(all.retract(&own));
            assert!(!all.retract(&own), "once");
        };
        assert_eq!(tokio::join!(waits, retracts).0, None);
        assert_eq!(all.unless_retracted(Some(own.clone()), async { 1 }).await, Some(1));
        assert!(!all.retract(&own), "it waits no more");
        assert_eq!(all.unless_retracted(None, async { 2 }).await, Some(2));
        // Who asks under an id that is in use takes nothing from who has it.
        let first = all.unless_retracted(Some(own.clone()), std::future::pending::<()>());
        let second = async {
            assert_eq!(all.unless_retracted(Some(own.clone()), async { 3 }).await, Some(3));
            assert!(all.retract(&own));
        };
        assert_eq!(tokio::join!(first, second).0, None);
    }
}
