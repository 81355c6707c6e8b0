//! Who answers for a configuration: read from files only, never by running `git`, because a
//! repository's own configuration can make `git` run programs.

use std::path::{Path, PathBuf};

use graph::Basis;
use ignore::gitignore::GitignoreBuilder;

use crate::clients::Scope;
use crate::file;

/// A person or team, and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// A mail address, `@team`, or `user:name`.
    pub key: String,
    /// How it is known: `codeowners`, `git` or `file`.
    pub how: &'static str,
    /// The file that says so.
    pub source: PathBuf,
    /// The line that says so.
    pub line: Option<u32>,
    /// Whether the source says it or we conclude it.
    pub basis: Basis,
}

/// The owners of the configuration at `path`.
pub fn of(path: &Path, scope: Scope, root: &Path) -> Vec<Owner> {
    let mut owners = Vec::new();
    if let Some(top) = path.ancestors().skip(1).take(32).find(|folder| folder.join(".git").exists()) {
        owners.extend(code_owners(path, top));
        if owners.is_empty() {
            owners.extend(last_committer(top));
        }
    }
    if owners.is_empty() && matches!(scope, Scope::User | Scope::Project | Scope::Plugin) {
        owners.extend(file_owner(path, root));
    }
    owners
}

/// `CODEOWNERS`: of all patterns that match, the last counts.
fn code_owners(path: &Path, top: &Path) -> Vec<Owner> {
    let places = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"];
    let Some((source, text)) = places.iter().find_map(|place| {
        let source = top.join(place);
        Some((source.clone(), file::read(&source).ok()?))
    }) else {
        return Vec::new();
    };
    let Ok(relative) = path.strip_prefix(top) else { return Vec::new() };
    let mut owners = Vec::new();
    for (line, text) in (1u32..).zip(text.lines().take(10_000)) {
        let text = text.split('#').next().unwrap_or_default();
        let mut words = text.split_whitespace();
        let Some(pattern) = words.next().filter(|word| !word.starts_with('[')) else { continue };
        let mut builder = GitignoreBuilder::new("");
        let matches = builder.add_line(None, pattern).is_ok()
            && builder.build().is_ok_and(|matcher| matcher.matched_path_or_any_parents(relative, false).is_ignore());
        if matches {
            owners = words
                .map(|key| Owner {
                    key: key.to_owned(),
                    how: "codeowners",
                    source: source.clone(),
                    line: Some(line),
                    basis: Basis::Collected,
                })
                .collect();
        }
    }
    owners
}

/// Who last moved this clone's HEAD: the person who works here.
fn last_committer(top: &Path) -> Option<Owner> {
    let source = top.join(".git/logs/HEAD");
    let text = file::read(&source).ok()?;
    let (line, last) = (1u32..).zip(text.lines()).last()?;
    let mail = last.split_once('<')?.1.split_once('>')?.0;
    mail.contains('@').then(|| Owner {
        key: mail.to_ascii_lowercase(),
        how: "git",
        source,
        line: Some(line),
        basis: Basis::Inferred,
    })
}

/// The user whose file it is.
#[cfg(unix)]
fn file_owner(path: &Path, root: &Path) -> Option<Owner> {
    use std::os::unix::fs::MetadataExt as _;
    let uid = path.metadata().ok()?.uid();
    let passwd = file::read(&root.join("etc/passwd")).unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    let key = format!("user:{}", name.unwrap_or_else(|| uid.to_string()));
    Some(Owner { key, how: "file", source: path.to_owned(), line: None, basis: Basis::Inferred })
}

#[cfg(not(unix))]
fn file_owner(_path: &Path, _root: &Path) -> Option<Owner> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], config: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let path = folder.path().join(config);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{}").unwrap();
        let owners = of(&path, Scope::Project, folder.path());
        let shown: Vec<_> = owners.iter().map(|owner| format!("{} by {}", owner.key, owner.how)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_last_matching_pattern_of_codeowners_counts() {
        let text = "# c\n* @all\n/.cursor/ a@example.org @team # why\n*.md @docs\n";
        check(
            &[(".git/HEAD", ""), (".github/CODEOWNERS", text)],
            ".cursor/mcp.json",
            &["a@example.org by codeowners", "@team by codeowners"],
        );
        check(&[(".git/HEAD", ""), ("CODEOWNERS", text)], "x/.mcp.json", &["@all by codeowners"]);
    }

    #[test]
    fn else_who_works_in_the_clone_else_the_files_user() {
        let log = "0 1 A <A@example.org> 1 +0\tclone\n1 2 B B <b@example.org> 2 +0\tcommit: <x@y> z\n";
        check(&[(".git/logs/HEAD", log)], ".mcp.json", &["b@example.org by git"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let uid = std::fs::metadata(std::env::current_exe().unwrap()).unwrap().uid();
            let passwd = format!("other:x:4242:1::/:/bin/sh\nme:x:{uid}:1::/:/bin/sh\n");
            check(&[("etc/passwd", &passwd)], ".mcp.json", &["user:me by file"]);
        }
    }
}
