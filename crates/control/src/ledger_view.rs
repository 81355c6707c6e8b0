//! What the ledger crate answers, in the words of the API. The only file here that knows its checkpoints
//! and its verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::Ledger;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Options;
use crate::verification::VerificationState;

/// A signed checkpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CheckpointView {
    /// The log's name.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// The tree's root hash, base64.
    pub root: String,
    /// The names of those who signed it; the first is the log itself, the others are witnesses.
    pub signers: Vec<String>,
    /// The whole note, as other tools read it.
    pub note: String,
}

pub(crate) fn checkpoint(ledger: &Ledger) -> Option<CheckpointView> {
    let signed = ledger.checkpoint()?;
    Some(CheckpointView {
        origin: signed.checkpoint.origin.clone(),
        size: signed.checkpoint.size,
        root: BASE64.encode(signed.checkpoint.root),
        signers: signed.signatures.iter().map(|signature| signature.name.clone()).collect(),
        note: signed.to_string(),
    })
}

/// State, entries checked, faults. Reads the files as an outsider would, beside the process that writes.
pub(crate) fn verify(options: &Options) -> (VerificationState, u64, Vec<String>) {
    let how = ledger::verify::Options { witnesses: options.witnesses.clone(), ..ledger::verify::Options::default() };
    match ledger::verify::verify(&options.ledger, &options.ledger_key, &how) {
        Ok(report) if report.faults.is_empty() => (VerificationState::Passed, report.entries, Vec::new()),
        Ok(report) => {
            (VerificationState::Failed, report.entries, report.faults.iter().map(ToString::to_string).collect())
        }
        Err(error) => (VerificationState::CouldNotRun, 0, vec![error.to_string()]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ledger::{Ledger, SigningKey};

    use super::*;

    #[test]
    fn the_witnesses_that_are_asked_are_demanded() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(&[3; 32]).unwrap();
        let witness = SigningKey::from_seed(&[4; 32]).unwrap().named("witness.example").unwrap().witness_key();
        let mut options = Options {
            ledger: dir.path().to_owned(),
            ledger_key: key.verifying_key(),
            witnesses: Vec::new(),
            policy: dir.path().to_owned(),
            version: String::new(),
            user: String::new(),
        };
        drop(Ledger::open(dir.path(), key, ledger::Options::new(jiff::Timestamp::UNIX_EPOCH)).unwrap());
        assert_eq!(verify(&options), (VerificationState::Passed, 1, Vec::new()));
        options.witnesses = vec![witness];
        let (state, _, faults) = verify(&options);
        assert!(
            state == VerificationState::Failed && faults.iter().any(|fault| fault.contains("witness.example")),
            "{faults:?}"
        );
    }
}
