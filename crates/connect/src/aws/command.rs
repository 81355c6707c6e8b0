//! The command that takes a statement out of an account. The export of an account is no place to change anything, so
//! where a file's patch would be, this stands.

use graph::paths::patch::Patch;
use serde_json::{Value as Json, json};

use super::{decoded, text};
use crate::document::{Document, Node};

/// The commands without which the statement that begins at a line of an export stays; nothing where none begins there,
/// or more than one does.
pub(crate) fn taking_out(document: &Document, line: u32) -> Option<Patch> {
    let account = Account { document, line };
    let root = document.root();
    let list = |name: &str| root.get(name).map(Node::items).unwrap_or_default();
    let lists = OWNERS.iter().flat_map(|owner| list(owner.list).iter().map(move |node| (owner, node)));
    let owned = lists.flat_map(|(owner, node)| account.of_owner(owner, node));
    let managed = list("Policies").iter().flat_map(|policy| account.of_managed(policy));
    let mut found = owned.chain(managed);
    let (one, other) = (found.next()?, found.next());
    other.is_none().then_some(one)?
}

/// Whether a document is an export of an account.
pub(crate) fn is_account(document: &Document) -> bool {
    OWNERS.iter().any(|owner| document.root().get(owner.list).is_some())
}

/// A kind of principal, as the export and the commands call it.
struct Owner {
    list: &'static str,
    inline: &'static str,
    name: &'static str,
    word: &'static str,
}

const OWNERS: [Owner; 3] = [
    Owner { list: "UserDetailList", inline: "UserPolicyList", name: "UserName", word: "user" },
    Owner { list: "GroupDetailList", inline: "GroupPolicyList", name: "GroupName", word: "group" },
    Owner { list: "RoleDetailList", inline: "RolePolicyList", name: "RoleName", word: "role" },
];

struct Account<'d> {
    document: &'d Document,
    line: u32,
}

/// The statement as it was found: what its policy says without it. `None` in place of the command where a name could
/// not be written down.
type Found = Vec<Option<Patch>>;

impl Account<'_> {
    fn of_owner(&self, owner: &Owner, node: &Node) -> Found {
        let word = owner.word;
        let name = || text(node, owner.name).filter(|name| is_plain(name));
        let inline = node.get(owner.inline).map(Node::items).unwrap_or_default();
        let mut found: Found = Vec::new();
        for policy in inline {
            let Some(rest) = policy.get("PolicyDocument").and_then(|document| self.without(document)) else { continue };
            let whose = || {
                let policy = text(policy, "PolicyName").filter(|name| is_plain(name))?;
                Some(format!("--{word}-name {} --policy-name {policy}", name()?))
            };
            found.push(whose().map(|whose| match rest {
                Rest::Nothing => command(&[format!("delete-{word}-policy {whose}")]),
                Rest::Document(document) => {
                    command(&[format!("put-{word}-policy {whose} --policy-document {document}")])
                }
            }));
        }
        if let Some(rest) = node.get("AssumeRolePolicyDocument").and_then(|document| self.without(document)) {
            // A trust policy cannot be taken away, and one that lets in nobody needs a statement all the same.
            let document = match rest {
                Rest::Nothing => quoted(&json!({}), &[NOBODY.to_owned()]),
                Rest::Document(document) => document,
            };
            found.push(name().map(|name| {
                command(&[format!("update-assume-role-policy --role-name {name} --policy-document {document}")])
            }));
        }
        found
    }

    fn of_managed(&self, policy: &Node) -> Found {
        let mut found: Found = Vec::new();
        let arn = || text(policy, "Arn").filter(|arn| is_plain(arn));
        for version in policy.get("PolicyVersionList").map(Node::items).unwrap_or_default() {
            let Some(rest) = version.get("Document").and_then(|document| self.without(document)) else { continue };
            let id = text(version, "VersionId");
            let is_default = version
                .get("IsDefaultVersion")
                .and_then(Node::bool)
                .unwrap_or(id.is_some() && id == text(policy, "DefaultVersionId"));
            let change = |arn: &str| match rest {
                _ if !is_default => {
                    let id = id.filter(|id| is_plain(id))?;
                    Some(command(&[format!("delete-policy-version --policy-arn {arn} --version-id {id}")]))
                }
                Rest::Document(document) if !arn.contains(":iam::aws:") => Some(command(&[format!(
                    "create-policy-version --policy-arn {arn} --set-as-default --policy-document {document}"
                )])),
                // Nobody but AWS writes its policies, and none is left without a statement.
                Rest::Document(_) | Rest::Nothing => self.detached(arn),
            };
            found.push(arn().and_then(change));
        }
        found
    }

    /// Takes a managed policy from everybody who has it.
    fn detached(&self, arn: &str) -> Option<Patch> {
        let mut commands = Vec::new();
        for owner in &OWNERS {
            for node in self.document.root().get(owner.list).map(Node::items).unwrap_or_default() {
                let attached = node.get("AttachedManagedPolicies").map(Node::items).unwrap_or_default();
                if attached.iter().any(|one| text(one, "PolicyArn") == Some(arn)) {
                    let (word, name) = (owner.word, text(node, owner.name).filter(|name| is_plain(name))?);
                    commands.push(format!("detach-{word}-policy --{word}-name {name} --policy-arn {arn}"));
                }
            }
        }
        (!commands.is_empty()).then(|| command(&commands))
    }

    /// What a document says without the statement that begins at the line; nothing where none does. Where several do, as
    /// in a document that is one line of text, it is not known which is meant.
    fn without(&self, node: &Node) -> Option<Rest> {
        let (json, begins) = match node.text() {
            Some(text) => {
                let json = decoded(text)?;
                let begins = vec![self.document.line(node.span.start); statements(&json).len()];
                (json, begins)
            }
            None => {
                let all = node.get("Statement")?;
                let each = if all.is_list() { all.items() } else { std::slice::from_ref(all) };
                (node.to_json(), each.iter().map(|one| self.document.line(one.span.start)).collect())
            }
        };
        let mut at = (0..begins.len()).filter(|at| begins.get(*at) == Some(&self.line));
        let (gone, other) = (at.next()?, at.next());
        if other.is_some() {
            return None;
        }
        let kept = statements(&json).into_iter().enumerate().filter(|(at, _)| *at != gone);
        let kept: Vec<String> = kept.map(|(_, statement)| statement.to_string()).collect();
        Some(if kept.is_empty() { Rest::Nothing } else { Rest::Document(quoted(&json, &kept)) })
    }
}

/// What is left of a policy.
enum Rest {
    /// No statement.
    Nothing,
    /// A document, as an argument of a command.
    Document(String),
}

const NOBODY: &str = r#"{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}"#;

fn statements(json: &Json) -> Vec<&Json> {
    match json.get("Statement") {
        Some(Json::Array(statements)) => statements.iter().collect(),
        Some(statement) => vec![statement],
        None => Vec::new(),
    }
}

/// A document with these statements, a line each, in single quotes, which no JSON needs inside.
fn quoted(json: &Json, statements: &[String]) -> String {
    let version = json.get("Version").and_then(Json::as_str).unwrap_or("2008-10-17");
    let document = format!("{{\"Version\":{},\"Statement\":[\n  {}]}}", json!(version), statements.join(",\n  "));
    format!("'{}'", document.replace('\'', "\\u0027"))
}

fn command(commands: &[String]) -> Patch {
    let text = commands.iter().map(|command| format!("aws iam {command}\n")).collect();
    Patch { title: "change the account".to_owned(), language: "sh".to_owned(), text }
}

/// Whether a name can stand in a command: IAM takes no other letters, and whoever named a thing must not write our
/// commands.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.@+=,:/".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Format;

    const EXPORT: &str = r#"{
"UserDetailList": [{"UserName": "ann", "AttachedManagedPolicies": [{"PolicyArn": "arn:aws:iam::1:policy/p"}],
"UserPolicyList": [{"PolicyName": "one", "PolicyDocument": {"Statement":
 {"Effect": "Allow", "Action": "*", "Resource": "*"}}},
{"PolicyName": "two", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
 {"Action": "a:A", "Effect": "Allow", "Resource": "it's"},
 {"Effect": "Allow", "Action": "b:B", "Resource": "*"}]}},
{"PolicyName": "text", "PolicyDocument": "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22*%22%7D%5D%7D"}]}],
"RoleDetailList": [{"RoleName": "r", "AssumeRolePolicyDocument": {"Statement": [
 {"Effect": "Allow", "Principal": {"Service": "x"}, "Action": "sts:AssumeRole"}]},
"AttachedManagedPolicies": [{"PolicyArn": "arn:aws:iam::1:policy/p"}]}],
"Policies": [{"Arn": "arn:aws:iam::1:policy/p", "DefaultVersionId": "v2", "PolicyVersionList": [
{"VersionId": "v1", "Document": {"Statement": [
 {"Effect": "Allow", "Action": "*", "Resource": "*"}]}},
{"VersionId": "v2", "Document": {"Statement": [
 {"Effect": "Allow", "Action": "c:C", "Resource": "*"}]}}]}]
}"#;

    fn at(export: &str, line: u32) -> Option<String> {
        taking_out(&Document::parse(export, Format::Json).unwrap(), line).map(|patch| patch.text)
    }

    #[test]
    fn each_place_of_a_statement_has_its_command() {
        for (line, expected) in [
            (4, "aws iam delete-user-policy --user-name ann --policy-name one\n"),
            (
                7,
                "aws iam put-user-policy --user-name ann --policy-name two --policy-document '{\"Version\":\"2012-10-17\",\"Statement\":[\n  \
                 {\"Action\":\"a:A\",\"Effect\":\"Allow\",\"Resource\":\"it\\u0027s\"}]}'\n",
            ),
            (8, "aws iam delete-user-policy --user-name ann --policy-name text\n"),
            (
                10,
                "aws iam update-assume-role-policy --role-name r --policy-document '{\"Version\":\"2008-10-17\",\"Statement\":[\n  \
                 {\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"sts:AssumeRole\"}]}'\n",
            ),
            (14, "aws iam delete-policy-version --policy-arn arn:aws:iam::1:policy/p --version-id v1\n"),
            (
                16,
                "aws iam detach-user-policy --user-name ann --policy-arn arn:aws:iam::1:policy/p\n\
                 aws iam detach-role-policy --role-name r --policy-arn arn:aws:iam::1:policy/p\n",
            ),
        ] {
            assert_eq!(at(EXPORT, line).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(at(EXPORT, 2), None);
    }

    #[test]
    fn a_policy_of_aws_is_taken_from_who_has_it_whatever_else_it_says() {
        let only = "\"Action\": \"c:C\", \"Resource\": \"*\"}";
        let split = EXPORT
            .replace(only, &format!("{only},\n {{\"Effect\": \"Deny\", \"Action\": \"d:D\", \"Resource\": \"*\"}}"));
        assert!(
            at(&split, 16).unwrap().starts_with("aws iam create-policy-version --policy-arn arn:aws:iam::1:policy/p ")
        );
        let of_aws = split.replace("iam::1:policy", "iam::aws:policy");
        assert!(at(&of_aws, 16).unwrap().starts_with("aws iam detach-user-policy --user-name ann "));
    }

    #[test]
    fn what_is_not_one_statement_or_no_name_has_none() {
        assert_eq!(
            at(
                &EXPORT.replace(
                    ",\n {\"Effect\": \"Allow\", \"Action\": \"b:B\"",
                    ", {\"Effect\": \"Allow\", \"Action\": \"b:B\""
                ),
                6
            ),
            None
        );
        assert_eq!(at(&EXPORT.replace("\n", " "), 1), None, "several places in one line");
        assert_eq!(at(&EXPORT.replace("\"one\"", "\"one;rm -rf ~\""), 4), None);
        assert_eq!(at(&EXPORT.replace("\"ann\"", "\"--profile\""), 4), None);
    }
}
