//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature), Ed25519. Pure.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::tree::{Hash, sha256};

/// Signature algorithm bytes of C2SP signed-note.
const ED25519_NOTE: u8 = 0x01;
const ED25519_COSIGNATURE: u8 = 0x04;

/// What is wrong with a key, a note or a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The bytes are no key.
    #[error("this is no Ed25519 key")]
    Key,
    /// The bytes are no signed note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// The note's text is no checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// No signature by the key that was asked for.
    #[error("no signature by `{0}`")]
    Unsigned(String),
    /// A signature by that key that does not hold.
    #[error("the signature by `{0}` does not hold")]
    Forged(String),
    /// Signed by a key that had handed over to another before.
    #[error("it is signed by `{0}`, which had handed over to another key before")]
    Retired(String),
}

/// The private key of a log or a witness. Whoever has it can write another history, which only a witness
/// would notice; it is never printed.
pub struct SigningKey {
    name: String,
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Clone for SigningKey {
    fn clone(&self) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.seed.as_slice());
        #[expect(clippy::expect_used, reason = "these 32 bytes made a key before")]
        Self { name: self.name.clone(), pair: pair.expect("a seed"), seed: self.seed.clone() }
    }
}

impl SigningKey {
    /// A fresh key, named after its public half: `bailiwick/` and 16 hex digits.
    pub fn generate() -> Result<Self, NoteError> {
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(|_unspecified| NoteError::Key)?;
        Self::from_seed(seed.as_slice())
    }

    /// From the 32 bytes that [`SigningKey::seed`] gave.
    pub fn from_seed(seed: &[u8]) -> Result<Self, NoteError> {
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_length| NoteError::Key)?);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_rejected| NoteError::Key)?;
        let digest = sha256(pair.public_key().as_ref());
        let name = format!("bailiwick/{}", hex::encode(digest.get(..8).unwrap_or_default()));
        Ok(Self { name, pair, seed })
    }

    /// From the bytes of a key file, as [`SigningKey::to_file`] makes them.
    pub fn from_file(bytes: &[u8]) -> Result<Self, NoteError> {
        let (seed, name) = bytes.split_at_checked(32).ok_or(NoteError::Key)?;
        let key = Self::from_seed(seed)?;
        let name = std::str::from_utf8(name).map_err(|_error| NoteError::Key)?;
        if name.is_empty() { Ok(key) } else { key.named(name) }
    }

    /// The private bytes and, behind them, the name.
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.seed.as_slice(), self.name.as_bytes()].concat())
    }

    /// The same key under another name, for a log or witness that has an address of its own.
    pub fn named(self, name: &str) -> Result<Self, NoteError> {
        if !valid_name(name) {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), ..self })
    }

    /// The private bytes, to be kept in a file of mode 0600.
    pub fn seed(&self) -> &[u8] {
        self.seed.as_slice()
    }

    /// The name; a log's is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        VerifyingKey { name: self.name.clone(), public, algorithm: ED25519_NOTE }
    }

    /// The public half as a witness's key.
    pub fn witness_key(&self) -> VerifyingKey {
        VerifyingKey { algorithm: ED25519_COSIGNATURE, ..self.verifying_key() }
    }

    /// Signs a checkpoint as its log.
    pub fn sign(&self, checkpoint: Checkpoint) -> SignedCheckpoint {
        let text = checkpoint.to_string();
        let signature = self.signature(&self.verifying_key(), self.pair.sign(text.as_bytes()).as_ref().to_vec());
        SignedCheckpoint { checkpoint, text, signatures: vec![signature] }
    }

    /// Signs a checkpoint as a witness that has seen it at `time`, seconds since 1970 (cosignature/v1).
    pub fn cosign(&self, checkpoint: &SignedCheckpoint, time: u64) -> Signature {
        let message = cosigned_message(time, &checkpoint.text);
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend_from_slice(self.pair.sign(message.as_bytes()).as_ref());
        self.signature(&self.witness_key(), bytes)
    }

    fn signature(&self, key: &VerifyingKey, bytes: Vec<u8>) -> Signature {
        Signature { name: self.name.clone(), key_id: key.key_id(), bytes }
    }
}

fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter == '+')
}

/// The public key of a log or a witness. Its text is the usual `NAME+KEYID+BASE64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    public: [u8; 32],
    algorithm: u8,
}

impl VerifyingKey {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ algorithm ‖ key).
    pub fn key_id(&self) -> [u8; 4] {
        let mut input = self.name.as_bytes().to_vec();
        input.extend_from_slice(&[b'\n', self.algorithm]);
        input.extend_from_slice(&self.public);
        let mut id = [0; 4];
        id.copy_from_slice(sha256(&input).get(..4).unwrap_or(&[0; 4]));
        id
    }

    fn holds(&self, signature: &Signature, text: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        match (self.algorithm, signature.cosigned_at()) {
            (ED25519_COSIGNATURE, Some(time)) => {
                let bytes = signature.bytes.get(8..).unwrap_or_default();
                key.verify(cosigned_message(time, text).as_bytes(), bytes).is_ok()
            }
            (ED25519_NOTE, _) => key.verify(text.as_bytes(), &signature.bytes).is_ok(),
            _ => false,
        }
    }
}

impl VerifyingKey {
    /// Whether it is a witness's key and not a log's.
    pub fn is_witness(&self) -> bool {
        self.algorithm == ED25519_COSIGNATURE
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.algorithm];
        key.extend_from_slice(&self.public);
        write!(formatter, "{}+{}+{}", self.name, hex::encode(self.key_id()), BASE64.encode(key))
    }
}

impl FromStr for VerifyingKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let bytes = BASE64.decode(key).map_err(|_error| NoteError::Key)?;
        let Some((algorithm @ (&ED25519_NOTE | &ED25519_COSIGNATURE), public)) = bytes.split_first() else {
            return Err(NoteError::Key);
        };
        let public = public.try_into().map_err(|_length| NoteError::Key)?;
        let key = Self { name: name.to_owned(), public, algorithm: *algorithm };
        (valid_name(name) && hex::encode(key.key_id()) == id).then_some(key).ok_or(NoteError::Key)
    }
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Who signed.
    pub name: String,
    /// Which key.
    pub key_id: [u8; 4],
    /// The signature; a cosignature starts with eight bytes of time.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// When a witness signed, seconds since 1970; `None` for a log's signature.
    pub fn cosigned_at(&self) -> Option<u64> {
        let time = self.bytes.get(..8).filter(|_| self.bytes.len() == 72)?;
        Some(u64::from_be_bytes(time.try_into().ok()?))
    }

    /// From its line, without the line end.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Note("malformed signature line");
        let (name, encoded) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(malformed.clone())?;
        let decoded = BASE64.decode(encoded).map_err(|_error| malformed.clone())?;
        let (key_id, bytes) = decoded.split_first_chunk::<4>().ok_or(malformed.clone())?;
        if !valid_name(name) || bytes.is_empty() {
            return Err(malformed);
        }
        Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(formatter, "— {} {}", self.name, BASE64.encode(bytes))
    }
}

/// What a log says about itself: so many entries, with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n{}\n{}", self.origin, self.size, BASE64.encode(self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|origin| valid_name(origin)).ok_or(NoteError::Checkpoint("no origin"))?;
        let size_text = lines.next().ok_or(NoteError::Checkpoint("no size"))?;
        let size: u64 = size_text.parse().map_err(|_error| NoteError::Checkpoint("bad size"))?;
        if size.to_string() != size_text {
            return Err(NoteError::Checkpoint("bad size"));
        }
        let root = lines.next().and_then(|line| BASE64.decode(line).ok()).and_then(|root| root.try_into().ok());
        // Extension lines, which we do not read, are not empty; behind the last line end is nothing.
        let rest: Vec<&str> = lines.collect();
        if !rest.split_last().is_some_and(|(end, lines)| end.is_empty() && lines.iter().all(|line| !line.is_empty())) {
            return Err(NoteError::Checkpoint("an empty line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root: root.ok_or(NoteError::Checkpoint("bad root"))? })
    }
}

/// A checkpoint with its signatures: the log's, and those of witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The signed bytes, which may hold extension lines that we do not read.
    text: String,
    /// In the order of the note.
    pub signatures: Vec<Signature>,
}

impl SignedCheckpoint {
    /// Parses without checking any signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(bytes).map_err(|_error| NoteError::Note("not UTF-8"))?;
        if bytes.iter().any(|byte| *byte < b' ' && *byte != b'\n') {
            return Err(NoteError::Note("a control character"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Note("no signatures"))?;
        let text = format!("{text}\n");
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Note("no line end"))?;
        let signatures = lines.split('\n').map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { checkpoint: text.parse()?, text, signatures })
    }

    /// Checks the signature by this key. For a witness's key: when it signed.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Option<u64>, NoteError> {
        let by_key = |signature: &&Signature| signature.name == key.name && signature.key_id == key.key_id();
        let signature = self.signatures.iter().find(by_key).ok_or_else(|| NoteError::Unsigned(key.name.clone()))?;
        if !key.holds(signature, &self.text) {
            return Err(NoteError::Forged(key.name.clone()));
        }
        Ok(signature.cosigned_at().filter(|_| key.algorithm == ED25519_COSIGNATURE))
    }

    /// Parses and checks the log's own signature, whose name must be the origin.
    pub fn open(bytes: &[u8], key: &VerifyingKey) -> Result<Self, NoteError> {
        let signed = Self::parse(bytes)?;
        if signed.checkpoint.origin != key.name {
            return Err(NoteError::Unsigned(key.name.clone()));
        }
        signed.verify(key)?;
        Ok(signed)
    }

    /// The signed bytes.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (SigningKey, SignedCheckpoint) {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let checkpoint = Checkpoint { origin: key.name().to_owned(), size: 42, root: [9; 32] };
        let signed = key.sign(checkpoint);
        (key, signed)
    }

    #[test]
    fn a_note_survives_its_text() {
        let (key, mut signed) = signed();
        let witness = SigningKey::from_seed(&[8; 32]).unwrap().named("witness.example/w1").unwrap();
        signed.signatures.push(witness.cosign(&signed, 1_700_000_000));
        let parsed = SignedCheckpoint::open(signed.to_string().as_bytes(), &key.verifying_key()).unwrap();
        assert_eq!(parsed, signed);
        assert_eq!(parsed.verify(&witness.witness_key()), Ok(Some(1_700_000_000)));
        let text = witness.witness_key().to_string();
        assert_eq!(text.parse::<VerifyingKey>().unwrap(), witness.witness_key());
    }

    #[test]
    fn no_flipped_byte_goes_unnoticed() {
        let (key, signed) = signed();
        let note = signed.to_string().into_bytes();
        for position in 0..note.len() {
            let mut bent = note.clone();
            bent[position] ^= 0x01;
            assert!(SignedCheckpoint::open(&bent, &key.verifying_key()).is_err(), "at {position}");
        }
    }
}
