//! What EKS says of a cluster: who of the cloud may sign in, by which access policies, and which roles pods are handed.
//!
//! The same facts stand in the answers of `aws eks describe-…` and `list-associated-access-policies`, in plans and in
//! templates; each reader takes them out of its own form and hands them on here.

use graph::kubernetes::estate::{Binding, Estate, Mapping, Meta, PodIdentity, RoleRef, Subject};

use super::list;
use crate::aws::{Reader, text};
use crate::document::Node;

/// Where something was read.
pub(crate) type Place = (std::sync::Arc<str>, u32);

/// An access policy of a principal of the cloud.
pub(crate) struct Access {
    /// The ARN of the role or user.
    pub(crate) principal: String,
    /// The ARN of the policy.
    pub(crate) policy: String,
    /// The namespaces that it is limited to; the whole cluster if there are none.
    pub(crate) namespaces: Vec<String>,
}

/// Reads an answer of `aws eks`; false when the document is none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    if let Some(association) = root.get("association") {
        return identity(reader, association);
    }
    if let Some(entry) = root.get("accessEntry") {
        return access_entry(reader, entry);
    }
    if let Some(described) = root.get("cluster").filter(|one| text(one, "arn").is_some_and(|arn| arn.contains(":eks:")))
    {
        return cluster(reader, described);
    }
    let Some(policies) = root.get("associatedAccessPolicies") else { return false };
    let Some(principal) = text(root, "principalArn") else { return false };
    for one in policies.items() {
        let Some(policy) = text(one, "policyArn").map(str::to_owned) else { continue };
        let namespaces = one.get("accessScope").map(|scope| list(scope, "namespaces")).unwrap_or_default();
        let place = (reader.source.clone(), reader.line(one));
        grant(reader.cluster, Access { principal: principal.to_owned(), policy, namespaces }, place);
    }
    true
}

/// A principal of the cloud is a user of the cluster, who has a policy.
pub(crate) fn grant(cluster: &mut Estate, access: Access, (source, line): Place) {
    let Access { principal, policy, namespaces } = access;
    let everywhere = namespaces.is_empty().then(String::new);
    for namespace in namespaces.into_iter().chain(everywhere) {
        let meta = Meta { namespace, name: principal.clone(), source: source.clone(), line, ..Meta::default() };
        let subjects = vec![Subject::User(principal.clone())];
        cluster.bindings.push(Binding { meta, role: RoleRef::access_policy(&policy), subjects });
    }
    let user = Some(principal.clone());
    cluster.mappings.push(Mapping { arn: principal, user, groups: Vec::new(), source, line });
}

/// A cluster that takes access entries, unless it goes by its `aws-auth` map alone.
fn cluster(reader: &mut Reader<'_>, node: &Node) -> bool {
    let mode = node.get("accessConfig").and_then(|config| text(config, "authenticationMode"));
    if let Some(arn) = text(node, "arn").filter(|_| mode.is_some_and(|mode| mode != "CONFIG_MAP")) {
        reader.cluster.clusters.insert(arn.to_owned());
    }
    true
}

/// `aws eks describe-pod-identity-association`.
fn identity(reader: &mut Reader<'_>, node: &Node) -> bool {
    let word = |key: &str| text(node, key).map(str::to_owned);
    let (Some(namespace), Some(account), Some(role)) = (word("namespace"), word("serviceAccount"), word("roleArn"))
    else {
        return false;
    };
    let (source, line) = (reader.source.clone(), reader.line(node));
    reader.cluster.pod_identities.push(PodIdentity { account: (namespace, account), role, source, line });
    true
}

/// `aws eks describe-access-entry`.
fn access_entry(reader: &mut Reader<'_>, node: &Node) -> bool {
    let Some(arn) = text(node, "principalArn").map(str::to_owned) else { return false };
    // `arn:aws:eks:eu-west-1:111122223333:access-entry/prod/role/…`
    let own = text(node, "accessEntryArn").and_then(|own| own.split_once(":access-entry/"));
    if let (Some((before, _)), Some(name)) = (own, text(node, "clusterName")) {
        reader.cluster.clusters.insert(format!("{before}:cluster/{name}"));
    }
    let user = text(node, "username").map(str::to_owned);
    let (groups, source, line) = (list(node, "kubernetesGroups"), reader.source.clone(), reader.line(node));
    reader.cluster.mappings.push(Mapping { arn, user, groups, source, line });
    true
}
