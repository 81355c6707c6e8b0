//! Proof files: one entry, its inclusion proof and a signed checkpoint, checked offline. The format is
//! C2SP tlog-proof with the entry's bytes as the extra data. Pure.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::handover::Chain;
use crate::note::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::tree::{Hash, leaf_hash, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that an entry is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The entry's index.
    pub index: u64,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The inclusion proof, leaf end first.
    pub hashes: Vec<Hash>,
    /// The checkpoint that it leads to.
    pub checkpoint: SignedCheckpoint,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No proof file.
    #[error("not a proof file: {0}")]
    Malformed(&'static str),
    /// The checkpoint.
    #[error("the proof's checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The entry is not what the log has at this index.
    #[error("entry {index} with these bytes is not in the log of {size} entries that `{origin}` signed")]
    NotIncluded {
        /// The index claimed.
        index: u64,
        /// The checkpoint's size.
        size: u64,
        /// The log.
        origin: String,
    },
}

impl Proof {
    /// As [`Proof::verify`], for a log whose keys are known.
    pub fn verify_by(&self, keys: &Chain) -> Result<(), ProofError> {
        keys.verify(&self.checkpoint)?;
        self.included()
    }

    /// Checks that the log with this key signed a tree with this entry at this index.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), ProofError> {
        let checkpoint = &self.checkpoint.checkpoint;
        if checkpoint.origin != key.name() {
            return Err(NoteError::Unsigned(key.name().to_owned()).into());
        }
        self.checkpoint.verify(key)?;
        self.included()
    }

    /// Checks that the checkpoint's tree has this entry at this index, whoever signed it.
    pub(crate) fn included(&self) -> Result<(), ProofError> {
        let checkpoint = &self.checkpoint.checkpoint;
        let leaf = leaf_hash(&self.entry);
        if verify_inclusion(&leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root) {
            return Ok(());
        }
        let (size, origin) = (checkpoint.size, checkpoint.origin.clone());
        Err(ProofError::NotIncluded { index: self.index, size, origin })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEADER}\nextra {}\nindex {}", BASE64.encode(&self.entry), self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(formatter, "{}", BASE64.encode(hash)))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Malformed("no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Malformed("the first line is another"));
        }
        let entry = lines.next().and_then(|line| line.strip_prefix("extra ")).and_then(|text| BASE64.decode(text).ok());
        let entry = entry.ok_or(ProofError::Malformed("no entry"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index
            .and_then(|digits| digits.parse().ok().filter(|index: &u64| index.to_string() == digits))
            .ok_or(ProofError::Malformed("no index"))?;
        let hash = |line: &str| BASE64.decode(line).ok().and_then(|hash| hash.try_into().ok());
        let hashes = lines.map(hash).collect::<Option<Vec<Hash>>>().ok_or(ProofError::Malformed("a bad hash"))?;
        Ok(Self { index, entry, hashes, checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes())? })
    }
}
