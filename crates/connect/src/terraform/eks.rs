//! A plan's access to clusters of EKS.

use graph::kubernetes::estate::{Mapping, PodIdentity};

use super::plan::{Plan, Resource, Target, within};
use super::written;
use crate::aws::{Reader, text};
use crate::document::Node;
use crate::kubernetes::eks::{Access, grant};

pub(super) fn read(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    match resource.kind.as_str() {
        "aws_eks_cluster" => cluster(reader, plan, resource),
        "aws_eks_access_entry" => entry(reader, plan, resource),
        "aws_eks_access_policy_association" => association(reader, plan, resource),
        "aws_eks_pod_identity_association" => identity(reader, plan, resource),
        _ => {}
    }
}

/// A cluster that takes access entries, unless it goes by its `aws-auth` map alone: the provider's default.
fn cluster(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let mode = within(&resource.values, &["access_config", "authentication_mode"]).and_then(Node::text);
    if mode.is_some_and(|mode| mode != "CONFIG_MAP") {
        reader.cluster.clusters.insert(plan.arn(resource));
    }
}

/// The clusters that a resource belongs to take access entries, or it could not be made.
fn admits(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    for target in plan.targets(resource, &["cluster_name"]) {
        let arn = match &target {
            Target::Of(of, _) if of.kind == "aws_eks_cluster" => plan.arn(of),
            Target::Text(name) => {
                format!("arn:{}:eks:{}:{}:cluster/{name}", plan.partition, plan.region, plan.account)
            }
            Target::Of(..) | Target::Open(_) => continue,
        };
        reader.cluster.clusters.insert(arn);
    }
}

fn entry(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    admits(reader, plan, resource);
    let (source, line) = written(reader, plan, resource);
    let groups = plan.texts(resource, &["kubernetes_groups"]);
    let user = text(&resource.values, "user_name").map(str::to_owned);
    for arn in principals(reader, plan, resource) {
        let (user, groups, source) = (user.clone(), groups.clone(), source.clone());
        reader.cluster.mappings.push(Mapping { arn, user, groups, source, line });
    }
}

fn association(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let scope = |key: &str| within(&resource.values, &["access_scope", key]);
    let namespaces = scope("namespaces").map(Node::items).unwrap_or_default();
    let namespaces: Vec<String> = namespaces.iter().filter_map(Node::text).map(str::to_owned).collect();
    // Limited to namespaces that nobody knows yet is not the whole cluster.
    if namespaces.is_empty() && scope("type").and_then(Node::text) != Some("cluster") {
        let what = format!("what {} is limited to is not known before the plan is applied", resource.address());
        return reader.pending(&resource.node, what);
    }
    let place = written(reader, plan, resource);
    for policy in plan.texts(resource, &["policy_arn"]) {
        for principal in principals(reader, plan, resource) {
            let access = Access { principal, policy: policy.clone(), namespaces: namespaces.clone() };
            grant(reader.cluster, access, place.clone());
        }
    }
}

fn identity(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let word = |key: &str| plan.texts(resource, &[key]).into_iter().next();
    let (source, line) = written(reader, plan, resource);
    let (Some(namespace), Some(account), Some(role)) = (word("namespace"), word("service_account"), word("role_arn"))
    else {
        let what = format!("whom {} gives a role is not known before the plan is applied", resource.address());
        return reader.pending(&resource.node, what);
    };
    reader.cluster.pod_identities.push(PodIdentity { account: (namespace, account), role, source, line });
}

/// Whom a resource lets in; says so where it is not known.
fn principals(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) -> Vec<String> {
    let principals = plan.texts(resource, &["principal_arn"]);
    if principals.is_empty() {
        let what = format!("whom {} lets in is not known before the plan is applied", resource.address());
        reader.pending(&resource.node, what);
    }
    principals
}
