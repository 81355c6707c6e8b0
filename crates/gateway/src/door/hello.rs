//! The first line on the gateway's Unix socket: who comes, and what for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use ledger::archive::ArchiveError;
use ledger::handover::HandOverError;
use ledger::{AppendError, Ledger, PayloadError, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::disk::DiskError;
use crate::door::orders;

/// The longest hello, in bytes: it carries an environment.
pub const HELLO_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The byte that the gateway sends when it has taken a hello. Until then nothing was done, and the caller
/// may try again.
pub const ACCEPTED: u8 = b'+';

/// The first line on the socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "bailiwick", rename_all = "snake_case")]
pub enum Hello {
    /// An MCP stdio shim: bytes follow in both directions. Its standard error comes with the line.
    Mcp(Mcp),
    /// All servers that the gateway knows, as one; bytes follow in both directions.
    McpAll {
        /// The agent's name.
        agent: String,
    },
    /// One event of an agent's hook; one line comes back.
    Hook(Hook),
    /// Approve those tool definitions that wait at a server and have these pins; one line comes back.
    ApproveTools {
        /// The server.
        server: String,
        /// What whoever approves has seen.
        pins: BTreeSet<String>,
    },
    /// Show the tool definitions that wait at a server; one line comes back.
    WaitingTools {
        /// The server.
        server: String,
    },
    /// Show what was written down with its labels, or forget what one entry wrote; one line comes back.
    Memory {
        /// The entry to forget.
        forget: Option<u64>,
    },
    /// A client's configuration was changed; it is recorded, and one line comes back.
    Configured {
        /// The changes.
        changes: Vec<Configured>,
    },
    /// Change the ledger itself; one line comes back.
    Ledger(Change),
    /// Change what agents may do; one line comes back.
    Order(Order),
    /// End, so that another process can have the ledger; one line comes back.
    Yield {
        /// Even though sessions are open.
        force: bool,
    },
}

impl Hello {
    /// Whether it lets agents do more than before, or takes something from the record. No agent may.
    pub(crate) fn loosens(&self) -> bool {
        match self {
            Self::ApproveTools { .. } | Self::Memory { forget: Some(_) } | Self::Ledger(_) => true,
            Self::Order(order) => match order {
                // An adopted mandate may be wider than the one before.
                Order::Mandate { .. } | Order::Resume { .. } | Order::Lease { .. } | Order::Settings { .. } => true,
                Order::Stop { .. } | Order::Stopped | Order::EndLease { .. } | Order::Leases => false,
            },
            Self::Mcp(_) | Self::McpAll { .. } | Self::Hook(_) | Self::Yield { .. } => false,
            Self::WaitingTools { .. } | Self::Memory { forget: None } | Self::Configured { .. } => false,
        }
    }
}

/// A change of the ledger itself, which only the process that holds it can make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Destroy the key of a subject's payloads and record that.
    Erase {
        /// Whose payloads.
        subject: String,
    },
    /// Give the log another key.
    RotateKey,
    /// Remove the entries that an archive has.
    Prune {
        /// The archive's statement, as an absolute path.
        statement: PathBuf,
    },
}

impl Change {
    /// Records which user wants it, makes it, and says what came of it, as JSON: of an erasure whether there was anything to
    /// erase, of the others the entry that records it. `sessions` erases what the gateway keeps of a subject and says of how
    /// many sessions that was. Blocks.
    pub fn make(
        &self,
        ledger: &Ledger,
        (uid, now): (u32, Timestamp),
        sessions: impl FnOnce(&str) -> Result<usize, DiskError>,
    ) -> Result<Value, ChangeError> {
        let command = match self {
            Self::Erase { .. } => "ledger erase",
            Self::RotateKey => "ledger rotate-key",
            Self::Prune { .. } => "ledger prune",
        };
        let details = [("by".to_owned(), Value::from(orders::who(uid, command)))].into_iter().collect();
        ledger.append(Record::Log { event: "ordered".to_owned(), details }, now)?.wait()?;
        Ok(match self {
            // Order: what can be erased again and again, then the key, after which everything is said to be erased.
            Self::Erase { subject } => {
                let sessions = sessions(subject)?;
                json!({"subject": subject, "sessions": sessions, "erased": ledger.erase(subject, now)?})
            }
            Self::RotateKey => {
                let rotated = ledger.rotate_key(now)?;
                json!({"entry": rotated.entry, "key": rotated.key.to_string()})
            }
            Self::Prune { statement } => json!(ledger.prune(statement, now)?),
        })
    }
}

/// Why a change of the ledger was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Nothing was changed.
    #[error("who wants it could not be recorded: {0}")]
    Unrecorded(#[from] AppendError),
    /// The payloads are as they were.
    #[error("could not erase: {0}")]
    Erase(#[from] PayloadError),
    /// The payloads are as they were, and some of what is kept of sessions may be.
    #[error("could not erase what is kept of sessions: {0}")]
    Sessions(#[from] DiskError),
    /// The key is the one that it was.
    #[error("could not rotate the key: {0}")]
    Rotate(#[from] HandOverError),
    /// The entries are all there.
    #[error("could not prune: {0}")]
    Prune(#[from] ArchiveError),
}

/// An order of the operator that changes what agents may do, and is recorded with who gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Adopt a mandate under a name, or withdraw it.
    Mandate {
        /// Its name among the adopted ones.
        name: String,
        /// Its text; absent to withdraw it.
        text: Option<String>,
        /// Why, and where it came from.
        because: String,
    },
    /// Open a breaker.
    Stop {
        /// `agent NAME`, `server NAME` or `everything`.
        of: String,
        /// Why.
        because: String,
        /// How long; until somebody resumes it if absent.
        seconds: Option<u32>,
        /// Ask a person about each call instead of denying it.
        ask: bool,
    },
    /// Close a breaker; answers whether it was open.
    Resume {
        /// Which.
        of: String,
        /// Why.
        because: String,
    },
    /// List the open breakers.
    Stopped,
    /// Lend an agent a key for the HTTP door; answers it as [`crate::lease::Made`].
    Lease {
        /// The agent.
        agent: String,
        /// How long the key holds.
        seconds: u32,
        /// What for.
        because: String,
    },
    /// End a lease; answers whether it held.
    EndLease {
        /// Which.
        lease: String,
        /// Why.
        because: String,
    },
    /// List the leases that hold.
    Leases,
    /// A command is about to change the operator's settings; it is recorded with who gave it.
    Settings {
        /// The command's words after `bailiwick`.
        command: String,
        /// The settings that it writes.
        text: String,
    },
}

/// A change of a client's configuration, as [`ledger::Record::Configuration`] holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The file.
    pub path: String,
    /// What was done.
    pub change: String,
    /// Digest of the bytes before.
    pub before: String,
    /// Digest of the bytes after.
    pub after: String,
}

impl Configured {
    /// The record of it, made by this user.
    pub fn record(self, uid: u32) -> ledger::Record {
        let by = orders::who(uid, &self.change);
        let Self { path, change, before, after } = self;
        ledger::Record::Configuration { path, change, before, after, by }
    }
}

/// One event of an agent's hook, and what the operator wrote into the hook's command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Which agent's format, for example `claude-code`.
    pub agent: String,
    /// The event as the agent gave it.
    pub event: Value,
    /// Wait here for a human where policy asks, instead of letting the agent ask.
    #[serde(default)]
    pub wait: bool,
    /// Tell the agent to run what policy permits without asking its user.
    #[serde(default)]
    pub skip_prompts: bool,
}

/// What a shim says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mcp {
    /// The agent's name.
    pub agent: String,
    /// The server's name in the agent's configuration.
    pub server: String,
    /// The server's command.
    pub command: Vec<String>,
    /// The folder to start it in.
    pub cwd: PathBuf,
    /// Its environment.
    pub env: BTreeMap<String, String>,
}

/// The line that comes back, where one does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Reply {
    /// Done, with what is to be printed.
    Done {
        /// For the caller's standard output.
        output: Value,
    },
    /// Not done.
    Failed {
        /// Why.
        error: String,
    },
}
