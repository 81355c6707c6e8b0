//! Workflows of GitHub Actions: who can start a job and decide what it runs, and what the job holds.
//!
//! An event that outsiders cause runs with the repository's secrets unless it is `pull_request`. That alone hands over
//! nothing: the job must also run what they sent, or have a model read it. What a guard (`if`, an environment, the kinds
//! of an event) lets through is not computed; it is named, and the step is possible.

use std::sync::Arc;

use super::{Deriver, Kind, Place};
use crate::aws::attack::MAY_BE_KEPT_OUT;
use crate::aws::condition::Condition;
use crate::aws::estate::{Principal, StatementId};
use crate::aws::evaluate::Evaluator;
use crate::aws::kinds::outside::issues_to_workflows;
use crate::aws::policy::{Effect, Named, Principals, Statement};
use crate::aws::{Context, Truth, Value};
use crate::step::{Ground, Missing, Node, NodeKind, Page, Step};

/// One job of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `OWNER/NAME`, if the clone says.
    pub repository: Option<String>,
    /// The workflow's file, from the top of the repository.
    pub workflow: String,
    /// The job's id.
    pub name: String,
    /// What starts it.
    pub events: Vec<Event>,
    /// Conditions that may keep outsiders out, as written.
    pub guards: Vec<String>,
    /// The environment, whose rules may ask a reviewer.
    pub environment: Option<String>,
    /// Whether it may ask for an identity token.
    pub has_identity: bool,
    /// Where it is allowed to write the repository's contents.
    pub writes_code: Option<Place>,
    /// Its steps, in order.
    pub acts: Vec<Act>,
    /// Names of secrets that it is given.
    pub secrets: Vec<(String, Place)>,
    /// Packages that it publishes, by package URL.
    pub publishes: Vec<(String, Place)>,
    /// Where it was read.
    pub place: Place,
}

/// What starts a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// For example `issue_comment`.
    pub name: String,
    /// The kinds of it, if the file names them.
    pub types: Vec<String>,
    /// Where it was read.
    pub place: Place,
}

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What it does.
    pub what: What,
    /// Its own condition, as written.
    pub guard: Option<String>,
    /// Where it was read.
    pub place: Place,
}

/// What a step of a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Takes the repository's files, of a revision if one is named.
    Checkout(Option<String>),
    /// Runs text: a shell's, or a script's.
    Run(String),
    /// Starts an agent.
    Agent {
        /// The action or the command.
        name: String,
        /// Whether it refuses whoever causes the event and may not write to the repository.
        refuses_others: bool,
    },
    /// Takes what another workflow's run left.
    Artifact,
    /// Takes a role of AWS.
    Role(String),
    /// Takes an identity of another cloud: which cloud, and its name.
    Identity(&'static str, String),
}

const SEE: &[&str] = &[
    "https://docs.github.com/en/actions/reference/security/secure-use",
    "https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/",
];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "workflow-runs-checkout",
            title: "sends code, which is run by",
            catalogue: &[],
            why: "`pull_request_target` and its like run with the repository's secrets; a job that takes the files of the \
                  pull request and runs something runs the sender's code.",
            references: SEE,
        },
        derive: checkouts,
        partial: None,
        example: "on: pull_request_target\njobs: {t: {steps: [{uses: actions/checkout@v4, with: {ref: '${{ github.event.pull_request.head.sha }}'}}, {run: npm ci}]}}",
        counter_example: "on: pull_request\njobs: {t: {steps: [{uses: actions/checkout@v4, with: {ref: '${{ github.event.pull_request.head.sha }}'}}, {run: npm ci}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-injection",
            title: "sends text, which becomes part of a script of",
            catalogue: &[],
            why: "An expression is put into a script before the shell reads it: a title with a quotation mark in it is a \
                  command.",
            references: &["https://docs.github.com/en/actions/concepts/security/script-injections"],
        },
        derive: injections,
        partial: None,
        example: "on: issues\njobs: {t: {steps: [{run: 'echo \"${{ github.event.issue.title }}\"'}]}}",
        counter_example: "on: issues\njobs: {t: {steps: [{run: 'echo \"$TITLE\"', env: {TITLE: '${{ github.event.issue.title }}'}}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-agent",
            title: "writes what an agent reads in",
            catalogue: &[],
            why: "An agent that a workflow starts reads issues, comments and changes; with its job's tools and secrets it does \
                  what it is talked into.",
            references: SEE,
        },
        derive: agents,
        partial: Some("what the agent reads can steer it"),
        example: "on: issue_comment\njobs: {t: {steps: [{uses: anthropics/claude-code-action@v1}]}}",
        counter_example: "on: push\njobs: {t: {steps: [{uses: anthropics/claude-code-action@v1}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-artifact",
            title: "leaves files, which are taken up by",
            catalogue: &[],
            why: "A workflow that follows another takes up what the run of a pull request left, and runs with the \
                  repository's secrets.",
            references: SEE,
        },
        derive: artifacts,
        partial: Some("what was left is run, or trusted"),
        example: "on: {workflow_run: {workflows: [test]}}\njobs: {t: {steps: [{uses: actions/download-artifact@v4, with: {run-id: '${{ github.event.workflow_run.id }}'}}, {run: ./deploy}]}}",
        counter_example: "on: {workflow_run: {workflows: [test]}}\njobs: {t: {steps: [{run: ./deploy}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-role",
            title: "exchanges its identity token for",
            catalogue: &[],
            why: "A job with `id-token: write` gets the role whose trust policy names its repository.",
            references: &[
                "https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws",
            ],
        },
        derive: roles,
        partial: None,
        example: "on: push\npermissions: {id-token: write}\njobs: {t: {steps: [{uses: aws-actions/configure-aws-credentials@v4, with: {role-to-assume: 'arn:aws:iam::111122223333:role/deploy'}}]}}",
        counter_example: "on: push\npermissions: {contents: read}\njobs: {t: {steps: [{uses: aws-actions/configure-aws-credentials@v4, with: {role-to-assume: 'arn:aws:iam::111122223333:role/deploy'}}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-secret",
            title: "is given",
            catalogue: &[],
            why: "What runs in a job reads every secret that the job is given.",
            references: &["https://docs.github.com/en/actions/concepts/security/secrets"],
        },
        derive: secrets,
        partial: None,
        example: "on: push\njobs: {t: {steps: [{run: deploy, env: {KEY: '${{ secrets.DEPLOY_KEY }}'}}]}}",
        counter_example: "on: push\njobs: {t: {steps: [{run: deploy, env: {KEY: '${{ secrets.GITHUB_TOKEN }}'}}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-writes-code",
            title: "pushes to",
            catalogue: &[],
            why: "`contents: write` lets the job change the code: agents' configurations, workflows' scripts, what is deployed \
                  next.",
            references: &[
                "https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions",
            ],
        },
        derive: code,
        partial: None,
        example: "on: push\npermissions: {contents: write}\njobs: {t: {steps: [{run: make}]}}",
        counter_example: "on: push\npermissions: {contents: read}\njobs: {t: {steps: [{run: make}]}}",
    },
    Kind {
        page: Page {
            id: "workflow-publishes",
            title: "publishes the next version of",
            catalogue: &[],
            why: "A job that publishes a package decides what every unpinned start of it runs.",
            references: &["https://docs.npmjs.com/trusted-publishers", "https://docs.pypi.org/trusted-publishers/"],
        },
        derive: publishes,
        partial: None,
        example: "on: push\njobs: {t: {steps: [{run: npm publish ./tools}]}}\n# published: pkg:npm/tools",
        counter_example: "on: push\njobs: {t: {steps: [{run: npm pack}]}}\n# published: pkg:npm/tools",
    },
];

/// Events that those without rights cause, and that run with the repository's secrets; and who causes them.
const OUTSIDE: &[(&str, &str)] = &[
    ("pull_request_target", "whoever may open a pull request on"),
    ("workflow_run", "whoever may open a pull request on"),
    ("issues", "whoever may open an issue on"),
    ("issue_comment", "whoever may comment on"),
    ("discussion", "whoever may open a discussion on"),
    ("discussion_comment", "whoever may comment on"),
];

/// Kinds of events that those without rights cause.
const KINDS_OUTSIDE: &[&str] =
    &["opened", "edited", "synchronize", "reopened", "created", "deleted", "closed", "completed", "requested"];

/// What those without rights write, as expressions name it.
const WRITTEN: &[&str] = &[
    "github.event.issue.title",
    "github.event.issue.body",
    "github.event.pull_request.title",
    "github.event.pull_request.body",
    "github.event.pull_request.head.ref",
    "github.event.pull_request.head.label",
    "github.event.pull_request.head.repo.default_branch",
    "github.event.comment.body",
    "github.event.review.body",
    "github.event.discussion.title",
    "github.event.discussion.body",
    "github.event.workflow_run.head_branch",
    "github.event.workflow_run.head_commit.message",
    "github.event.workflow_run.head_commit.author",
    "github.event.workflow_run.display_title",
    "github.event.workflow_run.head_repository.description",
    "github.head_ref",
];

/// The same within the whole of an event.
const WHOLE: &[&str] = &["tojson(github)", "tojson(github.event"];

/// How the revision of a pull request is written.
const REVISIONS: &[&str] = &[
    "github.event.pull_request.head",
    "github.head_ref",
    "github.event.pull_request.merge_commit_sha",
    "github.event.workflow_run.head",
    "refs/pull/",
];

/// Words that begin commands which run what lies in the folder.
const RUNNERS: &[&str] = &[
    "npm",
    "pnpm",
    "yarn",
    "npx",
    "make",
    "pytest",
    "python",
    "pip",
    "uv",
    "tox",
    "cargo",
    "go",
    "mvn",
    "gradle",
    "node",
    "bun",
    "bundle",
    "rake",
    "bash",
    "sh",
    "docker",
    "terraform",
    "dotnet",
];

const DETAILS: Missing = Missing {
    id: "account-details",
    noun: "roles of the cloud account",
    listing: "aws iam get-account-authorization-details",
};

/// Where workflows lie in a repository.
const WORKFLOWS: &str = ".github/workflows/";

impl Job {
    fn home(&self) -> &str {
        self.repository.as_deref().unwrap_or("this repository")
    }

    /// The key of something of the repository. Where that has no name it is of the file's folder, as a path from the
    /// root or from here: [`crate::relative`] knows the folder of a checkout in it.
    fn key(&self, part: &str) -> String {
        if let Some(repository) = &self.repository {
            return format!("github/{repository}/{part}");
        }
        // A job stands in the workflow that has it, which another may call: both lie in the same folder of one repository.
        let source = &*self.place.source;
        let folder = match source.rfind(WORKFLOWS) {
            Some(at) => source.get(..at).unwrap_or_default(),
            None => source.strip_suffix(&self.workflow).unwrap_or(source),
        };
        let folder = folder.trim_start_matches("./").trim_end_matches('/');
        match folder {
            "" => format!("github:./{part}"),
            _ if folder.starts_with('/') => format!("github:{folder}/{part}"),
            _ => format!("github:./{folder}/{part}"),
        }
    }

    /// What may keep outsiders from an act, in sentences.
    fn kept(&self, event: &Event, act: &Act) -> Vec<String> {
        let guards = self.guards.iter().chain(&act.guard).filter(|guard| keeps(guard, &event.name));
        let mut kept: Vec<String> = guards.map(|guard| format!("`if: {}` lets it through", in_a_line(guard))).collect();
        kept.extend(self.environment.as_ref().map(|name| format!("environment `{name}` asks nobody")));
        if !event.types.is_empty() && !event.types.iter().any(|one| KINDS_OUTSIDE.contains(&one.as_str())) {
            kept.push(format!("somebody with rights causes `{}` ({})", event.name, event.types.join(", ")));
        }
        if let What::Agent { refuses_others, .. } = act.what {
            if refuses_others {
                kept.push("somebody with rights starts it where others wrote: the action refuses others".to_owned());
            }
            if event.name == "workflow_run" {
                kept.push(OF_PULL_REQUEST.to_owned());
            }
        }
        kept
    }
}

/// What is open where a workflow follows another.
const OF_PULL_REQUEST: &str = "the run before was of a pull request";

/// A condition as one line, however many it was written in.
fn in_a_line(guard: &str) -> String {
    guard.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a condition may keep those out who cause an event: one that only asks for this event does not.
fn keeps(guard: &str, event: &str) -> bool {
    const ASKS: &[&str] = &[
        "author_association",
        "actor",
        "sender",
        "user",
        "repo",
        "label",
        "contains(",
        "inputs.",
        "vars.",
        "needs.",
        "!=",
    ];
    let asks = ASKS.iter().any(|word| guard.contains(word));
    let for_event = guard.contains("github.event_name") && guard.contains(&format!("'{event}'"));
    asks || !for_event && !is_status(guard)
}

fn is_status(guard: &str) -> bool {
    let bare = guard.trim().trim_start_matches("${{").trim_end_matches("}}").trim();
    ["always()", "success()", "!cancelled()", "true"].contains(&bare)
}

impl Deriver<'_> {
    fn job(&mut self, job: &Job) -> usize {
        let key = job.key(&format!("{}#{}", job.workflow, job.name));
        let name = format!("job {} of {}", job.name, job.workflow);
        self.node(&key, &name, NodeKind::Inner, &job.place)
    }

    /// Lets those who cause an event get a job, where `gets` finds what in the job hands it over.
    fn enter(&mut self, gets: impl Fn(&Job, &Event) -> Option<(usize, String)>, assumed: &[&str]) {
        for job in &self.estate.jobs {
            for event in &job.events {
                let Some((_, who)) = OUTSIDE.iter().find(|(name, _)| *name == event.name) else { continue };
                let Some((at, claim)) = gets(job, event) else { continue };
                let Some(act) = job.acts.get(at) else { continue };
                let from = self.node(&job.key(who), &format!("{who} {}", job.home()), NodeKind::Outside, &event.place);
                let to = self.job(job);
                let starts = format!("`{}` starts {}", event.name, job.workflow);
                let started = self.said(&job.workflow, &format!("on: {}", event.name), starts, &event.place);
                let part = format!("job {}, step {}", job.name, at + 1);
                let handed = self.said(&job.workflow, &part, claim, &act.place);
                let assumed = assumed.iter().map(|one| (*one).to_owned());
                let assuming = job.kept(event, act).into_iter().chain(assumed).collect();
                self.step(from, to, vec![started, handed], assuming);
            }
        }
    }
}

fn checkouts(deriver: &mut Deriver<'_>) {
    let takes = |act: &Act| match &act.what {
        What::Checkout(Some(revision)) => REVISIONS.iter().any(|one| revision.contains(one)),
        What::Run(text) => text.contains("gh pr checkout") || text.contains("refs/pull/") || text.contains("pull/${{"),
        _ => false,
    };
    // A shell that only prints is no danger; what begins none of the known commands is told as possible.
    let runs = |text: &str| {
        let words = text.split([' ', '\n', ';', '&', '|']).map(str::trim);
        words.into_iter().any(|word| RUNNERS.contains(&word) || word.starts_with("./"))
    };
    let after = |job: &Job, known: bool| {
        let first = job.acts.iter().position(takes)?;
        let next = |(at, act): (usize, &Act)| match &act.what {
            What::Run(text) if at >= first && runs(text) == known => Some(at),
            _ => None,
        };
        job.acts.iter().enumerate().find_map(next)
    };
    let claim = "runs what was taken from the pull request".to_owned();
    deriver.enter(|job, _| Some((after(job, true)?, claim.clone())), &[]);
    let possible = |job: &Job, _: &Event| match after(job, true) {
        Some(_) => None,
        None => Some((after(job, false)?, claim.clone())),
    };
    deriver.enter(possible, &["what the step runs is of the pull request"]);
}

fn injections(deriver: &mut Deriver<'_>) {
    let into = |job: &Job, event: &Event| {
        job.acts.iter().enumerate().find_map(|(at, act)| match &act.what {
            What::Run(text) => Some((at, format!("puts `{}` into a script", written(text, event)?))),
            _ => None,
        })
    };
    deriver.enter(into, &[]);
}

/// What those who cause the event write, and an expression puts into a text.
fn written(text: &str, event: &Event) -> Option<&'static str> {
    let caused: &[&str] = match event.name.as_str() {
        "issues" => &[".issue."],
        "issue_comment" => &[".issue.", ".comment."],
        "discussion" | "discussion_comment" => &[".discussion.", ".comment."],
        "workflow_run" => &[".workflow_run."],
        _ => &[".pull_request.", "head_ref"],
    };
    let mut expressions = text.split("${{").skip(1).filter_map(|rest| rest.split("}}").next());
    expressions.find_map(|inner| {
        // Names are compared without case, and `['title']` is `.title`.
        let plain = inner.to_ascii_lowercase().replace("['", ".").replace("']", "");
        let mut known = WRITTEN.iter().copied().filter(|one| caused.iter().any(|part| one.contains(part)));
        let whole = || WHOLE.iter().copied().find(|one| plain.replace(' ', "").contains(one));
        known.find(|one| plain.contains(one)).or_else(whole).filter(|_| !is_verdict(&plain))
    })
}

/// Whether an expression gives `true` or `false`, whatever it asks about.
fn is_verdict(expression: &str) -> bool {
    let asks = ["contains(", "startswith(", "endswith("].iter().any(|call| expression.trim().starts_with(call));
    let compares = expression.contains("==") || expression.contains("!=");
    (asks || compares) && !expression.contains("&&") && !expression.contains("||")
}

fn agents(deriver: &mut Deriver<'_>) {
    let reads = |job: &Job, _: &Event| {
        let agents = job.acts.iter().enumerate().filter_map(|(at, act)| match &act.what {
            What::Agent { name, refuses_others } => Some((refuses_others, at, name)),
            _ => None,
        });
        // Of several the one that lets in the most is the way.
        agents
            .min_by_key(|(refuses, at, _)| (**refuses, *at))
            .map(|(_, at, name)| (at, format!("starts the agent {name}")))
    };
    deriver.enter(reads, &["what the agent reads can steer it"]);
}

fn artifacts(deriver: &mut Deriver<'_>) {
    let takes = |job: &Job, event: &Event| {
        let at = job.acts.iter().position(|act| act.what == What::Artifact)?;
        (event.name == "workflow_run").then(|| (at, "takes up what the other run left".to_owned()))
    };
    deriver.enter(takes, &[OF_PULL_REQUEST, "what was left is run, or trusted"]);
}

fn roles(deriver: &mut Deriver<'_>) {
    for job in deriver.estate.jobs.iter().filter(|job| job.has_identity) {
        for (act, at) in job.acts.iter().zip(1..) {
            let claim = "asks for an identity token and takes it".to_owned();
            let part = format!("job {}, step {at}", job.name);
            match &act.what {
                What::Role(arn) => {
                    let from = deriver.job(job);
                    let said = deriver.said(&job.workflow, &part, claim, &act.place);
                    role(deriver, job, (from, arn), (said, act));
                }
                What::Identity(cloud, name) => {
                    let (from, said) = (deriver.job(job), deriver.said(&job.workflow, &part, claim, &act.place));
                    // The same key as of whatever else names it: an app of Entra, or a name in that cloud.
                    let (key, named) = match *cloud {
                        "Azure" => (format!("entra/app/{name}"), format!("app {name}")),
                        _ => (format!("google/{name}"), format!("{cloud} identity {name}")),
                    };
                    let to = deriver.node(&key, &named, NodeKind::Inner, &act.place);
                    let assuming = vec![format!("{cloud} trusts the repository for {name}")];
                    deriver.step(from, to, vec![said], assuming);
                }
                _ => {}
            }
        }
    }
}

fn role(deriver: &mut Deriver<'_>, job: &Job, (from, arn): (usize, &str), (said, act): (Arc<Ground>, &Act)) {
    let Some(index) = deriver.aws.index_of(arn) else {
        let domain = crate::aws::Arn::parse(arn).map_or("", |arn| arn.account).into();
        let (source, line) = (act.place.source.clone(), Some(act.place.line));
        let node = Node { key: arn.to_owned(), name: arn.to_owned(), kind: NodeKind::Inner, domain, source, line };
        let to = deriver.steps.add_node(node);
        let step = Step { grounds: vec![said], missing: vec![DETAILS], ..Step::new(from, to, deriver.page) };
        return deriver.steps.push(step);
    };
    let Some(principal) = deriver.aws.principals.get(index) else { return };
    if let Some((statement, truth)) = trusted(deriver, job, (index, principal)) {
        let claim = format!("the trust policy of {} lets the repository in", principal.short());
        let grants = deriver.aws.grants().all([statement]);
        let open = match truth {
            Truth::Unknown => match subjects(deriver, statement) {
                none if none.is_empty() => vec![MAY_BE_KEPT_OUT.to_owned()],
                some => some,
            },
            _ => Vec::new(),
        };
        let ground = Arc::new(Ground { claim, grants, truth, open });
        deriver.step(from, index, vec![said, ground], Vec::new());
    }
}

/// The subjects that a statement asks for, as what stays open.
fn subjects(deriver: &Deriver<'_>, id: StatementId) -> Vec<String> {
    deriver.aws.statement(id).map(crate::aws::attack::conditions).unwrap_or_default()
}

/// The statement by which a role trusts tokens of the repository's workflows, unless something else keeps them out.
fn trusted(deriver: &Deriver<'_>, job: &Job, (at, role): (usize, &Principal)) -> Option<(StatementId, Truth)> {
    const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
    let issued = |named: &Named| matches!(named, Named::Federated(name) if issues_to_workflows(name));
    let federates =
        |statement: &Statement| matches!(&statement.principals, Some(Principals::Of(list)) if list.iter().any(issued));
    let trust = role.trust?;
    let evaluator = Evaluator::new(deriver.aws);
    let conditions: Vec<&Condition> =
        deriver.aws.statements(trust).flat_map(|(_, statement)| &statement.conditions).collect();
    let statements = deriver.aws.statements(trust).filter(|(_, statement)| {
        statement.effect == Effect::Allow && federates(statement) && statement.has_action(&ACTION.to_ascii_lowercase())
    });
    let judged = statements.map(|(id, statement)| {
        let held = |context: &Context| {
            let kept = evaluator.keeps_out(at, ACTION, issued, context);
            statement.conditions_hold(context).and(kept.negate())
        };
        (id, trusts(&conditions, job, held))
    });
    judged.filter(|(_, truth)| *truth != Truth::No).max_by_key(|(_, truth)| *truth)
}

/// Whether a statement holds for tokens of a job. Which branch a run is of is not known here.
fn trusts(conditions: &[&Condition], job: &Job, held: impl Fn(&Context) -> Truth) -> Truth {
    let held = |subject: Value| {
        let mut context = Context::default();
        for condition in conditions {
            if condition.key.ends_with(":sub") {
                context.set(&condition.key, subject.clone());
            } else if condition.key.ends_with(":aud") {
                context.set(&condition.key, Value::one("sts.amazonaws.com"));
            }
        }
        held(&context)
    };
    let Some(repository) = &job.repository else { return held(Value::Unknown) };
    let of = |rest: &str| held(Value::one(format!("repo:{repository}:{rest}")));
    match &job.environment {
        Some(environment) => of(&format!("environment:{environment}")),
        None => {
            let tried = [of("ref:refs/heads/main"), of("ref:refs/heads/some-other"), of("pull_request")];
            let any = Truth::any(tried);
            if any == Truth::No { Truth::No } else { any.and(Truth::all(tried).or(Truth::Unknown)) }
        }
    }
}

fn secrets(deriver: &mut Deriver<'_>) {
    for job in &deriver.estate.jobs {
        for (name, place) in &job.secrets {
            let from = deriver.job(job);
            let shown = format!("secret {name} of {}", job.home());
            let to = deriver.node(&job.key(&format!("secret/{name}")), &shown, NodeKind::Resource, place);
            let part = format!("job {}, secret {name}", job.name);
            let said = deriver.said(&job.workflow, &part, format!("the job is given {name}"), place);
            deriver.step(from, to, vec![said], Vec::new());
        }
    }
}

fn code(deriver: &mut Deriver<'_>) {
    for job in &deriver.estate.jobs {
        let Some(place) = &job.writes_code else { continue };
        let from = deriver.job(job);
        let to = deriver.node(&job.key("code"), &format!("the code of {}", job.home()), NodeKind::Resource, place);
        let part = format!("job {}, contents: write", job.name);
        let said = deriver.said(&job.workflow, &part, "the job's token may write contents".to_owned(), place);
        deriver.step(from, to, vec![said], Vec::new());
    }
}

fn publishes(deriver: &mut Deriver<'_>) {
    for job in &deriver.estate.jobs {
        for (package, place) in &job.publishes {
            let from = deriver.job(job);
            let to = deriver.package(package, place);
            let part = format!("job {}, publishing", job.name);
            let said = deriver.said(&job.workflow, &part, format!("publishes {package}"), place);
            deriver.step(from, to, vec![said], Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_on_the_event_alone_keeps_nobody_out() {
        assert!(!keeps("github.event_name == 'issue_comment'", "issue_comment"));
        assert!(!keeps("${{ always() }}", "issues"));
        assert!(keeps("github.event_name == 'push'", "issues"), "another event's");
        assert!(keeps("github.event_name != 'issues'", "issues"));
        assert!(keeps("github.event_name == 'issues' && github.event.sender.login == 'ann'", "issues"));
        assert!(keeps("github.event.comment.author_association == 'MEMBER'", "issue_comment"));
    }

    #[test]
    fn an_expression_of_another_event_is_empty() {
        let event =
            |name: &str| Event { name: name.into(), types: Vec::new(), place: Place { source: "".into(), line: 1 } };
        let text = "echo ${{ github.event.issue.title }}";
        assert!(written(text, &event("issues")).is_some());
        assert!(written(text, &event("pull_request_target")).is_none());
        assert!(written("echo $TITLE # github.event.issue.title", &event("issues")).is_none());
        for (expression, is) in [
            ("GitHub.Event['issue'].Title", true),
            ("toJSON( github.event.issue )", true),
            ("contains(github.event.issue.title, 'x') && github.event.issue.title || ''", true),
            ("contains(github.event.issue.title, 'x')", false),
            ("github.event.issue.title == 'x'", false),
            ("github.event.issue.number", false),
        ] {
            assert_eq!(
                written(&format!("echo ${{{{ {expression} }}}}"), &event("issues")).is_some(),
                is,
                "{expression}"
            );
        }
    }
}
