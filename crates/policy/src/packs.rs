//! The policies that ship: written to the home on first start, there to be edited.

/// File name and text of each shipped policy file, in order of name.
pub fn packs() -> &'static [(&'static str, &'static str)] {
    &[
        ("bailiwick.cedar", include_str!("../packs/bailiwick.cedar")),
        ("baseline.cedar", include_str!("../packs/baseline.cedar")),
        ("flow.cedar", include_str!("../packs/flow.cedar")),
        ("mandate.cedar", include_str!("../packs/mandate.cedar")),
        ("secrets.cedar", include_str!("../packs/secrets.cedar")),
        ("sequence.cedar", include_str!("../packs/sequence.cedar")),
        ("shell.cedar", include_str!("../packs/shell.cedar")),
        ("users.cedar", include_str!("../packs/users.cedar")),
    ]
}
