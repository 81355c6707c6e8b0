//! A line of messages to a server that reads them one after the other.

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::call::{Plumbing, Request};
use crate::pipeline::{Act, Permit};

/// How many messages wait for a slow peer before the sender waits too.
pub(crate) const QUEUE: usize = 16;

/// The sending side. The only way to a server that speaks lines.
#[derive(Clone, Debug)]
pub struct Link {
    lines: mpsc::Sender<Bytes>,
}

/// The peer reads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is gone")]
pub struct Gone;

impl Link {
    /// A link, and the queue that [`pump`] empties into the server.
    pub fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (lines, queue) = mpsc::channel(QUEUE);
        (Self { lines }, queue)
    }

    /// Spends a permit: the call goes to the server. The act owes an outcome even if the server is gone.
    pub async fn send(&self, permit: Permit<Request>) -> (Act, Result<(), Gone>) {
        let (request, act) = permit.spend();
        let sent = self.lines.send(request.raw().clone()).await.map_err(|_| Gone);
        (act, sent)
    }

    /// Passes a message that policy has no say in.
    pub async fn pass(&self, plumbing: &Plumbing) -> Result<(), Gone> {
        self.lines.send(plumbing.raw().clone()).await.map_err(|_| Gone)
    }
}

/// Writes queued messages, one a line, until the queue closes or the peer does.
pub(crate) async fn pump(mut queue: mpsc::Receiver<Bytes>, mut to: impl AsyncWrite + Unpin) {
    while let Some(line) = queue.recv().await {
        let mut batch = Vec::with_capacity(line.len() + 1);
        push_line(&mut batch, &line);
        while batch.len() < 64 * 1024
            && let Ok(line) = queue.try_recv()
        {
            push_line(&mut batch, &line);
        }
        if to.write_all(&batch).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    // Ends the peer's input. That it is gone already is no fault.
    drop(to.shutdown().await);
}

/// A line end inside JSON is white space, so a message that came over HTTP may hold some.
fn push_line(batch: &mut Vec<u8>, line: &[u8]) {
    batch.extend(line.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    batch.push(b'\n');
}
