//! `bailiwick can`, `who-can` and `what-can`.

mod cluster;

use std::path::PathBuf;
use std::process::ExitCode;

use graph::aws::evaluate::{Evaluator, Request};
use graph::aws::{Context, Truth, Value, query, report};
use graph::step::FindError;

use crate::format::Format;
use crate::output;

/// Ask whether a principal may do something, and why.
///
/// The files decide what is asked: an account's (`can ann s3:GetObject arn:aws:s3:::b/x account.json`) or a
/// cluster's (`can serviceaccount/web/agent create pods/exec manifests/ -n web`).
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 yes, 1 no, 3 it depends on what the files do not say, 2 it could not run.

Examples:
  bailiwick can ann s3:GetObject arn:aws:s3:::payroll/x account.json bucket-policy.json
  bailiwick can role/agent kms:Decrypt 'arn:aws:kms:eu-west-1:111122223333:key/1' account.json --context aws:SourceVpc=vpc-1
  bailiwick can serviceaccount/web/agent create pods/exec manifests/ -n web

A resource's own policy is read from what `aws s3api get-bucket-policy` and its like answer, or from \
`{\"ResourcePolicies\": {\"ARN\": {…}}}`; those of an organisation from what its policies' listings answer.")]
pub(crate) struct Args {
    /// An ARN, `user/alice`, `serviceaccount/NAMESPACE/NAME`, or a name that only one principal has.
    principal: String,
    /// For example `s3:GetObject`; in a cluster a verb, for example `create`.
    action: String,
    /// The resource's ARN, or `*`; in a cluster RESOURCE[.GROUP][/SUBRESOURCE][:NAME], or a path as `/metrics`.
    resource: String,
    #[command(flatten)]
    input: Input,
}

/// Ask who may do something, and why.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick who-can s3:GetObject arn:aws:s3:::payroll/x account.json bucket-policy.json
  bailiwick who-can sts:AssumeRole arn:aws:iam::111122223333:role/deploy account.json
  bailiwick who-can escalate clusterroles manifests/

Those outside of the files whom the resource's own policy lets in are told besides.

Exit codes: 0 answered, also where nobody can; 2 it could not run.")]
pub(crate) struct WhoArgs {
    /// For example `s3:GetObject`; in a cluster a verb, for example `create`.
    action: String,
    /// The resource's ARN, or `*`; in a cluster RESOURCE[.GROUP][/SUBRESOURCE][:NAME], or a path as `/metrics`.
    resource: String,
    #[command(flatten)]
    input: Input,
}

/// Ask what a principal's policies grant it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick what-can user/ann account.json
  bailiwick what-can serviceaccount/web/agent manifests/

Exit codes: 0 answered, 2 it could not run.")]
pub(crate) struct WhatArgs {
    /// An ARN, `user/alice`, `serviceaccount/NAMESPACE/NAME`, or a name that only one principal has.
    principal: String,
    #[command(flatten)]
    input: Input,
}

#[derive(clap::Args)]
struct Input {
    /// Account authorization details, inventories, organisation files, Terraform plans, CloudFormation
    /// templates, Kubernetes objects, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The namespace of the question; without it the whole cluster.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A condition key of the request; repeat it for more.
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.input.files)?;
    let estate = loaded.estate;
    let principal = match estate.find(&args.principal) {
        Err(FindError::Nobody(_)) if !loaded.cluster.is_empty() => {
            anyhow::ensure!(
                !args.resource.starts_with("arn:"),
                "`{0}` is of the cluster, and `{1}` is asked of a cloud: `bailiwick paths FILE… --from {0} --to {2}` says \
                 what it gets there, and how",
                args.principal,
                args.action,
                args.resource
            );
            let question = cluster::Question::new(&args.action, &args.resource, args.input.namespace.as_deref());
            return cluster::can(&loaded.cluster, &args.principal, &question, args.input.format);
        }
        found => found?,
    };
    named(&args.action)?;
    let context = context(&args.input.context)?;
    let answer = Evaluator::new(&estate).decide(&Request::new(principal, &args.action, &args.resource, &context));
    match args.input.format {
        Format::Json => say!("{:#}", report::answer_json(&estate, &answer))?,
        Format::Text => {
            let question = format!("{} {} on {}", args.principal, args.action, args.resource);
            output::print(&report::answer(&estate, &question, &answer))?;
        }
    }
    Ok(exit(answer.verdict))
}

/// Yes, no and unknown as a program reads them.
fn exit(verdict: Truth) -> ExitCode {
    ExitCode::from(match verdict {
        Truth::Yes => 0,
        Truth::No => 1,
        Truth::Unknown => 3,
    })
}

pub(crate) fn who(args: &WhoArgs) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.input.files)?;
    let estate = loaded.estate;
    if !args.action.contains(':') && !loaded.cluster.is_empty() {
        let question = cluster::Question::new(&args.action, &args.resource, args.input.namespace.as_deref());
        return cluster::who(&loaded.cluster, &question, args.input.format);
    }
    named(&args.action)?;
    let context = context(&args.input.context)?;
    let found = query::who_can(&estate, &args.action, &args.resource, &context);
    let outside = query::who_can_outside(&estate, &args.action, &args.resource, &context);
    let named = found.iter().filter_map(|(index, answer)| Some((estate.principals.get(*index)?, answer)));
    if args.input.format == Format::Json {
        let one = |principal: &str, answer: &_| serde_json::json!({"principal": principal, "answer": report::answer_json(&estate, answer)});
        let inside = named.map(|(principal, answer)| one(&principal.arn, answer));
        let answers = inside.chain(outside.iter().map(|(name, answer)| one(name, answer)));
        say!("{:#}", serde_json::Value::Array(answers.collect()))?;
    } else {
        for (principal, answer) in named {
            output::print(&report::answer(&estate, principal.short(), answer))?;
        }
        for (name, answer) in &outside {
            output::print(&report::answer(&estate, &format!("{name}, from outside of the files"), answer))?;
        }
        say!("{} of the files' principals can {} on {}, or could", found.len(), args.action, args.resource)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn what(args: &WhatArgs) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.input.files)?;
    let estate = loaded.estate;
    let principal = match estate.find(&args.principal) {
        Err(FindError::Nobody(_)) if !loaded.cluster.is_empty() => {
            return cluster::what(&loaded.cluster, &args.principal, args.input.format);
        }
        found => found?,
    };
    let grants = query::what_can(&estate, principal);
    match args.input.format {
        Format::Json => say!("{:#}", report::grants_json(&estate, &grants))?,
        Format::Text => output::print(&report::grants(&estate, &grants))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the files and says on standard error what could not be read.
pub(crate) fn load(files: &[PathBuf]) -> anyhow::Result<connect::aws::Loaded> {
    let loaded = unsaid(files);
    super::estate::said(&loaded.unread);
    usable(loaded)
}

/// The same for whoever says what could not be read.
pub(crate) fn unsaid(files: &[PathBuf]) -> connect::aws::Loaded {
    connect::aws::load(files, jiff::Timestamp::now().as_second())
}

pub(crate) fn usable(loaded: connect::aws::Loaded) -> anyhow::Result<connect::aws::Loaded> {
    anyhow::ensure!(loaded.files > 0, "none of the files could be used");
    Ok(loaded)
}

/// An action of a cloud has a service: without one it would match whatever allows everything, and mean nothing.
fn named(action: &str) -> anyhow::Result<()> {
    let whole = action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
    anyhow::ensure!(
        whole || action == "*",
        "`{action}` is no action: write SERVICE:ACTION, for example `s3:GetObject`"
    );
    Ok(())
}

fn context(pairs: &[String]) -> anyhow::Result<Context> {
    let mut context = Context::default();
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or_else(|| anyhow::anyhow!("`{pair}` is not KEY=VALUE"))?;
        context.set(key, Value::one(value));
    }
    Ok(context)
}
