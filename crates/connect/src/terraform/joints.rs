//! What a plan's workloads are joined to: guardrails, knowledge bases and their buckets, tools, images, sources, URLs.

use graph::aws::estate::Joint;

use super::plan::{Plan, Resource, Target, within};
use super::written;
use crate::aws::{Reader, joint, text};
use crate::document::Node;

pub(super) fn read(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    match resource.kind.as_str() {
        "aws_lambda_function_url" if text(&resource.values, "authorization_type") == Some("NONE") => {
            for function in made(plan, resource, (&["function_name"], "aws_lambda_function")) {
                join(reader, plan, resource, (&function, "public-url", function.clone()));
            }
        }
        "aws_bedrockagent_agent" => {
            for guardrail in ids(plan, resource, (&["guardrail_configuration", "guardrail_identifier"], "guardrail")) {
                join(reader, plan, resource, (&plan.arn(resource), "guardrail", guardrail));
            }
        }
        "aws_bedrockagent_agent_knowledge_base_association" => knowledge(reader, plan, resource),
        "aws_bedrockagent_agent_action_group" => {
            let tools = plan.texts(resource, &["action_group_executor", "lambda"]);
            for agent in made(plan, resource, (&["agent_id"], "aws_bedrockagent_agent")) {
                for tool in &tools {
                    join(reader, plan, resource, (&agent, "tool", tool.clone()));
                }
            }
        }
        "aws_lambda_function" => image(reader, plan, resource, &["image_uri"]),
        "aws_bedrockagentcore_agent_runtime" => {
            image(reader, plan, resource, &["agent_runtime_artifact", "container_configuration", "container_uri"]);
        }
        "aws_codebuild_project" => {
            let location = within(&resource.values, &["source", "location"]).and_then(Node::text);
            if let Some(arn) = location.and_then(|location| joint::source(location, &plan.account)) {
                join(reader, plan, resource, (&plan.arn(resource), "source", arn));
            }
        }
        _ => {}
    }
}

/// An agent's knowledge base, and the buckets that it is filled from.
fn knowledge(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let agents = made(plan, resource, (&["agent_id"], "aws_bedrockagent_agent"));
    let bases = ids(plan, resource, (&["knowledge_base_id"], "knowledge-base"));
    let sources = plan.made().filter(|one| one.kind == "aws_bedrockagent_data_source");
    let mut buckets: Vec<(&Resource, String)> = Vec::new();
    for source in sources {
        let of = ids(plan, source, (&["knowledge_base_id"], "knowledge-base"));
        let path = ["data_source_configuration", "s3_configuration", "bucket_arn"];
        if of.iter().any(|base| bases.contains(base)) {
            buckets.extend(plan.texts(source, &path).into_iter().map(|bucket| (source, joint::objects(&bucket))));
        }
    }
    for agent in agents {
        for base in &bases {
            join(reader, plan, resource, (&agent, "knowledge-base", base.clone()));
        }
        for (source, bucket) in &buckets {
            join(reader, plan, source, (&agent, "knowledge-bucket", bucket.clone()));
        }
    }
}

/// The ARNs of what the plan makes of a type and an attribute refers to; by name or id where it is known already.
fn made(plan: &Plan, resource: &Resource, (path, kind): (&[&str], &str)) -> Vec<String> {
    let of = |target: &Target<'_>| match target {
        Target::Of(of, _) if of.kind == kind => Some(plan.arn(of)),
        Target::Of(..) | Target::Open(_) => None,
        Target::Text(text) => {
            let same = |one: &&Resource| {
                one.kind == kind && (one.label() == text || one.name == *text || plan.arn(one) == *text)
            };
            plan.made().find(same).map(|one| plan.arn(one))
        }
    };
    plan.targets(resource, path).iter().filter_map(of).collect()
}

/// The ARNs of what Bedrock knows by an id.
fn ids(plan: &Plan, resource: &Resource, (path, word): (&[&str], &str)) -> Vec<String> {
    let id = |target: &Target<'_>| match target {
        Target::Text(text) => Some(text.clone()),
        Target::Of(of, _) => Some(of.label().to_owned()),
        Target::Open(_) => None,
    };
    let whole = |id: String| match id.starts_with("arn:") {
        true => id,
        false => format!("arn:{}:bedrock:{}:{}:{word}/{id}", plan.partition, plan.region, plan.account),
    };
    plan.targets(resource, path).iter().filter_map(id).map(whole).collect()
}

fn image(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource, path: &[&str]) {
    let images = plan.targets(resource, path);
    let repository = |target: &Target<'_>| match target {
        Target::Text(text) => joint::repository(text),
        Target::Of(of, _) if of.kind == "aws_ecr_repository" => Some(plan.arn(of)),
        Target::Of(..) | Target::Open(_) => None,
    };
    for repository in images.iter().filter_map(repository) {
        join(reader, plan, resource, (&plan.arn(resource), "image", repository));
    }
}

fn join(reader: &mut Reader<'_>, plan: &Plan, at: &Resource, (workload, relation, resource): (&str, &str, String)) {
    let (source, line) = written(reader, plan, at);
    let (workload, relation) = (workload.to_owned(), relation.to_owned());
    reader.estate.joints.push(Joint { workload, relation, resource, source, line: Some(line) });
}
