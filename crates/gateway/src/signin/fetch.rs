//! Fetches an issuer's documents: over TLS or from this machine, no redirects, small, and not for long.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{StatusCode, Uri};
use serde_json::Value;

use crate::upstream::http::{Outbound, Target};

/// The largest document, in bytes.
const SIZE_MAX_BYTES: usize = 256 * 1024;
/// How long a document may take.
const WAIT: Duration = Duration::from_secs(5);

/// A document could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Neither https nor on this machine.
    #[error("the address is neither https nor on this machine")]
    Address,
    /// Another answer than a document: there is none.
    #[error("no document: status {0}")]
    None(u16),
    /// No answer, or not a whole one: there may be a document.
    #[error("the document could not be fetched: {0}")]
    Unread(String),
    /// Of another issuer, or without what was wanted.
    #[error("{0}")]
    Unfit(&'static str),
    /// Not JSON.
    #[error("the document is not JSON")]
    NotJson,
}

impl FetchError {
    /// Whether there is no such document, as somebody said who is there.
    fn is_absence(&self) -> bool {
        matches!(self, Self::None(..500) | Self::NotJson)
    }
}

/// The first document that is at one of these places. There is none only if each place says so: who makes one of them
/// unreadable must not choose what holds without it.
pub(crate) async fn first(outbound: &Outbound, places: &[String]) -> Result<Option<Value>, FetchError> {
    let mut unread = None;
    for place in places {
        match json(outbound, place).await {
            Ok(document) => return Ok(Some(document)),
            Err(error) if error.is_absence() => {}
            Err(error) => unread = unread.or(Some(error)),
        }
    }
    unread.map_or(Ok(None), Err)
}

/// Fetches a JSON document.
pub(crate) async fn json(outbound: &Outbound, address: &str) -> Result<Value, FetchError> {
    let uri: Uri = address.parse().map_err(|_| FetchError::Address)?;
    if !is_safe(&uri) {
        return Err(FetchError::Address);
    }
    let bytes = tokio::time::timeout(WAIT, bytes(outbound, uri)).await;
    let bytes = bytes.map_err(|_| FetchError::Unread("it took too long".to_owned()))??;
    serde_json::from_slice(&bytes).map_err(|_| FetchError::NotJson)
}

async fn bytes(outbound: &Outbound, uri: Uri) -> Result<Bytes, FetchError> {
    let mut headers = hyper::HeaderMap::new();
    headers.insert(hyper::header::ACCEPT, hyper::header::HeaderValue::from_static("application/json"));
    let answer = outbound.fetch(Target { uri, headers, wait: WAIT }).await;
    let answer = answer.map_err(|error| FetchError::Unread(error.to_string()))?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::None(answer.status().as_u16()));
    }
    let body = Limited::new(answer.into_body(), SIZE_MAX_BYTES).collect().await;
    Ok(body.map_err(|_| FetchError::Unread("it broke off or is too large".to_owned()))?.to_bytes())
}

/// Keys that came over an open network could be anybody's.
pub(crate) fn is_safe(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => graph::host::is_loopback(host),
        _ => false,
    }
}

/// Whether an address may be this machine's, however it is written.
pub(crate) fn may_be_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    graph::host::is_loopback(host) || graph::host::is_below_localhost(host)
}
