//! Organisation policies as `aws organizations` prints them and as Terraform makes them: which policy is attached to
//! what, and which account lies below it.
//!
//! The answers of `list-targets-for-policy`, `list-parents`, `list-accounts-for-parent` and
//! `list-organizational-units-for-parent` do not say whom they were asked about: the file's name does, or a key that was
//! put beside the list (`PolicyId`, `ChildId`, `ParentId`). What is attached where an account may lie, and is not known
//! to, is said and not applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use graph::aws::estate::{Estate, Policy, PolicyId};
use graph::aws::policy::{Document, Effect};

use super::{Reader, Signs, text};
use crate::document::Node;

/// What every target has unless somebody took it away.
const FULL_ACCESS: &str = "p-FullAWSAccess";

/// What the files say of an organisation, by the ids that they use.
#[derive(Debug, Default)]
pub(crate) struct Organization {
    /// The policies that are read, and whether each is a service control policy.
    pub(crate) policies: BTreeMap<String, (PolicyId, bool)>,
    /// Which policy is attached to what.
    pub(crate) attached: BTreeSet<(String, String)>,
    /// What lies below what.
    pub(crate) parents: BTreeMap<String, String>,
    /// Roots, which everything lies below.
    pub(crate) roots: BTreeSet<String>,
    /// Policies that are there, by name, whether read or not.
    pub(crate) named: BTreeMap<String, String>,
}

/// By what these answers are known among other files.
pub(super) const SIGNS: Signs = &[
    &["\"PolicySummary\":{"],
    &["\"Organization\":{", "\"MasterAccountId\":\""],
    &["\"Targets\":[{", "\"TargetId\":\""],
    &["\"Policies\":[{", "\"Type\":\"SERVICE_CONTROL_POLICY\""],
    &["\"Policies\":[{", "\"Type\":\"RESOURCE_CONTROL_POLICY\""],
    &["\"Parents\":[{", "\"Type\":\"ORGANIZATIONAL_UNIT\""],
    &["\"Parents\":[{", "\"Type\":\"ROOT\""],
    &["\"Accounts\":[{", "\"JoinedMethod\":\""],
    &["\"OrganizationalUnits\":[{", "\"Id\":\"ou-"],
];

/// Reads an answer; false when the document is none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    if let Some(master) = root.get("Organization").and_then(|one| text(one, "MasterAccountId")) {
        reader.estate.management_account = Some(master.to_owned());
        return true;
    }
    if let Some(policy) = root.get("Policy").filter(|policy| policy.get("PolicySummary").is_some()) {
        described(reader, policy);
        return true;
    }
    listed(reader, root) | targets(reader, root) | below(reader, root)
}

fn described(reader: &mut Reader<'_>, policy: &Node) {
    let Some(summary) = policy.get("PolicySummary") else { return };
    let (Some(id), Some(kind)) = (text(summary, "Id"), text(summary, "Type")) else { return };
    let service = match kind {
        "SERVICE_CONTROL_POLICY" => true,
        "RESOURCE_CONTROL_POLICY" => false,
        // Tags, backups and the like permit and deny nothing.
        _ => return,
    };
    summarised(reader, summary);
    let name = text(summary, "Name").unwrap_or(id);
    let arn = text(summary, "Arn").map(str::to_owned);
    let read = policy.get("Content").and_then(|content| reader.policy(content, name, arn));
    if let Some(policy) = read {
        reader.organization.policies.insert(id.to_owned(), (policy, service));
    }
}

/// Remembers that a policy is there, and whose organisation it is of.
fn summarised(reader: &mut Reader<'_>, summary: &Node) {
    if let (Some(id), Some(name)) = (text(summary, "Id"), text(summary, "Name")) {
        reader.organization.named.insert(id.to_owned(), name.to_owned());
    }
    let owner = text(summary, "Arn").and_then(|arn| arn.split(':').nth(4)).filter(|owner| *owner != "aws");
    if let (Some(owner), None) = (owner, &reader.estate.management_account) {
        reader.estate.management_account = Some(owner.to_owned());
    }
}

fn listed(reader: &mut Reader<'_>, root: &Node) -> bool {
    let kinds = ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"];
    let is = |item: &&Node| text(item, "Type").is_some_and(|kind| kinds.contains(&kind));
    let policies: Vec<&Node> = root.get("Policies").map(Node::items).unwrap_or_default().iter().filter(is).collect();
    for policy in &policies {
        summarised(reader, policy);
    }
    !policies.is_empty()
}

fn targets(reader: &mut Reader<'_>, root: &Node) -> bool {
    let Some(list) = root.get("Targets").filter(|list| list.items().iter().any(|one| one.get("TargetId").is_some()))
    else {
        return false;
    };
    let Some(policy) = asked_about(reader, root, "PolicyId", |name| name.rfind("p-").and_then(|at| name.get(at..)))
    else {
        reader.miss(root, "does not say which policy's targets these are: put the policy's id into the file's name");
        return true;
    };
    for target in list.items().iter().filter_map(|one| text(one, "TargetId")) {
        reader.organization.attached.insert((policy.clone(), target.to_owned()));
        if target.starts_with("r-") {
            reader.organization.roots.insert(target.to_owned());
        }
    }
    true
}

fn below(reader: &mut Reader<'_>, root: &Node) -> bool {
    let unit = |name: &str| {
        let found = name.find("ou-").or_else(|| name.find("r-")).and_then(|at| name.get(at..));
        found.map(str::to_owned).or_else(|| account_in(name))
    };
    let mut known = false;
    for (list, key, upwards) in
        [("Parents", "ChildId", true), ("Accounts", "ParentId", false), ("OrganizationalUnits", "ParentId", false)]
    {
        let items = root.get(list).map(Node::items).unwrap_or_default();
        let ids: Vec<&str> = items.iter().filter_map(|one| text(one, "Id")).collect();
        if ids.is_empty() {
            continue;
        }
        known = true;
        let stem = stem(reader);
        let Some(asked) = text(root, key).map(str::to_owned).or_else(|| unit(&stem)) else {
            // All accounts of an organisation, without a parent: nothing is said of where they lie.
            if list != "Accounts" {
                reader.miss(
                    root,
                    format!("does not say whose these are: put `{key}` beside the list, or into the file's name"),
                );
            }
            continue;
        };
        for id in ids {
            let (child, parent) = if upwards { (asked.clone(), id.to_owned()) } else { (id.to_owned(), asked.clone()) };
            if parent.starts_with("r-") {
                reader.organization.roots.insert(parent.clone());
            }
            reader.organization.parents.insert(child, parent);
        }
    }
    known
}

fn asked_about(reader: &Reader<'_>, root: &Node, key: &str, in_name: fn(&str) -> Option<&str>) -> Option<String> {
    let stem = stem(reader);
    text(root, key).or_else(|| in_name(&stem)).map(str::to_owned)
}

fn stem(reader: &Reader<'_>) -> String {
    Path::new(&*reader.source).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The number of an account in a file's name.
fn account_in(name: &str) -> Option<String> {
    let parts = name.split(|letter: char| !letter.is_ascii_digit());
    parts.into_iter().find(|part| part.len() == 12).map(str::to_owned)
}

impl Organization {
    /// Writes down what limits each account of an estate; returns what cannot be known.
    pub(crate) fn apply(&self, estate: &mut Estate) -> Vec<String> {
        if self.attached.is_empty() {
            return Vec::new();
        }
        let mut said = self.unread();
        said.extend(self.assumed(estate));
        let full = full_access(estate);
        let accounts: BTreeSet<String> = estate.principals.iter().map(|one| one.account().to_owned()).collect();
        for account in accounts.into_iter().filter(|account| !account.is_empty()) {
            let (chain, whole) = self.chain(&account);
            if let (false, Some(unit)) = (whole, self.attached.iter().find(|(_, target)| target.starts_with("ou-"))) {
                said.push(format!(
                    "below which unit account {account} lies is not in the files (`aws organizations list-parents`): what is \
                     attached to {} and other units is not applied to it",
                    unit.1
                ));
            }
            for (service, levels) in [(true, &mut estate.scps), (false, &mut estate.rcps)] {
                let of = |unit: &String| self.level(unit, service, full);
                levels.entry(account.clone()).or_insert_with(|| chain.iter().map(of).collect());
            }
        }
        said
    }

    /// Policies that are attached and whose text is not in the files.
    fn unread(&self) -> Vec<String> {
        let ids: BTreeSet<&String> = self.attached.iter().map(|(policy, _)| policy).collect();
        let unread = ids.into_iter().filter(|id| !self.policies.contains_key(*id) && !id.ends_with("FullAWSAccess"));
        let named = |id: &String| self.named.get(id).map_or_else(|| id.clone(), |name| format!("{name} ({id})"));
        unread
            .map(|id| {
                format!(
                    "the text of organisation policy {} is not in the files (`aws organizations describe-policy`): what it \
                     denies is not known",
                    named(id)
                )
            })
            .collect()
    }

    /// Beside policies that allow, the one that allows everything may have been taken away; the files do not show it.
    fn assumed(&self, estate: &Estate) -> Option<String> {
        if self.shows_full_access() {
            return None;
        }
        let allows = |(policy, _): &&(String, String)| {
            let read = self.policies.get(policy).filter(|(_, service)| *service);
            read.is_some_and(|(id, _)| estate.statements(*id).any(|(_, statement)| statement.effect == Effect::Allow))
        };
        let (policy, unit) = self.attached.iter().find(allows)?;
        let name = self.named.get(policy).unwrap_or(policy);
        Some(format!(
            "whether {FULL_ACCESS} is still attached to {unit} beside {name} is not in the files (`aws organizations \
             list-targets-for-policy --policy-id {FULL_ACCESS}`): it is taken to be, there and wherever a policy allows"
        ))
    }

    /// Whether the files say to what the policy is attached that allows everything.
    fn shows_full_access(&self) -> bool {
        self.attached.iter().any(|(policy, _)| policy == FULL_ACCESS)
    }

    /// From the root to an account, and whether every part of it is known.
    fn chain(&self, account: &str) -> (Vec<String>, bool) {
        const DEPTH_MAX: usize = 10;
        let mut chain = vec![account.to_owned()];
        while let Some(parent) =
            chain.last().and_then(|last| self.parents.get(last)).filter(|_| chain.len() < DEPTH_MAX)
        {
            chain.push(parent.clone());
        }
        let whole = chain.len() > 1 && chain.last().is_some_and(|last| !last.starts_with("ou-"));
        // Every account lies below the root, wherever that is.
        let has = |root: &&String| self.attached.iter().any(|(_, target)| target == *root);
        if let (false, Some(root)) = (whole, self.roots.iter().find(has)) {
            chain.push(root.clone());
        }
        chain.reverse();
        (chain, whole)
    }

    /// The policies of one level. Everything is allowed there unless the files show that somebody changed that.
    fn level(&self, unit: &str, service: bool, full: PolicyId) -> Vec<PolicyId> {
        let attached = self.attached.iter().filter(|(_, target)| target == unit);
        let known = attached.filter_map(|(policy, _)| self.policies.get(policy)).filter(|(_, of)| *of == service);
        let mut level: Vec<PolicyId> = known.map(|(id, _)| *id).collect();
        let has = self.attached.contains(&(FULL_ACCESS.to_owned(), unit.to_owned()));
        if !service || !self.shows_full_access() || has || level.is_empty() {
            level.push(full);
        }
        level
    }
}

fn full_access(estate: &mut Estate) -> PolicyId {
    let json = serde_json::json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    let document = Document::parse(&json, &[]).unwrap_or_default();
    estate.add_policy(Policy { name: "FullAWSAccess".to_owned(), arn: None, source: "AWS".into(), document })
}

#[cfg(test)]
mod tests {
    use graph::aws::Truth;
    use graph::aws::evaluate::decide;

    use crate::aws::{Loaded, add};

    const ACCOUNT: &str = r#"{"UserDetailList": [{"Arn": "arn:aws:iam::111122223333:user/ann", "UserName": "ann", "UserPolicyList": [
        {"PolicyName": "all", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}]}], "RoleDetailList": []}"#;
    const DENY: &str = r#"{"Policy": {"PolicySummary": {"Id": "p-aaaa1111", "Arn": "arn:aws:organizations::999988887777:policy/o-x/service_control_policy/p-aaaa1111",
        "Name": "no-lambda", "Type": "SERVICE_CONTROL_POLICY", "AwsManaged": false},
        "Content": "{\"Statement\": [{\"Effect\": \"Deny\", \"Action\": \"lambda:*\", \"Resource\": \"*\"}]}"}}"#;
    const ON_UNIT: &str = r#"{"Targets": [{"TargetId": "ou-ab12-cdef3456", "Type": "ORGANIZATIONAL_UNIT"}]}"#;
    const PARENT: &str = r#"{"Parents": [{"Id": "ou-ab12-cdef3456", "Type": "ORGANIZATIONAL_UNIT"}]}"#;
    const PARENT_OF_UNIT: &str = r#"{"Parents": [{"Id": "r-ab12", "Type": "ROOT"}]}"#;

    fn check(files: &[(&str, &str)]) -> (Truth, Truth, Vec<String>) {
        let mut loaded = Loaded::default();
        add(&mut loaded, "account.json", ACCOUNT);
        for (name, text) in files {
            add(&mut loaded, name, text);
        }
        loaded.link();
        let verdict = |action| decide(&loaded.estate, 0, action, "*").verdict;
        let said = loaded.unread.iter().map(|unread| unread.reason.clone()).collect();
        (verdict("lambda:InvokeFunction"), verdict("s3:GetObject"), said)
    }

    #[test]
    fn what_is_attached_above_an_account_limits_it() {
        let whole = [
            ("p.json", DENY),
            ("targets-p-aaaa1111.json", ON_UNIT),
            ("parents-111122223333.json", PARENT),
            ("parents-ou-ab12-cdef3456.json", PARENT_OF_UNIT),
        ];
        assert_eq!(check(&whole), (Truth::No, Truth::Yes, Vec::new()));
        let (lambda, s3, said) = check(&whole[..2]);
        assert_eq!(
            (lambda, s3, said.len()),
            (Truth::Yes, Truth::Yes, 1),
            "where the account lies is not known, and said"
        );
        assert!(said[0].contains("ou-ab12-cdef3456"), "{said:?}");
        let on_root = r#"{"PolicyId": "p-aaaa1111", "Targets": [{"TargetId": "r-ab12", "Type": "ROOT"}]}"#;
        assert_eq!(check(&[("p.json", DENY), ("t.json", on_root)]).0, Truth::No, "every account is below the root");
        let (.., said) = check(&[("t.json", on_root)]);
        assert!(said[0].contains("describe-policy"), "{said:?}");
        let (.., said) = check(&[("p.json", DENY), ("t.json", ON_UNIT)]);
        assert!(said[0].contains("which policy's"), "{said:?}");
    }

    #[test]
    fn beside_a_list_of_what_is_allowed_it_is_said_that_everything_may_be() {
        let list = DENY.replace(r#"\"Deny\", \"Action\": \"lambda:*\""#, r#"\"Allow\", \"Action\": \"s3:*\""#);
        let on_account = r#"{"PolicyId": "p-aaaa1111", "Targets": [{"TargetId": "111122223333", "Type": "ACCOUNT"}]}"#;
        let (lambda, _, said) = check(&[("p.json", &list), ("t.json", on_account)]);
        assert_eq!(lambda, Truth::Yes);
        assert!(said.iter().any(|said| said.contains("p-FullAWSAccess")), "{said:?}");
        let elsewhere = r#"{"PolicyId": "p-FullAWSAccess", "Targets": [{"TargetId": "r-ab12", "Type": "ROOT"}]}"#;
        let (lambda, s3, said) = check(&[("p.json", &list), ("t.json", on_account), ("full.json", elsewhere)]);
        assert_eq!((lambda, s3, said), (Truth::No, Truth::Yes, Vec::new()));
    }

    #[test]
    fn an_organisation_of_terraform_limits_its_accounts() {
        let state = r#"{"terraform_version": "1.9.0", "format_version": "1.0", "values": {"root_module": {"resources": [
         {"address": "aws_organizations_policy.p", "mode": "managed", "type": "aws_organizations_policy", "name": "p",
          "values": {"id": "p-aaaa1111", "name": "no-lambda", "type": "SERVICE_CONTROL_POLICY",
           "content": "{\"Statement\": [{\"Effect\": \"Deny\", \"Action\": \"lambda:*\", \"Resource\": \"*\"}]}"}},
         {"address": "aws_organizations_policy_attachment.a", "mode": "managed", "type": "aws_organizations_policy_attachment", "name": "a",
          "values": {"policy_id": "p-aaaa1111", "target_id": "111122223333"}}]}}}"#;
        assert_eq!(check(&[("state.json", state)]), (Truth::No, Truth::Yes, Vec::new()));
    }
}
