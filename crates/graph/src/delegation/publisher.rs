//! Who may publish the next version of a package that agents run.

use super::{Deriver, Kind, Place};
use crate::step::{NodeKind, Page};

/// An account of a registry that may publish a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// The registry: `npm` or `pypi`.
    pub registry: &'static str,
    /// The account's name there.
    pub account: String,
    /// The package URL, without a version.
    pub package: String,
    /// Where it was read.
    pub place: Place,
}

pub(super) const KINDS: &[Kind] = &[Kind {
    page: Page {
        id: "package-publisher",
        title: "publishes the next version of",
        catalogue: &[],
        why: "Whoever may publish a package, or takes the account of one who may, decides what every unpinned start of it \
              runs.",
        references: &[
            "https://docs.npmjs.com/adding-collaborators-to-unscoped-public-packages-owned-by-a-user-account",
            "https://docs.pypi.org/organization-accounts/roles-entities/",
        ],
    },
    derive: publishers,
    partial: None,
    example: r#"{"name": "tools", "dist-tags": {"latest": "1.0.0"}, "maintainers": [{"name": "ann", "email": "a@example.com"}]}"#,
    counter_example: r#"{"name": "tools", "dist-tags": {"latest": "1.0.0"}, "maintainers": [], "author": {"name": "ann", "email": "a@example.com"}}"#,
}];

fn publishers(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for one in &estate.publishers {
        let account = format!("{}/account/{}", one.registry, one.account);
        let name = format!("{} on {}", one.account, one.registry);
        let from = deriver.node(&account, &name, NodeKind::Outside, &one.place);
        let to = deriver.package(&one.package, &one.place);
        let claim = format!("{} may publish {}", one.account, one.package);
        let said = deriver.said(&format!("publishers of {}", one.package), &one.account, claim, &one.place);
        deriver.step(from, to, vec![said], Vec::new());
    }
}
