//! A plan's resources, and where the references of its configuration lead.
//!
//! A reference is followed through module inputs and outputs, `each` and `count` to the resource that will have the
//! value. It never guesses: what only the `.tf` files say (a local, a function's result) is [`Target::Open`].

use std::collections::BTreeMap;

use super::files::Files;
use super::home::home;
use super::state;
use crate::aws::{Moment, text};
use crate::budget::Budget;
use crate::document::{Node, Value};
use crate::hcl::{Expression, Part};

/// The region of what a plan makes when nothing in it names one.
const USUAL_REGION: &str = "us-east-1";

/// How many references are followed one after another. Modules nest less deeply; more is a circle.
const DEPTH_MAX: u32 = 24;

/// A planned resource or a data source.
pub(super) struct Resource {
    /// Its module's instance with a dot at the end, `module.team["a"].`; empty for the root.
    pub(super) module: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// As an address writes it: `0` or `"a"`.
    pub(super) index: Option<String>,
    pub(super) is_data: bool,
    pub(super) values: Node,
    pub(super) node: Node,
}

impl Resource {
    /// Its address as Terraform prints it.
    pub(super) fn address(&self) -> String {
        let index = self.index.as_ref().map(|index| format!("[{index}]")).unwrap_or_default();
        let data = if self.is_data { "data." } else { "" };
        format!("{}{data}{}.{}{index}", self.module, self.kind, self.name)
    }

    /// Where the configuration speaks of it.
    pub(super) fn plain(&self) -> String {
        without_indexes(&self.address())
    }

    /// The name that it will have or, if that is made up later, the one it has in the configuration.
    pub(super) fn label(&self) -> &str {
        let keys = [
            "name",
            "function_name",
            "service_name",
            "agent_name",
            "bucket",
            "code_interpreter_name",
            "agent_runtime_name",
        ];
        keys.iter().find_map(|key| text(&self.values, key)).unwrap_or(&self.name)
    }
}

/// What a reference leads to.
pub(super) enum Target<'p> {
    /// A value.
    Text(String),
    /// An attribute of what the plan makes or reads; empty for the whole of it.
    Of(&'p Resource, String),
    /// A reference that the plan does not explain.
    Open(String),
}

pub(super) struct Plan {
    pub(super) partition: String,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) resources: Vec<Resource>,
    /// The `.tf` files beside it.
    pub(super) files: Files,
    pub(super) budget: Budget,
    /// Whether its values are what Terraform makes of a plan: what they do not know they leave out.
    is_whole: bool,
    configuration: Configuration,
}

/// Expressions by plain address.
#[derive(Default)]
struct Configuration {
    resources: BTreeMap<String, Node>,
    /// What a module's caller gives it, by the module's path and the input's name.
    inputs: BTreeMap<(String, String), Node>,
    /// What a module gives back, likewise.
    outputs: BTreeMap<(String, String), Node>,
    /// The values of the root's variables.
    variables: BTreeMap<String, Node>,
    /// What `for_each` goes over, by the plain address of the resource or the module's path.
    each: BTreeMap<String, Node>,
}

/// Where a reference stands: in a module's instance, perhaps in one of several instances of a resource, or of what a
/// module's caller gives it.
#[derive(Clone, Copy)]
struct Scope<'s> {
    module: &'s str,
    /// The index of the instance, as an address writes it.
    key: Option<&'s str>,
    /// What there are several of: the resource's address or the module's path.
    of: &'s str,
    depth: u32,
}

impl<'s> Scope<'s> {
    fn of(resource: &'s Resource, plain: &'s str) -> Self {
        Self { module: &resource.module, key: resource.index.as_deref(), of: plain, depth: 0 }
    }
}

impl Plan {
    /// The plan of a document's root; nothing when the document is none. Of a state, which plans nothing, there is no
    /// moment before. `known` is the partition and the account that other files are about, and asked of a plan alone.
    pub(super) fn of(root: &Node, moment: Moment, known: impl FnOnce() -> Option<(String, String)>) -> Option<Self> {
        let kept = state::resources(root);
        let is_kept = kept.is_some();
        let mut resources = kept.unwrap_or_default();
        // A state that `terraform show -json` prints has values where a plan has what it plans.
        let shown = root.get("values").filter(|_| root.get("terraform_version").is_some());
        let planned = root.get("planned_values").or(shown).or_else(|| root.get("resources").filter(|_| is_kept))?;
        let prior = root.get("prior_state").and_then(|state| state.get("values"));
        let read = match moment {
            Moment::Planned => [(Some(planned), false), (prior, true)],
            Moment::Before => {
                resources.clear();
                [(prior, false), (None, true)]
            }
        };
        for (values, only_data) in read {
            if let Some(module) = values.and_then(|values| values.get("root_module")) {
                collect(module, "", only_data, &mut resources);
            }
        }
        let mut configuration = Configuration::default();
        if let Some(module) = root.get("configuration").and_then(|one| one.get("root_module")) {
            configuration.read(module, "");
        }
        for entry in root.get("variables").map(Node::entries).unwrap_or_default() {
            if let Some(value) = entry.node.get("value") {
                configuration.variables.insert(entry.key.clone(), value.clone());
            }
        }
        let region = root.get("configuration").and_then(|one| {
            text(one.get("provider_config")?.get("aws")?.get("expressions")?.get("region")?, "constant_value")
        });
        let (partition, account) = home(&resources, planned, known);
        Some(Self {
            partition,
            account,
            region: region.unwrap_or(USUAL_REGION).to_owned(),
            resources,
            files: Files::default(),
            budget: Budget::default(),
            is_whole: root.get("resource_changes").is_some(),
            configuration,
        })
    }

    /// What the plan makes.
    pub(super) fn made(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| !resource.is_data)
    }

    /// The expression of an attribute; `path` leads through the first of each nested block.
    pub(super) fn expression(&self, resource: &Resource, path: &[&str]) -> Option<&Node> {
        within(self.configuration.resources.get(&resource.plain())?, path)
    }

    /// What an attribute leads to, by its value or else through the configuration. A plan leaves out what it does not
    /// know yet, of a list by a null in its place: what is null itself is known to be nothing.
    pub(super) fn targets<'p>(&'p self, resource: &'p Resource, path: &[&str]) -> Vec<Target<'p>> {
        if let Some(node) = within(&resource.values, path) {
            let texts: Vec<_> = texts_of(node).map(Target::Text).collect();
            let is_known = |node: &Node| !matches!(node.value, Value::Null);
            if !texts.is_empty() || self.is_whole && node.items().iter().all(is_known) {
                return texts;
            }
        }
        self.expression(resource, path).map(|expression| self.follow(resource, expression)).unwrap_or_default()
    }

    /// The texts of [`Plan::targets`] that are known.
    pub(super) fn texts(&self, resource: &Resource, path: &[&str]) -> Vec<String> {
        self.targets(resource, path).iter().filter_map(|target| self.text(target)).collect()
    }

    /// What an expression of a resource leads to.
    pub(super) fn follow<'p>(&'p self, resource: &'p Resource, expression: &Node) -> Vec<Target<'p>> {
        self.expressed(expression, Scope::of(resource, &resource.plain()))
    }

    /// The text that a target stands for, if that is known.
    pub(super) fn text(&self, target: &Target<'_>) -> Option<String> {
        match target {
            Target::Text(text) => Some(text.clone()),
            Target::Open(_) => None,
            Target::Of(resource, attribute) => Some(match text(&resource.values, attribute) {
                Some(known) => known.to_owned(),
                // The whole of it: an index or a splat stands between it and the attribute, which a plan leaves out.
                None if attribute.is_empty() && !resource.is_data => self.arn(resource),
                None if attribute.ends_with("arn") || attribute == "id" && resource.kind == "aws_iam_policy" => {
                    self.arn(resource)
                }
                None if resource.is_data => return None,
                None => resource.label().to_owned(),
            }),
        }
    }

    /// The ARN that a resource has or will have.
    pub(super) fn arn(&self, resource: &Resource) -> String {
        if let Some(arn) = text(&resource.values, "arn").filter(|arn| arn.starts_with("arn:")) {
            return arn.to_owned();
        }
        let name = resource.label();
        if let Some(word) = resource.kind.strip_prefix("aws_iam_") {
            let path = text(&resource.values, "path").unwrap_or("/");
            let word = word.replace('_', "-");
            return format!("arn:{}:iam::{}:{word}{path}{name}", self.partition, self.account);
        }
        match FORMS.iter().find(|(kind, _)| *kind == resource.kind) {
            Some((_, form)) => {
                let form = form.replace("{account}", &self.account).replace("{region}", &self.region);
                let tail = TAILS.iter().find(|(kind, _)| *kind == resource.kind).map_or("", |(_, tail)| tail);
                format!("arn:{}:{form}{name}{tail}", self.partition)
            }
            None => format!("${{{}.arn}}", resource.address()),
        }
    }

    fn expressed<'p>(&'p self, expression: &Node, scope: Scope<'_>) -> Vec<Target<'p>> {
        if let Some(constant) = expression.get("constant_value") {
            return texts_of(constant).map(Target::Text).collect();
        }
        let listed: Vec<&str> =
            expression.get("references").map(Node::items).unwrap_or_default().iter().filter_map(Node::text).collect();
        // `a.b.arn` is followed by `a.b`, which says the same less exactly.
        let longer = |one: &str, than: &str| one.strip_prefix(than).is_some_and(|rest| rest.starts_with(['.', '[']));
        let paired = listed.iter().any(|one| *one == "count.index" || one.starts_with("each."));
        let mut targets = Vec::new();
        for reference in &listed {
            if !listed.iter().any(|other| longer(other, reference)) {
                targets.extend(self.referred(reference, paired, scope));
            }
        }
        targets
    }

    fn referred<'p>(&'p self, reference: &str, paired: bool, scope: Scope<'_>) -> Vec<Target<'p>> {
        let open = || vec![Target::Open(reference.to_owned())];
        if scope.depth > DEPTH_MAX {
            return open();
        }
        self.budget.within(|| self.led(reference, paired, scope)).unwrap_or_else(open)
    }

    fn led<'p>(&'p self, reference: &str, paired: bool, scope: Scope<'_>) -> Vec<Target<'p>> {
        let open = || vec![Target::Open(reference.to_owned())];
        let scope = Scope { depth: scope.depth + 1, ..scope };
        let parts = segments(reference);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["var", name, rest @ ..] => self.input(without_indexes(name).as_str(), rest, scope).unwrap_or_else(open),
            ["module", call, output, rest @ ..] => self.output((call, output), rest, paired, scope),
            ["each", word, rest @ ..] => self.each(word, rest, scope).unwrap_or_else(open),
            ["count" | "path" | "terraform" | "self", ..] => Vec::new(),
            ["data", kind, name, rest @ ..] => self.instances((true, kind, name), rest, paired, scope),
            ["local", name, rest @ ..] => self.local(name, rest, scope).unwrap_or_else(open),
            [kind, name, rest @ ..] => self.instances((false, kind, name), rest, paired, scope),
            _ => open(),
        }
    }

    /// What a local of the `.tf` files leads to.
    fn local<'p>(&'p self, name: &str, rest: &[&str], scope: Scope<'_>) -> Option<Vec<Target<'p>>> {
        match self.files.local(&without_indexes(scope.module), name)? {
            Expression::Reference(reference) => {
                let rest: String = rest.iter().map(|part| format!(".{part}")).collect();
                Some(self.referred(&format!("{reference}{rest}"), false, scope))
            }
            Expression::Text(parts) if rest.is_empty() => Some(vec![Target::Text(self.joined(parts, scope)?)]),
            Expression::List(items) if rest.is_empty() => {
                let texts = items.iter().map(|(item, _)| match item {
                    Expression::Text(parts) => Some(vec![Target::Text(self.joined(parts, scope)?)]),
                    Expression::Reference(reference) => Some(self.referred(reference, false, scope)),
                    _ => None,
                });
                Some(texts.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
            }
            _ => None,
        }
    }

    /// The parts of a text as one, if each is known.
    fn joined(&self, parts: &[Part], scope: Scope<'_>) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Plain(text) => Some(text.clone()),
            Part::Of(reference) => match self.referred(reference, false, scope).as_slice() {
                [one] => self.text(one),
                _ => None,
            },
            Part::Made(_) => None,
        };
        let joined: String = parts.iter().map(text).collect::<Option<_>>()?;
        self.budget.text(joined.len()).then_some(joined)
    }

    /// What a reference in a `.tf` file leads to, as a resource writes it.
    pub(super) fn refer<'p>(&'p self, resource: &'p Resource, reference: &str) -> Vec<Target<'p>> {
        let paired = reference.contains("count.index") || reference.contains("each.");
        let plain = reference.replace("[count.index]", "").replace("[each.key]", "");
        self.referred(&plain, paired, Scope::of(resource, &resource.plain()))
    }

    fn input<'p>(&'p self, name: &str, rest: &[&str], scope: Scope<'_>) -> Option<Vec<Target<'p>>> {
        let Some((parent, call)) = split_module(scope.module) else {
            let value = self.configuration.variables.get(name)?;
            return Some(texts_of(value).map(Target::Text).collect());
        };
        let of = without_indexes(scope.module);
        let expression = self.configuration.inputs.get(&(of.clone(), name.to_owned()))?;
        let key = call.split_once('[').map(|(_, index)| index.trim_end_matches(['.', ']']));
        let scope = Scope { module: parent, key, of: &of, ..scope };
        Some(with_attribute(self.expressed(expression, scope), rest))
    }

    /// What a module gives back: that of the instance that is named, or that has the key of this one; else of each.
    fn output<'p>(
        &'p self,
        (call, output): (&str, &str),
        rest: &[&str],
        paired: bool,
        scope: Scope<'_>,
    ) -> Vec<Target<'p>> {
        let plain = without_indexes(&format!("{}module.{call}.", scope.module));
        let Some(expression) = self.configuration.outputs.get(&(plain.clone(), without_indexes(output))) else {
            return vec![Target::Open(format!("module.{call}.{output}"))];
        };
        let own = scope.key.filter(|_| paired).map(|key| format!("{}module.{call}[{key}].", scope.module));
        let exact = if call.contains('[') { Some(format!("{}module.{call}.", scope.module)) } else { own };
        let mut modules: Vec<&str> = self.resources.iter().map(|one| one.module.as_str()).collect();
        modules.sort_unstable();
        modules.dedup();
        modules.retain(|module| without_indexes(module) == plain && module.starts_with(scope.module));
        if let Some(exact) = exact.filter(|exact| call.contains('[') || modules.contains(&exact.as_str())) {
            modules.retain(|module| *module == exact);
        }
        let each = modules.into_iter().flat_map(|module| {
            let scope = Scope { module, key: None, of: "", depth: scope.depth };
            self.expressed(expression, scope).into_iter()
        });
        with_attribute(each.collect(), rest)
    }

    /// `each.key`, or what `for_each` goes over at the key of this one: a value, or an instance with the same key.
    fn each<'p>(&'p self, word: &str, rest: &[&str], scope: Scope<'_>) -> Option<Vec<Target<'p>>> {
        let key = scope.key?;
        let plain = key.trim_matches('"');
        if word == "key" {
            return Some(vec![Target::Text(plain.to_owned())]);
        }
        let over = self.configuration.each.get(scope.of)?;
        // A set's values are its keys.
        let at = |values: &Node| match values.is_list() {
            true => values.items().iter().find(|item| item.text() == Some(plain)).cloned(),
            false => within(values.get(plain)?, rest).cloned(),
        };
        if let Some(value) = over.get("constant_value").and_then(at) {
            return Some(texts_of(&value).map(Target::Text).collect());
        }
        let listed: Vec<String> = over.get("references").map(|all| texts_of(all).collect()).unwrap_or_default();
        if let [reference] = listed.as_slice()
            && let Some(name) = reference.strip_prefix("var.")
            && split_module(scope.module).is_none()
            && let Some(value) = self.configuration.variables.get(name).and_then(at)
        {
            return Some(texts_of(&value).map(Target::Text).collect());
        }
        let targets = listed.iter().flat_map(|reference| self.referred(reference, false, scope));
        let same = |target: &Target<'_>| match target {
            Target::Of(resource, _) => resource.index.as_deref() == Some(key),
            Target::Text(_) | Target::Open(_) => false,
        };
        let found: Vec<_> = targets.filter(same).collect();
        (!found.is_empty()).then(|| with_attribute(found, rest))
    }

    fn instances<'p>(
        &'p self,
        (is_data, kind, name): (bool, &str, &str),
        rest: &[&str],
        paired: bool,
        scope: Scope<'_>,
    ) -> Vec<Target<'p>> {
        let (name, index) = match name.split_once('[') {
            Some((name, index)) => (name, Some(index.trim_end_matches(']'))),
            None => (name, None),
        };
        let own = scope.key.filter(|_| paired);
        let of = |resource: &&Resource| {
            resource.is_data == is_data
                && resource.kind == kind
                && resource.name == name
                && resource.module == scope.module
        };
        let all: Vec<&Resource> = self.resources.iter().filter(of).collect();
        let wanted = index.filter(|index| *index != "*").or(own);
        let exact: Vec<&Resource> =
            all.iter().copied().filter(|one| wanted.is_some() && one.index.as_deref() == wanted).collect();
        let chosen = if exact.is_empty() && index.is_none_or(|index| index == "*") { all } else { exact };
        if chosen.is_empty() {
            let data = if is_data { "data." } else { "" };
            let rest = rest.iter().map(|part| format!(".{part}")).collect::<String>();
            return vec![Target::Open(format!("{data}{kind}.{name}{rest}"))];
        }
        let attribute = rest.first().copied().unwrap_or_default();
        chosen.into_iter().map(|resource| Target::Of(resource, attribute.to_owned())).collect()
    }
}

/// What stands behind a whole resource is an attribute of it.
fn with_attribute<'p>(targets: Vec<Target<'p>>, rest: &[&str]) -> Vec<Target<'p>> {
    let name = |target| match (target, rest.first()) {
        (Target::Of(resource, attribute), Some(name)) if attribute.is_empty() => {
            Target::Of(resource, (*name).to_owned())
        }
        (target, _) => target,
    };
    targets.into_iter().map(name).collect()
}

/// What AWS puts behind the name of what it makes, as long as it is not made.
const TAILS: &[(&str, &str)] =
    &[("aws_cloudformation_stack", "/id"), ("aws_cloudformation_stack_set", ":id"), ("aws_apprunner_service", "/id")];

/// The forms of ARNs that are made of a resource's name.
const FORMS: &[(&str, &str)] = &[
    ("aws_lambda_function", "lambda:{region}:{account}:function:"),
    ("aws_instance", "ec2:{region}:{account}:instance/"),
    ("aws_launch_template", "ec2:{region}:{account}:launch-template/"),
    ("aws_bedrockagent_agent", "bedrock:{region}:{account}:agent/"),
    ("aws_bedrockagentcore_code_interpreter", "bedrock-agentcore:{region}:{account}:code-interpreter-custom/"),
    ("aws_bedrockagentcore_agent_runtime", "bedrock-agentcore:{region}:{account}:runtime/"),
    ("aws_sagemaker_notebook_instance", "sagemaker:{region}:{account}:notebook-instance/"),
    ("aws_codebuild_project", "codebuild:{region}:{account}:project/"),
    ("aws_glue_job", "glue:{region}:{account}:job/"),
    ("aws_glue_dev_endpoint", "glue:{region}:{account}:devEndpoint/"),
    ("aws_sfn_state_machine", "states:{region}:{account}:stateMachine:"),
    ("aws_cloudformation_stack", "cloudformation:{region}:{account}:stack/"),
    ("aws_ecs_task_definition", "ecs:{region}:{account}:task-definition/"),
    ("aws_ecs_cluster", "ecs:{region}:{account}:cluster/"),
    ("aws_apprunner_service", "apprunner:{region}:{account}:service/"),
    ("aws_cloudformation_stack_set", "cloudformation:{region}:{account}:stackset/"),
    ("aws_bedrockagentcore_browser", "bedrock-agentcore:{region}:{account}:browser-custom/"),
    ("aws_kinesis_stream", "kinesis:{region}:{account}:stream/"),
    ("aws_s3_bucket", "s3:::"),
    ("aws_sqs_queue", "sqs:{region}:{account}:"),
    ("aws_sns_topic", "sns:{region}:{account}:"),
    ("aws_dynamodb_table", "dynamodb:{region}:{account}:table/"),
    ("aws_secretsmanager_secret", "secretsmanager:{region}:{account}:secret:"),
    ("aws_ssm_parameter", "ssm:{region}:{account}:parameter/"),
    ("aws_kms_key", "kms:{region}:{account}:key/"),
    ("aws_cloudwatch_log_group", "logs:{region}:{account}:log-group:"),
    ("aws_ecr_repository", "ecr:{region}:{account}:repository/"),
    ("aws_eks_cluster", "eks:{region}:{account}:cluster/"),
];

impl Configuration {
    fn read(&mut self, module: &Node, path: &str) {
        for node in module.get("resources").map(Node::items).unwrap_or_default() {
            let (Some(kind), Some(name)) = (text(node, "type"), text(node, "name")) else { continue };
            let data = if text(node, "mode") == Some("data") { "data." } else { "" };
            let own = format!("{path}{data}{kind}.{name}");
            if let Some(each) = node.get("for_each_expression") {
                self.each.insert(own.clone(), each.clone());
            }
            if let Some(expressions) = node.get("expressions") {
                self.resources.insert(own, expressions.clone());
            }
        }
        for output in module.get("outputs").map(Node::entries).unwrap_or_default() {
            if let Some(expression) = output.node.get("expression") {
                self.outputs.insert((path.to_owned(), output.key.clone()), expression.clone());
            }
        }
        for call in module.get("module_calls").map(Node::entries).unwrap_or_default() {
            let below = format!("{path}module.{}.", call.key);
            if let Some(each) = call.node.get("for_each_expression") {
                self.each.insert(below.clone(), each.clone());
            }
            for entry in call.node.get("expressions").map(Node::entries).unwrap_or_default() {
                self.inputs.insert((below.clone(), entry.key.clone()), entry.node.clone());
            }
            if let Some(module) = call.node.get("module") {
                self.defaults(module, &below);
                self.read(module, &below);
            }
        }
    }

    /// Inputs that the caller leaves out have the value that the module says.
    fn defaults(&mut self, module: &Node, path: &str) {
        for variable in module.get("variables").map(Node::entries).unwrap_or_default() {
            let Some(default) = variable.node.get("default") else { continue };
            let constant = crate::document::Entry {
                key: "constant_value".to_owned(),
                key_span: default.span.clone(),
                node: default.clone(),
            };
            let expression = Node { span: default.span.clone(), value: Value::Map(vec![constant]) };
            self.inputs.entry((path.to_owned(), variable.key.clone())).or_insert(expression);
        }
    }
}

fn collect(module: &Node, path: &str, only_data: bool, found: &mut Vec<Resource>) {
    for node in module.get("resources").map(Node::items).unwrap_or_default() {
        let (Some(kind), Some(name)) = (text(node, "type"), text(node, "name")) else { continue };
        let is_data = text(node, "mode") == Some("data");
        let Some(values) = node.get("values").filter(|_| is_data || !only_data) else { continue };
        let index = node.get("index").and_then(|index| match index.text() {
            Some(key) => Some(format!("\"{key}\"")),
            None => index.scalar(),
        });
        found.push(Resource {
            module: path.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            index,
            is_data,
            values: values.clone(),
            node: node.clone(),
        });
    }
    for child in module.get("child_modules").map(Node::items).unwrap_or_default() {
        collect(child, &format!("{}.", text(child, "address").unwrap_or_default()), only_data, found);
    }
}

/// The node at a path, through the first element of each list.
pub(super) fn within<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.items().first().unwrap_or(node).get(key))
}

/// A text, or the texts of a list.
fn texts_of(node: &Node) -> impl Iterator<Item = String> + '_ {
    node.text().into_iter().chain(node.items().iter().filter_map(Node::text)).map(str::to_owned)
}

/// A module's instance without its last call: `module.a.module.b[0].` is `module.a.` and `module.b[0]`.
fn split_module(module: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    let mut last = None;
    for (at, letter) in module.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            'm' if depth == 0 && module.get(at..).is_some_and(|rest| rest.starts_with("module.")) => {
                let starts = at == 0 || module.get(..at).is_some_and(|before| before.ends_with('.'));
                last = if starts { Some(at) } else { last };
            }
            _ => {}
        }
    }
    module.split_at_checked(last?)
}

/// The parts of a reference between the dots that stand outside of indexes.
pub(super) fn segments(reference: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    for letter in reference.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if letter != '.' || depth > 0 => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts
}

/// An address without what stands in brackets.
pub(super) fn without_indexes(address: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in address.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{segments, split_module, without_indexes};

    #[test]
    fn addresses_are_taken_apart_outside_of_indexes_only() {
        assert_eq!(segments(r#"a.b["c.d"].e"#), ["a", r#"b["c.d"]"#, "e"]);
        assert_eq!(
            split_module(r#"module.a["module.x"].module.b[0]."#),
            Some((r#"module.a["module.x"]."#, "module.b[0]."))
        );
        assert_eq!(split_module("module.a."), Some(("", "module.a.")));
        assert_eq!(split_module(""), None);
        assert_eq!(without_indexes(r#"module.a["x[0]"].b"#), "module.a.b");
    }
}
