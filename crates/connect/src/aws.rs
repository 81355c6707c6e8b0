//! Reads what AWS says about its accounts: authorization details, inventories, organisation policies,
//! the plans that Terraform makes of them, CloudFormation templates, the manifests of a cluster, and what is handed on
//! beside them ([`crate::delegation`]).
//!
//! Never calls AWS and never stops at one broken file or policy: it is said in [`Loaded::unread`].
//! What the files mean is in `graph::aws`; this module only reads.

pub(crate) mod command;
mod details;
pub(crate) mod inventory;
pub(crate) mod joint;
mod managed;
mod organisation;
mod organization;
pub(crate) mod read;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graph::Unread;
use graph::aws::estate::{Policy, PolicyId};
use graph::aws::policy::Document as PolicyDocument;
use graph::aws::{Estate, Principal, PrincipalKind};
use graph::world::World;

use crate::document::{Document, Format, Node, Value};
use crate::{account, cloudformation, delegation, kubernetes, terraform};

/// Accounts as far as the files tell, linked and ready to be judged.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The accounts.
    pub estate: Estate,
    /// The cluster.
    pub cluster: graph::kubernetes::Estate,
    /// What was handed on beside them: consents, publishers, workflows.
    pub delegation: graph::delegation::Estate,
    /// Policies of an organisation and where they are attached, until [`Loaded::link`].
    organization: organization::Organization,
    /// Names that CloudFormation makes up from the ids in a template, and which template that is.
    made_up: BTreeMap<String, Arc<str>>,
    /// What could not be read, and why.
    pub unread: Vec<Unread>,
    /// How many files held something.
    pub files: usize,
}

impl Loaded {
    /// Resolves what files say of each other. Call it once, after the last was added.
    pub fn link(&mut self) {
        let said = self.organization.apply(&mut self.estate);
        let unread = said.into_iter().map(|reason| Unread::new("the organisation", None, reason));
        self.unread.extend(unread);
        let replaced = self.estate.unite();
        self.unread.extend(replaced.into_iter().map(|one| {
            let reason = format!("the trust policy of `{}` is another in {}, which holds", one.whose, one.by);
            Unread::unjudged(&*one.source, one.line, reason)
        }));
        self.estate.link();
        self.cluster.link();
    }

    /// Everything that follows.
    pub fn world(self) -> World {
        World::derive(self.estate, self.cluster, &self.delegation)
    }
}

/// Reads files, or all JSON and YAML files of a folder. `now` is in seconds since 1970.
pub fn load(paths: &[PathBuf], now: i64) -> Loaded {
    load_at(Moment::Planned, paths, now)
}

/// The same with plans as they say that everything was before.
pub(crate) fn before(paths: &[PathBuf], now: i64) -> Loaded {
    load_at(Moment::Before, paths, now)
}

/// Which of the two accounts that a plan describes is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// As it was before.
    Before,
    /// As it will be.
    Planned,
}

fn load_at(moment: Moment, paths: &[PathBuf], now: i64) -> Loaded {
    let mut loaded = Loaded { estate: Estate::at(now), ..Loaded::default() };
    let mut left = read::Left::default();
    let mut texts: Vec<_> = paths.iter().flat_map(|path| read::texts(path, &mut left, &mut loaded.unread)).collect();
    // What does not say whose account it is about is about that of the others.
    texts.sort_by_cached_key(|(_, text)| account::doubt(text));
    for (source, text) in texts {
        let folder = Path::new(&source).parent().map(Path::to_owned);
        add_from(&mut loaded, &source, &text, (moment, folder));
    }
    loaded.link();
    loaded
}

/// Reads one text. Call [`Loaded::link`] after the last.
pub fn add(loaded: &mut Loaded, source: &str, text: &str) {
    add_from(loaded, source, text, (Moment::Planned, None));
}

/// Reads one text that came from a folder.
fn add_from(loaded: &mut Loaded, source: &str, text: &str, (moment, folder): (Moment, Option<PathBuf>)) {
    let Loaded { estate, cluster, delegation, organization, made_up, .. } = loaded;
    let mut reader = Reader {
        estate,
        cluster,
        delegation,
        organization,
        made_up,
        unread: Vec::new(),
        source: source.into(),
        namespace: kubernetes::NAMESPACE.to_owned(),
        moment,
        folder,
        audited: HashSet::new(),
        document: None,
    };
    if reader.read(text) {
        loaded.files += 1;
    }
    loaded.unread.append(&mut reader.unread);
    managed::fill(&mut loaded.estate);
}

/// A time of a record, to the second and in UTC, so that texts compare as times do; none of what is no time.
pub(crate) fn moment(text: &str) -> Option<String> {
    text.parse::<jiff::Timestamp>().ok().map(|time| format!("{time:.0}"))
}

/// Groups of signs, of which all of one group stand in what they are of.
type Signs = &'static [&'static [&'static str]];

fn has_signs(text: &str, signs: &[&[&str]]) -> bool {
    signs.iter().any(|group| group.iter().all(|sign| text.contains(*sign)))
}

/// Whether a text, given without its white space, says what only inventories and organisation files do.
pub(crate) fn is_said(text: &str) -> bool {
    inventory::is_said(text) || has_signs(text, organisation::SIGNS) || has_signs(text, organization::SIGNS)
}

/// One file on its way into the estate.
pub(crate) struct Reader<'a> {
    pub(crate) estate: &'a mut Estate,
    pub(crate) cluster: &'a mut graph::kubernetes::Estate,
    pub(crate) delegation: &'a mut graph::delegation::Estate,
    pub(crate) organization: &'a mut organization::Organization,
    /// Names that CloudFormation makes up, and the template whose ids they are.
    pub(crate) made_up: &'a mut BTreeMap<String, Arc<str>>,
    pub(crate) unread: Vec<Unread>,
    pub(crate) source: Arc<str>,
    /// The namespace of objects that name none.
    pub(crate) namespace: String,
    pub(crate) moment: Moment,
    /// Where the file lies, if it is one.
    pub(crate) folder: Option<PathBuf>,
    /// The requests of an audit log of which an event was read.
    pub(crate) audited: HashSet<String>,
    document: Option<Arc<Document>>,
}

impl Reader<'_> {
    /// The partition and the account that the other files are about, if it is one. Walks all principals.
    pub(crate) fn only_home(&self) -> Option<(String, String)> {
        let inside = [PrincipalKind::User, PrincipalKind::Role, PrincipalKind::Group];
        let known = |one: &&Principal| inside.contains(&one.kind) && one.account() != account::UNKNOWN;
        let of = self.estate.principals.iter().filter(known).map(|one| (one.partition(), one.account()));
        let homes: BTreeSet<(&str, &str)> = of.collect();
        let (partition, account) = homes.first().filter(|_| homes.len() == 1)?;
        Some(((*partition).to_owned(), (*account).to_owned()))
    }

    fn read(&mut self, text: &str) -> bool {
        let json = text.trim_start().starts_with(['{', '[']).then(|| Document::parse(text, Format::Json));
        if self.source.ends_with(".tf") {
            self.unread.push(Unread::new(&*self.source, None, crate::cloud::NOT_PLANNED));
            return false;
        }
        let is_json = matches!(json, Some(Ok(_)));
        let document = match json {
            Some(Ok(document)) => Ok(document),
            Some(Err(error)) => self.several(text).ok_or(error),
            None => Document::stream(text),
        };
        let document = match document {
            Ok(document) => Arc::new(document),
            Err(error) => {
                let reason = if text.contains("{{") {
                    format!("is a template: give what it renders (`helm template`); as it stands {}", error.reason)
                } else {
                    error.reason
                };
                self.unread.push(Unread::new(&*self.source, Some(error.line), reason));
                return false;
            }
        };
        self.document = Some(document.clone());
        let root = document.root();
        if let Some(namespace) = kubernetes::meant(root) {
            self.namespace = namespace.to_owned();
        }
        let known =
            if is_json { self.one(root) } else { root.items().iter().fold(false, |known, one| self.one(one) | known) };
        if !known {
            self.miss(
                root,
                "is neither authorization details, an inventory, an organisation file, a Terraform plan, \
                 a CloudFormation template, Kubernetes objects, CloudTrail's records, an audit log, consents, a registry's answer nor a \
                 workflow",
            );
        }
        known
    }

    /// A text that begins as JSON and is not one document of it: YAML, whose flow form looks like it, or a document on each
    /// line. Lines that are none are said, at the first of them.
    fn several(&mut self, text: &str) -> Option<Document> {
        let lines = Document::lines(text).ok();
        let is_whole = lines.as_ref().is_some_and(|(_, malformed)| malformed.is_empty());
        if let Some(stream) = (!is_whole).then(|| Document::stream(text).ok()).flatten() {
            return Some(stream);
        }
        let (document, malformed) = lines?;
        if let Some(first) = malformed.first() {
            let what = match malformed.len() {
                1 => "this line is".to_owned(),
                count => format!("{count} lines from here on are"),
            };
            let reason = format!("{what} not JSON: {}", first.reason);
            self.unread.push(Unread::new(&*self.source, Some(first.line), reason));
        }
        Some(document)
    }

    /// Reads one document by what it holds. A list is a document of several: pages of an export, objects of a cluster.
    fn one(&mut self, root: &Node) -> bool {
        if root.is_list() {
            let known = root.items().iter().fold(false, |known, item| self.described(item) | known);
            return known | inventory::read(self, root);
        }
        kubernetes::read(self, root)
            || cloudformation::read(self, root)
            || delegation::read(self, root)
            || self.account(root) | inventory::read(self, root)
    }

    fn described(&mut self, root: &Node) -> bool {
        kubernetes::read(self, root)
            || cloudformation::read(self, root)
            || delegation::read(self, root)
            || self.account(root)
    }

    fn account(&mut self, root: &Node) -> bool {
        details::read(self, root)
            | organisation::read(self, root)
            | organization::read(self, root)
            | terraform::read(self, root)
            | trail::read(self, root)
    }

    /// Reads another file that this one takes in, and comes back to this one.
    pub(crate) fn beside<T>(&mut self, path: &Path, read: impl FnOnce(&mut Self, &Node) -> T) -> Option<T> {
        let text = crate::file::read(path).ok()?;
        let name = path.display().to_string();
        let document = Arc::new(Document::parse(&text, Format::of(&name)?).ok()?);
        let source = std::mem::replace(&mut self.source, name.into());
        let own = self.document.replace(document.clone());
        let result = read(self, document.root());
        (self.source, self.document) = (source, own);
        Some(result)
    }

    /// Says that something at a node could not be read.
    pub(crate) fn miss(&mut self, node: &Node, reason: impl Into<String>) {
        self.unread.push(Unread::new(&*self.source, Some(self.line(node)), reason));
    }

    /// Says that something at a node is not known before a plan is applied or a stack made.
    pub(crate) fn pending(&mut self, node: &Node, reason: impl Into<String>) {
        self.unread.push(Unread::pending(&*self.source, Some(self.line(node)), reason));
    }

    /// Says that what is at a node is read and not judged.
    pub(crate) fn unjudged(&mut self, node: &Node, reason: impl Into<String>) {
        self.unread.push(Unread::unjudged(&*self.source, Some(self.line(node)), reason));
    }

    pub(crate) fn line(&self, node: &Node) -> u32 {
        self.line_at(node.span.start)
    }

    /// The line of a byte of the text, from 1.
    pub(crate) fn line_at(&self, offset: usize) -> u32 {
        self.document.as_ref().map_or(1, |document| document.line(offset))
    }

    /// Adds a policy from a node that holds its document, as an object or as text in any of AWS's
    /// encodings. A document that cannot be read is said and left out.
    pub(crate) fn policy(&mut self, node: &Node, name: &str, arn: Option<String>) -> Option<PolicyId> {
        let (json, lines) = match node.text() {
            Some(text) => match decoded(text) {
                Some(json) => {
                    let count = json.get("Statement").and_then(serde_json::Value::as_array).map_or(1, Vec::len);
                    (json, vec![self.line(node); count])
                }
                None => {
                    self.miss(node, format!("the document of policy `{name}` is not JSON"));
                    return None;
                }
            },
            None => (node.to_json(), self.statement_lines(node)),
        };
        self.parsed((&json, &lines), node, name, arn)
    }

    /// Adds a policy from its document and the lines of its statements.
    pub(crate) fn parsed(
        &mut self,
        (json, lines): (&serde_json::Value, &[u32]),
        node: &Node,
        name: &str,
        arn: Option<String>,
    ) -> Option<PolicyId> {
        match PolicyDocument::parse(json, lines) {
            Ok(document) => Some(self.estate.add_policy(Policy {
                name: name.to_owned(),
                arn,
                source: self.source.clone(),
                document,
            })),
            Err(error) => {
                self.miss(node, format!("policy `{name}`: {error}"));
                None
            }
        }
    }

    fn statement_lines(&self, node: &Node) -> Vec<u32> {
        let Some(statements) = node.get("Statement") else { return Vec::new() };
        match &statements.value {
            Value::List(items) => items.iter().map(|item| self.line(item)).collect(),
            _ => vec![self.line(statements)],
        }
    }
}

/// References where a policy names somebody or an action, with the key that holds them: they name nothing.
pub(crate) fn unnamed(document: &serde_json::Value) -> Vec<(&'static str, String)> {
    fn search(json: &serde_json::Value, found: &mut Vec<String>) {
        match json {
            serde_json::Value::String(text) if text.contains("${") => found.push(text.clone()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| search(item, found)),
            serde_json::Value::Object(entries) => entries.values().for_each(|item| search(item, found)),
            _ => {}
        }
    }
    let mut named = Vec::new();
    for statement in document.get("Statement").and_then(serde_json::Value::as_array).into_iter().flatten() {
        for key in ["Principal", "NotPrincipal", "Action", "NotAction", "Effect"] {
            let mut found = Vec::new();
            search(statement.get(key).unwrap_or(&serde_json::Value::Null), &mut found);
            named.extend(found.into_iter().map(|reference| (key, reference)));
        }
    }
    named
}

/// A policy document in text: JSON, or JSON in percent encoding as the API returns it.
pub(crate) fn decoded(text: &str) -> Option<serde_json::Value> {
    let plain = serde_json::from_str(text);
    plain.ok().or_else(|| serde_json::from_str(&percent_decoded(text)?).ok())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next())? << 4 | digit(rest.next())?);
    }
    String::from_utf8(bytes).ok()
}

/// The text of a key.
pub(crate) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)?.text()
}
