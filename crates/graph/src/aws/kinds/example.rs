//! Examples and counter-examples of kinds, made from their requirements.
//!
//! The text is the small account language of the tests: a principal a line, its grants below it.

use super::{Kind, Need, On, Rewrite, Shape, Whose, WorkloadKind, workload};

const ACCOUNT: &str = "111122223333";

impl Kind {
    /// A small account in which the step exists: `user/attacker` gets `role/target`, `user/target`,
    /// a group's grants, or everything.
    pub fn example(&self) -> String {
        write(&self.lines())
    }

    /// The example without one of its requirements, once for each, with what it lacks: no step.
    pub fn counter_examples(&self) -> Vec<(String, String)> {
        let lines = self.lines();
        let required = lines.iter().enumerate().filter(|(_, line)| line.required);
        required
            .map(|(dropped, line)| {
                let rest = lines.iter().enumerate().filter(|(at, _)| *at != dropped).map(|(_, line)| line.clone());
                (line.text.trim().to_owned(), write(&rest.collect::<Vec<_>>()))
            })
            .collect()
    }

    fn lines(&self) -> Vec<Line> {
        match &self.shape {
            Shape::Assume => vec![
                fixed("role target"),
                required(&format!("  trusts {ACCOUNT}")),
                fixed("  allow * on *"),
                fixed("user attacker"),
                required("  allow sts:AssumeRole on role/target"),
            ],
            Shape::TakeUser { action, .. } => vec![
                fixed("user target"),
                fixed("  allow * on *"),
                fixed("user attacker"),
                required(&format!("  allow {action} on user/target")),
            ],
            Shape::JoinGroup => vec![
                fixed("group target"),
                required("  allow * on *"),
                fixed("user attacker"),
                required("  allow iam:AddUserToGroup on group/target"),
            ],
            Shape::RewriteTrust => vec![
                fixed("role target"),
                fixed("  trusts ec2.amazonaws.com"),
                fixed("  allow * on *"),
                fixed("user attacker"),
                required("  allow iam:UpdateAssumeRolePolicy on role/target"),
            ],
            Shape::Rewrite(rewrite) => rewriting(*rewrite),
            Shape::NewWorkload { services, profile, needs, existing } => new(services, *profile, (needs, *existing)),
            Shape::ExistingWorkload { workload: kind, needs } => {
                workload(kind).map(|kind| running(kind, needs)).unwrap_or_default()
            }
            Shape::Shared { services, resource, writes, reads } => sharing(services, resource, (writes, reads)),
            Shape::Newcomer { form, needs } => {
                let each = needs.iter().map(|need| {
                    let action = need.any_of.first().copied().unwrap_or_default();
                    required(&format!("  allow {action} on {}", instance(form)))
                });
                std::iter::once(fixed("user attacker")).chain(each).collect()
            }
            Shape::Consents { needs } => {
                std::iter::once(fixed("user attacker")).chain(needs.iter().map(allow)).collect()
            }
            Shape::Exposed { workload: kind, joint: relation } => {
                let Some(kind) = workload(kind) else { return Vec::new() };
                let one = instance(kind.arn);
                let as_target = format!("workload {} {one} as role/target", kind.id);
                vec![fixed("role target"), fixed("  allow * on *"), required(&as_target), joint(relation, &one)]
            }
            Shape::UnreadPolicy => unread(super::UNREAD_TEXT, ("policy/lost", "role/target")),
            Shape::UnreadTrust => unread(super::UNREAD_TRUST, ("role/target", "user/attacker")),
            Shape::Workflow => vec![
                fixed("role target"),
                required(&format!(
                    "  trusts arn:aws:iam::{ACCOUNT}:oidc-provider/{}",
                    super::outside::ISSUERS.first().copied().unwrap_or_default()
                )),
                fixed("  allow * on *"),
            ],
        }
    }
}

/// A role that is passed to something new.
fn new(services: &[&str], profile: bool, (needs, existing): (&[Need], Option<&str>)) -> Vec<Line> {
    let service = services.first().copied().unwrap_or_default();
    let mut lines = vec![fixed("role target"), required(&format!("  trusts {service}"))];
    lines.extend(profile.then(|| required("  profile")));
    lines.extend([fixed("  allow * on *"), fixed("user attacker")]);
    lines.push(required("  allow iam:PassRole on role/target"));
    lines.extend(needs.iter().filter(|need| !matches!(need.on, On::Role(_))).map(allow));
    if let Some(existing) = existing.and_then(workload) {
        lines.push(fixed(&format!("workload {} {}", existing.id, instance(existing.arn))));
    }
    lines.extend(whole_inventories());
    lines
}

/// Something that runs as a role.
fn running(kind: &WorkloadKind, needs: &[Need]) -> Vec<Line> {
    let service = kind.services.first().copied().unwrap_or_default();
    let mut lines = vec![fixed("role target"), fixed(&format!("  trusts {service}"))];
    lines.extend(kind.profile.then(|| fixed("  profile")));
    lines.extend([fixed("  allow * on *"), fixed("user attacker")]);
    let workload = instance(kind.arn);
    let on_it = |need: &Need| match need.on {
        On::Workload => allow_on(need, &workload),
        On::Resource(_) | On::Joined(_) | On::Role(_) => allow(need),
    };
    let of_attacker = |need: &&Need| !need.any_of.is_empty() && !matches!(need.on, On::Role(_));
    lines.extend(needs.iter().filter(of_attacker).map(on_it));
    lines.push(required(&format!("workload {} {workload} as role/target", kind.id)));
    lines.extend(needs.iter().filter_map(|need| match need.on {
        On::Joined(relation) => Some(joint(relation, &workload)),
        On::Workload | On::Resource(_) | On::Role(_) => None,
    }));
    lines.extend(whole_inventories());
    lines
}

/// The inventories are whole, so nothing else is possible.
fn whole_inventories() -> impl Iterator<Item = Line> {
    super::WORKLOADS.iter().map(|kind| fixed(&format!("listed {}", kind.id)))
}

/// A text that the files do not hold, and what it speaks of.
fn unread(relation: &str, (whose, about): (&str, &str)) -> Vec<Line> {
    let name = |short: &str| format!("arn:aws:iam::{ACCOUNT}:{short}");
    let mut lines = vec![fixed("role target"), fixed("  allow * on *"), fixed("user attacker")];
    lines.extend(whose.strip_prefix("policy/").map(|policy| required(&format!("  attached {policy}"))));
    lines.push(required(&format!("joined {relation} {} {}", name(whose), name(about))));
    lines
}

fn sharing(services: &[&str], resource: &str, (writes, reads): (&[&str], &[&str])) -> Vec<Line> {
    let (service, shared) = (services.first().copied().unwrap_or_default(), instance(resource));
    vec![
        fixed("role target"),
        required(&format!("  trusts {service}")),
        required(&format!("  allow {} on {shared}", reads.first().copied().unwrap_or_default())),
        fixed("  allow except bedrock-agentcore:* on *"),
        fixed("user attacker"),
        required(&format!("  allow {} on {shared}", writes.first().copied().unwrap_or_default())),
    ]
}

/// What a workload of an example is joined to.
fn joint(relation: &str, workload: &str) -> Line {
    required(&format!("joined {relation} {workload} {}", joint_resource(relation)))
}

fn joint_resource(relation: &str) -> String {
    let form = super::joint(relation).and_then(|kind| kind.form);
    match (form, relation) {
        (Some(form), _) => instance(form),
        (None, "knowledge-bucket") => "arn:aws:s3:::example/*".to_owned(),
        (None, "image") => instance("arn:aws:ecr:*:{account}:repository/*"),
        (None, _) => instance("arn:aws:lambda:*:{account}:function:*"),
    }
}

fn rewriting(rewrite: Rewrite) -> Vec<Line> {
    let action = rewrite.action();
    match rewrite {
        Rewrite::Inline(Whose::Role) | Rewrite::Attach(Whose::Role) => vec![
            fixed("role target"),
            required(&format!("  trusts {ACCOUNT}")),
            fixed("user attacker"),
            required("  allow sts:AssumeRole on role/target"),
            required(&format!("  allow {action} on role/target")),
        ],
        Rewrite::Inline(Whose::User) | Rewrite::Attach(Whose::User) => {
            vec![fixed("user attacker"), required(&format!("  allow {action} on user/attacker"))]
        }
        Rewrite::Inline(Whose::Group) | Rewrite::Attach(Whose::Group) => vec![
            fixed("group team"),
            fixed("user attacker"),
            required("  in team"),
            required(&format!("  allow {action} on group/team")),
        ],
        Rewrite::NewVersion => vec![
            fixed("policy own"),
            required(&format!("  allow {action} on policy/own")),
            fixed("user attacker"),
            required("  attached own"),
        ],
        Rewrite::OtherVersion => vec![
            fixed("policy own"),
            required(&format!("  allow {action} on policy/own")),
            fixed("  version"),
            fixed("  allow * on *"),
            fixed("user attacker"),
            required("  attached own"),
        ],
    }
}

#[derive(Clone)]
struct Line {
    text: String,
    required: bool,
}

fn fixed(text: &str) -> Line {
    Line { text: text.to_owned(), required: false }
}

fn required(text: &str) -> Line {
    Line { text: text.to_owned(), required: true }
}

fn allow_on(need: &Need, resource: &str) -> Line {
    let action = need.any_of.first().copied().unwrap_or_default();
    required(&format!("  allow {action} on {resource}"))
}

fn allow(need: &Need) -> Line {
    let resource = match need.on {
        On::Workload => "*".to_owned(),
        On::Resource(form) | On::Role(form) => instance(form),
        On::Joined(relation) => joint_resource(relation),
    };
    allow_on(need, &resource)
}

fn instance(form: &str) -> String {
    form.replace("{account}", ACCOUNT).replacen('*', "us-east-1", 1).replace('*', "example")
}

fn write(lines: &[Line]) -> String {
    let mut text = format!("account {ACCOUNT}\n");
    for line in lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}
