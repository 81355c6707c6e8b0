//! Which identities the settings of an environment lead to: a cloud role by `AWS_ROLE_ARN`, or by the profile that
//! `AWS_PROFILE` names in `~/.aws/config`; an app of a directory by the id that it signs in with.
//!
//! Takes ARNs and ids only, never a key; never asks a cloud. Identities are joined by these, never by a name.

use std::path::{Path, PathBuf};

/// The largest file that is read.
const SIZE_MAX_BYTES: u64 = 1 << 20;

/// A role or app that a process takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    /// Its ARN, or `entra/app/ID`, `google/app/ID`.
    pub(crate) arn: String,
    /// The setting that leads to it.
    pub(crate) setting: String,
    /// The file and line that name it, when that is not the setting itself.
    pub(crate) at: Option<(PathBuf, u32)>,
    /// Whether the SDK takes it on with what stands in the environment and the file.
    pub(crate) certain: bool,
}

/// The roles of an environment, given as a look-up of its variables.
pub(crate) fn roles<'e>(home: &Path, variable: impl Fn(&str) -> Option<&'e str>) -> Vec<Role> {
    let mut found = Vec::new();
    if let Some(arn) = variable("AWS_ROLE_ARN").filter(|arn| is_role(arn)) {
        // SDKs take this role on with the token of a file, and do nothing with it without one.
        let certain = variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
        found.push(Role { arn: arn.to_owned(), setting: "AWS_ROLE_ARN".to_owned(), at: None, certain });
    }
    let named = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
    let Some((setting, name)) = named.into_iter().find_map(|setting| Some((setting, variable(setting)?))) else {
        return found;
    };
    let path = variable("AWS_CONFIG_FILE").filter(|path| path.starts_with('/')).map(PathBuf::from);
    let path = path.unwrap_or_else(|| home.join(".aws/config"));
    let small = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= SIZE_MAX_BYTES);
    let text = if small { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    if let Some((arn, line)) = role_of(&text, name) {
        found.push(Role { arn, setting: setting.to_owned(), at: Some((path, line)), certain: true });
    }
    found
}

/// The apps that an environment signs in as: the id of an app of Entra (a GUID in a variable for it) or of Google (by
/// its form). Without a secret beside it somebody has to sign in, or the platform gives the token.
pub(crate) fn apps<'e>(env: &[(&'e str, &'e str)]) -> Vec<Role> {
    let ends = |name: &str, ends: &[&str]| ends.iter().any(|end| name.to_ascii_uppercase().ends_with(end));
    let secrets = ["CLIENT_SECRET", "CLIENT_CERTIFICATE_PATH", "FEDERATED_TOKEN_FILE", "REFRESH_TOKEN"];
    let certain = env.iter().any(|(name, value)| ends(name, &secrets) && !value.is_empty());
    let app = |(name, value): &(&'e str, &'e str)| {
        let arn = if value.ends_with(".apps.googleusercontent.com") {
            format!("google/app/{value}")
        } else if ends(name, &["CLIENT_ID", "APP_ID", "APPLICATION_ID"]) && is_guid(value) {
            format!("entra/app/{}", value.to_ascii_lowercase())
        } else {
            return None;
        };
        Some(Role { arn, setting: (*name).to_owned(), at: None, certain })
    };
    env.iter().filter_map(app).collect()
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The `role_arn` of a profile and its line.
fn role_of(config: &str, name: &str) -> Option<(String, u32)> {
    let mut inside = false;
    for (number, line) in (1..).zip(config.lines()) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let header = header.trim();
            let own = header.strip_prefix("profile").map(|rest| rest.trim().trim_matches('"'));
            inside = own == Some(name) || header == "default" && name == "default";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
        if key.trim() == "role_arn" && is_role(value.trim()) {
            return Some((value.trim().to_owned(), number));
        }
    }
    None
}

fn is_role(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let (arn, service, account, name) = (parts.next(), parts.nth(1), parts.nth(1), parts.next());
    let digits =
        account.is_some_and(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()));
    arn == Some("arn") && service == Some("iam") && digits && name.is_some_and(|name| name.starts_with("role/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-west-1\n\n[profile ops]\n# role_arn = arn:aws:iam::111122223333:role/old\nrole_arn = arn:aws:iam::111122223333:role/ops\nsource_profile = default\n\n[profile \"two words\"]\nrole_arn=arn:aws:iam::111122223333:role/path/two\n\n[profile none]\nsso_account_id = 111122223333\n";

    #[test]
    fn a_profile_leads_to_its_role_and_line() {
        assert_eq!(role_of(CONFIG, "ops"), Some(("arn:aws:iam::111122223333:role/ops".to_owned(), 6)));
        assert_eq!(role_of(CONFIG, "two words"), Some(("arn:aws:iam::111122223333:role/path/two".to_owned(), 10)));
        assert_eq!(
            (role_of(CONFIG, "none"), role_of(CONFIG, "default"), role_of(CONFIG, "profile ops")),
            (None, None, None)
        );
    }

    #[test]
    fn an_environment_leads_to_the_app_that_it_signs_in_as() {
        let id = "0A1b2c3d-0000-1111-2222-333344445555";
        let of = |env: &[(&'static str, &'static str)]| {
            apps(env).into_iter().map(|app| (app.arn, app.certain)).collect::<Vec<_>>()
        };
        let entra = "entra/app/0a1b2c3d-0000-1111-2222-333344445555".to_owned();
        assert_eq!(of(&[("AZURE_CLIENT_ID", id), ("AZURE_CLIENT_SECRET", "x")]), [(entra.clone(), true)]);
        assert_eq!(of(&[("CLIENT_ID", id), ("TENANT_ID", id)]), [(entra, false)], "a tenant is no app");
        assert_eq!(of(&[("CLIENT_ID", "mine"), ("SESSION", id)]), []);
        let google = "1-a.apps.googleusercontent.com";
        assert_eq!(of(&[("ID", google)]), [(format!("google/app/{google}"), false)]);
    }

    #[test]
    fn an_environment_leads_to_its_roles() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(dir.path().join(".aws/config"), CONFIG).unwrap();
        let of = |pairs: &'static [(&'static str, &'static str)]| {
            roles(dir.path(), |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value))
        };
        let ops = of(&[("AWS_PROFILE", "ops")]);
        assert_eq!(
            (ops[0].arn.as_str(), ops[0].setting.as_str(), ops[0].certain),
            ("arn:aws:iam::111122223333:role/ops", "AWS_PROFILE", true)
        );
        assert_eq!(ops[0].at, Some((dir.path().join(".aws/config"), 6)));
        let token = of(&[("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")]);
        assert!(token[0].certain);
        assert!(!of(&[("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci")])[0].certain);
        assert_eq!(of(&[("AWS_ROLE_ARN", "${ROLE}"), ("AWS_PROFILE", "absent")]), []);
        assert_eq!(of(&[("AWS_ROLE_ARN", "arn:aws:s3:::role/x")]), []);
    }
}
