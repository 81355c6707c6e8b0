//! Objects in a bucket of an S3-compatible server: `object_store` says and signs the calls, the HTTP client that the
//! witnesses are asked with makes them.
//!
//! The server is trusted to keep what it acknowledged and to honour conditions, which [`super::probe`] tries first; for
//! nothing else. Secrets come from the environment or a file, and leave in no log, error or URL.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use md5::{Digest as _, Md5};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore as _, ObjectStoreExt as _, PutMode, RetryConfig, UpdateVersion};
use tokio_stream::StreamExt as _;

use super::{Condition, Found, Listed, Store, StoreError};
use crate::cosign::{Http, http};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// How long one call may take.
const CALL_WAIT: Duration = Duration::from_secs(60);
/// The largest object that is read: a journal segment's worth of payloads, and more.
const OBJECT_MAX_BYTES: usize = 256 << 20;
/// How often a call is tried again that the server or the network failed.
const AGAIN_MAX: usize = 2;

/// What a request is signed with.
#[derive(Clone)]
pub struct Credentials {
    key_id: String,
    secret: String,
    token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if there is one, `AWS_SESSION_TOKEN`.
    pub fn from_environment() -> Option<Self> {
        Self::from(&|name: &str| std::env::var(name.to_ascii_uppercase()).ok())
    }

    /// From the first section of a file as the AWS tools have it: `aws_access_key_id = …`.
    pub fn from_file(path: &Path) -> std::io::Result<Option<Self>> {
        let text = std::fs::read_to_string(path)?;
        let lines = text.lines().skip_while(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        let section: Vec<(&str, &str)> = lines
            .enumerate()
            .take_while(|(place, line)| *place == 0 || !line.trim_start().starts_with('['))
            .filter_map(|(_, line)| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let value = |wanted: &str| Some(section.iter().find(|(name, _)| *name == wanted)?.1.to_owned());
        Ok(Self::from(&value))
    }

    fn from(value: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let value = |name| value(name).filter(|text| !text.is_empty());
        Some(Self {
            key_id: value("aws_access_key_id")?,
            secret: value("aws_secret_access_key")?,
            token: value("aws_session_token"),
        })
    }
}

/// Where objects lie.
#[derive(Clone, Debug)]
pub struct Place {
    /// `https://…`, or `http://` on this machine.
    endpoint: String,
    region: String,
    bucket: String,
    /// Before each name; may be empty.
    prefix: Key,
}

impl Place {
    /// `s3://BUCKET/PREFIX`, at an endpoint or at AWS.
    pub fn new(url: &str, endpoint: Option<&str>, region: &str) -> Result<Self, StoreError> {
        let plain = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/'))
        };
        let fault = || StoreError::Address(url.to_owned());
        let path = url.strip_prefix("s3://").filter(|path| plain(path) && plain(region)).ok_or_else(fault)?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let prefix = Key::parse(prefix).map_err(|_| fault())?;
        let endpoint = endpoint.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), str::to_owned);
        let at: Uri = endpoint.parse().map_err(|_| StoreError::Address(endpoint.clone()))?;
        match at.scheme_str() {
            _ if bucket.is_empty() || at.path() != "/" || at.query().is_some() => return Err(fault()),
            Some("https") => {}
            Some("http") if at.host().is_some_and(graph::host::is_loopback) => {}
            _ => return Err(StoreError::Address(endpoint)),
        }
        Ok(Self { endpoint, region: region.to_owned(), bucket: bucket.to_owned(), prefix })
    }

    fn key(&self, name: &str) -> Result<Key, StoreError> {
        let path = if self.prefix.is_root() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Key::parse(path).map_err(|_| StoreError::Address(name.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}", self.bucket)?;
        if self.prefix.is_root() { Ok(()) } else { write!(formatter, "/{}", self.prefix) }
    }
}

/// A bucket, or a part of one.
pub struct S3 {
    bucket: AmazonS3,
    place: Place,
}

impl fmt::Debug for S3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("S3").field("place", &self.place).finish_non_exhaustive()
    }
}

impl S3 {
    /// A bucket that exists.
    pub fn new(place: Place, credentials: Credentials) -> Result<Self, StoreError> {
        let Credentials { key_id, secret, token } = credentials;
        let again = RetryConfig { max_retries: AGAIN_MAX, ..RetryConfig::default() };
        let builder = AmazonS3Builder::new()
            .with_http_connector(Transport(http()))
            .with_retry(again)
            .with_endpoint(&place.endpoint)
            .with_region(&place.region)
            .with_bucket_name(&place.bucket)
            .with_access_key_id(key_id)
            .with_secret_access_key(secret)
            // Not every server has a call for many.
            .with_disable_bulk_delete(true);
        let builder = token.into_iter().fold(builder, AmazonS3Builder::with_token);
        let bucket = builder.build().map_err(|error| fault(&error))?;
        Ok(Self { bucket, place })
    }
}

/// The client that the witnesses are asked with.
#[derive(Clone, Debug)]
struct Transport(Http);

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.method == Method::PUT {
            // A bucket with object lock takes nothing without it. What is signed is the SHA-256.
            let digest = HeaderValue::from_str(&BASE64.encode(Md5::digest(&body)));
            head.headers.extend(digest.ok().map(|digest| (CONTENT_MD5, digest)));
        }
        let request = Request::from_parts(head, Full::new(body));
        let exchange = async {
            // Tried again, also where only the answer was lost: whoever writes on a condition looks whose it is.
            let answer =
                self.0.request(request).await.map_err(|error| HttpError::new(HttpErrorKind::Request, error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, OBJECT_MAX_BYTES).collect().await;
            let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Request, error))?.to_bytes();
            Refusal::of(head.status, &body).map_or(Ok(()), Err)?;
            Ok(HttpResponse::from_parts(head, body.into()))
        };
        let done = tokio::time::timeout(CALL_WAIT, exchange).await;
        done.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?
    }
}

/// What a server says that refuses, without what we sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("HTTP {status} {code}")]
struct Refusal {
    status: StatusCode,
    code: String,
}

impl Refusal {
    /// `None` if it is none, or one that says something of an object: it is missing, or not as a condition has it.
    fn of(status: StatusCode, body: &[u8]) -> Option<HttpError> {
        let body = String::from_utf8_lossy(body);
        let code = element(&body, "Code").unwrap_or_default();
        let of_an_object = match status {
            StatusCode::NOT_FOUND => code != "NoSuchBucket",
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => true,
            _ => !(status.is_client_error() || status.is_server_error()),
        };
        let kind = if status.is_server_error() { HttpErrorKind::Request } else { HttpErrorKind::Unknown };
        (!of_an_object).then(|| HttpError::new(kind, Self { status, code: code.to_owned() }))
    }
}

/// The text of the first such element. S3's errors have neither attributes nor nesting of one name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn fault(error: &object_store::Error) -> StoreError {
    let mut cause: &(dyn Error + 'static) = error;
    // The first cause says what happened, those above it where we were.
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<Refusal>() {
        Some(Refusal { status, code }) => StoreError::Refused { status: status.as_u16(), code: code.clone() },
        None => StoreError::Unreachable(cause.to_string()),
    }
}

impl Store for S3 {
    async fn get(&self, name: &str) -> Result<Option<Found>, StoreError> {
        match self.bucket.get(&self.place.key(name)?).await {
            Ok(found) => {
                let version = found.meta.e_tag.clone().unwrap_or_default();
                let bytes = found.bytes().await.map_err(|error| fault(&error))?;
                Ok(Some(Found { version, bytes: bytes.to_vec() }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, condition: Condition) -> Result<bool, StoreError> {
        let mode = match condition {
            Condition::None => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Is(version) => PutMode::Update(UpdateVersion { e_tag: Some(version), version: None }),
        };
        match self.bucket.put_opts(&self.place.key(name)?, bytes.into(), mode.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(fault(&error)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let (folder, mut found) = (self.place.key(folder)?, Vec::new());
        let mut objects = self.bucket.list(Some(&folder));
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| fault(&error))?;
            let below = object.location.prefix_match(&self.place.prefix);
            let name = below.into_iter().flatten().map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
            found.push(Listed { name, size_bytes: object.size });
        }
        Ok(found)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.bucket.delete(&self.place.key(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_plain_and_safe() {
        assert!(Place::new("s3://b/p", Some("http://127.0.0.1:9"), "us-east-1").is_ok());
        assert!(Place::new("s3://b/p", Some("http://storage.example"), "us-east-1").is_err());
        assert!(Place::new("s3://b/p?x", None, "us-east-1").is_err());
        assert!(Place::new("s3://b/p//q", None, "us-east-1").is_err());
        assert!(Place::new("s3://b/../q", None, "us-east-1").is_err());
        assert!(Place::new("https://b/p", None, "us-east-1").is_err());
        assert_eq!(Place::new("s3://b/p/q/", None, "eu-west-1").unwrap().to_string(), "s3://b/p/q");
    }

    #[test]
    fn credentials_are_of_the_first_section() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            "# mine\n[default]\naws_access_key_id = one\naws_secret_access_key=two\n[other]\naws_session_token=x\n";
        std::fs::write(file.path(), text).unwrap();
        let found = Credentials::from_file(file.path()).unwrap().unwrap();
        assert_eq!((found.key_id.as_str(), found.secret.as_str(), found.token.as_ref()), ("one", "two", None));
        let s3 = S3::new(Place::new("s3://b/p", None, "us-east-1").unwrap(), found).unwrap();
        assert!(!format!("{s3:?}").contains("two"), "a secret is never printed");
    }
}
