//! Apps that people consented to: what each may do, for whom, and who runs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Deriver, Kind, Place};
use crate::step::{Ground, NodeKind, Page};

/// An app as a directory knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// `entra/app/ID` or `google/app/ID`, with the id that its configuration holds.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// The organisation that runs it, if the directory says.
    pub owner: Option<String>,
    /// The name of its publisher, if the directory's operator verified it.
    pub publisher: Option<String>,
    /// What it offers to other apps, by the ids that assignments name.
    pub roles: BTreeMap<String, String>,
    /// Whether nobody can sign in to it, and it nowhere.
    pub disabled: bool,
    /// Where it was read.
    pub place: Place,
}

/// One thing that an app may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The app, by its id in [`super::Estate::apps`].
    pub app: String,
    /// What it may do.
    pub scope: Scope,
    /// For whom.
    pub whom: Whom,
    /// Where it was read.
    pub place: Place,
}

/// What a consent is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// As the directory calls it: `Mail.Read`, `https://mail.google.com/`.
    Named(String),
    /// An application permission, which only the service principal of the API names.
    Role {
        /// The id of the API's service principal.
        api: String,
        /// What the API is called.
        name: String,
        /// The permission's id.
        role: String,
    },
}

/// For whom an app acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever signs in: an administrator consented for all.
    Everyone,
    /// One user, by id or mail address, who consented.
    User(String),
    /// Itself, without a user: an administrator assigned it an application permission.
    Itself,
}

/// What a scope opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    /// Data of this kind.
    Data(&'static str),
    /// The directory: whoever may do this makes itself administrator.
    Directory,
    /// Other apps: whoever may do this acts as each of them.
    Apps,
    /// Nothing beyond who the user is.
    Nothing,
    /// What is in no table of ours.
    Other,
}

const REFERENCES: &[&str] = &[
    "https://learn.microsoft.com/en-us/entra/identity-platform/permissions-consent-overview",
    "https://developers.google.com/workspace/admin/directory/reference/rest/v1/tokens",
];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "oauth-consent",
            title: "uses what was consented to and reads",
            catalogue: &[],
            why: "Whoever holds the app's credential gets tokens for what users or an administrator consented to, without \
                  asking them again.",
            references: REFERENCES,
        },
        derive: consents,
        partial: None,
        example: r#"[{"value": [{"appId": "a1", "id": "s1", "displayName": "Helper"}]},
 {"value": [{"clientId": "s1", "consentType": "AllPrincipals", "principalId": null, "resourceId": "g", "scope": "openid Mail.Read"}]}]"#,
        counter_example: r#"[{"value": [{"appId": "a1", "id": "s1", "displayName": "Helper"}]},
 {"value": [{"clientId": "s1", "consentType": "AllPrincipals", "principalId": null, "resourceId": "g", "scope": "openid User.Read"}]}]"#,
    },
    Kind {
        page: Page {
            id: "oauth-consent-directory",
            title: "changes the directory and makes itself",
            catalogue: &[],
            why: "An app that may assign roles, or change apps that have them, gives itself every other permission.",
            references: &["https://learn.microsoft.com/en-us/graph/permissions-reference"],
        },
        derive: directory,
        partial: None,
        example: r#"[{"value": [{"appId": "a1", "id": "s1", "displayName": "Helper"},
  {"appId": "00000003-0000-0000-c000-000000000000", "id": "g", "displayName": "Microsoft Graph", "appRoles": [{"id": "r1", "value": "RoleManagement.ReadWrite.Directory"}]}]},
 {"value": [{"appRoleId": "r1", "principalId": "s1", "principalType": "ServicePrincipal", "resourceId": "g"}]}]"#,
        counter_example: r#"[{"value": [{"appId": "a1", "id": "s1", "displayName": "Helper"},
  {"appId": "00000003-0000-0000-c000-000000000000", "id": "g", "displayName": "Microsoft Graph", "appRoles": [{"id": "r1", "value": "RoleManagement.Read.Directory"}]}]},
 {"value": [{"appRoleId": "r1", "principalId": "s1", "principalType": "ServicePrincipal", "resourceId": "g"}]}]"#,
    },
    Kind {
        page: Page {
            id: "oauth-app-owner",
            title: "runs the app, and acts as",
            catalogue: &[],
            why: "An app of another organisation is operated there: its credential, its code and its staff are theirs.",
            references: REFERENCES,
        },
        derive: owners,
        partial: None,
        example: r#"[{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#organization", "value": [{"id": "t1"}]},
 {"value": [{"appId": "a1", "id": "s1", "displayName": "Helper", "appOwnerOrganizationId": "t2"}]}]"#,
        counter_example: r#"[{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#organization", "value": [{"id": "t1"}]},
 {"value": [{"appId": "a1", "id": "s1", "displayName": "Helper", "appOwnerOrganizationId": "t1"}]}]"#,
    },
];

/// Beginnings of scopes, without the address of Google's, and what they open. The first that fits counts.
const SCOPES: &[(&str, Opens)] = &[
    ("rolemanagement.readwrite.directory", Opens::Directory),
    ("roleassignmentschedule.readwrite.directory", Opens::Directory),
    ("roleeligibilityschedule.readwrite.directory", Opens::Directory),
    ("privilegedaccess.readwrite.azuread", Opens::Directory),
    ("privilegedassignmentschedule.readwrite.azureadgroup", Opens::Directory),
    ("privilegedeligibilityschedule.readwrite.azureadgroup", Opens::Directory),
    ("userauthenticationmethod.readwrite.all", Opens::Directory),
    ("approleassignment.readwrite.all", Opens::Directory),
    ("application.readwrite.all", Opens::Apps),
    ("directory.accessasuser.all", Opens::Directory),
    ("admin.directory.rolemanagement.readonly", Opens::Data("directory")),
    ("admin.directory.user.readonly", Opens::Data("directory")),
    ("admin.directory.user.alias", Opens::Data("directory")),
    ("admin.directory.userschema", Opens::Data("directory")),
    ("admin.directory.rolemanagement", Opens::Directory),
    ("admin.directory.user", Opens::Directory),
    ("admin.directory", Opens::Data("directory")),
    ("rolemanagement.", Opens::Data("directory")),
    ("directory.", Opens::Data("directory")),
    ("user.read.all", Opens::Data("directory")),
    ("user.readwrite.all", Opens::Data("directory")),
    ("group.", Opens::Data("directory")),
    ("mail.send", Opens::Nothing),
    ("gmail.send", Opens::Nothing),
    ("mail.", Opens::Data("mail")),
    ("mailboxsettings.", Opens::Data("mail")),
    ("imap.", Opens::Data("mail")),
    ("ews.", Opens::Data("mail")),
    ("full_access_as_app", Opens::Data("mail")),
    ("gmail", Opens::Data("mail")),
    ("mail.google.com", Opens::Data("mail")),
    // What was chosen for the app, or what it made itself.
    ("files.readwrite.appfolder", Opens::Other),
    ("files.selectedoperations", Opens::Other),
    ("sites.selected", Opens::Other),
    ("drive.file", Opens::Other),
    ("drive.appdata", Opens::Other),
    ("files.", Opens::Data("files")),
    ("sites.", Opens::Data("files")),
    ("notes.", Opens::Data("files")),
    ("drive", Opens::Data("files")),
    ("documents", Opens::Data("files")),
    ("spreadsheets", Opens::Data("files")),
    ("presentations", Opens::Data("files")),
    ("chat", Opens::Data("messages")),
    ("channelmessage.", Opens::Data("messages")),
    ("calendar", Opens::Data("calendars")),
    ("contacts", Opens::Data("contacts")),
    ("userinfo.", Opens::Nothing),
];

/// Scopes that say who the user is, or that the app may come back.
const HARMLESS: &[&str] = &["openid", "profile", "email", "offline_access", "user.read"];

/// Microsoft's own organisation: its apps are the service itself.
const MICROSOFT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

fn opens(scope: &str) -> Opens {
    let lower = scope.to_ascii_lowercase();
    let bare =
        lower.trim_start_matches("https://").trim_start_matches("www.googleapis.com/auth/").trim_end_matches('/');
    if HARMLESS.contains(&bare) {
        return Opens::Nothing;
    }
    SCOPES.iter().find(|(begins, _)| bare.starts_with(begins)).map_or(Opens::Other, |(_, opens)| *opens)
}

impl Deriver<'_> {
    fn app(&mut self, app: &App) -> usize {
        self.node(&app.key, &format!("app {}", app.name), NodeKind::Principal, &app.place)
    }

    /// Whose data a consent is about, as people say it and as a key; and who consented.
    fn whom(&self, consent: &Consent) -> (String, &'static str) {
        match &consent.whom {
            Whom::Everyone => ("everyone".to_owned(), "an administrator consented for all"),
            Whom::Itself => ("everyone".to_owned(), "an administrator assigned it, without a user"),
            Whom::User(id) => (self.estate.users.get(id).unwrap_or(id).clone(), "the user consented"),
        }
    }

    /// What a consent is to, by name.
    fn scope(&self, scope: &Scope) -> String {
        match scope {
            Scope::Named(name) => name.clone(),
            Scope::Role { api, name, role } => {
                let known = self.estate.apps.get(api).and_then(|api| api.roles.get(role)).cloned();
                let unknown = || format!("permission {role} of {name} (its service principal is not in the files)");
                known.unwrap_or_else(unknown)
            }
        }
    }
}

/// A consent with what it means.
struct Told {
    /// The app's node.
    from: usize,
    /// The directory that it is of.
    domain: Arc<str>,
    /// What the scope opens.
    opens: Opens,
    /// What the scope is called.
    scope: String,
    /// Whose data it is about.
    whom: String,
    /// What it rests on.
    said: Arc<Ground>,
}

/// Every consent to an app that is not disabled.
fn each(deriver: &mut Deriver<'_>, act: fn(&mut Deriver<'_>, &Consent, Told)) {
    let estate = deriver.estate;
    for consent in &estate.consents {
        let (from, key, name) = match estate.apps.get(&consent.app) {
            Some(app) if app.disabled => continue,
            Some(app) => (deriver.app(app), app.key.clone(), app.name.clone()),
            None => {
                let (key, name) = (format!("entra/service-principal/{}", consent.app), consent.app.clone());
                let shown = format!("app with service principal {name}");
                (deriver.node(&key, &shown, NodeKind::Principal, &consent.place), key, name)
            }
        };
        let (scope, (whom, how)) = (deriver.scope(&consent.scope), deriver.whom(consent));
        let claim = format!("{scope} for {whom}: {how}");
        let said = deriver.said(&format!("consent to {name}"), &format!("{scope} for {whom}"), claim, &consent.place);
        let domain = key.split('/').next().unwrap_or_default().into();
        act(deriver, consent, Told { from, domain, opens: opens(&scope), scope, whom, said });
    }
}

fn consents(deriver: &mut Deriver<'_>) {
    each(deriver, |deriver, consent, told| {
        let whom = &told.whom;
        let what = match told.opens {
            Opens::Data(noun) => format!("{noun} of {whom}"),
            Opens::Other => format!("what {} opens, of {whom}", told.scope),
            Opens::Directory | Opens::Apps | Opens::Nothing => return,
        };
        let to = deriver.node(&format!("{}/{what}", told.domain), &what, NodeKind::Resource, &consent.place);
        // A token of whoever signs in needs somebody to sign in.
        let assuming = match consent.whom {
            Whom::Everyone => vec!["those whom it concerns sign in to the app, or have".to_owned()],
            Whom::User(_) | Whom::Itself => Vec::new(),
        };
        deriver.step(told.from, to, vec![told.said], assuming);
    });
}

/// Without a user the app changes the directory itself; with one, as far as that user may.
fn directory(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for app in estate.apps.iter().filter(|(id, _)| estate.administrators.contains(*id)).map(|(_, app)| app) {
        let from = deriver.app(app);
        deriver.steps.administrators.insert(from);
    }
    each(deriver, |deriver, consent, told| {
        if !matches!(told.opens, Opens::Directory | Opens::Apps) {
            return;
        }
        let administers = |id: &String| deriver.estate.administrators.contains(id);
        let mut assuming = match &consent.whom {
            Whom::Itself => Vec::new(),
            Whom::User(id) if administers(id) => Vec::new(),
            Whom::User(_) => vec![format!("{} may change the directory", told.whom)],
            Whom::Everyone => vec!["an administrator signs in to the app, or has".to_owned()],
        };
        if told.opens == Opens::Apps {
            assuming.push("one of the apps that it may change administers the directory".to_owned());
        }
        let to = deriver.steps.administrator(&told.domain);
        deriver.step(told.from, to, vec![told.said], assuming);
    });
}

/// Whoever runs an app of another organisation.
fn owners(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for app in estate.apps.values() {
        let owner = app.owner.as_deref();
        let ours = owner.is_some_and(|owner| owner == MICROSOFT || estate.tenants.contains(owner));
        let google = app.key.starts_with("google/");
        if ours || owner.is_none() && !google {
            continue;
        }
        let known = owner.is_some() && !estate.tenants.is_empty();
        let assuming = if known { Vec::new() } else { vec!["the app is not your own".to_owned()] };
        let by = match &app.publisher {
            Some(publisher) => format!("{publisher}, verified"),
            None => "nobody verified who".to_owned(),
        };
        let name = format!("whoever runs {} ({by})", app.name);
        let from = deriver.node(&format!("{}/owner", app.key), &name, NodeKind::Outside, &app.place);
        let to = deriver.app(app);
        let claim = match owner {
            Some(owner) => format!("organisation {owner} runs it"),
            None => "users let it in".to_owned(),
        };
        let said = deriver.said(&format!("app {}", app.name), "that it is let in", claim, &app.place);
        deriver.step(from, to, vec![said], assuming);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scopes_open() {
        for (scope, expected) in [
            ("Mail.ReadWrite", Opens::Data("mail")),
            ("Mail.Send", Opens::Nothing),
            ("User.Read", Opens::Nothing),
            ("User.Read.All", Opens::Data("directory")),
            ("RoleManagement.ReadWrite.Directory", Opens::Directory),
            ("RoleManagement.Read.Directory", Opens::Data("directory")),
            ("https://mail.google.com/", Opens::Data("mail")),
            ("https://www.googleapis.com/auth/drive.readonly", Opens::Data("files")),
            ("https://www.googleapis.com/auth/gmail.send", Opens::Nothing),
            ("https://www.googleapis.com/auth/admin.directory.user", Opens::Directory),
            ("https://www.googleapis.com/auth/admin.directory.user.alias", Opens::Data("directory")),
            ("https://www.googleapis.com/auth/admin.directory.userschema.readonly", Opens::Data("directory")),
            ("https://www.googleapis.com/auth/drive.file", Opens::Other),
            ("https://www.googleapis.com/auth/drive.appdata", Opens::Other),
            ("Sites.Selected", Opens::Other),
            ("Files.ReadWrite.AppFolder", Opens::Other),
            ("Files.SelectedOperations.Selected", Opens::Other),
            ("RoleEligibilitySchedule.ReadWrite.Directory", Opens::Directory),
            ("PrivilegedAccess.ReadWrite.AzureAD", Opens::Directory),
            ("PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup", Opens::Directory),
            ("PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup", Opens::Directory),
            ("UserAuthenticationMethod.ReadWrite.All", Opens::Directory),
            ("UserAuthenticationMethod.Read.All", Opens::Other),
            ("RoleAssignmentSchedule.ReadWrite.Directory", Opens::Directory),
            ("https://www.googleapis.com/auth/cloud-platform", Opens::Other),
        ] {
            assert_eq!(opens(scope), expected, "{scope}");
        }
    }
}
