//! Every kind of step on its own example, and silent on its counter-example.

use graph::aws::Truth;
use graph::kubernetes::{Evaluator, Request, Subject, kinds};
use graph::step::paths::find;
use graph::world::{Goal, World};

use crate::aws::{Loaded, add};

fn world(text: &str) -> World {
    let mut loaded = Loaded::default();
    add(&mut loaded, "cluster.yaml", text);
    assert_eq!(loaded.unread, [], "{text}");
    loaded.cluster.link();
    loaded.world()
}

#[test]
fn every_kind_fires_on_its_example_and_is_silent_on_its_counter_example() {
    for kind in kinds::all() {
        let fires = |text: &str| world(text).steps.steps.iter().any(|step| step.kind.id == kind.page.id);
        let machine = |text: &str| {
            let world = world(text);
            let leads = |index: usize| world.steps.nodes.get(index).is_some_and(|node| node.kind.is_crown());
            world.steps.steps.iter().any(|step| step.kind.id == kind.page.id && leads(step.to))
        };
        assert!(fires(kind.example), "{} does not fire", kind.page.id);
        // Pod security keeps a new pod from the machine, not from the namespace's service accounts.
        let silent = if kind.page.id == "k8s-create-pod" {
            !machine(kind.counter_example)
        } else {
            !fires(kind.counter_example)
        };
        assert!(silent, "{} fires on its counter-example", kind.page.id);
    }
}

#[test]
fn ids_are_unique_and_each_kind_has_a_reference() {
    let mut ids = std::collections::BTreeSet::new();
    for kind in kinds::all() {
        assert!(ids.insert(kind.page.id), "{} twice", kind.page.id);
        assert!(!kind.page.references.is_empty(), "{}", kind.page.id);
    }
}

const AGGREGATED: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: whole}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {part-of: whole}}]}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: part, labels: {part-of: whole}}
rules:
- {apiGroups: [''], resources: ['pods', '*/scale'], verbs: [list]}
- {apiGroups: [''], resources: [secrets], resourceNames: [one], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: n}
roleRef: {kind: ClusterRole, name: whole}
subjects: [{kind: ServiceAccount, name: s, namespace: m}, {kind: Group, name: 'system:serviceaccounts:k'}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: t, namespace: k}
";

/// Can, who-can and what-can are asked the same and agree.
fn check(text: &str, who: &Subject, request: &Request<'_>, expected: Truth) {
    let world = world(text);
    let evaluator = Evaluator::new(&world.cluster);
    assert_eq!(evaluator.decide(who, request).verdict, expected, "can {}", request.text());
    let listed = evaluator.who_can(request).iter().any(|(one, _)| one == who);
    assert_eq!(listed, expected != Truth::No, "who-can {}", request.text());
    let cites = evaluator.decide(who, request).allows;
    let held = evaluator.what_can(who);
    assert!(cites.iter().all(|cite| held.iter().any(|one| one.cite == *cite)), "what-can {}", request.text());
}

#[test]
fn rules_are_aggregated_limited_to_names_and_to_the_namespace() {
    let account = |namespace: &str, name: &str| Subject::ServiceAccount(namespace.into(), name.into());
    let s = account("m", "s");
    let place = Some("n");
    check(AGGREGATED, &s, &Request::core("list", "pods", place), Truth::Yes);
    check(AGGREGATED, &s, &Request::core("list", "pods", None), Truth::No);
    check(AGGREGATED, &s, &Request::core("list", "pods", Some("m")), Truth::No);
    check(AGGREGATED, &s, &Request::core("list", "pods/scale", place), Truth::Yes);
    check(AGGREGATED, &s, &Request::core("list", "pods/exec", place), Truth::No);
    check(AGGREGATED, &s, &Request::core("get", "secrets", place), Truth::No);
    check(AGGREGATED, &s, &Request::core("get", "secrets", place).named("one"), Truth::Yes);
    check(AGGREGATED, &account("k", "t"), &Request::core("list", "pods", place), Truth::Yes);
}

#[test]
fn a_pod_without_rights_or_access_to_its_machine_leads_nowhere() {
    let world = world("{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}");
    assert!(find(&world.steps, &world.target(&Goal::Administrator), None).paths.is_empty());
}

#[test]
fn lists_are_read_and_a_role_that_no_file_holds_is_a_gap() {
    let list = r#"{"apiVersion": "v1", "kind": "RoleBindingList", "items": [
      {"metadata": {"name": "b", "namespace": "n"}, "roleRef": {"kind": "Role", "name": "gone"},
       "subjects": [{"kind": "User", "name": "ann"}]}]}"#;
    let world = world(list);
    let answer =
        Evaluator::new(&world.cluster).decide(&Subject::User("ann".into()), &Request::core("get", "pods", Some("n")));
    assert_eq!(answer.verdict, Truth::No);
    assert_eq!(answer.gaps.len(), 1);
}

const ROLE: &str = r#"{"RoleDetailList": [
  {"RoleName": "pod", "Arn": "arn:aws:iam::111122223333:role/pod",
   "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
     "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.example/id/1"},
     "Condition": {"StringEquals": {"oidc.example/id/1:sub": "system:serviceaccount:n:s", "oidc.example/id/1:aud": "sts.amazonaws.com"}}}]},
   "RolePolicyList": [{"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}]},
  {"RoleName": "ci", "Arn": "arn:aws:iam::111122223333:role/ci",
   "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}}
]}"#;
const CLUSTER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: s, namespace: n, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/pod'}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
data:
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/ci
      username: ci
      groups: [deployers]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: n}
rules: [{apiGroups: [apps], resources: [deployments], verbs: [patch, create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: n}
roleRef: {kind: Role, name: r}
subjects: [{kind: Group, name: deployers}]
";

/// From the cloud into the cluster and back: a role that deploys becomes what its service accounts are.
fn cloud_and_cluster(cluster: &str) -> Truth {
    let mut loaded = Loaded::default();
    add(&mut loaded, "account.json", ROLE);
    add(&mut loaded, "cluster.yaml", cluster);
    assert_eq!(loaded.unread, []);
    loaded.estate.link();
    loaded.cluster.link();
    let world = loaded.world();
    let from = world.steps.find("role/ci").unwrap();
    let account = world.steps.administrator_of("111122223333").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Node(account)), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn a_path_leads_from_the_cloud_through_the_cluster_to_the_cloud() {
    assert_eq!(cloud_and_cluster(CLUSTER), Truth::Yes);
    assert_eq!(cloud_and_cluster(&CLUSTER.replace("name: s, namespace: n,", "name: t, namespace: n,")), Truth::No);
    assert_eq!(cloud_and_cluster(&CLUSTER.replace("name: deployers}", "name: others}")), Truth::No);
}

#[test]
fn an_agent_of_the_cluster_acts_as_its_service_account_and_through_its_servers() {
    let text = "
apiVersion: kagent.dev/v1alpha2
kind: Agent
metadata: {name: helper, namespace: n}
spec: {type: Declarative, declarative: {tools: [{type: McpServer, mcpServer: {name: tools, kind: MCPServer}}]}}
---
apiVersion: kagent.dev/v1alpha1
kind: MCPServer
metadata: {name: tools, namespace: n}
spec: {deployment: {image: i, cmd: npx, serviceAccountName: strong}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: strong, namespace: n}]
";
    let world = world(text);
    let from = world.steps.find("agent/n/helper").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    assert_eq!(found.paths.len(), 1);
    assert_eq!(found.paths[0].truth, Truth::Yes);
}

#[test]
fn a_setting_on_which_several_steps_rest_is_one_grant() {
    let world = world(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostPID: true\n  containers:\n  - {name: c, image: i, securityContext: {privileged: true}}\n",
    );
    let found = find(&world.steps, &world.target(&Goal::Administrator), None);
    assert!(world.steps.steps.iter().filter(|step| step.from == found.paths[0].from).count() > 1);
    let cites: Vec<String> = found.cut.iter().map(|id| world.steps.grant(*id).unwrap().cite()).collect();
    let distinct: std::collections::BTreeSet<&String> = cites.iter().collect();
    assert_eq!(distinct.len(), cites.len(), "{cites:?}");
}
