//! The page of all kinds of steps, made from the kinds.

use std::fmt::Write as _;

use super::Page;
use crate::world::bridge;
use crate::{aws, delegation, kubernetes};

/// `docs/steps.md`.
pub fn table() -> String {
    let mut text = String::from(
        "# Steps\n\nEvery kind of step that `bailiwick paths` knows: how whoever controls one thing gets another. Made from \
         the kinds by a test; do not edit.\n\nThe column \"covers\" holds ids of the public catalogues \
         [pathfinding.cloud](https://pathfinding.cloud) and [KubeHound](https://kubehound.io/reference/attacks/). A kind \
         in whose column \"possible\" something stands never gives a certain step.\n",
    );
    let aws: Vec<(Page, Option<&str>)> = aws::kinds::all().map(|kind| (kind.page(), kind.partial)).collect();
    section(&mut text, "AWS", &aws);
    let cluster: Vec<(Page, Option<&str>)> = kubernetes::kinds::all().map(|kind| (kind.page, None)).collect();
    section(&mut text, "Kubernetes", &cluster);
    let between: Vec<(Page, Option<&str>)> = bridge::PAGES.iter().map(|page| (*page, None)).collect();
    section(&mut text, "Between a cluster, its cloud and its agents", &between);
    let handed: Vec<(Page, Option<&str>)> = delegation::kinds().map(|kind| (kind.page, kind.partial)).collect();
    section(&mut text, "Consents, publishers and workflows", &handed);
    text
}

fn section(text: &mut String, title: &str, pages: &[(Page, Option<&str>)]) {
    let _ = write!(text, "\n## {title}\n\n{} kinds.\n\n", pages.len());
    text.push_str(
        "| id | what the attacker does | why it works | covers | possible | see |\n|---|---|---|---|---|---|\n",
    );
    for (page, partial) in pages {
        let see: Vec<String> = page.references.iter().zip(1..).map(|(url, at)| format!("[{at}]({url})")).collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} |",
            page.id,
            page.title,
            page.why.replace('|', "\\|"),
            page.catalogue.join(", "),
            partial.unwrap_or_default(),
            see.join(" ")
        );
    }
}
