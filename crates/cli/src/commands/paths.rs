//! `bailiwick paths`.

pub(crate) mod joined;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use connect::hunk;
use graph::Unread;
use graph::aws::{self, Arn, Estate};
use graph::kubernetes::{self, Evaluator};
use graph::step::report::View;
use graph::step::{FindError, Grant, paths};
use graph::world::{self, Goal, World};

use super::can::{unsaid, usable};
use super::estate::said;
use crate::format::Format;
use crate::home::Home;
use crate::output;
use crate::progress;

/// Find every attack path, and the grants whose absence ends most.
///
/// Without files: over the graph of the last `scan` or `up`, from where outsiders stand through agents, servers,
/// secrets and identities to what matters. With files: over the cloud principals that the files describe alone.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 no path, 1 a path exists, 2 it could not run.

Examples:
  bailiwick paths                                  from outside to secrets, stores, homes and administrators
  bailiwick paths --from outsiders --to admin      from whoever writes what agents read to cloud administrators
  bailiwick paths --from agents --to GITHUB_TOKEN  which agents get at a secret
  bailiwick paths --format json                    every path with its evidence, every choke point with its patch
  bailiwick paths account.json --to admin          over one cloud export alone
  bailiwick paths .github/workflows account.json   which roles those take who may open a pull request or an issue
  bailiwick paths consents.json --to data          which apps read whose mail and files (Microsoft Graph's answers)")]
pub(crate) struct Args {
    /// Account authorization details, inventories, organisation files, Terraform plans, CloudFormation templates,
    /// Kubernetes objects, KubeHound's dumps, CloudTrail's records, a cluster's audit log, consents of a directory,
    /// registries' answers, workflows; packed or not, or folders of them.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only from here: `outside`, `outsiders`, `agents`, `insiders`, or the name or id of anything; with files a principal.
    #[arg(long, value_name = "START")]
    from: Option<String>,
    /// `jewels`, `admin`, `data`, or the name or id of anything; with files `admin` (or `data` where
    /// they hold no account and no cluster), `data` (mail, files, secrets, code), a principal or an ARN.
    #[arg(long, value_name = "GOAL")]
    to: Option<String>,
    /// The action on a resource; by default the one that reads it.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// One witness for each path, not one for each story.
    #[arg(long)]
    all: bool,
    /// How to print the paths.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Exit code 1 when a path exists, so that a pipeline can stop on it.
pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    if args.files.is_empty() {
        let from = args.from.as_deref().unwrap_or("outside");
        let to = args.to.as_deref().unwrap_or("jewels");
        return joined::run(home, &joined::Wanted { from, to, all: args.all, format: args.format });
    }
    let to_data = || {
        let from = args.from.as_deref().unwrap_or("everyone");
        let wanted = joined::Wanted { from, to: "data", all: args.all, format: args.format };
        joined::over_files(home, &args.files, &wanted)
    };
    if args.to.as_deref() == Some("data") {
        return to_data();
    }
    let (world, unread) = progress::of("reading the accounts", || read(&args.files))?;
    if args.to.is_none() && !has_administrators(&world) {
        // What could not be read is said there.
        return to_data();
    }
    said(&unread);
    let target = world.target(&goal(&world, args)?);
    let from = args.from.as_deref().map(|from| world.steps.find(from)).transpose()?;
    let found = progress::of("looking for paths", || paths::find(&world.steps, &target, from));
    let hunks = Hunks::default();
    let patch = |grant: &Grant| hunks.of(grant, &world.aws);
    let cluster = Evaluator::new(&world.cluster);
    let gaps = cluster.gaps();
    let grants = world.aws.grants();
    // Without records nothing is decided for them.
    let of_account = (!world.aws.calls.is_empty()).then(|| aws::observed::Uses::new(&world.aws));
    let of_cluster = kubernetes::observed::Uses::new(&cluster);
    let observed = |id| match grants.statement(id) {
        Some(statement) => of_account.as_ref()?.told(statement),
        None => of_cluster.told(world.steps.grant(id)?),
    };
    let unobserved = graph::observed::lacking(&world);
    let view = View {
        steps: &world.steps,
        target: &target,
        found: &found,
        patch: &patch,
        observed: &observed,
        unobserved: unobserved.as_deref(),
        gaps: &gaps,
    };
    match args.format {
        Format::Json => say!("{:#}", view.json())?,
        Format::Text => output::print(&view.text(args.all))?,
    }
    Ok(if found.paths.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What takes grants out of the files that they stand in, or revokes them; each file is read once.
#[derive(Default)]
struct Hunks(RefCell<BTreeMap<Arc<str>, Option<hunk::File>>>);

impl Hunks {
    fn of(&self, grant: &Grant, estate: &Estate) -> Option<String> {
        if let Some(arn) = grant.arn.as_deref().filter(|arn| arn.contains(":iam::aws:policy/")) {
            return self.detaching(arn, estate);
        }
        self.read(&grant.source, |file| Some(file.patch(grant.line?)?.text))
    }

    /// AWS owns the policy: it is taken from those who have it.
    fn detaching(&self, policy: &str, estate: &Estate) -> Option<String> {
        let mut holders: BTreeMap<&Arc<str>, Vec<&str>> = BTreeMap::new();
        for holder in estate.principals.iter().filter(|one| one.attached.iter().any(|arn| arn == policy)) {
            holders.entry(&holder.source).or_default().push(&holder.arn);
        }
        let commands = holders.iter().map(|(source, arns)| self.read(source, |file| file.detaching(arns, policy)));
        commands.collect::<Option<String>>().filter(|commands| !commands.is_empty())
    }

    fn read<T>(&self, source: &Arc<str>, of: impl FnOnce(&hunk::File) -> Option<T>) -> Option<T> {
        let mut files = self.0.borrow_mut();
        let read = || hunk::File::read(Path::new(source.as_ref()), source);
        of(files.entry(source.clone()).or_insert_with(read).as_ref()?)
    }
}

/// Whether there is a cloud account or a cluster, which alone have administrators.
fn has_administrators(World { aws, cluster, .. }: &World) -> bool {
    !aws.principals.is_empty() || !cluster.roles.is_empty() || !cluster.accounts.is_empty() || !cluster.pods.is_empty()
}

fn read(files: &[PathBuf]) -> anyhow::Result<(World, Vec<Unread>)> {
    let mut loaded = unsaid(files);
    let unread = std::mem::take(&mut loaded.unread);
    if loaded.files == 0 {
        said(&unread);
    }
    Ok((usable(loaded)?.world(), unread))
}

fn goal(world: &World, args: &Args) -> anyhow::Result<Goal> {
    let to = args.to.as_deref().unwrap_or("admin");
    if to == "admin" {
        return Ok(Goal::Administrator);
    }
    let named = world.steps.find(to);
    if let (None, Ok(node)) = (&args.action, &named) {
        return Ok(Goal::Node(*node));
    }
    let Some(arn) = Arn::parse(to) else {
        // A name that many have is one, and which of them is meant is to be said.
        return Err(match named {
            Err(several @ FindError::Several(..)) => several.into(),
            _ => anyhow::anyhow!("`{to}` is neither a principal nor an ARN"),
        });
    };
    let (action, form) = world::reading(&arn);
    Ok(Goal::Resource { action: args.action.clone().unwrap_or(action), arn: form })
}
