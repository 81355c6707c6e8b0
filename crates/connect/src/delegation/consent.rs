//! Consents: answers of Microsoft Graph (`servicePrincipals`, `oauth2PermissionGrants`, `appRoleAssignments`,
//! `directory/roleAssignments`, `users`, `organization`) and of Google's Admin SDK (`tokens.list`).

use std::collections::BTreeMap;

use graph::delegation::consent::{App, Consent, Scope, Whom};

use crate::aws::{Reader, text};
use crate::document::Node;

/// The directory role that may do everything, and the one that may give it.
const ADMINISTRATORS: &[&str] = &["62e90394-69f5-4237-9190-012177145e10", "e8611ab8-c189-46e8-94e1-60213ab1f814"];

/// Reads a page of an answer, a list, or one object; false when it is none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let page = root.get("value").or_else(|| root.get("items")).filter(|list| list.is_list());
    let Some(page) = page else { return object(reader, root) };
    let context = text(root, "@odata.context").unwrap_or_default();
    if context.contains("#organization") {
        let ids = page.items().iter().filter_map(|one| text(one, "id"));
        reader.delegation.tenants.extend(ids.map(str::to_owned));
        return true;
    }
    // An answer without anything in it is still one.
    let empty = page.items().is_empty()
        && (context.contains("microsoft.com") || text(root, "kind") == Some("admin#directory#tokenList"));
    page.items().iter().fold(empty, |known, one| object(reader, one) | known)
}

/// The forms in which a consent is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What an app may do for users.
    Grant,
    /// What an app may do without a user.
    Assignment,
    /// A token that a user of Google Workspace gave.
    Token,
}

fn has(node: &Node, keys: &[&str]) -> bool {
    keys.iter().all(|key| node.get(key).is_some())
}

/// In which form an object tells of a consent, if it does.
pub(super) fn form(node: &Node) -> Option<Form> {
    if text(node, "kind") == Some("admin#directory#token") {
        Some(Form::Token)
    } else if has(node, &["clientId", "consentType", "scope"]) {
        Some(Form::Grant)
    } else if has(node, &["appRoleId", "principalId", "resourceId"]) {
        Some(Form::Assignment)
    } else {
        None
    }
}

fn object(reader: &mut Reader<'_>, node: &Node) -> bool {
    match form(node) {
        Some(Form::Token) => return token(reader, node),
        Some(Form::Grant) => return grant(reader, node),
        Some(Form::Assignment) => return assignment(reader, node),
        None => {}
    }
    let has = |keys: &[&str]| has(node, keys);
    if has(&["roleDefinitionId", "principalId"]) {
        let is = text(node, "roleDefinitionId").is_some_and(|role| ADMINISTRATORS.contains(&role));
        let whole = text(node, "directoryScopeId").is_none_or(|scope| scope == "/");
        reader.delegation.administrators.extend(text(node, "principalId").filter(|_| is && whole).map(str::to_owned));
        true
    } else if has(&["appId", "id"]) {
        app(reader, node)
    } else if has(&["userPrincipalName", "id"]) {
        if let (Some(id), Some(name)) = (text(node, "id"), text(node, "userPrincipalName")) {
            reader.delegation.users.insert(id.to_owned(), name.to_owned());
        }
        true
    } else {
        false
    }
}

fn app(reader: &mut Reader<'_>, node: &Node) -> bool {
    let (Some(id), Some(app)) = (text(node, "id"), text(node, "appId")) else { return false };
    let role = |role: &Node| Some((text(role, "id")?.to_owned(), text(role, "value")?.to_owned()));
    let publisher = node.get("verifiedPublisher").and_then(|one| text(one, "displayName"));
    let found = App {
        key: format!("entra/app/{}", app.to_ascii_lowercase()),
        name: text(node, "displayName").unwrap_or(app).to_owned(),
        owner: text(node, "appOwnerOrganizationId").map(str::to_owned),
        publisher: publisher.map(str::to_owned),
        roles: node.get("appRoles").map(Node::items).unwrap_or_default().iter().filter_map(role).collect(),
        disabled: node.get("accountEnabled").and_then(Node::bool) == Some(false),
        place: reader.place(node),
    };
    reader.delegation.apps.insert(id.to_owned(), found);
    true
}

/// What an app may do for users.
fn grant(reader: &mut Reader<'_>, node: &Node) -> bool {
    let (Some(app), Some(scopes)) = (text(node, "clientId"), text(node, "scope")) else { return false };
    let whom = match (text(node, "consentType"), text(node, "principalId")) {
        (Some("AllPrincipals"), _) => Whom::Everyone,
        (_, Some(user)) => Whom::User(user.to_owned()),
        (_, None) => {
            reader.miss(node, "a consent names neither all users nor one");
            return true;
        }
    };
    let scopes = scopes.split_whitespace().map(|scope| Scope::Named(scope.to_owned()));
    push(reader, node, app, (&whom, scopes.collect()));
    true
}

/// What an app may do without a user. Users and groups who may use an app are assigned to it in the same form.
fn assignment(reader: &mut Reader<'_>, node: &Node) -> bool {
    let (Some(app), Some(role), Some(api)) =
        (text(node, "principalId"), text(node, "appRoleId"), text(node, "resourceId"))
    else {
        return false;
    };
    if text(node, "principalType").is_none_or(|kind| kind == "ServicePrincipal") {
        let name = text(node, "resourceDisplayName").unwrap_or(api).to_owned();
        let role = Scope::Role { api: api.to_owned(), name, role: role.to_owned() };
        push(reader, node, app, (&Whom::Itself, vec![role]));
    }
    true
}

/// A token that a user of Google Workspace gave to an app.
fn token(reader: &mut Reader<'_>, node: &Node) -> bool {
    let (Some(id), Some(user)) = (text(node, "clientId"), text(node, "userKey")) else {
        reader.miss(node, "a token has no `clientId` or no `userKey`");
        return true;
    };
    let found = App {
        key: format!("google/app/{id}"),
        name: text(node, "displayText").unwrap_or(id).to_owned(),
        owner: None,
        publisher: None,
        roles: BTreeMap::new(),
        disabled: false,
        place: reader.place(node),
    };
    reader.delegation.apps.entry(id.to_owned()).or_insert(found);
    let scopes = node.get("scopes").map(Node::items).unwrap_or_default().iter().filter_map(Node::text);
    let scopes = scopes.map(|scope| Scope::Named(scope.to_owned())).collect();
    push(reader, node, id, (&Whom::User(user.to_owned()), scopes));
    true
}

fn push(reader: &mut Reader<'_>, node: &Node, app: &str, (whom, scopes): (&Whom, Vec<Scope>)) {
    let place = reader.place(node);
    reader.delegation.consents.extend(scopes.into_iter().map(|scope| Consent {
        app: app.to_owned(),
        scope,
        whom: whom.clone(),
        place: place.clone(),
    }));
}
