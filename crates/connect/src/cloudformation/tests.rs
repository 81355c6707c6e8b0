//! Templates, in YAML and JSON, and those that would cost too much.

use graph::Lack;
use graph::aws::estate::Principal;
use graph::aws::{Truth, decide};
use graph::step::paths::find;
use graph::world::Goal;
use proptest::prelude::*;

use crate::aws::{Loaded, add};

const YAML: &str = "
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  Who: {Type: String, Default: ann}
Resources:
  Strong:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Action: sts:AssumeRole, Principal: {Service: !Sub 'lambda.${AWS::URLSuffix}'}}]
      ManagedPolicyArns: [!Sub 'arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess']
  Worker:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: worker, Role: !GetAtt Strong.Arn}
  Person:
    Type: AWS::IAM::User
    Properties: {UserName: !Ref Who}
  Deploys:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Users: [!Ref Person]
      PolicyDocument:
        Statement:
        - Effect: Allow
          Action: [lambda:UpdateFunctionCode, lambda:InvokeFunction]
          Resource: !Join [':', ['arn:aws:lambda', '*', !Ref AWS::AccountId, function, !Ref Worker]]
";

fn administers(text: &str) -> Truth {
    let mut loaded = Loaded::default();
    add(&mut loaded, "template.yaml", text);
    assert_eq!(loaded.unread, []);
    loaded.estate.link();
    let world = loaded.world();
    let from = world.steps.find("user/ann").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn a_template_is_followed_through_its_functions() {
    assert_eq!(administers(YAML), Truth::Yes);
    let another = administers(&YAML.replace("!Ref Worker]", "other]"));
    assert_eq!(another, Truth::Unknown, "a function that the template does not make may have the role");
    assert_eq!(administers(&YAML.replace("!GetAtt Strong.Arn", "arn:aws:iam::000000000000:role/other")), Truth::No);
}

#[test]
fn a_templates_account_is_the_one_that_its_arns_name_and_not_whom_it_lets_in() {
    let literal =
        YAML.replace("!Join [':', ['arn:aws:lambda', '*', !Ref AWS::AccountId, function, !Ref Worker]]", "WHERE");
    let at = |place: &str| administers(&literal.replace("WHERE", place));
    assert_eq!(at("'arn:aws:lambda:*:111122223333:function:worker'"), Truth::Yes);
    assert_eq!(at("!Sub 'arn:aws:lambda:*:111122223333:function:${Worker}'"), Truth::Yes);
    let lets_in = "{Service: !Sub 'lambda.${AWS::URLSuffix}', AWS: 'arn:aws:iam::444455556666:root'}";
    let trusted = literal.replace("{Service: !Sub 'lambda.${AWS::URLSuffix}'}", lets_in);
    assert_eq!(
        administers(&trusted.replace("WHERE", "!Sub 'arn:aws:lambda:*:${AWS::AccountId}:function:worker'")),
        Truth::Yes
    );
    assert_eq!(administers(&trusted.replace("WHERE", "'arn:aws:lambda:*:111122223333:function:worker'")), Truth::Yes);
}

#[test]
fn a_template_that_names_no_account_is_of_the_one_that_the_other_files_are_about() {
    let account = r#"{"UserDetailList": [{"UserName": "bea", "Arn": "arn:aws:iam::111122223333:user/bea"}]}"#;
    let dir = tempfile::tempdir().unwrap();
    // The template is read first by name.
    let files = [("a.yaml", YAML), ("b.json", account)].map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let loaded = crate::aws::load(&files, 0);
    let arns: Vec<&str> = loaded.estate.principals.iter().map(|one| one.arn.as_str()).collect();
    assert!(arns.contains(&"arn:aws:iam::111122223333:user/ann"), "{arns:?}");
}

#[test]
fn what_two_templates_call_by_one_id_is_two_things() {
    const ROLE: &str = "
AWSTemplateFormatVersion: '2010-09-09'
Resources:
  Worker:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}]
      Policies:
      - {PolicyName: p, PolicyDocument: {Statement: [{Effect: Allow, Action: ACTION, Resource: '*'}]}}
  Beside:
    Type: AWS::IAM::Role
    Properties:
      RoleName: NAMED
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Action: sts:AssumeRole, Principal: {AWS: !GetAtt Worker.Arn}}]
";
    let mut loaded = Loaded::default();
    let template = |action: &str, name: &str| ROLE.replace("ACTION", action).replace("NAMED", name);
    add(&mut loaded, "a/template.yaml", &template("s3:GetObject", "one"));
    add(&mut loaded, "b/template.yaml", &template("iam:*", "two"));
    add(&mut loaded, "c/template.yaml", &template("sqs:*", "three"));
    // The same file once more is the same.
    add(&mut loaded, "c/template.yaml", &template("sqs:*", "three"));
    assert_eq!(loaded.unread, []);
    loaded.link();
    let world = loaded.world();
    let names: Vec<&str> = world.aws.principals.iter().map(|one| one.short()).collect();
    assert_eq!(
        names,
        ["role/Worker", "role/one", "role/template-Worker", "role/two", "role/c-template-Worker", "role/three"]
    );
    let found = find(&world.steps, &world.target(&Goal::Administrator), None);
    assert_eq!(
        found.paths.iter().map(|path| world.steps.name(path.from)).collect::<Vec<_>>(),
        ["role/template-Worker"]
    );
    let assumed = |name: &str| {
        let to = world.steps.find(name).unwrap();
        let into = world.steps.steps.iter().filter(|step| step.to == to);
        into.map(|step| world.steps.name(step.from)).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(assumed("role/one").contains("role/Worker"));
    assert!(!assumed("role/two").contains("role/Worker"), "it trusts the one of its own template");
}

#[test]
fn a_statement_stands_where_it_begins() {
    let line = |document: &str| {
        let text = format!(
            "Resources:\n  P:\n    Type: AWS::IAM::ManagedPolicy\n    Properties:\n      PolicyDocument:\n{document}\n"
        );
        loaded(&text).estate.policies[0].document.statements.iter().filter_map(|one| one.line).collect::<Vec<_>>()
    };
    let (version, flow) = ("        Version: '2012-10-17'\n", "{Effect: Allow, Action: '*', Resource: '*'}");
    let block = "        Statement:\n          Effect: Allow\n          Action: '*'\n          Resource: '*'\n";
    assert_eq!(line(&format!("{version}        Statement: {flow}")), [7]);
    assert_eq!(line(&format!("{version}{block}")), [7]);
    assert_eq!(line(&format!("{block}{version}")), [6]);
    assert_eq!(line(&format!("{version}        Statement:\n        - {flow}\n        - {flow}")), [8, 9]);
    assert_eq!(line(&format!("{version}        Statement: !If [Missing, {flow}, {flow}]")), [7]);
}

#[test]
fn json_says_the_same_as_yaml() {
    let json = r#"{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {
      "Person": {"Type": "AWS::IAM::User", "Properties": {"UserName": "ann", "Policies": [
        {"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "iam:PutUserPolicy",
          "Resource": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:user/${!aws:username}"}}]}}]}}}}"#;
    assert_eq!(administers(json), Truth::No, "without a version a variable is text");
    let versioned = json.replace(r#"{"Statement""#, r#"{"Version": "2012-10-17", "Statement""#);
    assert_eq!(administers(&versioned), Truth::Yes);
}

fn loaded(text: &str) -> Loaded {
    let mut loaded = Loaded::default();
    add(&mut loaded, "template.yaml", text);
    loaded
}

/// The one principal of a template, and what was said.
fn principal(resources: &str) -> (Principal, Vec<String>, Loaded) {
    let loaded = loaded(&format!("Resources:\n{resources}"));
    let said = loaded.unread.iter().map(|unread| unread.reason.clone()).collect();
    (loaded.estate.principals.first().expect("a principal").clone(), said, loaded)
}

#[test]
fn access_to_a_cluster_is_read_from_a_template() {
    let of = |scope: &str| {
        let text = format!(
            "Resources:
  R: {{Type: 'AWS::IAM::Role', Properties: {{RoleName: ci}}}}
  E: {{Type: 'AWS::EKS::AccessEntry', Properties: {{PrincipalArn: !GetAtt R.Arn, Username: bot, KubernetesGroups: [ops],
    AccessPolicies: [{{AccessScope: {scope}, PolicyArn: 'arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy'}}]}}}}
  P: {{Type: 'AWS::EKS::PodIdentityAssociation', Properties: {{Namespace: n, ServiceAccount: s, RoleArn: !GetAtt R.Arn}}}}
"
        );
        loaded(&text)
    };
    let cluster = of("{Type: cluster}").cluster;
    let arn = "arn:aws:iam::000000000000:role/ci";
    assert_eq!((cluster.pod_identities[0].role.as_str(), cluster.pod_identities[0].account.1.as_str()), (arn, "s"));
    let entry = cluster.mappings.iter().find(|one| one.user.as_deref() == Some("bot")).unwrap();
    assert_eq!((entry.arn.as_str(), entry.groups.as_slice()), (arn, ["ops".to_owned()].as_slice()));
    let bound = |scope: &str| {
        let loaded = of(scope);
        let bindings = loaded.cluster.bindings.into_iter().map(|one| one.meta.namespace).collect::<Vec<_>>();
        (bindings, loaded.unread.len())
    };
    assert_eq!(bound("{Type: cluster}"), (vec![String::new()], 0));
    assert_eq!(bound("{Type: namespace, Namespaces: [a, b]}"), (vec!["a".to_owned(), "b".to_owned()], 0));
    assert_eq!(bound("{Type: namespace, Namespaces: !ImportValue theirs}"), (vec![], 2), "not known is not everywhere");
}

#[test]
fn what_a_template_does_not_know_of_a_cluster_is_said() {
    let said = |kind: &str, properties: &str| {
        let text = format!("Resources:\n  X: {{Type: 'AWS::EKS::{kind}', Properties: {{{properties}}}}}\n");
        loaded(&text).unread.into_iter().map(|one| (one.lack == Lack::Pending, one.reason)).collect::<Vec<_>>()
    };
    let later = "what `Fn::ImportValue` comes to is known once the stack is made";
    let pending = |reason: &str| vec![(true, reason.to_owned()), (true, later.to_owned())];
    let role = "!ImportValue theirs";
    assert_eq!(
        said("PodIdentityAssociation", &format!("Namespace: n, ServiceAccount: s, RoleArn: {role}")),
        pending("whom `X` gives a role is not known here")
    );
    assert_eq!(said("AccessEntry", &format!("PrincipalArn: {role}")), pending("whom `X` lets in is not known here"));
    let policy = "PrincipalArn: 'arn:aws:iam::1:role/r', AccessPolicies: [{AccessScope: {Type: cluster}, PolicyArn: !ImportValue p}]";
    assert_eq!(said("AccessEntry", policy), pending("what an access policy of `X` gives is not known here"));
}

#[test]
fn a_name_that_is_made_of_itself_ends_and_is_said() {
    let (role, said, _) = principal("  R: {Type: AWS::IAM::Role, Properties: {RoleName: !Ref R}}\n");
    assert_eq!(role.arn, "arn:aws:iam::000000000000:role/${R}");
    assert_eq!(said, ["`R` is named after itself"]);
    let circle = "  A: {Type: AWS::IAM::Role, Properties: {RoleName: !Sub 'a-${B}'}}\n  \
                    B: {Type: AWS::IAM::Role, Properties: {RoleName: !Ref A, Path: !GetAtt B.Arn}}\n";
    assert!(!principal(circle).1.is_empty());
}

#[test]
fn a_chain_that_doubles_ends_and_is_said() {
    for property in ["RoleName", "Path"] {
        let attribute = if property == "Path" { ".Arn" } else { "" };
        let link = |at: u32| {
            let next = at + 1;
            format!(
                "  R{at}: {{Type: AWS::IAM::Role, Properties: {{{property}: !Sub '${{R{next}{attribute}}}${{R{next}{attribute}}}'}}}}\n"
            )
        };
        let chain: String = (0..40).map(link).collect();
        let (_, said, _) = principal(&chain);
        assert!(said.iter().any(|said| said.contains("not computed")), "{property}: {said:?}");
    }
}

const CHOICE: &str = "
Parameters:
  Stage: {Type: String, Default: dev}
  Open: {Type: String}
  Actions: {Type: CommaDelimitedList, Default: 's3:GetObject, s3:PutObject'}
  Kept: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /bucket}
Mappings:
  Of:
    dev: {Action: s3:GetObject, All: [s3:GetObject, s3:PutObject]}
    us-east-1: {Action: '*'}
Conditions:
  Prod: !Equals [!Ref Stage, prod]
  Not: !Not [!Condition Prod]
  Both: !And [!Condition Not, !Or [!Condition Prod, !Equals [a, a]]]
  Elsewhere: !Equals [!Ref AWS::Region, us-east-1]
  Given: !Equals [!Ref Open, 'yes']
Resources:
  Person:
    Type: AWS::IAM::User
    Properties:
      UserName: ann
      Policies:
      - PolicyName: p
        PolicyDocument:
          Statement: [{Effect: Allow, Action: ACTION, Resource: '*'}]
";

/// What a policy allows, and what was said.
fn actions(action: &str) -> (Vec<String>, Vec<String>) {
    let mut loaded = loaded(&CHOICE.replace("ACTION", action));
    loaded.estate.link();
    let ann = loaded.estate.find("user/ann").unwrap();
    let allowed = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "iam:PassRole"];
    let granted = |one: &&&str| decide(&loaded.estate, ann, one, "*").verdict == Truth::Yes;
    let said = loaded.unread.iter().map(|unread| unread.reason.clone()).collect();
    (allowed.iter().filter(granted).map(|one| (*one).to_owned()).collect(), said)
}

#[test]
fn a_choice_is_made_by_what_the_template_says_or_said() {
    for (action, expected) in [
        ("!If [Prod, s3:ListBucket, '*']", vec!["s3:GetObject", "s3:PutObject", "s3:ListBucket", "iam:PassRole"]),
        ("!If [Both, s3:ListBucket, '*']", vec!["s3:ListBucket"]),
        ("[s3:ListBucket, !If [Prod, '*', !Ref AWS::NoValue]]", vec!["s3:ListBucket"]),
        ("!Ref Actions", vec!["s3:GetObject", "s3:PutObject"]),
        ("!FindInMap [Of, !Ref Stage, Action]", vec!["s3:GetObject"]),
        ("!FindInMap [Of, dev, All]", vec!["s3:GetObject", "s3:PutObject"]),
        ("!Select [1, [s3:GetObject, s3:ListBucket]]", vec!["s3:ListBucket"]),
        ("!Select ['0', !Ref Actions]", vec!["s3:GetObject"]),
        ("!Split [',', 's3:GetObject,s3:ListBucket']", vec!["s3:GetObject", "s3:ListBucket"]),
    ] {
        assert_eq!(actions(action), (expected.into_iter().map(str::to_owned).collect(), Vec::new()), "{action}");
    }
    for action in ["!If [Elsewhere, s3:ListBucket, '*']", "!If [Given, '*', s3:ListBucket]", "!If [Missing, '*', x]"] {
        let (allowed, said) = actions(action);
        assert_eq!(allowed, Vec::<String>::new());
        assert!(said[0].contains("hangs on condition"), "{said:?}");
        let loaded = loaded(&CHOICE.replace("ACTION", action));
        assert_eq!(loaded.estate.principals[0].attached.len(), 1, "it is a gap of what is asked about the user");
    }
    assert_eq!(actions("!Ref Kept").0, Vec::<String>::new(), "a default that is a place is not its value");
    for (action, why) in [
        ("!FindInMap [Of, !Ref AWS::Region, Action]", "what `Fn::FindInMap` comes to"),
        ("!FindInMap [Of, prod, Action]", "what `Fn::FindInMap` comes to"),
        ("!Select [7, !Ref Actions]", "what `Fn::Select` comes to"),
        ("!Split [',', !Ref Open]", "what parameter `Open` is given"),
        ("!ImportValue other-stack-actions", "what `Fn::ImportValue` comes to"),
        ("!Sub 's3:${Open}'", "what parameter `Open` is given"),
        ("!Ref Elsewhere", "`Elsewhere` is no parameter and no resource"),
        ("!GetAtt Log.Arn", "the ARN of `Log` is known once"),
    ] {
        let (allowed, said) = actions(action);
        assert_eq!(allowed, Vec::<String>::new(), "{action}");
        assert!(said.iter().any(|said| said.contains(why)), "{action}: {said:?}");
        let loaded = loaded(&CHOICE.replace("ACTION", action));
        assert_eq!(loaded.estate.principals[0].attached.len(), 1, "{action} is a gap of what is asked about the user");
    }
}

#[test]
fn a_resource_is_made_where_its_condition_holds_and_where_nobody_knows() {
    let of = |condition: &str| {
        let kind = "    Type: AWS::IAM::User\n";
        let text =
            CHOICE.replace("ACTION", "s3:GetObject").replace(kind, &format!("{kind}    Condition: {condition}\n"));
        let loaded = loaded(&text);
        let said = loaded.unread.into_iter().map(|one| (one.lack == Lack::Pending, one.reason)).collect::<Vec<_>>();
        (loaded.estate.principals.len(), said)
    };
    assert_eq!(of("Both"), (1, vec![]));
    assert_eq!(of("Prod"), (0, vec![]));
    for condition in ["Elsewhere", "Given", "Missing"] {
        let (made, said) = of(condition);
        let reason = format!(
            "whether `Person` is made hangs on condition `{condition}`, which the template alone does not decide: it is taken to be"
        );
        assert!(made == 1 && said.contains(&(true, reason)), "{condition}: {said:?}");
    }
    // What is not made denies nothing.
    let denied = format!(
        "{YAML}  Boundary:
    Type: AWS::IAM::ManagedPolicy
    Condition: Prod
    Properties:
      Users: [!Ref Person]
      PolicyDocument: {{Statement: [{{Effect: Deny, Action: '*', Resource: '*'}}]}}
"
    );
    let with = |stage: &str| {
        administers(&denied.replace(
            "Resources:\n  Strong:",
            &format!("Conditions:\n  Prod: !Equals [{stage}, prod]\nResources:\n  Strong:"),
        ))
    };
    assert_eq!((with("dev"), with("prod")), (Truth::Yes, Truth::No));
}

#[test]
fn a_name_that_is_known_later_is_open_and_no_gap_of_other_questions() {
    let mut loaded =
        loaded(&CHOICE.replace("ACTION", "s3:GetObject").replace("Resource: '*'", "Resource: !Sub '${Open}/*'"));
    loaded.estate.link();
    assert_eq!(loaded.unread[0].reason, "what parameter `Open` is given is known once the stack is made");
    let ann = loaded.estate.find("user/ann").unwrap();
    let verdict = |action: &str| decide(&loaded.estate, ann, action, "arn:aws:s3:::b/x");
    assert_eq!((verdict("s3:GetObject").verdict, verdict("s3:PutObject").verdict), (Truth::Unknown, Truth::No));
    assert_eq!(loaded.estate.principals[0].attached, Vec::<String>::new());
    let told = graph::aws::report::answer(&loaded.estate, "ann", &verdict("s3:GetObject"));
    assert!(told.contains("open: ${Open}/* holds what is not known before it is made"), "{told}");
}

#[test]
fn the_role_that_the_serverless_transform_makes_has_what_its_function_says() {
    let function = |policies: &str| {
        let resources =
            format!("  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Policies: {policies}\n");
        principal(&resources)
    };
    let (role, said, mut loaded) =
        function("[AmazonDynamoDBFullAccess, {Statement: [{Effect: Allow, Action: s3:GetObject, Resource: '*'}]}]");
    assert_eq!((role.short(), said.len()), ("role/FRole", 0));
    loaded.estate.link();
    let asked = |action: &str| decide(&loaded.estate, 0, action, "*").verdict;
    assert_eq!(
        (asked("dynamodb:PutItem"), asked("s3:GetObject"), asked("s3:PutObject")),
        (Truth::Yes, Truth::Yes, Truth::No)
    );
    let (_, said, mut loaded) = function("[{S3ReadPolicy: {BucketName: b}}]");
    assert!(said[0].contains("policy 1 of `F`, which the serverless transform makes"), "{said:?}");
    loaded.estate.link();
    assert_eq!(decide(&loaded.estate, 0, "s3:GetObject", "*").could_be(), Truth::Unknown);
}

#[test]
fn policies_that_stand_apart_are_their_principals_and_their_resources() {
    let document = "PolicyDocument: {Statement: [{Effect: Allow, Action: '*', Resource: '*', Principal: '*'}]}";
    for (kind, principal, key) in
        [("Role", "Role", "RoleName"), ("User", "User", "UserName"), ("Group", "Group", "GroupName")]
    {
        let (owner, said, _) = self::principal(&format!(
            "  P: {{Type: 'AWS::IAM::{kind}Policy', Properties: {{{key}: !Ref R, PolicyName: p, {document}}}}}\n  R: {{Type: 'AWS::IAM::{principal}', Properties: {{}}}}\n"
        ));
        assert_eq!((owner.inline.len(), said.len()), (1, 0), "{kind}");
    }
    let of = |resources: &str| {
        let loaded = loaded(&format!("Resources:\n{resources}"));
        let policies = loaded.estate.resource_policies.keys().cloned().collect::<Vec<_>>();
        (policies, loaded.unread.into_iter().map(|unread| unread.reason).collect::<Vec<_>>())
    };
    for (resource, arn) in [
        (
            format!(
                "  Q: {{Type: AWS::SQS::Queue}}\n  P: {{Type: AWS::SQS::QueuePolicy, Properties: {{Queues: [!Ref Q], {document}}}}}\n"
            ),
            "arn:aws:sqs:us-east-1:000000000000:Q",
        ),
        (
            format!(
                "  T: {{Type: AWS::SNS::Topic}}\n  P: {{Type: AWS::SNS::TopicPolicy, Properties: {{Topics: [!Ref T], {document}}}}}\n"
            ),
            "arn:aws:sns:us-east-1:000000000000:T",
        ),
        (
            format!(
                "  K: {{Type: AWS::KMS::Key, Properties: {{{}}}}}\n",
                document.replace("PolicyDocument", "KeyPolicy")
            ),
            "arn:aws:kms:us-east-1:000000000000:key/K",
        ),
        (
            format!("  P: {{Type: AWS::S3::BucketPolicy, Properties: {{Bucket: Box, {document}}}}}\n"),
            "arn:aws:s3:::box",
        ),
    ] {
        assert_eq!(of(&resource), (vec![arn.to_owned()], Vec::new()), "{resource}");
    }
    let service = of("  P: {Type: AWS::Lambda::Permission, Properties: {Principal: apigateway.amazonaws.com}}\n");
    assert_eq!(service, (Vec::new(), Vec::new()));
    let (none, said) = of("  P: {Type: AWS::Lambda::Permission, Properties: {Principal: '*'}}\n");
    assert!(none.is_empty() && said[0].contains("not read from a template"), "{said:?}");
}

/// A value of a few shapes over six resources, nested a little.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0..6u8).prop_map(|at| format!("!Ref R{at}")),
        (0..6u8).prop_map(|at| format!("!GetAtt R{at}.Arn")),
        (0..6u8, 0..6u8).prop_map(|(one, other)| format!("!Sub '${{R{one}}}-${{R{other}.Arn}}'")),
        Just("plain".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| format!("!Join ['-', [{}]]", all.join(", "))),
            (0..3u8, inner.clone(), inner).prop_map(|(at, then, other)| format!("!If [C{at}, {then}, {other}]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// However names and paths refer to one another: reading ends, and each resource is there.
    #[test]
    fn reading_ends(names in prop::collection::vec((value(), value()), 6)) {
        let role = |(at, (name, path)): (usize, &(String, String))| {
            format!("  R{at}:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: {name}\n      Path: {path}\n")
        };
        let resources: String = names.iter().enumerate().map(role).collect();
        let text = format!("Conditions:\n  C0: !Not [!Condition C0]\n  C1: !Equals [!Ref R0, x]\nResources:\n{resources}");
        prop_assert_eq!(loaded(&text).estate.principals.len(), 6);
    }
}
