//! The report as JSON: `spec/report.md`.

use super::Report;

/// The report as JSON, ending in a line feed. Equal reports give equal bytes.
pub fn json(report: &Report) -> String {
    // Maps are ordered and keys are text, so the only error would be a number that JSON lacks; factors are finite.
    serde_json::to_string_pretty(report).map(|text| text + "\n").unwrap_or_default()
}
