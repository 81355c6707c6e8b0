//! Judges labelled accounts: what of the truth is found, possible, missed or wrong, and why.
//!
//! `cargo xtask check-truth DIR` runs it. It reads two forms of truth: `NAME.truth.json` beside
//! `NAME.json` lists principals with what is expected of each; `truth.json` lists scenarios, each with
//! its account file, its principals in order and its target. Other accounts in the folder are only
//! timed. A folder of manifests is judged by the names of its files. Nothing here knows a name of any data.
//!
//! What is possible because nobody says which functions or instances there are is judged again with one of them that
//! runs as the role on the path: that shows whether anything else is lacking.

#[path = "check_truth/manifests.rs"]
mod manifests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use graph::aws::estate::Workload;
use graph::aws::evaluate::{Evaluator, Request};
use graph::aws::kinds;
use graph::aws::pattern::glob;
use graph::aws::policy::Choice;
use graph::aws::{Arn, Context, PrincipalKind, Truth, query, report};
use graph::step::paths::{self, Paths};
use graph::step::{NodeKind, Step};
use graph::world::{Goal, World};
use serde_json::Value as Json;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("check_truth: a folder of labelled accounts, please");
        return ExitCode::from(2);
    };
    let mut total = Score::default();
    for folder in folders(Path::new(&folder)) {
        total.add(&check(&folder));
    }
    println!("all: {total}");
    if total.missed + total.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Score {
    found: usize,
    possible: usize,
    /// Of the possible ones, those that are found with what they lack.
    supposed: usize,
    missed: usize,
    silent: usize,
    wrong: usize,
}

impl Score {
    fn add(&mut self, other: &Self) {
        self.found += other.found;
        self.possible += other.possible;
        self.supposed += other.supposed;
        self.missed += other.missed;
        self.silent += other.silent;
        self.wrong += other.wrong;
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { found, possible, supposed, missed, silent, wrong } = self;
        write!(
            f,
            "{found} found, {possible} possible ({supposed} of them found with what they lack), {missed} missed; \
             {silent} rightly silent, {wrong} wrong"
        )
    }
}

/// A folder with inventories, `NAME/*.json` for each account `NAME.json`, if a second argument names one.
fn inventories() -> Option<PathBuf> {
    std::env::args_os().nth(2).map(PathBuf::from)
}

/// The folder and those up to two levels below it.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = entries(root).into_iter().filter(|path| path.is_dir()).collect();
    let below: Vec<PathBuf> = folders.iter().flat_map(|folder| entries(folder)).filter(|path| path.is_dir()).collect();
    folders.extend(below);
    folders.insert(0, root.to_owned());
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn check(folder: &Path) -> Score {
    let mut total = manifests::check(folder);
    let scenarios = read(&folder.join("truth.json"));
    for file in entries(folder) {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.ends_with(".json") || name.ends_with("truth.json") {
            continue;
        }
        let labels = read(&file.with_extension("truth.json"));
        let scenario = scenarios.iter().find(|scenario| text(scenario, "gaad") == name);
        let case = Case::new(&file, inventories());
        if !labels.is_empty() {
            let score = case.check_labels(&labels);
            println!("{name}: {score}; {} ms", case.took.as_millis());
            total.add(&score);
        } else if let Some(scenario) = scenario {
            total.add(&case.check_scenario(&name, scenario));
        } else {
            case.print_unlabelled(&name);
        }
    }
    total
}

fn read(path: &Path) -> Vec<Json> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    serde_json::from_str::<Vec<Json>>(&text).unwrap_or_else(|error| {
        // Without its truth a folder would pass whatever was found.
        eprintln!("check_truth: `{}` is no list of labels: {error}", path.display());
        std::process::exit(2)
    })
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// Whether something is reached, how or why not, and what nobody says is there.
struct Verdict {
    truth: Truth,
    why: String,
    lacks: Vec<Workload>,
}

impl Verdict {
    fn new(truth: Truth, why: String) -> Self {
        Self { truth, why, lacks: Vec::new() }
    }
}

/// One account with everything that reaches administrator.
struct Case {
    files: Vec<PathBuf>,
    world: World,
    found: Paths,
    took: Duration,
    unread: usize,
}

impl Case {
    fn new(file: &Path, inventories: Option<PathBuf>) -> Self {
        let beside = inventories.map(|folder| folder.join(file.file_stem().unwrap_or_default()));
        let files: Vec<PathBuf> =
            [Some(file.to_owned()), beside.filter(|folder| folder.is_dir())].into_iter().flatten().collect();
        Self::load(files, &[])
    }

    /// The account, in which there are these as well and no others of their kinds.
    fn load(files: Vec<PathBuf>, supposed: &[Workload]) -> Self {
        let started = Instant::now();
        let mut loaded = connect::aws::load(&files, now());
        let unread = std::mem::take(&mut loaded.unread);
        loaded.estate.listed.extend(supposed.iter().map(|one| one.kind.clone()));
        loaded.estate.workloads.extend(supposed.iter().cloned());
        let world = loaded.world();
        let found = paths::find(&world.steps, &world.target(&Goal::Administrator), None);
        Self { files, world, found, took: started.elapsed(), unread: unread.len() }
    }

    fn supposing(&self, lacks: &[Workload]) -> Self {
        Self::load(self.files.clone(), lacks)
    }

    /// One of each thing that the steps of a path need and no inventory lists.
    fn lacks(&self, found: &Paths, steps: &[usize]) -> Vec<Workload> {
        let steps = steps.iter().filter_map(|step| found.steps.get(*step));
        let each = steps.flat_map(|step| step.missing.iter().map(move |missing| (step, missing.id)));
        each.filter_map(|(step, kind)| self.lacking(step, kinds::workload(kind)?)).collect()
    }

    fn lacking(&self, step: &Step, kind: &kinds::WorkloadKind) -> Option<Workload> {
        let account = self.world.aws.principals.get(step.from)?.account();
        let form = step.through.clone().unwrap_or_else(|| kind.arn.replace("{account}", account));
        let arn = self.named_like(&form).unwrap_or(form).replacen('*', "us-east-1", 1).replace('*', "supposed");
        // A cluster or a stream runs as nobody.
        let is_run = step.through.is_some() || kind.id == "ecs-task-definition";
        let role = self.world.aws.principals.get(step.to).map(|role| role.arn.clone()).filter(|_| is_run);
        Some(Workload { kind: kind.id.to_owned(), arn, role, source: "supposed".into(), line: None })
    }

    /// The name that AWS would refuse (`arn:aws:instance:…:instance/x`) and that stands for one of this form.
    fn named_like(&self, form: &str) -> Option<String> {
        let form = Arn::parse(form)?;
        let word = form.resource.split(['/', ':']).next()?;
        self.patterns().into_iter().find_map(|one| {
            let arn = Arn::parse(&one).filter(|arn| arn.service == word && arn.resource.starts_with(word))?;
            Some(Arn { service: form.service, ..arn }.to_string())
        })
    }

    /// The resources that policies of the file name.
    fn patterns(&self) -> Vec<String> {
        let statements = self.world.aws.policies.iter().flat_map(|policy| &policy.document.statements);
        let resources = statements.filter_map(|statement| match &statement.resources {
            Some(Choice::Of(patterns)) => Some(patterns),
            _ => None,
        });
        resources.flatten().map(|one| one.as_str().to_owned()).collect()
    }

    fn print_unlabelled(&self, name: &str) {
        println!(
            "{name}: no truth; {} principals, {} steps, {} administrators, {} paths to administrator, {} not readable; {} ms",
            self.world.aws.principals.len(),
            self.world.steps.steps.len(),
            self.world.steps.administrators.len(),
            self.found.paths.len(),
            self.unread,
            self.took.as_millis(),
        );
    }

    /// Whether a principal is or gets administrator, and how or why not.
    fn administers(&self, arn: &str) -> Verdict {
        let Some(index) = self.world.aws.index_of(arn) else {
            return Verdict::new(Truth::No, "not in the file".into());
        };
        if self.world.steps.administrators.contains(&index) {
            return Verdict::new(Truth::Yes, "is administrator".into());
        }
        match self.found.paths.iter().find(|path| path.from == index) {
            Some(path) => self.judged(&self.found, path),
            None => Verdict::new(Truth::No, self.grants(index)),
        }
    }

    fn judged(&self, found: &Paths, path: &paths::Path) -> Verdict {
        Verdict { truth: path.truth, why: self.steps(found, &path.steps), lacks: self.lacks(found, &path.steps) }
    }

    fn steps(&self, found: &Paths, steps: &[usize]) -> String {
        let edges = steps.iter().filter_map(|step| found.steps.get(*step));
        let step = |edge: &Step| {
            let missing: Vec<&str> = edge.missing.iter().map(|missing| missing.noun).collect();
            let missing =
                if missing.is_empty() { String::new() } else { format!(" [no inventory of {}]", missing.join(", ")) };
            let open: Vec<&String> = edge.grounds.iter().flat_map(|ground| &ground.open).collect();
            let open = if open.is_empty() { String::new() } else { format!(" [open: {open:?}]") };
            let assuming = if edge.truth == Truth::Unknown && missing.is_empty() {
                format!(" {:?}", edge.assuming)
            } else {
                String::new()
            };
            format!(
                "{} -> {}{missing}{open}{assuming}",
                edge.kind.id,
                self.world.steps.nodes.get(edge.to).map_or("the goal", |node| node.name.as_str())
            )
        };
        edges.map(step).collect::<Vec<_>>().join("; ")
    }

    fn grants(&self, index: usize) -> String {
        let grants = query::what_can(&self.world.aws, index);
        let text = report::grants(&self.world.aws, &grants);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).take(3).collect();
        format!("nothing leads on from: {}", lines.join(" | "))
    }

    fn check_labels(&self, labels: &[Json]) -> Score {
        let mut score = Score::default();
        let judged: Vec<(&Json, Verdict)> =
            labels.iter().map(|label| (label, self.administers(text(label, "arn")))).collect();
        // A scenario is met by the best of its principals: not each of them gets there by itself.
        let mut scenarios: BTreeMap<&str, Truth> = BTreeMap::new();
        for (label, verdict) in judged.iter().filter(|(label, _)| text(label, "expect") == "escalates") {
            let best = scenarios.entry(text(label, "scenario")).or_insert(Truth::No);
            *best = verdict.truth.or(*best);
        }
        let mut with_what_they_lack: BTreeSet<&str> = BTreeSet::new();
        for (label, verdict) in &judged {
            let arn = text(label, "arn");
            let is_met = scenarios.get(text(label, "scenario")).is_some_and(|best| *best != Truth::No);
            let word = match (text(label, "expect"), verdict.truth) {
                ("none", Truth::No) => {
                    score.silent += 1;
                    continue;
                }
                ("none", _) => {
                    score.wrong += 1;
                    "wrong"
                }
                (_, Truth::Yes) => {
                    score.found += 1;
                    "found"
                }
                (_, Truth::Unknown) => {
                    score.possible += 1;
                    "possible"
                }
                (_, Truth::No) if is_met => "beside",
                (_, Truth::No) => {
                    score.missed += 1;
                    "missed"
                }
            };
            println!("  {word:<8} {arn}: {}", verdict.why);
            let supposed = self.supposed(verdict, |case| case.administers(arn));
            score.supposed += supposed;
            if supposed > 0 && scenarios.get(text(label, "scenario")) == Some(&Truth::Unknown) {
                with_what_they_lack.insert(text(label, "scenario"));
            }
        }
        let count = |wanted: Truth| scenarios.values().filter(|truth| **truth == wanted).count();
        let (yes, unknown) = (count(Truth::Yes), count(Truth::Unknown));
        println!(
            "  scenarios (one of the labelled principals): {yes} found, {unknown} possible ({} of them found with what \
             they lack), of {}",
            with_what_they_lack.len(),
            scenarios.len()
        );
        score
    }

    /// Whether what is possible is found with what it lacks, as a number; says so.
    fn supposed(&self, verdict: &Verdict, again: impl Fn(&Self) -> Verdict) -> usize {
        if verdict.truth != Truth::Unknown || verdict.lacks.is_empty() {
            return 0;
        }
        let each = verdict.lacks.iter().map(|one| {
            let role = one.role.as_ref().map(|role| format!(" that runs as {role}")).unwrap_or_default();
            format!("{}{role}", one.arn)
        });
        let found = again(&self.supposing(&verdict.lacks)).truth == Truth::Yes;
        let word = if found { "found" } else { "still only possible" };
        println!("           {word} with {}", each.collect::<Vec<_>>().join(" and "));
        usize::from(found)
    }

    fn judge(&self, scenario: &Json, listed: &[&str]) -> Verdict {
        match text(scenario, "target") {
            _ if listed.is_empty() => self.exposed_administrator(),
            "to-bucket" => self.reaches_bucket(listed),
            _ => self.escalates(listed),
        }
    }

    fn check_scenario(&self, name: &str, scenario: &Json) -> Score {
        let listed: Vec<&str> = scenario
            .get("principals")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let verdict = self.judge(scenario, &listed);
        let mut score = Score::default();
        let word = match verdict.truth {
            Truth::Yes => {
                score.found = 1;
                "found"
            }
            Truth::Unknown => {
                score.possible = 1;
                "possible"
            }
            Truth::No => {
                score.missed = 1;
                "missed"
            }
        };
        println!("  {word:<8} {name}: {}", verdict.why);
        score.supposed = self.supposed(&verdict, |case| case.judge(scenario, &listed));
        let on_the_way = self.on_the_way(&listed);
        for path in self.found.paths.iter().filter(|path| path.truth == Truth::Yes) {
            let Some(principal) = self.world.aws.principals.get(path.from) else { continue };
            if on_the_way.contains(&path.from) {
                continue;
            }
            if !listed.iter().any(|wanted| matches(wanted, &principal.arn)) {
                // Names of labels drift from those of files; a principal is wrong only beside its own start.
                let start_is_here = listed.first().is_some_and(|first| {
                    self.world.aws.principals.iter().any(|principal| matches(first, &principal.arn))
                });
                score.wrong += usize::from(start_is_here);
                let word = if start_is_here { "wrong" } else { "beside" };
                println!("    {word}: {} {}", principal.short(), self.steps(&self.found, &path.steps));
            } else if text(scenario, "target") == "to-bucket" {
                println!(
                    "    beyond the label: {} also becomes administrator: {}",
                    principal.short(),
                    self.steps(&self.found, &path.steps)
                );
            }
        }
        score
    }

    /// What lies on the paths of the labelled principals: whoever stands there goes the rest of their way.
    fn on_the_way(&self, listed: &[&str]) -> BTreeSet<usize> {
        let is_listed = |from: usize| {
            let principal = self.world.aws.principals.get(from);
            principal.is_some_and(|one| listed.iter().any(|wanted| matches(wanted, &one.arn)))
        };
        let paths = self.found.paths.iter().filter(|path| is_listed(path.from));
        paths.flat_map(|path| &path.steps).filter_map(|step| Some(self.found.steps.get(*step)?.to)).collect()
    }

    /// Who starts: the first listed principal that the file has; all of them when it has none.
    fn start(&self, listed: &[&str]) -> (Vec<usize>, bool) {
        let principals = || self.world.aws.principals.iter().enumerate();
        for wanted in listed {
            let hits: Vec<usize> = principals()
                .filter(|(index, principal)| {
                    principal.kind != PrincipalKind::Group
                        && self.world.steps.nodes.get(*index).is_some_and(|node| node.kind != NodeKind::Inner)
                        && matches(wanted, &principal.arn)
                })
                .map(|(index, _)| index)
                .collect();
            if !hits.is_empty() {
                return (hits, true);
            }
        }
        (
            principals()
                .filter(|(_, principal)| principal.kind == PrincipalKind::User)
                .map(|(index, _)| index)
                .collect(),
            false,
        )
    }

    fn escalates(&self, listed: &[&str]) -> Verdict {
        let (starts, here) = self.start(listed);
        let best = starts
            .iter()
            .filter_map(|start| self.world.aws.principals.get(*start))
            .map(|one| self.administers(&one.arn));
        let best = best.max_by_key(|verdict| verdict.truth);
        let best = best.unwrap_or_else(|| Verdict::new(Truth::No, "no start in the file".into()));
        Verdict { why: best.why.clone() + note(here), ..best }
    }

    fn reaches_bucket(&self, listed: &[&str]) -> Verdict {
        let (starts, here) = self.start(listed);
        let mut best = Verdict::new(Truth::No, "the start reaches no bucket".into());
        for bucket in self.buckets(listed) {
            let goal = Goal::Resource { action: "s3:GetObject".into(), arn: format!("{bucket}/tried") };
            for start in &starts {
                let found = paths::find(&self.world.steps, &self.world.target(&goal), Some(*start));
                let verdict = match found.paths.first() {
                    Some(path) => self.judged(&found, path),
                    None => self.by_bucket_policy(*start, &bucket),
                };
                if verdict.truth > best.truth || best.truth == Truth::No {
                    best = Verdict { why: verdict.why.clone() + note(here), ..verdict };
                }
            }
        }
        best
    }

    /// A principal within reach whose access hangs only on a bucket policy that no file holds.
    fn by_bucket_policy(&self, start: usize, bucket: &str) -> Verdict {
        let evaluator = Evaluator::new(&self.world.aws);
        let context = Context::default();
        let object = format!("{bucket}/tried");
        let reached = (0..self.world.aws.principals.len()).filter(|index| {
            *index != start
                && !paths::find(&self.world.steps, &self.world.target(&Goal::Node(*index)), Some(start))
                    .paths
                    .is_empty()
        });
        for index in reached {
            let answer = evaluator.decide(&Request::new(index, "s3:GetObject", &object, &context));
            if answer.could_be() == Truth::Unknown {
                let name = self.world.aws.principals.get(index).map_or("", |principal| principal.short());
                return Verdict::new(
                    Truth::Unknown,
                    format!("reaches {name}; [no inventory of bucket policies: {}]", answer.gaps.join("; ")),
                );
            }
        }
        Verdict::new(Truth::No, self.grants(start))
    }

    /// The labelled buckets under the names that the file's policies give them; else all of the file's.
    fn buckets(&self, listed: &[&str]) -> Vec<String> {
        let patterns = self.patterns();
        let mut named: Vec<String> =
            patterns.iter().map(|one| one.split('/').next().unwrap_or_default().to_owned()).collect();
        named.retain(|name| is_bucket(name) && !name.ends_with('*'));
        named.sort();
        named.dedup();
        let labelled: Vec<&&str> = listed.iter().filter(|one| is_bucket(one)).take(1).collect();
        let hits: Vec<String> = named
            .iter()
            .filter(|name| labelled.iter().any(|one| glob(&format!("{}*", open(one)), name)))
            .cloned()
            .collect();
        if !hits.is_empty() {
            return hits;
        }
        // Names of labels drift from those of files: where the labelled one is not there, any that is counts.
        if named.is_empty() { labelled.iter().map(|one| open(one).replace('*', "x")).collect() } else { named }
    }

    /// A misconfiguration without a start: a role that instances hold and that is administrator.
    fn exposed_administrator(&self) -> Verdict {
        let administrators =
            self.world.steps.administrators.iter().filter_map(|index| self.world.aws.principals.get(*index));
        match administrators.into_iter().find(|role| !role.instance_profiles.is_empty()) {
            Some(role) => Verdict::new(
                Truth::Yes,
                format!("{} is administrator and has an instance profile (no start is labelled)", role.short()),
            ),
            None => Verdict::new(Truth::No, "no administrator has an instance profile".into()),
        }
    }
}

fn note(is_start_there: bool) -> &'static str {
    if is_start_there { "" } else { " (the labelled start is not in the file; any user counts)" }
}

fn is_bucket(arn: &str) -> bool {
    Arn::parse(arn).is_some_and(|arn| arn.service == "s3")
}

/// A labelled name in which `{…}` stands for anything, against an ARN.
fn matches(label: &str, arn: &str) -> bool {
    Arn::parse(label).is_some() && glob(&open(label), arn)
}

fn open(label: &str) -> String {
    let mut text = String::new();
    let mut rest = label;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push('*');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
