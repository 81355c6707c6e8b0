//! A state as Terraform keeps it (`terraform.tfstate`): the same resources in another shape.

use super::plan::Resource;
use crate::aws::text;
use crate::document::Node;

/// The version of the shape that is known; Terraform has written it since 0.12.
const VERSION: &str = "4";

/// The resources of a state; nothing when the document is none.
pub(super) fn resources(root: &Node) -> Option<Vec<Resource>> {
    let listed = root.get("resources").filter(|listed| listed.is_list())?;
    let version = root.get("version").and_then(Node::scalar);
    if version.as_deref() != Some(VERSION) || root.get("terraform_version").is_none() {
        return None;
    }
    let mut found = Vec::new();
    for one in listed.items() {
        let (Some(kind), Some(name)) = (text(one, "type"), text(one, "name")) else { continue };
        let module = text(one, "module").map(|module| format!("{module}.")).unwrap_or_default();
        for instance in one.get("instances").map(Node::items).unwrap_or_default() {
            let Some(values) = instance.get("attributes") else { continue };
            let index = instance.get("index_key").and_then(|key| match key.text() {
                Some(key) => Some(format!("\"{key}\"")),
                None => key.scalar(),
            });
            found.push(Resource {
                module: module.clone(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                index,
                is_data: text(one, "mode") == Some("data"),
                values: values.clone(),
                node: instance.clone(),
            });
        }
    }
    Some(found)
}
