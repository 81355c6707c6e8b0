//! Streams that clients have asked for and servers have not answered yet. What a server says on a stream before it is there
//! is lost, so that the requests of a conversation wait for it a little.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::screen::Conversation;

/// A server that does not answer holds nobody up for longer.
const WAIT: Duration = Duration::from_secs(2);

/// The streams being opened, by their conversations. Whoever holds the lock does nothing but look.
#[derive(Debug, Default)]
pub(super) struct Openings(Mutex<HashMap<Conversation, watch::Receiver<()>>>);

/// A stream being opened, until this is dropped.
pub(super) struct Opening<'o> {
    openings: &'o Openings,
    conversation: Conversation,
    /// Who waits hears that it is gone.
    told: watch::Sender<()>,
}

impl Openings {
    /// A stream is asked for.
    pub(super) fn begin(&self, conversation: Conversation) -> Opening<'_> {
        let (told, waits) = watch::channel(());
        self.lock().insert(conversation.clone(), waits);
        Opening { openings: self, conversation, told }
    }

    /// Waits until no stream of the conversation is being opened. Mostly none of any is.
    pub(super) async fn over(&self, conversation: impl FnOnce() -> Conversation) {
        let waits = {
            let opening = self.lock();
            if opening.is_empty() { None } else { opening.get(&conversation()).cloned() }
        };
        let Some(mut waits) = waits else { return };
        // Nothing is ever sent: it ends when the sender does.
        drop(tokio::time::timeout(WAIT, waits.changed()).await);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Conversation, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut openings = self.openings.lock();
        // Another that was asked for since has taken its place.
        if openings.get(&self.conversation).is_some_and(|waits| waits.same_channel(&self.told.subscribe())) {
            openings.remove(&self.conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(server: &str) -> Conversation {
        let [agent, whose, server] = ["a", "", server].map(str::to_owned);
        Conversation { agent, whose, server, session: Vec::new() }
    }

    #[tokio::test]
    async fn requests_wait_for_the_stream_of_their_own_conversation() {
        let openings = Openings::default();
        openings.over(|| of("a")).await;
        let opening = openings.begin(of("a"));
        openings.over(|| of("b")).await;
        let told = Mutex::new(Vec::new());
        let waits = async {
            openings.over(|| of("a")).await;
            told.lock().unwrap().push("request");
        };
        let opens = async {
            tokio::task::yield_now().await;
            told.lock().unwrap().push("stream");
            drop(opening);
        };
        tokio::join!(waits, opens);
        assert_eq!(told.into_inner().unwrap(), ["stream", "request"]);
        openings.over(|| of("a")).await;
        assert!(openings.lock().is_empty());
        let (first, second) = (openings.begin(of("a")), openings.begin(of("a")));
        drop(first);
        assert!(!openings.lock().is_empty(), "the other is not there yet");
        drop(second);
        assert!(openings.lock().is_empty());
    }
}
