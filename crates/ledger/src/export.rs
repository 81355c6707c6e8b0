//! Signed entries as a table, for any query engine that reads Apache Parquet. The columns are in `spec/ledger.md`. A copy
//! for questions, no evidence: but each row has the entry's own bytes, and the file the checkpoint that covers them.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parquet::errors::ParquetError;
use serde::Deserialize as _;
use serde_json::Value as Json;

use crate::parquet::{Kind, Value, Writer};
use crate::record::Payload;
use crate::tree::leaf_hash;
use crate::{PayloadError, ReadError, Reader};

/// So many bytes of a row group are in memory.
const GROUP_BYTES: usize = 32 << 20;
/// So many rows a row group has at most.
const GROUP_ROWS: u64 = 65_536;

/// Where a column of text or of an integer is in an entry; the first that is there counts.
const MEMBERS: [(&str, Kind, &[&str]); 22] = [
    ("kind", Kind::Text, &["/kind"]),
    ("session", Kind::Text, &["/session"]),
    ("agent", Kind::Text, &["/action/principal/agent"]),
    ("user", Kind::Text, &["/action/principal/user"]),
    ("door", Kind::Text, &["/action/door"]),
    ("verb", Kind::Text, &["/action/verb"]),
    ("server", Kind::Text, &["/action/tool/server", "/server"]),
    ("tool", Kind::Text, &["/action/tool/name"]),
    ("effect", Kind::Text, &["/decision/effect/effect", "/decision/effect"]),
    ("snapshot", Kind::Text, &["/snapshot"]),
    ("sequence", Kind::Integer, &["/sequence"]),
    ("intent", Kind::Integer, &["/intent"]),
    ("ask", Kind::Integer, &["/ask", "/uses"]),
    ("status", Kind::Text, &["/status"]),
    ("approved", Kind::Text, &["/approved"]),
    ("scope", Kind::Text, &["/scope"]),
    ("event", Kind::Text, &["/event"]),
    ("duration_us", Kind::Integer, &["/duration_us"]),
    ("size_bytes", Kind::Integer, &["/size_bytes"]),
    ("by", Kind::Text, &["/by"]),
    ("payload_digest", Kind::Text, &["/payload/digest"]),
    ("payload_subject", Kind::Text, &["/payload/subject"]),
];

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// None of the entries is signed, or there.
    #[error("there is nothing to export: entries {from} to {to} are signed and there")]
    Nothing {
        /// The first that is there.
        from: u64,
        /// Behind the last that is signed.
        to: u64,
    },
    /// The file.
    #[error("`{path}`: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A payload.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The log's directory.
    #[error("ledger storage: {0}")]
    Io(#[from] io::Error),
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Entries.
    pub entries: Range<u64>,
    /// Payloads that are there.
    pub kept: u64,
    /// Payloads that were erased.
    pub erased: u64,
}

impl Reader {
    /// Writes some signed entries into a new file. `payloads`: with the bytes of payloads, in plain text.
    pub fn export(&self, entries: Range<u64>, path: &Path, payloads: bool) -> Result<Exported, ExportError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let start = self.start()?;
        let signed = self.checkpoint();
        let sealed = signed.as_ref().map_or(0, |signed| signed.checkpoint.size);
        let entries = entries.start.max(start)..entries.end.min(sealed);
        let Some(signed) = signed.filter(|_| !entries.is_empty()) else {
            return Err(ExportError::Nothing { from: start, to: sealed });
        };
        let failed = |error: io::Error| ExportError::File { path: path.to_owned(), error };
        let unwritten = |error: ParquetError| failed(io::Error::other(error));
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let mut table = Writer::new(io::BufWriter::new(file), &columns(payloads)).map_err(unwritten)?;
        let mut exported = Exported { entries: entries.clone(), kept: 0, erased: 0 };
        let mut rows = 0;
        for raw in self.raw(entries.clone()) {
            let (index, bytes) = raw?;
            let payload = self.payload_of(index, &bytes)?;
            match &payload {
                Some(Some(_)) => exported.kept += 1,
                Some(None) => exported.erased += 1,
                None => {}
            }
            row(&mut table, (index, &bytes), payload.as_ref().map(Option::as_deref))?;
            rows += 1;
            if table.waiting() >= GROUP_BYTES || rows >= GROUP_ROWS {
                table.flush().map_err(unwritten)?;
                rows = 0;
            }
        }
        let about = [
            ("bailiwick.columns", "1".to_owned()),
            ("bailiwick.origin", signed.checkpoint.origin.clone()),
            ("bailiwick.entries", format!("{} to before {}", entries.start, entries.end)),
            ("bailiwick.checkpoint", signed.to_string()),
        ];
        let mut file = table.finish(&about).map_err(unwritten)?;
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed)?;
        Ok(exported)
    }

    /// The bytes of an entry's payload, if it has one; of one that was erased none.
    fn payload_of(&self, index: u64, entry: &[u8]) -> Result<Option<Option<Vec<u8>>>, ExportError> {
        #[derive(serde::Deserialize)]
        struct Refers {
            payload: Option<Payload>,
        }
        let refers: Refers = serde_json::from_slice(entry).map_err(|error| ReadError::Entry { index, error })?;
        Ok(refers.payload.map(|payload| self.payload(&payload)).transpose()?)
    }
}

fn columns(payloads: bool) -> Vec<(&'static str, Kind)> {
    let mut columns = vec![("index", Kind::Integer), ("time", Kind::Time)];
    columns.extend(MEMBERS.iter().map(|(name, kind, _)| (*name, *kind)));
    let last =
        [("policies", Kind::Text), ("payload_state", Kind::Text), ("leaf_hash", Kind::Text), ("entry", Kind::Text)];
    columns.extend(last);
    if payloads {
        columns.push(("payload", Kind::Bytes));
    }
    columns
}

fn row<W: Write + Send>(
    table: &mut Writer<W>,
    (index, bytes): (u64, &[u8]),
    payload: Option<Option<&[u8]>>,
) -> Result<(), ReadError> {
    let fault = |error| ReadError::Entry { index, error };
    let entry: Json = serde_json::from_slice(bytes).map_err(fault)?;
    let time = Timestamp::deserialize(entry.get("time").unwrap_or(&Json::Null)).map_err(fault)?;
    let texts: Vec<Option<String>> = MEMBERS.iter().map(|(_, kind, places)| text(&entry, *kind, places)).collect();
    let policies = policies(&entry);
    let hash = hex::encode(leaf_hash(bytes));
    let state = payload.map(|payload| if payload.is_some() { "kept" } else { "erased" });
    let mut values = vec![Some(Value::Integer(index as i64)), Some(Value::Integer(time.as_microsecond()))];
    for ((_, kind, places), text) in MEMBERS.iter().zip(&texts) {
        values.push(match kind {
            Kind::Integer => first(&entry, places).and_then(Json::as_i64).map(Value::Integer),
            _ => text.as_ref().map(|text| Value::Bytes(text.as_bytes())),
        });
    }
    values.push(policies.as_ref().map(|text| Value::Bytes(text.as_bytes())));
    values.push(state.map(|state| Value::Bytes(state.as_bytes())));
    values.push(Some(Value::Bytes(hash.as_bytes())));
    values.push(Some(Value::Bytes(bytes)));
    values.push(payload.flatten().map(Value::Bytes));
    table.row(&values);
    Ok(())
}

fn first<'a>(entry: &'a Json, places: &[&str]) -> Option<&'a Json> {
    places.iter().find_map(|place| entry.pointer(place))
}

fn text(entry: &Json, kind: Kind, places: &[&str]) -> Option<String> {
    match first(entry, places)? {
        Json::String(text) if kind == Kind::Text => Some(text.clone()),
        Json::Bool(truth) if kind == Kind::Text => Some(truth.to_string()),
        _ => None,
    }
}

/// The policies that decided, in their order, as a JSON list.
fn policies(entry: &Json) -> Option<String> {
    let reasons = entry.pointer("/decision/reasons")?.as_array()?;
    let names: Vec<&str> = reasons.iter().filter_map(|reason| reason.get("policy")?.as_str()).collect();
    serde_json::to_string(&names).ok()
}
