//! Speaks to a running control plane over its Unix socket, for the command line.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::problem::Problem;

/// How large an answer may be.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no control plane is running here")]
    NotRunning,
    /// It answered with a problem.
    #[error("{}", if .0.detail.is_empty() { &.0.title } else { &.0.detail })]
    Refused(Problem),
    /// The connection failed.
    #[error("the control plane does not answer: {0}")]
    Connection(String),
}

/// Asks `path`, for example `/api/asks`.
pub async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, ClientError> {
    request(socket, Method::GET, path, Vec::new()).await
}

/// Sends a JSON body to `path`.
pub async fn post<T: DeserializeOwned>(socket: &Path, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
    let body = serde_json::to_vec(body).map_err(|error| ClientError::Connection(error.to_string()))?;
    request(socket, Method::POST, path, body).await
}

async fn request<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<T, ClientError> {
    let exchange = tokio::time::timeout(TIMEOUT, exchange(socket, method, path, body));
    let (success, bytes) = exchange.await.map_err(|_| ClientError::Connection("it took too long".to_owned()))??;
    let unreadable = |error: serde_json::Error| ClientError::Connection(format!("its answer cannot be read: {error}"));
    if success {
        serde_json::from_slice(&bytes).map_err(unreadable)
    } else {
        Err(ClientError::Refused(serde_json::from_slice(&bytes).map_err(unreadable)?))
    }
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<(bool, Vec<u8>), ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
        _ => ClientError::Connection(error.to_string()),
    })?;
    let failed = |error: hyper::Error| ClientError::Connection(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends when the sender is dropped.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body)))
        .map_err(|error| ClientError::Connection(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let success = response.status().is_success();
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
    let body = body.map_err(|error| ClientError::Connection(error.to_string()))?;
    Ok((success, body.to_bytes().to_vec()))
}
