//! What a command does beyond the files of the project: which words of which programs destroy what another system holds, or
//! publish something in the user's name. Two tables, and how a verb is found among options.
//!
//! It knows programs by name and verbs by their words. What a script, a file of statements or the user's own alias does is
//! not seen; that it is run is. What only rehearses (`--dry-run`, `--help`) does nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::programs::{cluster, is_quiet, is_wrapper};
use super::tables::{READERS, SHELLS};
use super::{NESTING_MAX, Shell, Walk, statements};

/// It deletes files outside the project.
pub(super) const ERASES: &str = "erases";
/// It deletes or overwrites what another system holds.
pub(super) const DESTROYS: &str = "destroys";
/// It publishes in the user's name.
pub(super) const PUBLISHES: &str = "publishes";

/// How many of a command's words may be names of such programs.
const NAMED_MAX: usize = 32;

/// Programs, and the phrases of theirs that destroy. The words of a phrase follow each other, with options anywhere; `**`
/// stands for any words between, `|` between words of which one is enough, `*` for the rest of a word. What begins like an
/// option or a refspec (`-f|--force|+*`) stands anywhere among the words. A phrase without words is the program alone.
const DESTROYING: &[(&str, &str)] = &[
    // An apply deletes what it replaces, and without a terminal it goes on only where it was approved beforehand.
    ("terraform tofu", "destroy, apply, state rm, workspace delete"),
    ("terragrunt", "** destroy|destroy-all|apply|apply-all, state rm"),
    ("pulumi", "destroy, up|update, stack rm, state delete"),
    ("cdk cdktf", "destroy"),
    ("sam eksctl kops argocd velero", "** delete"),
    ("flux", "** delete|uninstall"),
    ("sls serverless", "** remove"),
    ("kubectl oc", "delete, drain, replace --force, apply --prune, exec ** rm|shred|dd"),
    ("helm", "uninstall|delete|del|un"),
    ("aws", "s3 rb|rm, s3 sync --delete"),
    ("aws", "* delete-*|batch-delete-*|terminate-*|deregister-*|purge-*|destroy-*"),
    ("aws", "kms schedule-key-deletion, ec2 release-address"),
    ("gcloud", "** delete|destroy|purge, ** storage rm"),
    ("gsutil", "rm|rb, rsync -d"),
    ("bq", "rm"),
    ("az", "** delete|delete-*|purge"),
    ("doctl hcloud linode-cli scw civo vultr-cli openstack pscale neonctl atlas turso", "** delete|destroy|remove|rm"),
    ("oci", "** delete|terminate"),
    ("ibmcloud", "** delete|*-delete|rm|*-rm"),
    ("aliyun", "* delete*"),
    ("rclone", "delete|deletefile|purge|rmdirs|cleanup"),
    ("s3cmd s5cmd", "rb|rm|del"),
    ("restic borg", "forget, prune, delete"),
    ("vault", "** delete|destroy|disable|revoke|seal"),
    ("etcdctl", "del"),
    ("heroku", "** *:destroy|*:delete|*:reset|*:killall|destroy, ps:scale *=0"),
    ("fly flyctl", "** destroy|destroy-*|delete|remove|unset"),
    ("vercel", "rm|remove, * rm|remove|del|delete"),
    ("netlify firebase", "** *:delete|*:remove|*:disable"),
    ("wrangler", "** delete|*:delete"),
    ("railway", "down, delete, * delete"),
    ("supabase", "db reset --linked|--db-url, ** delete"),
    ("gh", "repo|release|issue|gist|label|project|codespace|run delete, release delete-asset"),
    ("gh", "secret|variable|ssh-key|gpg-key delete|remove"),
    ("gh", "repo archive, repo sync --force, secret set, api ** delete|-xdelete|--method=delete"),
    ("glab", "** delete, api ** delete|-xdelete|--method=delete"),
    // `--force-with-lease` overwrites only what was seen, as after every rebase of one's own branch.
    ("git", "push|send-pack -f|--force|-d|--delete|--mirror|--prune|+*|:*"),
    // Volumes hold what no image has.
    ("docker podman nerdctl", "system prune|reset, volume rm|remove|prune"),
    ("npm pnpm", "unp*"),
    ("yarn bun", "unpublish"),
    ("cargo gem", "yank"),
    ("dropdb", ""),
    ("mysqladmin", "** drop"),
    ("prisma", "migrate reset, db push --force-reset|--accept-data-loss"),
    ("rails rake", "** db:drop|db:drop:*|db:reset|db:purge|db:purge:*|db:migrate:reset"),
    ("sequelize sequelize-cli", "** db:drop|db:migrate:undo:all"),
    ("typeorm", "schema:drop"),
    ("mix", "ecto.drop|ecto.reset"),
    ("artisan", "migrate:fresh|migrate:refresh|migrate:reset|db:wipe"),
    ("manage.py django-admin", "flush|reset_db"),
    ("flyway", "** clean"),
    ("liquibase", "** dropall|drop-all"),
    ("alembic", "downgrade base"),
];

/// Programs, and the phrases of theirs that publish.
const PUBLISHING: &[(&str, &str)] = &[
    // A command of theirs may be shortened.
    ("npm", "pu*"),
    ("pnpm yarn bun deno jsr lerna changeset vsce ovsx", "publish, npm publish"),
    ("npm pnpm", "deprecate, dist-tag add|rm, owner add"),
    ("cargo", "publish, workspaces|ws publish, release --execute|-x, owner --add|-a"),
    ("twine", "upload"),
    ("poetry uv flit hatch pdm", "publish"),
    ("maturin", "publish|upload"),
    ("huggingface-cli hf anaconda luarocks cabal stack", "upload"),
    ("gem", "push, owner --add|-a"),
    ("mvn mvnw", "** deploy|deploy:*|release:perform"),
    ("gradle gradlew", "** publish|*:publish|publishplugins|publish*repository|publish*central"),
    ("dotnet", "nuget push"),
    ("nuget", "push"),
    ("mix", "hex.publish"),
    ("dart flutter", "pub publish"),
    ("pod", "trunk push"),
    ("goreleaser", "release"),
    ("helm", "push"),
    ("docker podman nerdctl", "push, image|manifest push, compose push, buildx build --push"),
    ("skopeo crane oras", "copy|push"),
    ("gh", "release create|upload|edit, gist create, repo edit --visibility, repo create --public"),
    ("glab", "release create|upload"),
    ("eas", "submit"),
];

/// Words behind which a program only rehearses, or says how it is called, beside `--help`.
const REHEARSING: &[(&str, &[&str])] = &[
    ("git", &["--dry-run", "-n", "-h"]),
    ("kubectl oc helm", &["--dry-run", "--dry-run=client", "--dry-run=server", "-h"]),
    ("aws", &["--dry-run", "--dryrun"]),
    ("npm pnpm bun", &["--dry-run", "--dry-run=true", "-h"]),
    ("cargo", &["--dry-run", "-n", "-h"]),
    ("poetry uv wrangler deno jsr lerna", &["--dry-run", "-h"]),
    ("rclone rake restic borg", &["--dry-run", "-n"]),
    ("gradle gradlew", &["--dry-run", "-m"]),
    ("terraform tofu", &["-help", "-h"]),
    ("gh glab docker podman nerdctl pulumi fly flyctl", &["-h"]),
];

/// Options without a value, so that what stands behind them is no value.
const FLAGS: &str = "-f --all --allow-dirty --atomic --delete --force --locked --mirror --no-git-checks --no-verify --prune \
    --quiet --recursive --tags --verbose --yes";

/// Programs that end what a machine does, or what it holds.
const RUINOUS: &[&str] =
    &["dd", "fdisk", "halt", "mkfs", "parted", "poweroff", "reboot", "shred", "shutdown", "wipefs"];

/// Options of `ssh` of one letter with a value.
const SSH_VALUED: &str = "BbcDEeFIiJLlmOoPpQRSWw";

impl Walk {
    /// What a command does beyond the project. A program among the words of another may be what that one starts, so each
    /// counts, but for what only reads or shows its words; what a wrapper starts comes here by itself.
    pub(super) fn beyond(&mut self, program: &str, words: &[&String]) {
        if is_quiet(program) || READERS.contains(&program) || is_wrapper(program) {
            return;
        }
        self.beyond_by(program, words);
        let named: Vec<(usize, &str)> = words
            .iter()
            .enumerate()
            .map(|(at, word)| (at, name_of(word)))
            .filter(|(_, name)| is_known(name))
            .take(NAMED_MAX + 1)
            .collect();
        if named.len() > NAMED_MAX {
            return self.give_up();
        }
        for (at, name) in &named {
            self.beyond_by(name, words.get(at + 1..).unwrap_or_default());
        }
        // INVARIANT: one script for each kind, or scripts in scripts would multiply. The first one's words are those of any
        // behind it, too.
        let behind = |at: usize| words.get(at + 1..).unwrap_or_default();
        let named_ssh = || named.iter().find(|(_, name)| *name == "ssh").map(|(at, _)| behind(*at));
        let of_ssh = if program == "ssh" { Some(words) } else { named_ssh() };
        if let Some(of_ssh) = of_ssh {
            let script = self.script_of_ssh(of_ssh);
            self.runs_beyond(&script, true);
        }
        if let Some((at, _)) = named.iter().find(|(_, name)| SHELLS.contains(name)) {
            let script = self.script_of_shell(behind(*at));
            self.runs_beyond(&script, matches!(program, "kubectl" | "oc"));
        }
    }

    /// One program with the words behind its name.
    fn beyond_by(&mut self, program: &str, words: &[&String]) {
        self.shell.beyond.extend(done_by(program, words));
        let texts = words.iter().map(|word| word.as_str()).chain(self.input.iter().map(String::as_str));
        if statements::destroy(program, texts) {
            self.shell.beyond.insert(DESTROYS);
        }
    }

    /// What `ssh` runs: the words behind the host, or its input.
    fn script_of_ssh(&self, words: &[&String]) -> String {
        let command = remote_command(words);
        if command.is_empty() { self.input.join("\n") } else { command.join(" ") }
    }

    /// What a shell among other words runs: the script behind `-c`, or its input.
    fn script_of_shell(&self, words: &[&String]) -> String {
        let flag = words.iter().position(|word| cluster(word).is_some_and(|letters| letters.ends_with('c')));
        match flag.and_then(|at| words.get(at + 1)) {
            Some(script) => (*script).clone(),
            None => self.input.join("\n"),
        }
    }

    /// A script for another machine, or for a container, whose files are not ours.
    fn runs_beyond(&mut self, script: &str, is_remote: bool) {
        if script.is_empty() {
            return;
        }
        if self.nesting >= NESTING_MAX {
            return self.give_up();
        }
        let mut walk = Walk::from(None);
        // No file there lies outside our project: every path begins with none.
        walk.project = Some(PathBuf::new());
        walk.nesting = self.nesting + 1;
        walk.script(script);
        if is_remote && ruins(&walk.shell) {
            self.shell.beyond.insert(DESTROYS);
        }
        self.shell.beyond.extend(walk.shell.beyond);
    }
}

/// The program that a word names, be it with a folder, or with a version as of a package or an image.
fn name_of(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.split(['@', ':']).next().unwrap_or(name)
}

fn is_known(name: &str) -> bool {
    let is_listed = || DESTROYING.iter().chain(PUBLISHING).any(|(programs, _)| has(programs, name));
    name == "ssh" || SHELLS.contains(&name) || statements::is_known(name) || is_listed()
}

fn has(programs: &str, name: &str) -> bool {
    programs.split(' ').any(|program| program == name)
}

/// What the tables say of a program with its words.
fn done_by(program: &str, words: &[&String]) -> BTreeSet<&'static str> {
    let does = |table: &[(&str, &str)]| {
        let rows = table.iter().filter(|(programs, _)| has(programs, program));
        rows.flat_map(|(_, phrases)| phrases.split(", ")).any(|phrase| is_said(phrase, words))
    };
    let all = [(DESTROYS, DESTROYING), (PUBLISHES, PUBLISHING)];
    let done: BTreeSet<_> = all.into_iter().filter(|(_, table)| does(table)).map(|(what, _)| what).collect();
    if rehearses(program, words) { BTreeSet::new() } else { done }
}

/// Whether the words say a phrase. A word behind an option may be its value or the verb, and counts as both.
fn is_said(phrase: &str, words: &[&String]) -> bool {
    let is_condition = |part: &&str| part.starts_with('-');
    let mut conditions = phrase.split(' ').filter(is_condition);
    if !conditions.all(|options| words.iter().any(|word| options.split('|').any(|option| is_option(option, word)))) {
        return false;
    }
    let parts = parts(phrase);
    // How many of the parts may have been said so far.
    let mut said = BTreeSet::from([0]);
    let mut may_be_value = false;
    for word in words {
        let word = word.to_ascii_lowercase();
        // `cargo +nightly publish`.
        let is_option = word.starts_with(['-', '+']);
        let mut next = BTreeSet::new();
        for count in &said {
            let Some((names, is_deep)) = parts.get(*count) else { return true };
            if (!is_option || *is_deep) && names.split('|').any(|name| is_like(name, &word)) {
                next.insert(count + 1);
            }
            if is_option || may_be_value || *is_deep {
                next.insert(*count);
            }
        }
        said = next;
        may_be_value = is_option && !word.contains('=');
    }
    said.contains(&parts.len())
}

/// The words of a phrase, each with whether others may stand before it.
fn parts(phrase: &str) -> Vec<(&str, bool)> {
    let mut is_deep = false;
    let mut parts = Vec::new();
    for part in phrase.split(' ').filter(|part| !part.is_empty() && !part.starts_with('-')) {
        if part == "**" {
            is_deep = true;
        } else {
            parts.push((part, std::mem::take(&mut is_deep)));
        }
    }
    parts
}

/// Whether a word is one of a pattern, whose `*` is at least one letter.
fn is_like(pattern: &str, word: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => word.len() > start.len() + end.len() && word.starts_with(start) && word.ends_with(end),
        None => word == pattern,
    }
}

/// Whether a word is an option, one letter of several, a long one shortened, or a refspec.
fn is_option(option: &str, word: &str) -> bool {
    if option.starts_with("--") {
        let name = word.split('=').next().unwrap_or(word);
        return name.len() > 2 && name.starts_with("--") && option.starts_with(name);
    }
    match option.strip_prefix('-') {
        Some(letter) => cluster(word).is_some_and(|letters| letters.contains(letter)),
        None => is_like(option, word),
    }
}

/// Whether a program is only to show what it would do. INVARIANT: the word that says so is no option's value, stands before
/// `--`, and no other word of its kind takes it back.
fn rehearses(program: &str, words: &[&String]) -> bool {
    let row = REHEARSING.iter().find(|(programs, _)| has(programs, program));
    let says = |word: &str| word == "--help" || row.is_some_and(|(_, options)| options.contains(&word));
    let is_about = |word: &str| word.starts_with("--dr") || word.starts_with("--no-d");
    let is_free = |before: &str| !before.starts_with('-') || before.contains('=') || has(FLAGS, before);
    let (mut found, mut before) = (false, "");
    for word in words.iter().map(|word| word.as_str()).take_while(|word| *word != "--") {
        if is_about(word) && !says(word) {
            return false;
        }
        found |= says(word) && is_free(before);
        before = word;
    }
    found
}

/// What `ssh` is to run: all behind the host.
fn remote_command<'w>(words: &[&'w String]) -> Vec<&'w str> {
    let (mut is_value, mut plain) = (false, Vec::new());
    for word in words {
        match cluster(word) {
            // The host, and a word of the command.
            _ if plain.len() > 1 => plain.push(word.as_str()),
            _ if std::mem::take(&mut is_value) => {}
            Some(letters) => {
                let valued = letters.find(|letter| SSH_VALUED.contains(letter));
                is_value = valued.is_some_and(|at| at + 1 == letters.len());
            }
            None if word.as_str() == "--" => {}
            None => plain.push(word.as_str()),
        }
    }
    plain.into_iter().skip(1).collect()
}

/// Whether a script for another machine deletes whole folders or devices there, or stops it.
fn ruins(shell: &Shell) -> bool {
    let is_recursive = |word: &String| word == "--recursive" || cluster(word).is_some_and(|l| l.contains(['r', 'R']));
    let is_ruinous = |name: &String| RUINOUS.contains(&name.as_str()) || name.starts_with("mkfs.");
    shell.programs.contains("rm") && shell.arguments.iter().any(is_recursive) || shell.programs.iter().any(is_ruinous)
}
