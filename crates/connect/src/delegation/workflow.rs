//! Workflows of GitHub Actions: events, permissions, and of each job what its steps do.
//!
//! Workflows and composite actions of the same checkout are followed where they are called, with what they are given;
//! those of other repositories are not, which is said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::delegation::Place;
use graph::delegation::workflow::{Act, Event, Job, What};

use crate::aws::{Reader, text};
use crate::document::{Document, Format, Node};
use crate::{file, package};

const FOLDER: &str = ".github/workflows/";

/// Actions that start an agent, by the beginning of their name.
const AGENTS: &[&str] = &[
    "anthropics/claude-code",
    "openai/codex-action",
    "google-github-actions/run-gemini-cli",
    "google-gemini/gemini-cli-action",
    "actions/ai-inference",
];

/// Actions that refuse whoever causes the event and may not write to the repository, unless these inputs say otherwise.
const REFUSING: &[(&str, &[&str])] = &[
    ("anthropics/claude-code-action", &["allowed_non_write_users", "allowed_bots"]),
    ("openai/codex-action", &["allow-users", "allow-bots", "allow-bot-users"]),
];

/// Commands that start an agent.
const AGENT_COMMANDS: &[&str] =
    &["claude -p", "claude --print", "codex exec", "gemini -p", "gemini --prompt", "copilot -p"];

const NPM: &[&str] = &["npm publish", "pnpm publish", "yarn publish", "yarn npm publish", "bun publish"];
const PYPI: &[&str] = &["twine upload", "uv publish", "poetry publish", "hatch publish", "flit publish"];

/// Reads a workflow; false when the document is none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let (Some(on), Some(jobs)) = (root.get("on"), root.get("jobs").filter(|jobs| jobs.is_map())) else { return false };
    let source = reader.source.replace('\\', "/");
    let (top, workflow) = match source.rfind(FOLDER).and_then(|at| source.split_at_checked(at)) {
        Some((top, workflow)) => (Some(PathBuf::from(if top.is_empty() { "." } else { top })), workflow.to_owned()),
        None => (None, source.rsplit('/').next().unwrap_or(&source).to_owned()),
    };
    let repository = top.as_deref().and_then(repository);
    let events = events(reader, on);
    let inputs = Inputs::new();
    for entry in jobs.entries() {
        let given = Given { root, events: &events, top: top.as_deref(), inputs: &inputs, caller: None };
        let mut found = vec![job(reader, &given, (&entry.key, &entry.node))];
        found.extend(called(reader, &given, (&entry.key, &entry.node)));
        let named = |job: Job| Job { repository: repository.clone(), workflow: workflow.clone(), ..job };
        reader.delegation.jobs.extend(found.into_iter().map(named));
    }
    true
}

/// How deep composite actions are followed, and how many steps of a job are read: they may call each other, and
/// themselves more than once.
const DEPTH_MAX: u32 = 8;
const STEPS_MAX: usize = 1_000;

/// What a called workflow or action is given, by name.
type Inputs = BTreeMap<String, String>;

/// What all jobs of a workflow have.
#[derive(Clone, Copy)]
struct Given<'a> {
    root: &'a Node,
    events: &'a [Event],
    top: Option<&'a Path>,
    inputs: &'a Inputs,
    /// The job that calls it, by its permissions, and whether it hands on all secrets.
    caller: Option<(&'a Job, bool)>,
}

/// The jobs of a workflow of the same checkout that a job calls: they run on its events, with no more than its rights.
fn called(reader: &mut Reader<'_>, given: &Given<'_>, (name, node): (&str, &Node)) -> Vec<Job> {
    let (Some(path), Some(top)) = (local(node), given.top) else {
        if let Some(called) = text(node, "uses") {
            reader.miss(node, format!("job `{name}` calls `{called}`, which is not followed"));
        }
        return Vec::new();
    };
    let caller = job(reader, given, (name, node));
    let inherits = text(node, "secrets") == Some("inherit");
    let with = inputs(node.get("with"), given.inputs);
    let jobs = reader.beside(&top.join(path), |reader, root| {
        let declared = root.get("on").and_then(|on| on.get("workflow_call")).and_then(|call| call.get("inputs"));
        let inputs = with_defaults(declared, with);
        let below = Given { root, inputs: &inputs, caller: Some((&caller, inherits)), ..*given };
        let jobs = root.get("jobs").map(Node::entries).unwrap_or_default();
        jobs.iter().map(|entry| job(reader, &below, (&format!("{name} / {}", entry.key), &entry.node))).collect()
    });
    jobs.unwrap_or_else(|| {
        reader.miss(node, format!("job `{name}` calls `./{path}`, which could not be read"));
        Vec::new()
    })
}

/// What of the same checkout a job or a step calls, from the top.
fn local(node: &Node) -> Option<&str> {
    let path = text(node, "uses")?.strip_prefix("./")?;
    (!path.split('/').any(|part| part == "..")).then_some(path)
}

/// What a `with` gives, with the caller's own inputs put in.
fn inputs(with: Option<&Node>, own: &Inputs) -> Inputs {
    let entries = with.map(Node::entries).unwrap_or_default().iter();
    entries.filter_map(|entry| Some((entry.key.clone(), filled(&entry.node.scalar()?, own)))).collect()
}

/// What is left out has the value that the callee declares.
fn with_defaults(declared: Option<&Node>, mut given: Inputs) -> Inputs {
    for entry in declared.map(Node::entries).unwrap_or_default() {
        if let Some(default) = entry.node.get("default").and_then(Node::scalar) {
            given.entry(entry.key.clone()).or_insert(default);
        }
    }
    given
}

/// The variables that a script sees, those of the step last: an expression puts their texts into it like any other.
fn variables(nodes: [&Node; 3], inputs: &Inputs) -> Inputs {
    let env = nodes.into_iter().filter_map(|node| node.get("env")).flat_map(Node::entries);
    env.filter_map(|entry| Some((entry.key.clone(), filled(&entry.node.scalar()?, inputs)))).collect()
}

/// A text with `${{ inputs.NAME }}` replaced by what was given. Nothing else of an expression is computed.
fn filled(text: &str, inputs: &Inputs) -> String {
    replaced(text, "inputs.", inputs)
}

/// A text with expressions that are one of some names replaced by its value.
fn replaced(text: &str, prefix: &str, values: &Inputs) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((inner, behind)) = after.split_once("}}") else { break };
        whole.push_str(before);
        match inner.trim().strip_prefix(prefix).and_then(|name| values.get(name)) {
            Some(value) => whole.push_str(value),
            None => whole.push_str(&format!("${{{{{inner}}}}}")),
        }
        rest = behind;
    }
    whole + rest
}

/// `OWNER/NAME` of the clone's remote, by its configuration alone.
fn repository(top: &Path) -> Option<String> {
    let text = file::read(&top.join(".git/config")).ok()?;
    let section = text.split("[remote \"origin\"]").nth(1)?.split("\n[").next()?;
    let url = section.lines().find_map(|line| line.trim().strip_prefix("url")?.trim_start().strip_prefix('='))?.trim();
    let (_, path) = url.split_once("github.com")?;
    let path = path.trim_start_matches([':', '/']).trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (path.split('/').filter(|part| !part.is_empty()).count() == 2).then(|| path.to_owned())
}

/// Where an event stands is where it is named: what stands below narrows it.
fn events(reader: &Reader<'_>, on: &Node) -> Vec<Event> {
    let event = |name: &str, at: usize, types: Vec<String>| {
        let place = Place { source: reader.source.clone(), line: reader.line_at(at) };
        Event { name: name.to_owned(), types, place }
    };
    let plain = |node: &Node| Some(event(node.text()?, node.span.start, Vec::new()));
    let named = on.entries().iter().map(|entry| {
        let types = entry.node.get("types");
        let one = types.and_then(Node::text).map(str::to_owned);
        let many = types.map(Node::items).unwrap_or_default().iter().filter_map(|kind| kind.text().map(str::to_owned));
        event(&entry.key, entry.key_span.start, one.into_iter().chain(many).collect())
    });
    plain(on).into_iter().chain(on.items().iter().filter_map(plain)).chain(named).collect()
}

fn job(reader: &mut Reader<'_>, given: &Given<'_>, (name, node): (&str, &Node)) -> Job {
    let permissions = node.get("permissions").or_else(|| given.root.get("permissions"));
    let caller = given.caller.map(|(caller, _)| caller);
    // What a called workflow leaves out it has from its caller, and it never has more.
    let may = |what: &str, of_caller: fn(&Job) -> bool| {
        let all = permissions.and_then(Node::text) == Some("write-all");
        let own = all || permissions.is_some_and(|list| text(list, what) == Some("write"));
        caller.map_or(own, |caller| of_caller(caller) && (own || permissions.is_none()))
    };
    let environment = node.get("environment");
    let environment = environment.and_then(|one| one.text().or_else(|| text(one, "name")));
    let guards = caller.map(|caller| caller.guards.clone()).unwrap_or_default();
    let mut job = Job {
        repository: None,
        workflow: String::new(),
        name: name.to_owned(),
        events: given.events.to_vec(),
        guards: guards.into_iter().chain(node.get("if").and_then(Node::scalar)).collect(),
        environment: environment.map(str::to_owned),
        has_identity: may("id-token", |caller| caller.has_identity),
        writes_code: may("contents", |caller| caller.writes_code.is_some()).then(|| {
            permissions.map_or_else(|| reader.place(node), |list| reader.place(list.get("contents").unwrap_or(list)))
        }),
        acts: Vec::new(),
        secrets: Vec::new(),
        publishes: Vec::new(),
        place: reader.place(node),
    };
    secrets(reader, given.root.get("env"), &mut job);
    secrets(reader, Some(node), &mut job);
    if let Some((caller, false)) = given.caller {
        // Only what the caller hands over by name is more than an empty text.
        job.secrets.clone_from(&caller.secrets);
    }
    steps(reader, given, (node, None, 0), &mut job);
    if job.acts.len() >= STEPS_MAX {
        reader.miss(node, format!("job `{name}` has more than the {STEPS_MAX} steps that are read"));
    }
    job
}

/// The steps of a job or of a composite action, which run where it is called.
fn steps(reader: &mut Reader<'_>, given: &Given<'_>, (node, guard, depth): (&Node, Option<&str>, u32), job: &mut Job) {
    for step in node.get("steps").map(Node::items).unwrap_or_default() {
        if job.acts.len() >= STEPS_MAX {
            return;
        }
        let own = step.get("if").and_then(Node::scalar);
        let guard =
            [guard.map(str::to_owned), own].into_iter().flatten().reduce(|one, other| format!("({one}) && ({other})"));
        let env = variables([given.root, node, step], given.inputs);
        for what in what(reader, (step, given.inputs, &env)) {
            job.acts.push(Act { what, guard: guard.clone(), place: reader.place(step) });
        }
        publishes(reader, given.top, step, job);
        if let (Some(path), Some(top), true) = (local(step), given.top, depth < DEPTH_MAX) {
            let folder = top.join(path);
            let with = inputs(step.get("with"), given.inputs);
            composite(reader, given, (&folder, with, guard.as_deref(), depth + 1), job);
        }
    }
}

/// The steps of a composite action of the same checkout; what another kind of action does is its own code.
fn composite(
    reader: &mut Reader<'_>,
    given: &Given<'_>,
    (folder, with, guard, depth): (&Path, Inputs, Option<&str>, u32),
    job: &mut Job,
) {
    let names = ["action.yml", "action.yaml"];
    let Some(file) = names.iter().map(|name| folder.join(name)).find(|file| file.is_file()) else { return };
    reader.beside(&file, |reader, root| {
        let inputs = with_defaults(root.get("inputs"), with);
        let below = Given { inputs: &inputs, ..*given };
        if let Some(runs) = root.get("runs").filter(|runs| text(runs, "using") == Some("composite")) {
            steps(reader, &below, (runs, guard, depth), job);
        }
    });
}

/// What a step does, as far as it matters. A script that starts an agent is a script as well.
fn what(reader: &mut Reader<'_>, (step, inputs, env): (&Node, &Inputs, &Inputs)) -> Vec<What> {
    let with = |key: &str| {
        let given = step.get("with").and_then(|with| with.get(key)).and_then(Node::scalar)?;
        Some(filled(&given, inputs))
    };
    if let Some(script) = text(step, "run").map(|script| replaced(&filled(script, inputs), "env.", env)) {
        let agent = AGENT_COMMANDS.iter().find(|command| script.contains(**command));
        let agent = agent.map(|command| What::Agent { name: format!("`{command}`"), refuses_others: false });
        return [What::Run(script)].into_iter().chain(agent).collect();
    }
    let Some(action) = text(step, "uses") else { return Vec::new() };
    let name = action.split('@').next().unwrap_or(action);
    let one = match name {
        "actions/checkout" => Some(What::Checkout(with("ref"))),
        "actions/github-script" => with("script").map(|script| What::Run(replaced(&script, "env.", env))),
        "actions/download-artifact" if with("run-id").is_some() => Some(What::Artifact),
        "dawidd6/action-download-artifact" => Some(What::Artifact),
        "aws-actions/configure-aws-credentials" => {
            with("role-to-assume").and_then(|role| literal(reader, step, role)).map(What::Role)
        }
        "google-github-actions/auth" => {
            let account = with("service_account").and_then(|name| literal(reader, step, name));
            account.map(|name| What::Identity("Google Cloud", name))
        }
        "azure/login" | "Azure/login" => {
            let client = with("client-id").and_then(|name| literal(reader, step, name));
            client.map(|name| What::Identity("Azure", name))
        }
        _ if AGENTS.iter().any(|agent| name.starts_with(agent)) => {
            let opens = |key: &&str| with(key).is_some_and(|given| !given.trim().is_empty());
            let refusing = REFUSING.iter().find(|(action, _)| *action == name);
            let refuses_others = refusing.is_some_and(|(_, keys)| !keys.iter().any(opens));
            Some(What::Agent { name: format!("`{name}`"), refuses_others })
        }
        _ if name.starts_with("./") => Some(What::Run(name.to_owned())),
        _ => None,
    };
    one.into_iter().collect()
}

/// A name that stands in the file; one that an expression gives is said and left out.
fn literal(reader: &mut Reader<'_>, step: &Node, name: String) -> Option<String> {
    if name.contains("${{") {
        reader.miss(step, format!("takes the identity that `{name}` names, which is not in the file"));
        return None;
    }
    Some(name)
}

/// The names of secrets in a job's expressions. The token of the run itself is told by its permissions.
fn secrets(reader: &Reader<'_>, node: Option<&Node>, job: &mut Job) {
    let mut open: Vec<&Node> = node.into_iter().collect();
    while let Some(node) = open.pop() {
        open.extend(node.entries().iter().map(|entry| &entry.node).chain(node.items()));
        for expression in node.text().unwrap_or_default().split("${{").skip(1) {
            let inner = expression.split("}}").next().unwrap_or_default();
            for rest in inner.split("secrets.").skip(1) {
                let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let name: String = rest.chars().take_while(|letter| is_part(*letter)).collect();
                if !name.is_empty() && name != "GITHUB_TOKEN" && job.secrets.iter().all(|(known, _)| *known != name) {
                    job.secrets.push((name, reader.place(node)));
                }
            }
        }
    }
    job.secrets.sort_by(|a, b| a.0.cmp(&b.0));
}

fn publishes(reader: &mut Reader<'_>, top: Option<&Path>, step: &Node, job: &mut Job) {
    let script = text(step, "run").unwrap_or_default();
    let action = text(step, "uses").unwrap_or_default();
    let runs = |commands: &[&str]| commands.iter().any(|command| script.contains(command));
    let wanted: &[(bool, &str, &str)] = &[
        (runs(NPM), "npm", "package.json"),
        (runs(PYPI) || action.starts_with("pypa/gh-action-pypi-publish"), "pypi", "pyproject.toml"),
    ];
    for (_, registry, manifest) in wanted.iter().filter(|(found, ..)| *found) {
        let folder =
            top.map(|top| text(step, "working-directory").map_or_else(|| top.to_owned(), |below| top.join(below)));
        match folder.and_then(|folder| named(&folder.join(manifest), registry)) {
            Some(package) => {
                let place = reader.place(step);
                job.publishes.push((package, place));
            }
            None => reader
                .miss(step, format!("publishes a package of {registry} whose name no `{manifest}` beside it says")),
        }
    }
}

/// The package URL of what a manifest describes.
fn named(manifest: &Path, registry: &str) -> Option<String> {
    let text = file::read(manifest).ok()?;
    let document = Document::parse(&text, Format::of(manifest.to_str()?)?).ok()?;
    let root = document.root();
    if registry == "npm" {
        return Some(package::purl("npm", root.get("name")?.text()?, None, &[]));
    }
    let poetry = || root.get("tool")?.get("poetry");
    let name = root.get("project").or_else(poetry)?.get("name")?.text()?;
    Some(package::purl("pypi", &package::pypi_name(name), None, &[]))
}
