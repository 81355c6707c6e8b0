//! Organisation policies that a plan makes, what they are attached to, and what lies below what.

use super::plan::{Plan, Resource};
use crate::aws::{Reader, text};

pub(super) fn read(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    // What is not made yet is known by its name wherever the configuration refers to it.
    let id = text(&resource.values, "id").unwrap_or_else(|| resource.label()).to_owned();
    match resource.kind.as_str() {
        "aws_organizations_policy" => {
            let service = match text(&resource.values, "type").unwrap_or("SERVICE_CONTROL_POLICY") {
                "SERVICE_CONTROL_POLICY" => true,
                "RESOURCE_CONTROL_POLICY" => false,
                _ => return,
            };
            if let Some(policy) = super::document(reader, plan, (resource, "content"), (resource.label(), None)) {
                reader.organization.policies.insert(id, (policy, service));
            }
        }
        "aws_organizations_policy_attachment" => {
            for policy in plan.texts(resource, &["policy_id"]) {
                for target in plan.texts(resource, &["target_id"]) {
                    if target.starts_with("r-") {
                        reader.organization.roots.insert(target.clone());
                    }
                    reader.organization.attached.insert((policy.clone(), target));
                }
            }
        }
        "aws_organizations_account" | "aws_organizations_organizational_unit" => {
            if let Some(parent) = plan.texts(resource, &["parent_id"]).into_iter().next() {
                reader.organization.parents.insert(id, parent);
            }
        }
        "aws_organizations_organization" => {
            // Its root is named by an attribute that a plan leaves out.
            reader.organization.roots.insert(resource.label().to_owned());
        }
        _ => {}
    }
}
