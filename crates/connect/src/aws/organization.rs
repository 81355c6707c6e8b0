//! Organisation policies as `aws organizations` prints them and as Terraform makes them: which policy is attached to
//! what, and which account lies below it.
//!
//! The answers of `list-targets-for-policy`, `list-parents`, `list-accounts-for-parent` and
//! `list-organizational-units-for-parent` do not say whom they were asked about, nor that of `list-policies-for-target`:
//! the file's name does, or a key that was put beside the list (`PolicyId`, `ChildId`, `ParentId`, `TargetId`). What may
//! limit an account, and is not known to, is said, and what it denies is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use graph::aws::estate::{Estate, Policy, PolicyId, PossibleLimit};
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
    /// To what all that is attached is known, but of no policy all that it is attached to.
    whole: BTreeSet<String>,
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
    // The same list without a target is of all that there are.
    let target = asked_about(reader, root, "TargetId", |name| unit_in(name.split_once("target")?.1));
    for policy in &policies {
        summarised(reader, policy);
        if let (Some(target), Some(id)) = (&target, text(policy, "Id")) {
            reader.organization.attached.insert((id.to_owned(), target.clone()));
            reader.organization.whole.insert(target.clone());
        }
    }
    if let Some(root) = target.filter(|target| target.starts_with("r-")) {
        reader.organization.roots.insert(root);
    }
    !policies.is_empty()
}

fn targets(reader: &mut Reader<'_>, root: &Node) -> bool {
    let Some(list) = root.get("Targets").filter(|list| list.items().iter().any(|one| one.get("TargetId").is_some()))
    else {
        return false;
    };
    let Some(policy) = asked_about(reader, root, "PolicyId", |name| id_in(name, "p-", 1)) else {
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
        let Some(asked) = text(root, key).or_else(|| unit_in(&stem)).map(str::to_owned) else {
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

/// The id of a unit, a root or an account in a file's name.
fn unit_in(name: &str) -> Option<&str> {
    let account = || name.split(|letter: char| !letter.is_ascii_digit()).find(|part| part.len() == 12);
    id_in(name, "ou-", 2).or_else(|| id_in(name, "r-", 1)).or_else(account)
}

/// The last id in a file's name that begins so and goes on with so many parts. No word ends with its beginning: the `r-`
/// of `for-parent` is none.
fn id_in<'n>(name: &'n str, begins: &str, parts: usize) -> Option<&'n str> {
    let goes_on = |letter: char| letter.is_ascii_alphanumeric();
    let is_start = |at: &usize| name.get(..*at).is_some_and(|before| !before.ends_with(goes_on));
    let at = name.rmatch_indices(begins).map(|(at, _)| at).find(is_start)?;
    let from = at + begins.len();
    let lengths = name.get(from..)?.split(|letter: char| !goes_on(letter)).take(parts).map(str::len);
    name.get(at..from + lengths.sum::<usize>() + parts - 1)
}

impl Organization {
    /// Writes down what limits each account of an estate; returns what cannot be known.
    pub(crate) fn apply(&self, estate: &mut Estate) -> Vec<String> {
        if self.attached.is_empty() && self.policies.is_empty() {
            return Vec::new();
        }
        let mut said = self.unread();
        let denies = |policy: PolicyId| estate.statements(policy).any(|(_, one)| one.effect == Effect::Deny);
        let unattached = self.policies.iter().filter(|(id, (policy, _))| !self.is_attached(id) && denies(*policy));
        said.extend(unattached.map(|(id, _)| {
            format!(
                "to what organisation policy {} is attached is not in the files ({}): whether it limits an account is not \
                 known",
                self.name(id),
                asks_targets(id)
            )
        }));
        said.extend(self.assumed(estate));
        let full = full_access(estate);
        let accounts: BTreeSet<String> = estate.principals.iter().map(|one| one.account().to_owned()).collect();
        for account in accounts.into_iter().filter(|account| !account.is_empty()) {
            let (chain, whole) = self.chain(&account);
            let elsewhere = |target: &&String| target.starts_with("ou-") && !chain.contains(*target);
            let elsewhere: BTreeSet<&String> =
                self.attached.iter().map(|(_, target)| target).filter(|_| !whole).filter(elsewhere).collect();
            if let Some(unit) = elsewhere.first() {
                let below = chain.iter().find(|above| above.starts_with("ou-")).unwrap_or(&account);
                said.push(format!(
                    "below which unit {below} lies is not in the files (`aws organizations list-parents --child-id \
                     {below}`): whether what is attached to {unit} and other units limits account {account} is not known"
                ));
            }
            for (service, levels) in [(true, &mut estate.scps), (false, &mut estate.rcps)] {
                // A file that says what limits the account says all of it.
                if levels.contains_key(&account) {
                    continue;
                }
                let possible = self.possible(&account, &chain, &elsewhere);
                for limit in possible.into_iter().filter(|limit| limit.is_of_resources != service) {
                    estate.possible_limits.entry(account.clone()).or_default().push(limit);
                }
                if !self.attached.is_empty() {
                    let of = |unit: &String| self.level(unit, service, full);
                    levels.insert(account.clone(), chain.iter().map(of).collect());
                }
            }
        }
        said
    }

    /// Policies that are attached and whose text is not in the files.
    fn unread(&self) -> Vec<String> {
        let ids: BTreeSet<&String> = self.attached.iter().map(|(policy, _)| policy).collect();
        let unread = ids.into_iter().filter(|id| !self.policies.contains_key(*id) && !id.ends_with("FullAWSAccess"));
        unread
            .map(|id| {
                format!(
                    "the text of organisation policy {} is not in the files (`aws organizations describe-policy`): what it \
                     denies is not known",
                    self.name(id)
                )
            })
            .collect()
    }

    /// A policy by its name and its id, as far as the files say them.
    fn name(&self, id: &str) -> String {
        self.named.get(id).map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
    }

    /// Whether the files say to what a policy is attached, or at least to something.
    fn is_attached(&self, id: &str) -> bool {
        self.attached.iter().any(|(policy, _)| policy == id)
    }

    /// What may limit an account: policies of which the files do not say all that they are attached to, and those that are
    /// attached to units of which they do not say whether it lies below them.
    fn possible(&self, account: &str, chain: &[String], elsewhere: &BTreeSet<&String>) -> Vec<PossibleLimit> {
        let limit = |(id, (policy, service)): (&String, &(PolicyId, bool))| {
            let targets = || self.attached.iter().filter(move |(policy, _)| policy == id).map(|(_, target)| target);
            if targets().any(|target| chain.contains(target)) {
                return None;
            }
            let name = self.name(id);
            let gap = if targets().all(|target| self.whole.contains(target)) {
                format!(
                    "whether organisation policy {name} limits account {account} is not in the files ({})",
                    asks_targets(id)
                )
            } else {
                let unit = targets().find(|target| elsewhere.contains(target))?;
                format!(
                    "whether account {account} lies below {unit}, which organisation policy {name} limits, is not in the \
                     files (`aws organizations list-parents`)"
                )
            };
            Some(PossibleLimit { policy: *policy, is_of_resources: !service, gap })
        };
        self.policies.iter().filter_map(limit).collect()
    }

    /// Beside policies that allow, the one that allows everything may have been taken away; the files do not show it.
    fn assumed(&self, estate: &Estate) -> Option<String> {
        let allows = |(policy, unit): &&(String, String)| {
            if self.shows_full_access(unit) {
                return false;
            }
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

    /// Whether the files say that the policy which allows everything is attached to a unit, or is not.
    fn shows_full_access(&self, unit: &str) -> bool {
        let listed = |(policy, target): &(String, String)| policy == FULL_ACCESS && !self.whole.contains(target);
        self.whole.contains(unit) || self.attached.iter().any(listed)
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
        if !service || !self.shows_full_access(unit) || has || level.is_empty() {
            level.push(full);
        }
        level
    }
}

/// What says to what a policy is attached.
fn asks_targets(id: &str) -> String {
    format!("`aws organizations list-targets-for-policy --policy-id {id}`")
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
            (Truth::Unknown, Truth::Yes, 1),
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
    fn a_policy_of_which_nobody_said_whom_it_limits_may_limit() {
        let (lambda, s3, said) = check(&[("p.json", DENY)]);
        assert_eq!((lambda, s3, said.len()), (Truth::Unknown, Truth::Yes, 1), "{said:?}");
        assert!(said[0].contains("no-lambda (p-aaaa1111)") && said[0].contains("list-targets-for-policy"), "{said:?}");
        let gaps = {
            let mut loaded = Loaded::default();
            add(&mut loaded, "account.json", ACCOUNT);
            add(&mut loaded, "p.json", DENY);
            loaded.link();
            decide(&loaded.estate, 0, "lambda:InvokeFunction", "*").gaps
        };
        assert!(gaps.iter().any(|gap| gap.contains("no-lambda (p-aaaa1111)")), "{gaps:?}");
        let elsewhere = r#"{"PolicyId": "p-aaaa1111", "Targets": [{"TargetId": "444455556666", "Type": "ACCOUNT"}]}"#;
        assert_eq!(check(&[("p.json", DENY), ("t.json", elsewhere)]), (Truth::Yes, Truth::Yes, Vec::new()));
    }

    #[test]
    fn what_is_listed_of_a_target_is_attached_to_it() {
        let list = r#"{"Policies": [
            {"Id": "p-aaaa1111", "Name": "no-lambda", "Type": "SERVICE_CONTROL_POLICY", "AwsManaged": false},
            {"Id": "p-FullAWSAccess", "Name": "FullAWSAccess", "Type": "SERVICE_CONTROL_POLICY", "AwsManaged": true}]}"#;
        let of = |name: &str| check(&[("p.json", DENY), (name, list)]);
        assert_eq!(of("list-policies-for-target-111122223333.json"), (Truth::No, Truth::Yes, Vec::new()));
        assert_eq!(of("list-policies-111122223333.json").0, Truth::Unknown, "the list of all is of no target");
        assert_eq!(of("list-policies-for-target-444455556666.json").0, Truth::Unknown, "it may limit others too");
        let on_root = r#"{"PolicyId": "p-bbbb2222", "Targets": [{"TargetId": "r-ab12", "Type": "ROOT"}]}"#;
        let other = DENY.replace("p-aaaa1111", "p-bbbb2222").replace("lambda:*", "sqs:*");
        let name = "list-policies-for-target-111122223333.json";
        let both = check(&[("p.json", DENY), (name, list), ("q.json", &other), ("t.json", on_root)]);
        assert_eq!(both, (Truth::No, Truth::Yes, Vec::new()), "what is whole at the account says nothing of the root");
    }

    #[test]
    fn an_account_whose_unit_is_known_is_not_said_to_lie_nowhere() {
        let known =
            [("p.json", DENY), ("targets-p-aaaa1111.json", ON_UNIT), ("list-parents-111122223333.json", PARENT)];
        assert_eq!(check(&known), (Truth::No, Truth::Yes, Vec::new()));
    }

    #[test]
    fn ids_stand_in_names_of_files() {
        for (name, id) in [
            ("list-parents-111122223333", "111122223333"),
            ("list-organizational-units-for-parent-r-ab12", "r-ab12"),
            ("list-accounts-for-parent-ou-ab12-cdef3456-2", "ou-ab12-cdef3456"),
        ] {
            assert_eq!(super::unit_in(name), Some(id));
        }
        assert_eq!(super::unit_in("list-accounts-for-parent"), None);
        assert_eq!(super::id_in("targets-for-policy-p-FullAWSAccess", "p-", 1), Some("p-FullAWSAccess"));
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
