//! What a tool or server does, as far as its definition shows: from its annotations, which count as
//! collected, and from the words of its name, description and arguments, which count as inferred.
//!
//! It never decides whether a call is allowed, and what it does not know it does not claim: a server
//! whose tools nobody asked for has the behaviours that its package's words show and may have others.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::guard::{self, Guard};
use crate::model::{Entity, Graph, Relation};
use crate::observation::{Basis, EntityKind, RelationKind};

/// Something a tool does that matters to what an agent could be made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour {
    /// Brings in content that outsiders can write: web pages, mail, issues.
    ReadsUntrusted,
    /// Reads what is not public: files, mail, databases, secrets.
    ReadsSensitive,
    /// Can carry data to somewhere outside: mail, requests, posts.
    SendsOut,
    /// Runs commands or code.
    Executes,
    /// Changes files or records.
    Writes,
    /// Deletes, or cannot be undone.
    Destroys,
    /// Moves money.
    Pays,
}

impl Behaviour {
    /// The behaviour as a clause after a tool's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadsUntrusted => "brings in content that outsiders can write",
            Self::ReadsSensitive => "reads data that is not public",
            Self::SendsOut => "can send data out",
            Self::Executes => "runs commands or code",
            Self::Writes => "changes files or records",
            Self::Destroys => "deletes or cannot be undone",
            Self::Pays => "moves money",
        }
    }
}

/// One behaviour and what shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sign {
    /// The behaviour.
    pub behaviour: Behaviour,
    /// Whether the definition says so or its words let us conclude it.
    pub basis: Basis,
    /// What shows it, in one clause.
    pub because: String,
}

/// A behaviour of an agent, with where it lies in the graph.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The behaviour and what shows it.
    pub sign: Sign,
    /// The server that brings it; `None` for what the agent has built in.
    pub server: Option<u32>,
    /// The tool, package or path that shows it.
    pub at: u32,
    /// How the server or agent is related to `at`.
    pub kind: RelationKind,
}

impl Placed {
    /// The tool that does it; none where a package or path shows it.
    pub fn tool(&self) -> Option<u32> {
        (self.kind == RelationKind::Offers).then_some(self.at)
    }
}

/// Everything an agent can do by itself and through the servers that it uses.
pub fn of_agent(graph: &Graph, agent: u32) -> Vec<Placed> {
    let own = of_offers(graph, agent, None);
    let servers = graph.targets(agent, RelationKind::Uses).filter(|(_, server)| enabled(server));
    own.into_iter().chain(servers.flat_map(|(at, _)| of_server(graph, at))).collect()
}

/// What a gateway's policy does to every call by which the agent would do it.
pub fn guard(graph: &Graph, agent: u32, placed: &Placed) -> Option<Guard> {
    guard::before(graph, agent, placed.server?, placed.tool())
}

/// Everything a server can do: by its tools if they are known, else by its package and reach.
pub fn of_server(graph: &Graph, server: u32) -> Vec<Placed> {
    let placed = |kind: RelationKind| move |(at, sign)| Placed { sign, server: Some(server), at, kind };
    let reach = graph.outgoing(server).iter().filter_map(|relation| reads_path(graph, relation));
    let mut all: Vec<Placed> = of_offers(graph, server, Some(server));
    if !tools_known(graph, server) {
        let packages = graph.targets(server, RelationKind::Runs);
        all.extend(
            packages
                .flat_map(|(at, package)| of_package(package).into_iter().map(move |sign| (at, sign)))
                .map(placed(RelationKind::Runs)),
        );
    }
    all.extend(reach.map(placed(RelationKind::Reaches)));
    all
}

/// A folder that a server may touch is data that it reads; a single file is usually its program or settings.
fn reads_path(graph: &Graph, relation: &Relation) -> Option<(u32, Sign)> {
    let path = graph.entity(relation.to)?;
    let is_folder =
        path.id.kind == EntityKind::Path && matches!(path.text("breadth"), Some("root" | "home" | "folder"));
    let basis = relation.evidence.iter().map(|evidence| evidence.basis).min()?;
    let because = format!("it is given `{}`", path.name);
    let sign = Sign { behaviour: Behaviour::ReadsSensitive, basis, because };
    (relation.kind == RelationKind::Reaches && is_folder).then_some((relation.to, sign))
}

fn of_offers(graph: &Graph, from: u32, server: Option<u32>) -> Vec<Placed> {
    let tools = graph.targets(from, RelationKind::Offers).filter(|(_, tool)| tool.id.kind == EntityKind::Tool);
    tools
        .flat_map(|(at, tool)| of_tool(tool).into_iter().map(move |sign| (at, sign)))
        .map(|(at, sign)| Placed { sign, server, at, kind: RelationKind::Offers })
        .collect()
}

/// Whether the server's tools were asked for. Without them a rule may conclude only from the package.
pub fn tools_known(graph: &Graph, server: u32) -> bool {
    graph.entity(server).and_then(|server| server.flag("live")) == Some(true)
        || graph.targets(server, RelationKind::Offers).any(|(_, tool)| tool.id.kind == EntityKind::Tool)
}

/// Whether the configuration has the server switched on.
pub fn enabled(server: &Entity) -> bool {
    server.flag("disabled") != Some(true) && server.flag("enabled") != Some(false)
}

/// The behaviours of one tool.
pub fn of_tool(tool: &Entity) -> Vec<Sign> {
    let text = ToolText::of(tool);
    // That it only reads, a tool says of itself: what its words show stays.
    first_of_each(stated(tool).into_iter().chain(BY_WORDS.iter().filter_map(|rule| rule.sign(&text))).collect())
}

fn first_of_each(mut signs: Vec<Sign>) -> Vec<Sign> {
    signs.sort();
    signs.dedup_by_key(|sign| sign.behaviour);
    signs
}

fn annotation(tool: &Entity, name: &str) -> Option<bool> {
    tool.props.get("annotations")?.get(name)?.as_bool()
}

/// What the annotations say. `openWorldHint` alone says only that the tool meets the outside.
fn stated(tool: &Entity) -> Vec<Sign> {
    let hint = |name| annotation(tool, name);
    let sign = |behaviour, because: &str| Sign { behaviour, basis: Basis::Collected, because: because.to_owned() };
    let mut signs = Vec::new();
    if hint("openWorldHint") == Some(true) {
        signs.push(sign(Behaviour::ReadsUntrusted, "its annotations say `openWorldHint`"));
        if hint("readOnlyHint") == Some(false) {
            signs.push(sign(Behaviour::SendsOut, "its annotations say `openWorldHint` and not read-only"));
        }
    }
    if hint("readOnlyHint") == Some(false) {
        signs.push(sign(Behaviour::Writes, "its annotations say it is not read-only"));
    }
    if hint("destructiveHint") == Some(true) && hint("readOnlyHint") != Some(true) {
        signs.push(sign(Behaviour::Destroys, "its annotations say `destructiveHint`"));
    }
    signs
}

/// The words of a tool's definition, lower case.
struct ToolText {
    name: BTreeSet<String>,
    /// The first word of the description: its verb, in most.
    verb: BTreeSet<String>,
    lead: BTreeSet<String>,
    arguments: BTreeSet<String>,
}

impl ToolText {
    fn of(tool: &Entity) -> Self {
        let name = tool.text("name").unwrap_or(&tool.name);
        let schema = tool.props.get("input_schema").and_then(|schema| schema.get("properties"));
        let properties = schema.and_then(Value::as_object).into_iter().flatten();
        Self {
            name: words(name).collect(),
            verb: words(lead(tool.text("description").unwrap_or_default())).take(1).collect(),
            lead: words(lead(tool.text("description").unwrap_or_default())).collect(),
            arguments: properties.flat_map(|(name, _)| words(name)).collect(),
        }
    }
}

/// The first sentence: what follows is about arguments and results and names many things it does not do.
fn lead(description: &str) -> &str {
    let description = description.trim_start();
    let end = description
        .char_indices()
        .zip(description.chars().skip(1))
        .find(|&((_, c), next)| c == '\n' || (matches!(c, '.' | '!' | '?' | ';') && next.is_whitespace()));
    end.and_then(|((at, _), _)| description.get(..at)).unwrap_or(description)
}

/// Words of an identifier or sentence: split at anything that is no letter or digit and before capitals.
fn words(text: &str) -> impl Iterator<Item = String> + use<'_> {
    text.split(|c: char| !c.is_alphanumeric()).flat_map(humps).map(|word| singular(&word.to_lowercase()))
}

fn humps(word: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let pairs = word.char_indices().zip(word.chars().skip(1));
    starts
        .extend(pairs.filter(|((_, a), b)| a.is_lowercase() && b.is_uppercase()).map(|((at, a), _)| at + a.len_utf8()));
    let ends = starts.iter().skip(1).copied().chain([word.len()]);
    starts.iter().zip(ends).filter_map(|(&start, end)| word.get(start..end)).filter(|part| !part.is_empty()).collect()
}

/// The stem of a plural or of a verb's third person.
fn singular(word: &str) -> String {
    let hissing = ["ches", "shes", "sses", "xes"].iter().any(|end| word.ends_with(end));
    match word.strip_suffix(if hissing { "es" } else { "s" }) {
        Some(stem) if stem.len() > 2 && (hissing || !stem.ends_with('s')) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// A behaviour shown by one of some verbs together with one of some nouns. An empty list asks for nothing.
struct ByWords {
    behaviour: Behaviour,
    verbs: &'static [&'static str],
    nouns: &'static [&'static str],
    arguments: &'static [&'static str],
}

impl ByWords {
    /// The verb must be in the name or begin the description, or stand in the lead where the name says the noun.
    fn sign(&self, text: &ToolText) -> Option<Sign> {
        let verb =
            self.verbs.is_empty() || has(&text.name, self.verbs).is_some() || has(&text.lead, self.verbs).is_some();
        let noun = has(&text.name, self.nouns).or_else(|| {
            let verb = has(&text.name, self.verbs).or_else(|| has(&text.verb, self.verbs))?;
            has(&text.lead, self.nouns).filter(|noun| *noun != verb)
        });
        let argument = has(&text.arguments, self.arguments);
        let word = match (verb, noun, argument) {
            (true, Some(noun), _) => format!("its definition speaks of `{noun}`"),
            (true, None, Some(argument)) if has(&text.name, self.verbs).is_some() => {
                format!("it takes an argument `{argument}`")
            }
            _ => return None,
        };
        Some(Sign { behaviour: self.behaviour, basis: Basis::Inferred, because: word })
    }
}

fn has(words: &BTreeSet<String>, wanted: &'static [&'static str]) -> Option<&'static str> {
    wanted.iter().copied().find(|word| words.contains(*word))
}

const READ: &[&str] = &[
    "read",
    "get",
    "fetch",
    "list",
    "search",
    "find",
    "query",
    "download",
    "view",
    "show",
    "retrieve",
    "open",
    "browse",
    "crawl",
    "scrape",
    "extract",
    "load",
    "lookup",
    "navigate",
    "visit",
    "export",
    "dump",
    "select",
    "summarize",
];
const SEND: &[&str] = &[
    "send", "post", "reply", "publish", "share", "upload", "forward", "notify", "invite", "submit", "push", "create",
    "add", "write", "request", "call",
];
const CHANGE: &[&str] = &[
    "write", "edit", "create", "update", "modify", "move", "rename", "set", "put", "patch", "insert", "append", "save",
    "add", "replace", "merge", "commit", "push", "apply",
];

/// What the words of a definition let us conclude. Generic words only.
const BY_WORDS: &[ByWords] = &[
    ByWords {
        behaviour: Behaviour::ReadsUntrusted,
        verbs: READ,
        nouns: &[
            "web",
            "webpage",
            "website",
            "internet",
            "rss",
            "feed",
            "email",
            "mail",
            "inbox",
            "message",
            "issue",
            "ticket",
            "comment",
            "review",
            "discussion",
            "tweet",
            "news",
            "transcript",
        ],
        arguments: &["url", "uri", "link"],
    },
    ByWords {
        behaviour: Behaviour::ReadsUntrusted,
        verbs: &["fetch", "browse", "navigate", "crawl", "scrape", "visit", "open"],
        nouns: &["page", "url", "site", "html", "browser", "link"],
        arguments: &[],
    },
    ByWords {
        behaviour: Behaviour::ReadsSensitive,
        verbs: &["execute", "run"],
        nouns: &["sql", "query"],
        arguments: &["sql", "query"],
    },
    ByWords {
        behaviour: Behaviour::ReadsSensitive,
        verbs: READ,
        nouns: &[
            "file",
            "directory",
            "folder",
            "document",
            "drive",
            "email",
            "mail",
            "inbox",
            "message",
            "calendar",
            "contact",
            "customer",
            "user",
            "database",
            "table",
            "sql",
            "record",
            "secret",
            "credential",
            "password",
            "token",
            "note",
            "repository",
            "account",
            "transaction",
            "balance",
            "invoice",
            "patient",
            "employee",
            "order",
            "clipboard",
            "screenshot",
            "memory",
            "history",
            "log",
            "env",
            "environment",
        ],
        arguments: &["sql", "path", "filename"],
    },
    ByWords {
        behaviour: Behaviour::SendsOut,
        verbs: SEND,
        nouns: &[
            "email",
            "mail",
            "message",
            "sms",
            "tweet",
            "comment",
            "issue",
            "webhook",
            "notification",
            "channel",
            "chat",
            "http",
            "post",
            "gist",
            "discussion",
            "attachment",
            "invitation",
        ],
        arguments: &["recipient", "webhook", "to"],
    },
    ByWords {
        behaviour: Behaviour::SendsOut,
        verbs: &["fetch", "browse", "navigate", "request", "visit", "open", "crawl", "scrape", "curl"],
        nouns: &["url", "webpage", "website", "page", "http", "browser"],
        arguments: &["url", "uri"],
    },
    ByWords {
        behaviour: Behaviour::Executes,
        verbs: &["run", "execute", "exec", "eval", "evaluate", "invoke", "start", "spawn", "launch"],
        nouns: &[
            "command",
            "shell",
            "bash",
            "terminal",
            "script",
            "code",
            "python",
            "javascript",
            "process",
            "powershell",
        ],
        arguments: &["command", "cmd", "code", "script"],
    },
    ByWords {
        behaviour: Behaviour::Executes,
        verbs: &[],
        nouns: &["bash", "shell", "terminal", "powershell"],
        arguments: &[],
    },
    ByWords {
        behaviour: Behaviour::Writes,
        verbs: CHANGE,
        nouns: &[
            "file",
            "directory",
            "folder",
            "document",
            "record",
            "row",
            "table",
            "database",
            "repository",
            "branch",
            "page",
            "note",
            "entry",
            "item",
            "event",
            "config",
            "setting",
            "user",
            "policy",
            "project",
            "task",
            "issue",
        ],
        arguments: &["path", "filename", "content"],
    },
    ByWords {
        behaviour: Behaviour::Destroys,
        verbs: &[],
        nouns: &["delete", "remove", "drop", "destroy", "purge", "wipe", "truncate", "erase", "terminate", "uninstall"],
        arguments: &[],
    },
    ByWords {
        behaviour: Behaviour::Pays,
        verbs: &[
            "make", "create", "send", "pay", "transfer", "schedule", "execute", "place", "submit", "issue", "process",
        ],
        nouns: &["payment", "pay", "transfer", "money", "refund", "payout", "fund", "purchase", "withdrawal"],
        arguments: &["iban", "amount"],
    },
];

/// The behaviours that the words of a package's name let us conclude, where its tools are not known.
fn of_package(package: &Entity) -> Vec<Sign> {
    let known: BTreeSet<String> = words(&package.name).chain(words(&package.id.key)).collect();
    let signs = BY_PACKAGE.iter().filter_map(|(names, behaviours)| {
        let word = has(&known, names)?;
        Some(behaviours.iter().map(move |&behaviour| Sign {
            behaviour,
            basis: Basis::Inferred,
            because: format!("its package's name says `{word}`; its tools were not asked"),
        }))
    });
    first_of_each(signs.flatten().collect())
}

type KindOfServer = (&'static [&'static str], &'static [Behaviour]);

/// Kinds of server by the words of their package's name.
const BY_PACKAGE: &[KindOfServer] = {
    use Behaviour::{Executes, ReadsSensitive, ReadsUntrusted, SendsOut, Writes};
    &[
        (&["filesystem", "file", "drive", "gdrive", "dropbox"], &[ReadsSensitive, Writes]),
        (
            &["fetch", "browser", "playwright", "puppeteer", "selenium", "crawl", "scrape", "http"],
            &[ReadsUntrusted, SendsOut],
        ),
        (&["websearch", "web"], &[ReadsUntrusted]),
        (
            &["mail", "email", "gmail", "imap", "outlook", "slack", "discord", "teams", "telegram", "chat"],
            &[ReadsUntrusted, ReadsSensitive, SendsOut],
        ),
        (&["smtp"], &[SendsOut]),
        (
            &["github", "gitlab", "bitbucket", "jira", "confluence", "notion", "linear"],
            &[ReadsUntrusted, ReadsSensitive, SendsOut, Writes],
        ),
        (
            &[
                "postgre",
                "postgresql",
                "postgres",
                "mysql",
                "sqlite",
                "mongo",
                "mongodb",
                "redi",
                "redis",
                "database",
                "sql",
            ],
            &[ReadsSensitive],
        ),
        (&["shell", "terminal", "commander", "ssh", "bash", "exec"], &[Executes]),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn check(tool: &str, expect: &[Behaviour]) {
        let graph = text::parse(&format!("tool {tool}")).unwrap();
        let found: Vec<_> = of_tool(&graph.entities()[0]).into_iter().map(|sign| sign.behaviour).collect();
        assert_eq!(found, expect, "{tool}");
    }

    #[test]
    fn words_and_annotations_show_behaviour() {
        use Behaviour::*;
        check("fetch_url description=\"Fetches a page and returns its text.\"", &[ReadsUntrusted, SendsOut]);
        check("read_file", &[ReadsSensitive]);
        check("send_email", &[SendsOut]);
        check("Bash", &[Executes]);
        check("add description=\"Adds two numbers.\"", &[]);
        check("getWeather description=\"Gets the weather of a city.\"", &[]);
        check("lookup annotations={\"openWorldHint\":true,\"readOnlyHint\":true}", &[ReadsUntrusted]);
        check("delete_row annotations={\"readOnlyHint\":true}", &[Destroys]);
        check("delete_row", &[Destroys]);
        check("text_editor description=\"Writes a file.\"", &[Writes]);
    }

    #[test]
    fn a_package_speaks_only_where_the_tools_are_unknown() {
        let behaviours = |text: &str| {
            let graph = text::parse(text).unwrap();
            of_server(&graph, graph.of_kind(EntityKind::Server).next().unwrap().0).len()
        };
        assert_eq!(behaviours("server s runs mcp-server-fetch"), 2);
        assert_eq!(behaviours("server s runs mcp-server-fetch\ns offers add"), 0);
    }
}
