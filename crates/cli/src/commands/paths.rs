//! `bailiwick paths`.

use std::path::PathBuf;
use std::process::ExitCode;

use graph::aws::Arn;
use graph::step::paths;
use graph::step::report::View;
use graph::world::{self, Goal, World};

use super::can::{Format, load};

/// Find every way to administrator, to a principal or to a resource, and the grants that stop most.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Account authorization details, inventories, organisation files, Terraform plans, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only from this principal.
    #[arg(long, value_name = "PRINCIPAL")]
    from: Option<String>,
    /// `admin`, a principal, or a resource's ARN.
    #[arg(long, default_value = "admin", value_name = "GOAL")]
    to: String,
    /// The action on a resource; by default the one that reads it.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// One witness for each start, not one for each story.
    #[arg(long)]
    all: bool,
    /// How to print the paths.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Exit code 1 when a path exists, so that a pipeline can stop on it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let world = World::derive(load(&args.files)?.estate);
    let target = world.target(&goal(&world, args)?);
    let from = args.from.as_deref().map(|from| world.steps.find(from)).transpose()?;
    let found = paths::find(&world.steps, &target, from);
    let view = View { steps: &world.steps, target: &target, found: &found };
    match args.format {
        Format::Json => println!("{:#}", view.json()),
        Format::Text => print!("{}", view.text(args.all)),
    }
    Ok(if found.paths.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn goal(world: &World, args: &Args) -> anyhow::Result<Goal> {
    if args.to == "admin" {
        return Ok(Goal::Administrator);
    }
    if args.action.is_none()
        && let Ok(node) = world.steps.find(&args.to)
    {
        return Ok(Goal::Node(node));
    }
    let arn = Arn::parse(&args.to).ok_or_else(|| anyhow::anyhow!("`{}` is neither a principal nor an ARN", args.to))?;
    let (action, form) = world::reading(&arn);
    Ok(Goal::Resource { action: args.action.clone().unwrap_or(action), arn: form })
}
