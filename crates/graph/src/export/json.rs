//! The report as JSON: `spec/report.md`.

use super::Report;

/// The report as JSON. Equal reports give equal bytes.
pub fn json(report: &Report) -> String {
    super::pretty(report)
}
