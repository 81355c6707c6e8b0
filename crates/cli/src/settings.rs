//! `settings.toml` in the home: what the operator decides that is no policy. Absent members have their defaults; an
//! unknown one is an error, because a misspelt switch would otherwise be taken for one that is off.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use gateway::Keep;
use serde::Deserialize;

/// The operator's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) ledger: LedgerSettings,
}

/// What is kept, and who watches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LedgerSettings {
    /// `keep`: results up to a size, encrypted. `digest`: only what they can be checked by.
    results: Results,
    result_size_max_bytes: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Results {
    Keep,
    Digest,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { results: Results::Keep, result_size_max_bytes: 1 << 20 }
    }
}

impl LedgerSettings {
    /// What the gateway keeps of results.
    pub(crate) fn keep(&self) -> Keep {
        match self.results {
            Results::Keep => Keep::Results { size_max_bytes: self.result_size_max_bytes.min(ledger::PAYLOAD_SIZE_MAX) },
            Results::Digest => Keep::Macs,
        }
    }
}

/// Reads a home's settings.
pub(crate) fn read(home: &Path) -> anyhow::Result<Settings> {
    let path = home.join("settings.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    toml_edit::de::from_str(&text).with_context(|| format!("`{}`", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_read_and_a_misspelt_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap().ledger.keep(), Keep::default());
        fs::write(dir.path().join("settings.toml"), "[ledger]\nresults = \"digest\"\n").unwrap();
        assert_eq!(read(dir.path()).unwrap().ledger.keep(), Keep::Macs);
        fs::write(dir.path().join("settings.toml"), "[ledger]\nresult = \"digest\"\n").unwrap();
        assert!(read(dir.path()).is_err());
    }
}
