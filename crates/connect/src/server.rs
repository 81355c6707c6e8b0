//! MCP servers as a client's configuration declares them, in one shape for every client's spelling.
//!
//! The raw values are here (they are needed to start a server), so nothing here implements `Debug`.

use crate::document::{Document, Entry, Node, Step, Value};

/// A value and the line it stands on.
#[derive(Clone, PartialEq, Eq)]
pub struct Located {
    /// The value as written; may be or hold a secret.
    pub value: String,
    /// From 1.
    pub line: u32,
}

/// A name with a value: an environment variable, a header, a setting.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Located,
}

/// A server that a configuration declares.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// The name that the configuration gives it.
    pub name: String,
    /// Where its entry is in the document.
    pub at: Vec<Step>,
    /// Where within the entry the fields are (Continue nests them under `transport`).
    pub body: Vec<Step>,
    /// The line of its name.
    pub line: u32,
    /// The folder that it is declared for, if the file serves several.
    pub project: Option<String>,
    /// Whether the client starts it.
    pub enabled: bool,
    /// How it is reached.
    pub launch: Launch,
    /// Values of the entry that fit none of the known fields; they may still hold secrets.
    pub others: Vec<Setting>,
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Launch {
    /// A program that speaks on its standard input and output.
    Stdio(Stdio),
    /// A remote server.
    Remote(Remote),
    /// A part of the client itself, or of an extension that starts it.
    Internal,
}

/// A program to start.
#[derive(Clone, PartialEq, Eq)]
pub struct Stdio {
    /// The program.
    pub command: Located,
    /// Its arguments.
    pub args: Vec<Located>,
    /// Its environment.
    pub env: Vec<Setting>,
    /// Its folder.
    pub cwd: Option<String>,
    /// How program and arguments are written, for whoever rewrites them.
    pub form: CommandForm,
}

/// How program and arguments are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// `command: "npx", args: […]`, under these keys.
    Split(&'static str),
    /// `command: ["npx", …]`.
    Joined,
    /// `command: {path: "npx", args: […]}`.
    Nested,
}

/// A remote server.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address as written.
    pub url: Located,
    /// The key of the address.
    pub url_key: &'static str,
    /// The transport.
    pub transport: Transport,
    /// Extra headers.
    pub headers: Vec<Setting>,
    /// Whether the client authenticates: a header that does, a token from its environment, OAuth.
    pub auth: bool,
}

/// A transport of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// HTTP with server-sent events, of 2024-11-05.
    Sse,
}

/// Something in a configuration that cannot be a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: u32,
    /// In one clause; quotes names, never values.
    pub reason: String,
}

/// The servers of a document and what could not be read as one.
#[derive(Default)]
pub struct Servers {
    /// In the order of the text.
    pub servers: Vec<Server>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Whether any of the places for servers exists, even empty.
    pub any_place: bool,
}

const COMMAND_KEYS: &[&str] = &["command", "cmd"];
const URL_KEYS: &[&str] = &["httpUrl", "serverUrl", "url", "uri", "endpoint"];
const ENV_KEYS: &[&str] = &["env", "envs", "environment"];
const HEADER_KEYS: &[&str] = &["headers", "http_headers"];

/// Reads the servers that stand under `places` (see [`crate::clients::Place::servers`]).
pub fn read(document: &Document, places: &[&str]) -> Servers {
    let mut found = Servers::default();
    for place in places {
        // The whole file counts as a map of servers only if no named place is there.
        if place.is_empty() && found.any_place {
            continue;
        }
        let keys: Vec<&str> = place.split('/').filter(|key| !key.is_empty()).collect();
        for (at, node) in resolve(document.root(), &keys) {
            read_place(document, at, node, &mut found, place.is_empty());
        }
    }
    found
}

/// The nodes along `keys`, where `*` is every key.
fn resolve<'d>(root: &'d Node, keys: &[&str]) -> Vec<(Vec<Step>, &'d Node)> {
    let mut nodes = vec![(Vec::new(), root)];
    for key in keys {
        nodes = nodes
            .into_iter()
            .flat_map(|(at, node)| {
                let below = |entry: &'d Entry| {
                    let mut at = at.clone();
                    at.push(Step::Key(entry.key.clone()));
                    (at, &entry.node)
                };
                if *key == "*" {
                    unique(node.entries()).into_iter().map(below).collect::<Vec<_>>()
                } else {
                    node.entry(key).map(below).into_iter().collect()
                }
            })
            .collect();
    }
    nodes
}

/// The entries that count: of a repeated key the last.
fn unique(entries: &[Entry]) -> Vec<&Entry> {
    let last = |at: usize, key: &str| !entries.iter().skip(at + 1).any(|later| later.key == key);
    entries.iter().enumerate().filter(|(at, entry)| last(*at, &entry.key)).map(|(_, entry)| entry).collect()
}

fn read_place(document: &Document, at: Vec<Step>, node: &Node, found: &mut Servers, is_guess: bool) {
    // `projects/<folder>/mcpServers`: the folder is whom the server is for.
    let project = match at.as_slice() {
        [Step::Key(first), Step::Key(folder), _] if first == "projects" => Some(folder.clone()),
        _ => None,
    };
    let entries: Vec<(Step, String, u32, &Node)> = match &node.value {
        Value::Map(entries) => unique(entries)
            .into_iter()
            // `$schema` is no server's name.
            .filter(|entry| !is_guess || !entry.key.starts_with('$'))
            .map(|entry| {
                let line = document.line(entry.key_span.start);
                (Step::Key(entry.key.clone()), entry.key.clone(), line, &entry.node)
            })
            .collect(),
        // Only Continue lists its servers.
        Value::List(items) if ["mcpServers", "modelContextProtocolServers"].contains(&last_key(&at)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let line = document.line(item.span.start);
                match item.get("name").and_then(Node::text) {
                    Some(name) => (Step::Named(name.to_owned()), name.to_owned(), line, item),
                    None => (Step::At(index), index.to_string(), line, item),
                }
            })
            .collect(),
        Value::Null => Vec::new(),
        _ => {
            let reason = format!("`{}` is {}, not servers by name", last_key(&at), node.kind());
            found.problems.push(Problem { line: document.line(node.span.start), reason });
            return;
        }
    };
    if is_guess && !entries.iter().any(|(_, _, _, node)| looks_like_server(node)) {
        return;
    }
    found.any_place = true;
    for (step, name, line, node) in entries {
        let mut path = at.clone();
        path.push(step);
        match read_server(document, node) {
            Ok((body, enabled, launch, others)) => {
                let project = project.clone();
                found.servers.push(Server { name, at: path, body, line, project, enabled, launch, others });
            }
            Err(reason) => found.problems.push(Problem { line, reason: format!("server `{name}` {reason}") }),
        }
    }
}

fn last_key(at: &[Step]) -> &str {
    match at.last() {
        Some(Step::Key(key)) => key,
        _ => "the file",
    }
}

/// Whether a node has the fields of a server.
pub fn looks_like_server(node: &Node) -> bool {
    let (_, body) = body(node);
    let command =
        COMMAND_KEYS.iter().any(|key| body.get(key).is_some_and(|node| node.text().is_some() || node.is_list()));
    let nested = body.get("command").and_then(|command| command.get("path")).is_some();
    command
        || nested
        || URL_KEYS.iter().any(|key| body.get(key).and_then(Node::text).is_some_and(|url| url.contains("://")))
}

type Read = (Vec<Step>, bool, Launch, Vec<Setting>);

fn read_server(document: &Document, node: &Node) -> Result<Read, String> {
    if !node.is_map() {
        return Err(format!("is {}, not a map", node.kind()));
    }
    let (steps, fields) = body(node);
    let enabled = node.get("enabled").and_then(Node::bool) != Some(false)
        && node.get("disabled").and_then(Node::bool) != Some(true);
    let kind = fields.get("type").or_else(|| fields.get("transport")).and_then(Node::text).unwrap_or_default();
    let others = leaves(document, node, &steps);
    let launch = if let Some(stdio) = read_stdio(document, fields)? {
        Launch::Stdio(stdio)
    } else if let Some(remote) = read_remote(document, node, fields, kind)? {
        Launch::Remote(remote)
    } else if is_internal(node, kind) {
        Launch::Internal
    } else {
        return Err("has neither a command nor a url".to_owned());
    };
    Ok((steps, enabled, launch, others))
}

/// The fields of a server, which some clients nest.
fn body(node: &Node) -> (Vec<Step>, &Node) {
    for key in ["transport", "config"] {
        if let Some(nested) = node.get(key).filter(|nested| nested.is_map()) {
            return (vec![Step::Key(key.to_owned())], nested);
        }
    }
    (Vec::new(), node)
}

/// Goose's and Zed's entries for what the client brings itself.
fn is_internal(node: &Node, kind: &str) -> bool {
    let source = node.get("source").and_then(Node::text).unwrap_or_default();
    matches!(kind, "builtin" | "platform" | "frontend" | "inline_python" | "sse-ide" | "ws-ide")
        || source == "extension"
        || node.get("settings").is_some()
        || node.get("uses").is_some()
}

fn located(document: &Document, node: &Node) -> Option<Located> {
    node.scalar().map(|value| Located { value, line: document.line(node.span.start) })
}

fn read_list(document: &Document, node: Option<&Node>, name: &str) -> Result<Vec<Located>, String> {
    let Some(node) = node.filter(|node| node.value != Value::Null) else { return Ok(Vec::new()) };
    if !node.is_list() {
        return Err(format!("has `{name}` that is {}, not a list", node.kind()));
    }
    let items = node.items().iter().map(|item| located(document, item));
    items.collect::<Option<Vec<_>>>().ok_or_else(|| format!("has `{name}` with an element that is no string"))
}

fn read_settings(document: &Document, node: &Node) -> Vec<Setting> {
    let of = |entry: &&Entry| Some(Setting { name: entry.key.clone(), value: located(document, &entry.node)? });
    unique(node.entries()).iter().filter_map(of).collect()
}

fn read_stdio(document: &Document, fields: &Node) -> Result<Option<Stdio>, String> {
    let Some((key, node)) = COMMAND_KEYS.iter().find_map(|key| Some((*key, fields.get(key)?))) else { return Ok(None) };
    let (command, args, form, around) = match &node.value {
        Value::Null => return Ok(None),
        Value::List(_) => {
            let mut words = read_list(document, Some(node), key)?.into_iter();
            let command = words.next().ok_or_else(|| format!("has an empty `{key}`"))?;
            (command, words.collect(), CommandForm::Joined, fields)
        }
        Value::Map(_) => {
            let path = node.get("path").and_then(|path| located(document, path));
            let command = path.ok_or_else(|| format!("has a `{key}` without `path`"))?;
            (command, read_list(document, node.get("args"), "args")?, CommandForm::Nested, node)
        }
        _ => {
            let command = located(document, node).ok_or_else(|| format!("has a `{key}` that is {}", node.kind()))?;
            (command, read_list(document, fields.get("args"), "args")?, CommandForm::Split(key), fields)
        }
    };
    if command.value.trim().is_empty() {
        return Err(format!("has an empty `{key}`"));
    }
    let env =
        ENV_KEYS.iter().filter_map(|key| around.get(key)).flat_map(|node| read_settings(document, node)).collect();
    let cwd = fields.get("cwd").and_then(Node::text).map(str::to_owned);
    Ok(Some(Stdio { command, args, env, cwd, form }))
}

fn read_remote(document: &Document, node: &Node, fields: &Node, kind: &str) -> Result<Option<Remote>, String> {
    let text = |key: &&'static str| fields.get(key).filter(|node| node.text().is_some()).map(|node| (*key, node));
    let Some((url_key, url)) = URL_KEYS.iter().find_map(text) else { return Ok(None) };
    let url = located(document, url).ok_or("has a url that is no string")?;
    if url.value.trim().is_empty() {
        return Err(format!("has an empty `{url_key}`"));
    }
    let path = url.value.split(['?', '#']).next().unwrap_or_default();
    let is_sse = kind == "sse" || (kind.is_empty() && url_key == "url" && path.trim_end_matches('/').ends_with("/sse"));
    let options = fields.get("requestOptions").and_then(|options| options.get("headers"));
    let headers: Vec<Setting> = HEADER_KEYS
        .iter()
        .filter_map(|key| fields.get(key))
        .chain(options)
        .flat_map(|node| read_settings(document, node))
        .collect();
    let from_environment = fields.get("env_http_headers").is_some_and(|node| !node.entries().is_empty())
        || ["bearer_token_env_var", "headersHelper"].iter().any(|key| fields.get(key).is_some());
    let oauth = ["oauth", "auth", "authProviderType", "bearer_token", "apiKey"]
        .iter()
        .any(|key| node.get(key).is_some_and(|node| node.bool() != Some(false) && node.value != Value::Null));
    let auth = from_environment
        || oauth
        || headers
            .iter()
            .any(|header| header.name != crate::protect::KEY_HEADER && crate::secret::names_a_secret(&header.name))
        || crate::secret::find(&url.value).iter().any(|found| !found.rule.is_empty());
    let transport = if is_sse { Transport::Sse } else { Transport::Http };
    Ok(Some(Remote { url, url_key, transport, headers, auth }))
}

/// Every scalar of an entry outside the known fields, by its last key.
fn leaves(document: &Document, node: &Node, body: &[Step]) -> Vec<Setting> {
    let known = |key: &str| {
        [COMMAND_KEYS, URL_KEYS, ENV_KEYS, HEADER_KEYS].iter().any(|keys| keys.contains(&key))
            || ["args", "cwd", "requestOptions", "name", "type"].contains(&key)
    };
    let mut out = Vec::new();
    let mut open: Vec<(&str, &Node, bool)> = vec![("", node, true)];
    while let Some((name, node, is_field)) = open.pop() {
        for entry in node.entries() {
            let is_body = body.iter().any(|step| *step == Step::Key(entry.key.clone()));
            if !(is_field && known(&entry.key)) {
                open.push((&entry.key, &entry.node, is_field && is_body));
            }
        }
        open.extend(node.items().iter().map(|item| (name, item, false)));
        if let (Some(value), false) = (located(document, node), name.is_empty()) {
            out.push(Setting { name: name.to_owned(), value });
        }
    }
    out.sort_by_key(|setting| setting.value.line);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::ANY_SERVERS;
    use crate::document::Format;

    /// One line per server: name, launch, transport; problems after `!`.
    fn show(text: &str, format: Format) -> String {
        let document = Document::parse(text, format).unwrap();
        let found = read(&document, ANY_SERVERS);
        let mut out = String::new();
        for server in &found.servers {
            let launch = match &server.launch {
                Launch::Stdio(stdio) => {
                    let words = std::iter::once(&stdio.command).chain(&stdio.args).map(|word| word.value.as_str());
                    format!("{} ({:?})", words.collect::<Vec<_>>().join(" "), stdio.form)
                }
                Launch::Remote(remote) => format!("{} {:?} auth={}", remote.url.value, remote.transport, remote.auth),
                Launch::Internal => "internal".to_owned(),
            };
            let on = if server.enabled { "" } else { " off" };
            out.push_str(&format!("{}@{}: {launch}{on}\n", server.name, server.line));
        }
        for problem in &found.problems {
            out.push_str(&format!("!{}: {}\n", problem.line, problem.reason));
        }
        out
    }

    #[test]
    fn every_spelling_becomes_one_shape() {
        for (text, format, expected) in [
            (
                r#"{"mcpServers":{"a":{"command":"npx","args":["-y","p"]}}}"#,
                Format::Json,
                "a@1: npx -y p (Split(\"command\"))\n",
            ),
            (
                r#"{"mcp":{"a":{"type":"local","command":["npx","p"],"enabled":false}}}"#,
                Format::Json,
                "a@1: npx p (Joined) off\n",
            ),
            (
                r#"{"context_servers":{"a":{"command":{"path":"npx","args":["p"]}},"b":{"settings":{}}}}"#,
                Format::Json,
                "a@1: npx p (Nested)\nb@1: internal\n",
            ),
            (
                r#"{"mcpServers":{"a":{"serverUrl":"https://h/x","disabled":true}}}"#,
                Format::Json,
                "a@1: https://h/x Http auth=false off\n",
            ),
            (r#"{"mcpServers":{"a":{"url":"https://h/sse"}}}"#, Format::Json, "a@1: https://h/sse Sse auth=false\n"),
            (
                r#"{"p":{"type":"http","url":"https://h/mcp","headers":{"Authorization":"Bearer ${K}"}}}"#,
                Format::Json,
                "p@1: https://h/mcp Http auth=true\n",
            ),
            (
                "[mcp_servers.a]\ncommand = 'npx'\n[mcp_servers.b]\nurl = 'https://h'\nbearer_token_env_var = 'K'\n",
                Format::Toml,
                "a@1: npx (Split(\"command\"))\nb@3: https://h Http auth=true\n",
            ),
            (
                "extensions:\n  a:\n    type: stdio\n    cmd: npx\n    args: [p]\n  b: {type: builtin}\n",
                Format::Yaml,
                "a@2: npx p (Split(\"cmd\"))\nb@6: internal\n",
            ),
            (
                "mcpServers:\n  - name: a\n    command: npx\n  - name: b\n    type: sse\n    url: https://h\n",
                Format::Yaml,
                "a@2: npx (Split(\"command\"))\nb@4: https://h Sse auth=false\n",
            ),
            (
                r#"{"experimental":{"modelContextProtocolServers":[{"transport":{"type":"stdio","command":"npx","args":["p"]}}]}}"#,
                Format::Json,
                "0@1: npx p (Split(\"command\"))\n",
            ),
            (
                "{\"projects\":{\"/p\":{\"mcpServers\":{\n\"a\":{\"command\":\"x\"}}}}}",
                Format::Json,
                "a@2: x (Split(\"command\"))\n",
            ),
        ] {
            assert_eq!(show(text, format), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_server_is_said() {
        for (text, expected) in [
            ("{\"mcpServers\":\n7}", "!2: `mcpServers` is a number, not servers by name\n"),
            ("{\"mcpServers\":{\n\"a\":{}}}", "!2: server `a` has neither a command nor a url\n"),
            ("{\"mcpServers\":{\"a\":\"x\"}}", "!1: server `a` is a string, not a map\n"),
            (
                "{\"mcpServers\":{\"a\":{\"command\":\"x\",\"args\":\"y\"}}}",
                "!1: server `a` has `args` that is a string, not a list\n",
            ),
            (
                "{\"mcpServers\":{\"a\":{\"command\":\"\"},\"b\":{\"command\":\"y\"}}}",
                "b@1: y (Split(\"command\"))\n!1: server `a` has an empty `command`\n",
            ),
        ] {
            assert_eq!(show(text, Format::Json), expected, "{text}");
        }
    }
}
