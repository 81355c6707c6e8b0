//! Publishers: what `npm view NAME --json` or npm's registry says of a package, and PyPI's JSON.
//!
//! An author is whom the package names; only maintainers and owners may publish.

use graph::delegation::publisher::Publisher;

use crate::aws::{Reader, text};
use crate::document::Node;
use crate::package;

/// Reads what a registry says of one package; false when it is nothing of one.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    npm(reader, root) || pypi(reader, root)
}

fn npm(reader: &mut Reader<'_>, root: &Node) -> bool {
    let (Some(name), Some(_)) = (text(root, "name"), root.get("dist-tags")) else { return false };
    let Some(maintainers) = root.get("maintainers") else {
        reader.miss(root, format!("package `{name}` names no maintainers: who may publish it is not known"));
        return true;
    };
    // An object in the registry's answer, `name <mail>` in that of the command.
    let account = |node: &Node| {
        let written = || node.text()?.split('<').next().map(str::trim);
        text(node, "name").or_else(written).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let package = package::purl("npm", name, None, &[]);
    push(reader, ("npm", &package), maintainers.items(), account);
    true
}

fn pypi(reader: &mut Reader<'_>, root: &Node) -> bool {
    let info = root.get("info").filter(|info| info.get("package_url").is_some() || info.get("project_url").is_some());
    let Some(name) = info.and_then(|info| text(info, "name")) else { return false };
    let roles = root.get("ownership").and_then(|ownership| ownership.get("roles")).filter(|roles| roles.is_list());
    let Some(roles) = roles else {
        reader.miss(root, format!("package `{name}` has no `ownership`: who may publish it is not known"));
        return true;
    };
    let package = package::purl("pypi", &package::pypi_name(name), None, &[]);
    push(reader, ("pypi", &package), roles.items(), |node| text(node, "user").map(str::to_owned));
    true
}

fn push(
    reader: &mut Reader<'_>,
    (registry, package): (&'static str, &str),
    nodes: &[Node],
    account: impl Fn(&Node) -> Option<String>,
) {
    for node in nodes {
        let Some(account) = account(node) else { continue };
        let place = reader.place(node);
        reader.delegation.publishers.push(Publisher { registry, account, package: package.to_owned(), place });
    }
}
