//! The evaluation logic, the kinds and the paths, on small accounts of our own.

use super::attack::{Derived, derive};
use super::fixture::Fixture;
use super::kinds::{self, Shape};
use super::truth::Truth;
use crate::step::paths::{Paths, Target, find};

fn check(text: &str) {
    Fixture::parse(text).check();
}

fn paths(text: &str) -> (Derived, Paths) {
    let derived = derive(Fixture::parse(text).estate);
    let found = find(&derived.steps, &Target::crowns(&derived.steps), None);
    for step in &derived.steps.steps {
        assert_eq!(step.truth == Truth::Yes, !step.is_open(), "how sure it is and what it says: {step:?}");
    }
    for path in &found.paths {
        let open = path.steps.iter().any(|step| found.steps[*step].is_open());
        assert_eq!(path.truth == Truth::Yes, !open, "{path:?}");
    }
    (derived, found)
}

fn reaches(text: &str, who: &str) -> Truth {
    let (derived, found) = paths(text);
    let who = derived.estate.find(who).unwrap();
    if derived.steps.administrators.contains(&who) {
        return Truth::Yes;
    }
    found.paths.iter().find(|path| path.from == who).map_or(Truth::No, |path| path.truth)
}

#[test]
fn identity_policies() {
    check(
        "group team
           allow s3:Get* on arn:aws:s3:::b/*
         user alice
           in team
           deny s3:GetObject on arn:aws:s3:::b/secret/*
         user bob
           allow except iam:* on *
         user carol
           allow s3:* on except arn:aws:s3:::b/*
         user dave
           allow s3:GetObject on arn:aws:s3:::b/${aws:username}/*
         user erin
           allow s3:GetObject on *
           if IpAddress aws:SourceIp 10.0.0.0/8
         ? alice s3:GetObject arn:aws:s3:::b/x = yes
         ? alice S3:GETOBJECT arn:aws:s3:::b/x = yes
         ? alice s3:GetObject arn:aws:s3:::b/secret/x = no
         ? alice s3:PutObject arn:aws:s3:::b/x = no
         ? bob s3:GetObject arn:aws:s3:::b/x = yes
         ? bob iam:CreateUser user/x = no
         ? carol s3:GetObject arn:aws:s3:::b/x = no
         ? carol s3:GetObject arn:aws:s3:::c/x = yes
         ? erin s3:GetObject arn:aws:s3:::b/x = unknown"
            .replace("         ", "")
            .as_str(),
    );
}

#[test]
fn boundaries_and_scps_only_limit() {
    check(
        "policy limit
  allow s3:* on *
user alice
  boundary limit
  allow * on *
user bob
  boundary limit
scp 111122223333
  allow * on *
scp 111122223333
  allow s3:Get* on *
? alice s3:GetObject arn:aws:s3:::b/x = yes
? alice s3:PutObject arn:aws:s3:::b/x = no
? alice ec2:RunInstances * = no
? bob s3:GetObject arn:aws:s3:::b/x = no",
    );
}

#[test]
fn what_can_is_after_denies_and_the_organisation() {
    check(
        "policy limit
  allow s3:* on *
  allow lambda:* on *
  allow ec2:* on *
user ann
  boundary limit
  allow * on *
  deny s3:PutObject on *
  if StringEquals aws:RequestTag/x y
scp 111122223333
  allow * on *
  deny lambda:Delete* on *
scp 111122223333
  allow s3:* on *
  allow lambda:* on *
  allow ec2:Describe* on *
rcp 111122223333
  allow * on *
  deny s3:DeleteObject on *
  deny lambda:GetFunction on *
? ann lambda:GetFunction * = yes
? ann lambda:DeleteFunction * = no
? ann ec2:DescribeInstances * = yes
? ann ec2:RunInstances * = no
? ann s3:GetObject arn:aws:s3:::b/x = yes
? ann s3:PutObject arn:aws:s3:::b/x = unknown
? ann s3:DeleteObject arn:aws:s3:::b/x = no",
    );
}

#[test]
fn resource_policies() {
    check(
        "policy limit
  allow ec2:* on *
role reader
  trusts 111122223333
  boundary limit
user alice
  boundary limit
user bob
resource arn:aws:s3:::b
  allow s3:GetObject on arn:aws:s3:::b/* to user/alice
  allow s3:GetObject on arn:aws:s3:::b/* to role/reader
  allow s3:PutObject on arn:aws:s3:::b/* to 111122223333
  deny s3:GetObject on arn:aws:s3:::b/no/* to anyone
? user/alice s3:GetObject arn:aws:s3:::b/x = yes
? role/reader s3:GetObject arn:aws:s3:::b/x = no
? user/bob s3:GetObject arn:aws:s3:::b/x = no
? user/bob s3:PutObject arn:aws:s3:::b/x = no
? user/alice s3:GetObject arn:aws:s3:::b/no/x = no",
    );
}

#[test]
fn trust_policies() {
    check(
        "role named
  trusts user/alice
role delegated
  trusts 111122223333
role elsewhere
  trusts 444455556666
user alice
user bob
  allow sts:AssumeRole on role/delegated role/named role/elsewhere
? user/alice sts:AssumeRole role/named = yes
? user/alice sts:AssumeRole role/delegated = no
? user/bob sts:AssumeRole role/delegated = yes
? user/bob sts:AssumeRole role/named = no
? user/bob sts:AssumeRole role/elsewhere = no",
    );
}

#[test]
fn every_kind_fires_on_its_example_and_is_silent_without_any_one_requirement() {
    for kind in kinds::all() {
        let expected = if kind.partial.is_some() { Truth::Unknown } else { Truth::Yes };
        let (derived, _) = paths(&kind.example());
        let fired: Vec<_> = derived.steps.steps.iter().filter(|step| step.kind.id == kind.id).collect();
        assert!(fired.iter().any(|step| step.truth == expected), "{}: {fired:?}\n{}", kind.id, kind.example());
        let leads_on = !matches!(kind.shape, Shape::Consents { .. });
        let (_, found) = paths(&kind.example());
        assert_eq!(!found.paths.is_empty(), leads_on, "{}", kind.id);
        for (lacks, text) in kind.counter_examples() {
            let (derived, found) = paths(&text);
            let fires = derived.steps.steps.iter().any(|step| step.kind.id == kind.id);
            assert!(leads_on || !fires, "{} without `{lacks}`", kind.id);
            let steps = found.paths.iter().flat_map(|path| &path.steps).map(|step| found.steps[*step].kind.id);
            assert!(!steps.into_iter().any(|id| id == kind.id), "{} without `{lacks}`\n{text}", kind.id);
        }
    }
}

#[test]
fn ids_are_unique_and_each_kind_has_a_reference() {
    let mut ids = std::collections::BTreeSet::new();
    for kind in kinds::all() {
        assert!(ids.insert(kind.id), "{} twice", kind.id);
        assert!(!kind.references.is_empty(), "{}", kind.id);
    }
}

#[test]
fn a_missing_inventory_makes_a_path_possible_and_names_it() {
    let text = "role target
  trusts lambda.amazonaws.com
  allow * on *
user alice
  allow lambda:UpdateFunctionCode lambda:InvokeFunction on *";
    let (_, found) = paths(text);
    assert_eq!(found.paths.len(), 1);
    assert_eq!(found.paths[0].truth, Truth::Unknown);
    let step = &found.steps[found.paths[0].steps[0]];
    assert_eq!(step.missing[0].id, "lambda-function");
    let any = "arn:aws:lambda:*:111122223333:function:*";
    assert_eq!(step.through.as_deref(), Some(any), "a name that was made up is none to tell");
    // A whole inventory without functions ends the path.
    assert!(paths(&format!("{text}\nlisted lambda-function")).1.paths.is_empty());
}

#[test]
fn a_rewrite_counts_only_with_access_to_what_was_rewritten() {
    let text = "role target
  trusts role/ladder
role ladder
  trusts 111122223333
  allow sts:AssumeRole on role/target
user alice
  allow iam:PutRolePolicy on role/target
  allow sts:AssumeRole on role/ladder";
    assert_eq!(reaches(text, "user/alice"), Truth::Yes);
    assert_eq!(
        reaches(
            &text.replace("allow sts:AssumeRole on role/ladder", "allow sts:AssumeRole on role/other"),
            "user/alice"
        ),
        Truth::No
    );
}

#[test]
fn denies_and_boundaries_survive_self_escalation() {
    let text = "user alice
  allow iam:PutUserPolicy on user/alice";
    assert_eq!(reaches(text, "user/alice"), Truth::Yes);
    let denied = format!("policy no\n  deny s3:* on *\n{text}\n  attached no");
    assert_eq!(reaches(&denied, "user/alice"), Truth::No);
    let bounded = format!("policy limit\n  allow iam:PutUserPolicy on *\n{text}\n  boundary limit");
    assert_eq!(reaches(&bounded, "user/alice"), Truth::No);
}

#[test]
fn a_deny_goes_with_the_policy_that_is_written_over() {
    let inline = "user alice\n  allow iam:PutUserPolicy on user/alice\n  deny s3:* on *";
    assert_eq!(reaches(inline, "user/alice"), Truth::Yes);
    let version = "policy no\n  deny s3:* on *\nuser alice\n  attached no\n  allow ACTION on policy/no";
    assert_eq!(reaches(&version.replace("ACTION", "iam:CreatePolicyVersion"), "user/alice"), Truth::Yes);
    let of_another = version.replace("ACTION on policy/no", "iam:CreatePolicyVersion on policy/other");
    assert_eq!(reaches(&of_another, "user/alice"), Truth::No);
}

#[test]
fn whoever_makes_a_principal_leaves_its_own_limits_behind_but_not_those_of_the_organisation() {
    let text = "policy limit
  allow iam:* sts:* on *
user alice
  boundary limit
  allow * on *";
    assert_eq!(reaches(text, "user/alice"), Truth::Yes);
    let scp = "scp 111122223333\n  allow * on *\n  deny kms:* on *";
    assert_eq!(reaches(&format!("{scp}\n{text}"), "user/alice"), Truth::No);
    let only = |grants: &str| format!("{}\n  deny s3:* on *", text.replace("  boundary limit\n  allow * on *", grants));
    let role = "  allow iam:CreateRole iam:AttachRolePolicy on role/ci-*";
    assert_eq!(reaches(&only(role), "user/alice"), Truth::Yes);
    assert_eq!(reaches(&only(&format!("{role}\n  deny sts:AssumeRole on *")), "user/alice"), Truth::No);
    // The pattern that AWS teaches: whoever is made must have the boundary.
    let bounded =
        role.to_owned() + "\n  if StringEquals iam:PermissionsBoundary arn:aws:iam::111122223333:policy/limit";
    assert_eq!(reaches(&only(&bounded), "user/alice"), Truth::No);
    let split = "  allow iam:CreateRole on role/a-*\n  allow iam:AttachRolePolicy on role/b-*";
    assert_eq!(reaches(&only(split), "user/alice"), Truth::No, "not on the same role");
    let taken = "role ci\n  trusts ec2.amazonaws.com\n";
    let on_taken = "  allow iam:CreateRole iam:AttachRolePolicy on role/ci";
    assert_eq!(reaches(&format!("{taken}{}", only(on_taken)), "user/alice"), Truth::No, "there is one of that name");
}

#[test]
fn joining_a_group_keeps_the_users_own_denies() {
    let text = "group admins
  allow * on *
user alice
  allow iam:AddUserToGroup on group/admins";
    assert_eq!(reaches(text, "user/alice"), Truth::Yes);
    let denied = "deny iam:Attach* iam:Create* iam:Put* iam:Set* iam:Update* dynamodb:* on *";
    assert_eq!(reaches(&format!("{text}\n  {denied}"), "user/alice"), Truth::No);
}

#[test]
fn outsiders_named_by_trust_policies_are_starts() {
    let text = "role deploy
  trusts arn:aws:iam::111122223333:oidc-provider/ci.example
  allow * on *
role open
  trusts anyone
  allow * on *";
    let (derived, found) = paths(text);
    let names: Vec<&str> = found.paths.iter().map(|path| derived.estate.principals[path.from].arn.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_grant_that_most_paths_share_is_named_and_removing_it_ends_them() {
    let text = "role target
  trusts lambda.amazonaws.com
  allow * on *
group team
  allow iam:PassRole lambda:CreateFunction lambda:InvokeFunction on *
user a
  in team
user b
  in team
user c
  in team
user d
  allow iam:PutUserPolicy on user/d";
    let (derived, found) = paths(text);
    assert_eq!(found.paths.len(), 4);
    assert_eq!(found.chokes[0].ends, 3);
    let mut without = derived.estate.clone();
    let cut = derived.steps.grant(found.chokes[0].grant).unwrap();
    let policy = without.policies.iter_mut().find(|policy| policy.name == cut.policy).unwrap();
    policy.document.statements.clear();
    let without = derive(without);
    assert_eq!(find(&without.steps, &Target::crowns(&without.steps), None).paths.len(), 1);
    assert_eq!((found.cut.grants.len(), found.cut.is_least, found.cut.left), (2, true, 0));
}

/// What makes an administrator is each statement that nothing else stands for, and no other of its statements.
#[test]
fn only_what_an_administrator_needs_is_taken_from_it() {
    let chokes = |rest: &str| {
        let text = format!("user ann\n  allow sts:AssumeRole on role/boss\nrole boss\n  trusts user/ann\n{rest}");
        let (derived, found) = paths(&text);
        assert_eq!(found.paths.len(), 1);
        assert_eq!((found.cut.grants.len(), found.cut.is_least), (1, true));
        let grants = found.chokes.iter().filter_map(|choke| derived.steps.grant(choke.grant));
        let of_boss = grants.filter(|grant| grant.policy == "boss").map(|grant| grant.part.clone());
        of_boss.collect::<Vec<_>>()
    };
    assert_eq!(chokes("  allow * on *"), ["statement 1"]);
    assert_eq!(chokes("  allow * on *\n  allow s3:* on *"), ["statement 1"]);
    assert_eq!(chokes("  allow iam:* s3:* on *\n  allow except iam:* on *"), ["statement 1"], "the rest gives no role");
    assert_eq!(chokes("  allow * on *\n  allow iam:* on *"), [] as [&str; 0], "what is left gives it everything again");
}

/// What is done on one name as well as on another is left when either statement goes.
#[test]
fn a_need_that_two_statements_meet_on_two_names_takes_both_to_end() {
    let cut = |text: &str| {
        let (_, found) = paths(text);
        assert_eq!(found.paths.len(), 1);
        (found.chokes.iter().filter(|choke| choke.ends == 1).count(), found.cut.grants.len())
    };
    let text = "role target
  trusts lambda.amazonaws.com
  allow * on *
user ann
  allow iam:PassRole on *
  allow lambda:CreateFunction lambda:InvokeFunction on arn:aws:lambda:*:*:function:a-*";
    let more = "\n  allow lambda:CreateFunction lambda:InvokeFunction on arn:aws:lambda:*:*:function:b-*";
    // `iam:PassRole`, the role's trust and its policy end it in both.
    assert_eq!(cut(text), (4, 1));
    assert_eq!(cut(&format!("{text}{more}")), (3, 1));
}

#[test]
fn what_two_files_say_of_one_principal_is_of_one() {
    let mut estate =
        Fixture::parse("user ann\n  allow s3:GetObject on *\nuser bob\nuser cyd\n  allow iam:* on *").estate;
    let (mut ann, policy) = (estate.principals[0].clone(), estate.principals[2].inline.clone());
    let before = estate.principals.len();
    // Read again, with what cyd has, and before cyd.
    ann.inline.extend(policy);
    estate.principals.insert(1, ann);
    let derived = derive(estate);
    assert_eq!(derived.estate.principals.len(), before);
    for (index, principal) in derived.estate.principals.iter().enumerate() {
        assert_eq!(derived.steps.nodes[index].key, principal.arn);
    }
    let found = find(&derived.steps, &Target::crowns(&derived.steps), None);
    let mut who: Vec<&str> = found.paths.iter().map(|path| derived.steps.name(path.from)).collect();
    who.sort_unstable();
    assert_eq!(who, ["user/ann", "user/cyd"]);
}

#[test]
fn a_cut_is_a_smallest_one_where_taking_the_most_used_first_is_not() {
    use crate::step::paths::Target;
    use crate::step::{ACCESS, Grant, Ground, Node, NodeKind, Step, Steps};
    let mut steps = Steps::default();
    let node = |steps: &mut Steps, name: &str| {
        let (key, name, source) = (name.to_owned(), name.to_owned(), "".into());
        steps.add_node(Node { key, name, kind: NodeKind::Principal, domain: "d".into(), source, line: None })
    };
    let goal = node(&mut steps, "goal");
    let grant = |steps: &mut Steps, name: &str| {
        steps.add_grant(Grant {
            policy: name.to_owned(),
            arn: None,
            part: String::new(),
            source: "".into(),
            line: None,
        })
    };
    // The greedy choice takes `c`, `d` and `e`, each of which it needs, where `a` and `b` would do.
    let of = |one: char| [(format!("{one}c"), 4), (format!("{one}d"), 2), (format!("{one}e"), 1)];
    let uses = ['a', 'b'].into_iter().flat_map(of).flat_map(|(uses, times)| vec![uses; times]);
    for (at, uses) in uses.enumerate() {
        let from = node(&mut steps, &format!("u{at}"));
        let grounds = uses.chars().map(|one| {
            let grants = vec![grant(&mut steps, &one.to_string())];
            std::sync::Arc::new(Ground { claim: one.to_string(), grants, truth: Truth::Yes, open: Vec::new() })
        });
        let grounds = grounds.collect();
        steps.push(Step { grounds, ..Step::new(from, goal, ACCESS) });
    }
    let free = node(&mut steps, "free");
    let target = Target::node(&steps, goal);
    let cut = |steps: &Steps| find(steps, &target, None).cut;
    let found = cut(&steps);
    let names: Vec<&str> = found.grants.iter().map(|one| steps.grant(*one).unwrap().policy.as_str()).collect();
    assert_eq!((names, found.is_least, found.left), (vec!["a", "b"], true, 0));
    // What rests on nothing is not ended by anything, and that is said.
    steps.push(Step::new(free, goal, ACCESS));
    let found = cut(&steps);
    assert_eq!((found.grants.len(), found.is_least, found.left), (2, true, 1));
}

#[test]
fn a_name_that_aws_would_refuse_makes_a_path_possible_and_is_said() {
    let text = "role target
  trusts ec2.amazonaws.com
  profile
  allow * on *
user alice
  allow ssm:SendCommand on arn:aws:instance:us-east-1:111122223333:instance/made-up arn:aws:ssm:*::document/*";
    let (_, found) = paths(text);
    assert_eq!(found.paths.len(), 1);
    let step = &found.steps[found.paths[0].steps[0]];
    assert_eq!((step.truth, step.missing[0].id), (Truth::Unknown, "ec2-instance"));
    assert!(step.grounds[0].open[0].contains("AWS would refuse"));
    assert_eq!(reaches(&text.replace(":instance:", ":s3:"), "user/alice"), Truth::No);
}

fn gets_to(text: &str, who: &str, goal: &str) -> Truth {
    let derived = derive(Fixture::parse(text).estate);
    let (who, goal) = (derived.estate.find(who).unwrap(), derived.estate.find(goal).unwrap());
    let found = find(&derived.steps, &Target::node(&derived.steps, goal), Some(who));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn an_administrator_gets_to_the_roles_of_another_account_that_trust_its_own() {
    let text = "account 444455556666
role theirs
  trusts 111122223333
  allow s3:* on *
role closed
  trusts 444455556666
  allow s3:* on *
account 111122223333
user boss
  allow * on *
user climber
  allow iam:PutUserPolicy on user/climber";
    assert_eq!(gets_to(text, "boss", "theirs"), Truth::Yes);
    assert_eq!(gets_to(text, "climber", "theirs"), Truth::Yes);
    assert_eq!(gets_to(text, "boss", "closed"), Truth::No);
    let external = text
        .replace("  trusts 111122223333\n", "  trusts 111122223333\n  refuses anyone Bool aws:SecureTransport true\n");
    assert_eq!(
        gets_to(&external, "boss", "theirs"),
        Truth::No,
        "what the trust policy denies, it denies administrators"
    );
}

#[test]
fn what_is_made_is_what_is_started() {
    let text = "role target
  trusts lambda.amazonaws.com
  allow * on *
user alice
  allow iam:PassRole on role/target
  allow lambda:CreateFunction on arn:aws:lambda:*:111122223333:function:dev-*
  allow lambda:InvokeFunction on arn:aws:lambda:*:111122223333:function:prod-*
listed lambda-function";
    assert_eq!(reaches(text, "user/alice"), Truth::No);
    assert_eq!(reaches(&text.replace("prod-*", "*-web"), "user/alice"), Truth::Yes, "`dev-any-web` is both");
    let (_, found) = paths(&text.replace("prod-*", "*"));
    let claims: Vec<&str> = found.steps[0].grounds.iter().map(|ground| ground.claim.as_str()).collect();
    assert!(claims.contains(&"lambda:InvokeFunction on arn:aws:lambda:*:111122223333:function:dev-*"), "{claims:?}");
}

#[test]
fn what_must_exist_is_one_that_the_needs_are_allowed_on() {
    let text = "role target
  trusts lambda.amazonaws.com
  allow * on *
user alice
  allow iam:PassRole on role/target
  allow lambda:UpdateFunctionConfiguration lambda:UpdateFunctionCode lambda:InvokeFunction on arn:aws:lambda:*:*:function:dev-*
workload lambda-function arn:aws:lambda:us-east-1:111122223333:function:NAME
listed lambda-function";
    assert_eq!(reaches(&text.replace("NAME", "prod-x"), "user/alice"), Truth::No);
    assert_eq!(reaches(&text.replace("NAME", "dev-x"), "user/alice"), Truth::Yes);
    let some = text.replace("NAME", "prod-x").replace("\nlisted lambda-function", "");
    assert_eq!(reaches(&some, "user/alice"), Truth::Unknown, "one that is known is not all there are");
}

#[test]
fn the_region_that_is_called_is_the_one_of_the_resource() {
    check(
        "scp 111122223333
  allow * on *
  deny * on *
  if StringNotEquals aws:RequestedRegion eu-west-1
user alice
  allow * on *
? alice ec2:RunInstances arn:aws:ec2:us-west-2:111122223333:instance/i = no
? alice ec2:RunInstances arn:aws:ec2:eu-west-1:111122223333:instance/i = yes
? alice iam:CreateUser user/x = no
? alice s3:GetObject arn:aws:s3:::b/x = unknown
? alice ec2:RunInstances * = yes",
    );
}

#[test]
fn tags_are_chosen_only_where_a_request_passes_some() {
    check(
        "scp 111122223333
  allow * on *
user alice
  allow s3:GetObject ec2:CreateVolume on *
  if StringEquals aws:RequestTag/team red
user bob
  allow s3:GetObject on *
  deny s3:GetObject on *
  if StringNotEquals aws:RequestTag/team red
? alice s3:GetObject arn:aws:s3:::b/x = no
? alice ec2:CreateVolume arn:aws:ec2:eu-west-1:111122223333:volume/v = yes
? bob s3:GetObject arn:aws:s3:::b/x = no",
    );
}

#[test]
fn a_variable_in_a_pattern_of_an_arn_is_read_before_the_parts_are() {
    check(
        "scp 111122223333
  allow * on *
  deny * on *
  if ArnLike aws:PrincipalArn arn:aws:iam::${aws:PrincipalAccount}:user/dev*
user dev1
  allow * on *
user ops
  allow * on *
? dev1 s3:GetObject arn:aws:s3:::b/x = no
? ops s3:GetObject arn:aws:s3:::b/x = yes",
    );
}

#[test]
fn outsiders_are_stopped_by_what_a_trust_policy_or_the_organisation_denies() {
    let text = "role open
  trusts anyone
  allow * on *
role deploy
  trusts arn:aws:iam::111122223333:oidc-provider/ci.example
  allow * on *";
    let (_, found) = paths(text);
    assert_eq!(found.paths.len(), 2);
    let refusing = text.replace(
        "  trusts anyone\n",
        "  trusts anyone\n  refuses anyone StringNotEquals aws:PrincipalAccount 111122223333\n",
    );
    let (derived, found) = paths(&refusing);
    let names: Vec<&str> = found.paths.iter().map(|path| derived.estate.principals[path.from].arn.as_str()).collect();
    assert!(matches!(names.as_slice(), [one] if one.contains("oidc-provider")), "{names:?}");
    let perimeter = format!(
        "{text}\nrcp 111122223333\n  allow * on *\n  deny sts:* on *\n  if StringNotEquals aws:PrincipalOrgID o-1"
    );
    let (_, found) = paths(&perimeter);
    assert!(found.paths.iter().all(|path| path.truth == Truth::Unknown), "whose organisation it is, no file says");
    let whole = perimeter.replace("  if StringNotEquals aws:PrincipalOrgID o-1", "");
    assert!(paths(&whole).1.paths.is_empty());
}

#[test]
fn what_is_attached_and_not_read_may_deny() {
    check(
        "user alice
  attached lost
  allow s3:* on *
? alice s3:GetObject arn:aws:s3:::b/x = unknown",
    );
}

#[test]
fn whose_a_bucket_is_decides_where_there_are_several_accounts() {
    let text = "account 444455556666
user other
  allow s3:* on *
account 111122223333
user alice
  allow s3:* on *
resource arn:aws:s3:::b
  allow s3:GetObject on arn:aws:s3:::b/* to user/alice
? alice s3:GetObject arn:aws:s3:::b/x = yes
? other s3:GetObject arn:aws:s3:::b/x = unknown";
    check(text);
}

#[test]
fn a_command_needs_the_document_as_well_as_the_instance() {
    let text = "role target
  trusts ec2.amazonaws.com
  profile
  allow * on *
user alice
  allow ssm:SendCommand on arn:aws:ec2:*:*:instance/* arn:aws:ssm:*:*:document/NAME
workload ec2-instance arn:aws:ec2:us-east-1:111122223333:instance/i-1 as role/target
listed ec2-instance";
    assert_eq!(reaches(&text.replace("NAME", "AWS-RunShellScript"), "user/alice"), Truth::Yes);
    assert_eq!(reaches(&text.replace("NAME", "AWS-UpdateSSMAgent"), "user/alice"), Truth::No);
}

#[test]
fn a_policy_that_gives_iam_alone_is_enough_to_attach() {
    let text = "user alice
  allow iam:AttachUserPolicy on user/alice
  if ArnEquals iam:PolicyARN arn:aws:iam::aws:policy/NAME";
    assert_eq!(reaches(&text.replace("NAME", "IAMFullAccess"), "user/alice"), Truth::Yes);
    assert_eq!(reaches(&text.replace("NAME", "ReadOnlyAccess"), "user/alice"), Truth::No);
}

#[test]
fn a_rewritten_trust_does_not_help_against_an_organisation_that_allows_no_session() {
    let text = "scp 111122223333
  allow iam:* s3:* on *
role target
  trusts ec2.amazonaws.com
  allow * on *
user alice
  allow iam:UpdateAssumeRolePolicy on role/target";
    assert_eq!(gets_to(text, "alice", "target"), Truth::No);
    assert_eq!(gets_to(&text.replace("s3:*", "sts:*"), "alice", "target"), Truth::Yes);
}

#[test]
fn what_asks_for_more_on_the_same_grants_is_not_derived() {
    let text = "role target
  trusts ec2.amazonaws.com
user other
user alice
  allow iam:* on *
user bob
  allow iam:PutRolePolicy on *";
    let derived = derive(Fixture::parse(text).estate);
    let alice = derived.estate.find("alice").unwrap();
    let with_another =
        |who: usize| derived.steps.steps.iter().filter(|step| step.from == who && step.also.is_some()).count();
    assert_eq!(with_another(alice), 0);
    assert_eq!(with_another(derived.estate.find("bob").unwrap()), 1);
}

#[test]
fn a_queue_of_another_account_starts_the_function_if_the_role_may_receive_from_it() {
    let gets = |grants: &str| {
        let text = format!(
            "role worker
  trusts lambda.amazonaws.com
{grants}
user ann
  allow iam:PassRole on role/worker
  allow lambda:CreateFunction on *
  allow lambda:CreateEventSourceMapping on *
listed event-source"
        );
        gets_to(&text, "ann", "role/worker")
    };
    let own = "arn:aws:sqs:us-east-1:111122223333:jobs";
    for (grants, expected) in [
        ("  allow sqs:* on *", Truth::Yes),
        // The name of a queue is the attacker's choice, and so is its region.
        ("  allow sqs:* on arn:aws:sqs:eu-west-1:*:jobs-*", Truth::Yes),
        (&format!("  allow sqs:* on {own}"), Truth::No),
        ("  allow sqs:ReceiveMessage on *\n  allow sqs:DeleteMessage on *", Truth::No),
        ("  allow sqs:* on *\n  if StringEquals aws:ResourceAccount 111122223333", Truth::No),
        ("  allow sqs:* on *\n  if StringEquals app:Key x", Truth::Unknown),
        ("  allow sqs:* on *\n  deny sqs:GetQueueAttributes on *", Truth::No),
    ] {
        assert_eq!(gets(grants), expected, "{grants}");
    }
}

#[test]
fn a_grant_has_its_actions_as_they_were_written_and_covers_them_in_any_case() {
    let estate = Fixture::parse("user ann\n  allow S3:GetObject on *\n  deny s3:GETOBJECT on arn:aws:s3:::b/x").estate;
    let grants = super::query::what_can(&estate, estate.find("ann").unwrap());
    assert!(super::report::grants(&estate, &grants).starts_with("S3:GetObject on *\n"));
    let gives = |action: &str, resource: &str| grants[0].gives(action, resource);
    assert_eq!(gives("s3:getobject", "arn:aws:s3:::b/y"), Truth::Yes);
    assert_eq!(gives("s3:GetObject", "arn:aws:s3:::b/x"), Truth::No);
}

#[test]
fn whoever_is_not_named_by_an_exception_is_let_in_from_outside() {
    let (derived, found) = paths("role admin\n  trusts all-but 444455556666\n  allow * on *");
    let from: Vec<&str> = found.paths.iter().map(|path| derived.steps.name(path.from)).collect();
    assert_eq!(from, ["anyone with an AWS account"]);
}

#[test]
fn an_account_decides_for_itself_and_one_of_its_own_needs_its_leave() {
    let text = |whom: &str| format!("role admin\n  trusts {whom}\n  allow * on *");
    let whole = paths(&text("444455556666")).1;
    assert_eq!(whole.paths.iter().map(|path| path.truth).collect::<Vec<_>>(), [Truth::Yes]);
    let one = paths(&text("arn:aws:iam::444455556666:role/vendor")).1;
    assert_eq!(one.paths.iter().map(|path| path.truth).collect::<Vec<_>>(), [Truth::Unknown]);
}

#[test]
fn what_defeats_every_step_of_a_kind_is_an_exception_and_leaves_nothing_open() {
    let (_, found) = paths("user boss\n  allow * on *\nuser alice\n  allow iam:CreateAccessKey on user/boss");
    let step = &found.steps[found.paths[0].steps[0]];
    assert_eq!((step.truth, step.is_open()), (Truth::Yes, false));
    assert!(step.unless.is_some_and(|unless| unless.contains("two access keys")));
}

#[test]
fn what_is_only_possible_says_why() {
    // Whether `*` reaches past a boundary is not documented.
    let text = "policy limit\n  allow s3:* on *\nrole open\n  trusts anyone\n  allow * on *\nrole bounded\n  boundary limit\n  allow * on *";
    let (derived, found) = paths(text);
    let bounded = derived.estate.find("role/bounded").unwrap();
    let path = found.paths.iter().find(|path| path.from == bounded).unwrap();
    assert_eq!(path.truth, Truth::Unknown);
    assert!(found.steps[path.steps[0]].grounds.iter().any(|ground| !ground.open.is_empty()));
}

/// The paths of pathfinding.cloud: service, and the number of its last.
const CATALOGUE: &[(&str, u32)] = &[
    ("apprunner", 2),
    ("batch", 3),
    ("bedrock", 7),
    ("braket", 1),
    ("cloudformation", 5),
    ("codebuild", 4),
    ("codedeploy", 1),
    ("cognitoidentity", 1),
    ("datapipeline", 1),
    ("ec2", 4),
    ("ecs", 9),
    ("emr", 1),
    ("emrserverless", 1),
    ("gamelift", 1),
    ("glue", 7),
    ("iam", 21),
    ("imagebuilder", 1),
    ("kinesisanalytics", 1),
    ("lambda", 6),
    ("omics", 1),
    ("sagemaker", 5),
    ("ssm", 3),
    ("sts", 1),
];

#[test]
fn every_path_of_the_public_catalogue_has_a_kind() {
    let covered: std::collections::BTreeSet<String> =
        kinds::all().flat_map(|kind| kind.catalogue).map(|id| (*id).to_owned()).collect();
    let numbered = |(service, last): &(&str, u32)| {
        let service = (*service).to_owned();
        (1..=*last).map(move |number| format!("{service}-{number:03}"))
    };
    // The catalogue has no other number of this service.
    let wanted = CATALOGUE.iter().flat_map(numbered).chain(["ec2instanceconnect-003".to_owned()]);
    assert_eq!(covered, wanted.collect());
}
