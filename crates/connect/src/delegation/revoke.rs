//! The command that takes a consent back. An export of consents is no place to change anything, so where a file's patch
//! would be, this stands.

use graph::paths::patch::Patch;

use super::consent;
use crate::aws::text;
use crate::document::{Document, Node};

/// The command that revokes the consent that begins at a line of an export; nothing where none does, or where the
/// export lacks the consent's id.
pub(crate) fn revocation(document: &Document, line: u32) -> Option<Patch> {
    let mut open = vec![document.root()];
    while let Some(node) = open.pop() {
        if node.is_map()
            && document.line(node.span.start) == line
            && let Some(found) = of(node)
        {
            return Some(found);
        }
        open.extend(node.entries().iter().map(|entry| &entry.node).chain(node.items()));
    }
    None
}

const GRAPH: &str = "https://graph.microsoft.com/v1.0";
const GOOGLE: &str = "https://admin.googleapis.com/admin/directory/v1";

fn of(node: &Node) -> Option<Patch> {
    let word = |key: &str| text(node, key).filter(|text| is_plain(text));
    let azure = |path: String| format!("az rest --method delete --url {GRAPH}/{path}");
    let (title, command) = match consent::form(node)? {
        consent::Form::Grant => {
            let title = format!("revoke the whole consent ({})", text(node, "scope")?.trim());
            (title, azure(format!("oauth2PermissionGrants/{}", word("id")?)))
        }
        consent::Form::Assignment => {
            let path = format!("servicePrincipals/{}/appRoleAssignments/{}", word("principalId")?, word("id")?);
            ("take the application permission back".to_owned(), azure(path))
        }
        consent::Form::Token => {
            let path = format!("users/{}/tokens/{}", word("userKey")?, word("clientId")?);
            let bearer = "\"Authorization: Bearer $TOKEN\"";
            ("revoke the app's token".to_owned(), format!("curl --fail -X DELETE -H {bearer} {GOOGLE}/{path}"))
        }
    };
    Some(Patch { title, language: "sh".to_owned(), text: command + "\n" })
}

/// Whether a text of the export is safe in a command: whoever named an app must not write our commands.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.contains("..")
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.@".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_is_revoked_by_its_own_id_and_no_name_becomes_a_command() {
        let export = |grant: &str| format!("{{\"value\": [\n{{\"appId\": \"a\", \"id\": \"s\"}},\n{grant}\n]}}");
        let revoked = |grant: &str, line: u32| {
            revocation(&Document::parse(&export(grant), crate::document::Format::Json).unwrap(), line)
        };
        let command = |grant: &str| revoked(grant, 3).map(|one| one.text);
        let graph = "az rest --method delete --url https://graph.microsoft.com/v1.0";
        let grant = r#"{"clientId": "s1", "consentType": "AllPrincipals", "scope": "Mail.Read", "id": "g-1_x"}"#;
        assert_eq!(command(grant), Some(format!("{graph}/oauth2PermissionGrants/g-1_x\n")));
        let role = r#"{"appRoleId": "r", "principalId": "s1", "resourceId": "g", "id": "a1"}"#;
        assert_eq!(command(role), Some(format!("{graph}/servicePrincipals/s1/appRoleAssignments/a1\n")));
        let token = r#"{"kind": "admin#directory#token", "clientId": "1.apps.example", "userKey": "ann@example.com"}"#;
        assert!(command(token).is_some_and(|text| text.ends_with("/users/ann@example.com/tokens/1.apps.example\n")));
        assert_eq!(command(&grant.replace("g-1_x", "g;rm -rf ~")), None);
        assert_eq!(command(&grant.replace("g-1_x", "..")), None, "the address above");
        assert_eq!(command(&grant.replace(", \"id\": \"g-1_x\"", "")), None, "its id is not in the export");
        assert_eq!(revoked(grant, 2), None, "an app is no consent");
    }
}
