//! Every kind of step on its own example, and silent on its counter-example.

mod audit;
mod cloud;

use graph::aws::Truth;
use graph::kubernetes::observed::Uses;
use graph::kubernetes::{Evaluator, Request, Subject, kinds};
use graph::step::paths::find;
use graph::world::{Goal, World};
use serde_json::json;

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

/// What KubeHound writes of a cluster: neither lists nor objects say of what kind they are.
#[test]
fn the_lists_of_a_kubehound_dump_are_known_by_their_names() {
    let files = [
        ("run/metadata.json", json!({ "run_id": "01j", "cluster": { "name": "c" } })),
        (
            "run/a/pods.json",
            json!({ "metadata": {}, "items": [{
                "metadata": { "name": "p", "namespace": "a" },
                "spec": { "serviceAccountName": "s", "containers": [{ "name": "c", "image": "i" }] }
            }] }),
        ),
        ("run/a/endpointslices.discovery.k8s.io.json", json!({ "metadata": {}, "items": [{ "addressType": "IPv4" }] })),
        (
            "run/clusterrolebindings.rbac.authorization.k8s.io.json",
            json!({ "metadata": {}, "items": [{
                "metadata": { "name": "b" },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all" },
                "subjects": [{ "kind": "ServiceAccount", "name": "s", "namespace": "a" }]
            }] }),
        ),
        (
            "run/clusterroles.rbac.authorization.k8s.io.json",
            json!({ "metadata": {}, "items": [{
                "metadata": { "name": "all" },
                "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]
            }] }),
        ),
    ];
    let mut loaded = Loaded::default();
    for (name, list) in files {
        add(&mut loaded, name, &list.to_string());
    }
    assert_eq!((&loaded.unread, loaded.files), (&Vec::new(), 5));
    add(&mut loaded, "run/list.json", &json!({ "metadata": {}, "items": [{}] }).to_string());
    assert_eq!(loaded.unread.len(), 1, "a list that says nothing of its kind");
    loaded.cluster.link();
    let world = loaded.world();
    let target = world.target(&Goal::Administrator);
    let from = world.steps.find("serviceaccount/a/s").unwrap();
    assert!(!find(&world.steps, &target, Some(from)).paths.is_empty());
}

#[test]
fn an_admission_review_is_about_its_object() {
    let pod = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "p", "namespace": "a" },
        "spec": { "hostPID": true, "containers": [{ "name": "c", "image": "i", "securityContext": { "privileged": true } }] } });
    for (object, count) in [(pod, 1), (serde_json::Value::Null, 0)] {
        let request = json!({ "uid": "1", "operation": "CREATE", "object": object, "oldObject": null });
        let review = json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request });
        let world = world(&review.to_string());
        assert_eq!(find(&world.steps, &world.target(&Goal::Administrator), None).paths.len(), count);
    }
}

/// `kubectl apply -n tools` of a file that leaves its own namespace out.
#[test]
fn what_names_no_namespace_is_where_its_files_bindings_look_for_it() {
    const FILE: &str = "{kind: ServiceAccount, apiVersion: v1, metadata: {name: s}}
---
{kind: Deployment, apiVersion: apps/v1, metadata: {name: d}, spec: {template: {spec: {serviceAccountName: s, containers: [{name: c, image: i}]}}}}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: s, namespace: tools}]}";
    let from = |text: &str, who: &str| {
        let world = world(text);
        let from = world.steps.find(who).ok()?;
        let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
        found.paths.first().map(|path| path.truth)
    };
    assert_eq!(from(FILE, "deployment/tools/d"), Some(Truth::Yes));
    let listed = format!("{{kind: List, apiVersion: v1, items: [{}]}}", FILE.replace("\n---\n", ", "));
    assert_eq!(from(&listed, "deployment/tools/d"), Some(Truth::Yes));
    // What its bindings say of others, or of several places, says nothing of it.
    let of_others = FILE.replace("name: s, namespace: tools", "name: other, namespace: tools");
    assert_eq!(from(&of_others, "deployment/default/d"), None);
    let several = FILE.replace(
        "name: s, namespace: tools}",
        "name: s, namespace: tools}, {kind: ServiceAccount, name: s, namespace: more}",
    );
    assert_eq!(from(&several, "deployment/default/d"), None);
    // What names one is there.
    let named = FILE.replace("metadata: {name: d}", "metadata: {name: d, namespace: other}");
    assert_eq!((from(&named, "deployment/other/d"), from(&named, "deployment/tools/d")), (None, None));
}

#[test]
fn ids_are_unique_and_each_kind_has_a_reference() {
    let mut ids = std::collections::BTreeSet::new();
    for kind in kinds::all() {
        assert!(ids.insert(kind.page.id), "{} twice", kind.page.id);
        assert!(!kind.page.references.is_empty(), "{}", kind.page.id);
    }
}

/// KubeHound's attacks.
const KUBEHOUND: [&str; 26] = [
    "CE_MODULE_LOAD",
    "CE_NSENTER",
    "CE_PRIV_MOUNT",
    "CE_SYS_PTRACE",
    "CE_UMH_CORE_PATTERN",
    "CE_VAR_LOG_SYMLINK",
    "CONTAINER_ATTACH",
    "ENDPOINT_EXPLOIT",
    "EXPLOIT_CONTAINERD_SOCK",
    "EXPLOIT_HOST_READ",
    "EXPLOIT_HOST_TRAVERSE",
    "EXPLOIT_HOST_WRITE",
    "IDENTITY_ASSUME",
    "IDENTITY_IMPERSONATE",
    "PERMISSION_DISCOVER",
    "POD_ATTACH",
    "POD_CREATE",
    "POD_EXEC",
    "POD_PATCH",
    "ROLE_BIND",
    "SHARE_PS_NAMESPACE",
    "TOKEN_BRUTEFORCE",
    "TOKEN_LIST",
    "TOKEN_STEAL",
    "VOLUME_ACCESS",
    "VOLUME_DISCOVER",
];

#[test]
fn every_attack_of_kubehound_has_a_kind() {
    let covered: Vec<&str> = kinds::all().flat_map(|kind| kind.page.catalogue).copied().collect();
    let missing: Vec<&str> = KUBEHOUND.into_iter().filter(|attack| !covered.contains(attack)).collect();
    assert_eq!(missing, Vec::<&str>::new());
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

const PATHS_AND_NAMES: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent, namespace: web}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics}
rules:
- {nonResourceURLs: [/metrics, '/debug/*'], verbs: [get]}
- {apiGroups: [''], resources: [configmaps, pods/exec], resourceNames: [cfg], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {kind: ClusterRole, name: metrics}
subjects: [{kind: ServiceAccount, name: agent, namespace: web}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: web}
roleRef: {kind: ClusterRole, name: metrics}
subjects: [{kind: User, name: ann}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: c}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: root}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: d}
roleRef: {kind: ClusterRole, name: 'system:discovery'}
subjects: [{kind: User, name: dan}]
";

#[test]
fn paths_that_are_no_resources_are_granted_in_the_whole_cluster_alone() {
    let agent = Subject::ServiceAccount("web".into(), "agent".into());
    let user = |name: &str| Subject::User(name.into());
    let path = |verb: &'static str, path: &'static str| Request::core(verb, path, None);
    for (who, request, expected) in [
        (&agent, path("get", "/metrics"), Truth::Yes),
        (&agent, path("get", "/debug/pprof"), Truth::Yes),
        (&agent, path("get", "/debug"), Truth::No),
        (&agent, path("get", "/metrics/cadvisor"), Truth::No),
        (&agent, path("post", "/metrics"), Truth::No),
        (&user("ann"), path("get", "/metrics"), Truth::No),
        (&user("ann"), Request { namespace: Some("web"), ..path("get", "/metrics") }, Truth::No),
        (&user("root"), path("delete", "/anything"), Truth::Yes),
        (&user("dan"), path("get", "/apis/apps/v1"), Truth::Yes),
        (&user("dan"), path("get", "/metrics"), Truth::No),
    ] {
        check(PATHS_AND_NAMES, who, &request, expected);
    }
    let world = world(PATHS_AND_NAMES);
    let evaluator = Evaluator::new(&world.cluster);
    let told = |who: &Subject| graph::kubernetes::report::held(&evaluator, &evaluator.what_can(who));
    assert!(told(&agent).contains("get on /metrics, /debug/*\n"), "{}", told(&agent));
    assert!(!told(&user("ann")).contains("/metrics"), "a RoleBinding gives no path: {}", told(&user("ann")));
    assert_eq!(evaluator.gaps(), Vec::<String>::new());
}

#[test]
fn what_is_made_or_deleted_together_has_no_name_that_a_rule_could_speak_of() {
    let agent = Subject::ServiceAccount("web".into(), "agent".into());
    let ask = |verb: &'static str, resource: &'static str| Request::core(verb, resource, Some("web")).named("cfg");
    for (verb, resource, expected) in [
        ("get", "configmaps", Truth::Yes),
        ("delete", "configmaps", Truth::Yes),
        ("create", "configmaps", Truth::No),
        ("deletecollection", "configmaps", Truth::No),
        ("create", "pods/exec", Truth::Yes),
    ] {
        check(PATHS_AND_NAMES, &agent, &ask(verb, resource), expected);
    }
    let unnamed = |verb: &'static str| Request::core(verb, "configmaps", Some("web"));
    check(PATHS_AND_NAMES, &agent, &unnamed("create"), Truth::No);
    check(PATHS_AND_NAMES, &Subject::User("root".into()), &ask("create", "configmaps"), Truth::Yes);
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

/// kagent as its own chart sets it up: an agent, a remote server, and the service and deployment that it is, whose account
/// administers the cluster.
fn kagent(url: &str) -> String {
    format!(
        "{{kind: Agent, apiVersion: kagent.dev/v1alpha2, metadata: {{name: helper, namespace: kagent}}, spec: {{type: Declarative, declarative: {{tools: [{{type: McpServer, mcpServer: {{apiGroup: kagent.dev, kind: RemoteMCPServer, name: tool-server}}}}]}}}}}}
---
{{kind: RemoteMCPServer, apiVersion: kagent.dev/v1alpha2, metadata: {{name: tool-server, namespace: kagent}}, spec: {{protocol: STREAMABLE_HTTP, url: '{url}'}}}}
---
{{kind: Service, apiVersion: v1, metadata: {{name: tools, namespace: kagent}}, spec: {{selector: {{app: tools}}, ports: [{{port: 8084, targetPort: http}}, {{port: 90, targetPort: metrics}}]}}}}
---
{{kind: Deployment, apiVersion: apps/v1, metadata: {{name: tools, namespace: kagent}}, spec: {{selector: {{matchLabels: {{app: tools}}}}, template: {{metadata: {{labels: {{app: tools}}}}, spec: {{serviceAccountName: tools, containers: [{{name: t, image: i, ports: [{{name: http, containerPort: 8084}}]}}]}}}}}}}}
---
{{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: b}}, roleRef: {{kind: ClusterRole, name: cluster-admin}}, subjects: [{{kind: ServiceAccount, name: tools, namespace: kagent}}]}}
"
    )
}

#[test]
fn a_remote_server_in_the_cluster_is_what_its_service_leads_to() {
    let gets = |url: &str| -> Vec<&'static str> {
        let world = world(&kagent(url));
        let from = world.steps.find("agent/kagent/helper").unwrap();
        let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
        let steps = found.paths.first().map(|path| path.steps.as_slice()).unwrap_or_default();
        steps.iter().map(|at| found.steps[*at].kind.id).collect()
    };
    let way = ["k8s-agent-tools", "k8s-agent-server", "k8s-mounted-token", "k8s-cluster-admin"];
    for url in [
        "http://tools.kagent:8084/mcp",
        "http://tools:8084",
        "http://tools.kagent.svc:8084/mcp?x=1",
        "http://user@tools.kagent.svc.cluster.local:8084/mcp",
    ] {
        assert_eq!(gets(url), way, "{url}");
    }
    for url in [
        "http://tools.kagent/mcp",
        "http://tools.kagent:90/metrics",
        "http://tools.other:8084/mcp",
        "http://other.kagent:8084/mcp",
        "https://tools.kagent.example.com:8084/mcp",
        "tools",
    ] {
        assert_eq!(gets(url), Vec::<&str>::new(), "{url}");
    }
}

#[test]
fn whoever_writes_an_agent_or_its_servers_gets_what_they_get() {
    let gets = |resource: &str, verb: &str, namespace: &str| {
        let text = format!(
            "{}---
{{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: r, namespace: {namespace}}}, rules: [{{apiGroups: [kagent.dev], resources: [{resource}], verbs: [{verb}]}}]}}
---
{{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: r, namespace: {namespace}}}, roleRef: {{kind: Role, name: r}}, subjects: [{{kind: User, name: dev}}]}}",
            kagent("http://tools.kagent:8084/mcp")
        );
        let world = world(&text);
        let from = world.steps.find("kube-user/dev").unwrap();
        let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
        found.paths.first().map_or(Truth::No, |path| path.truth)
    };
    assert_eq!(gets("agents", "patch", "kagent"), Truth::Yes);
    assert_eq!(gets("agents", "create", "kagent"), Truth::Yes, "an agent of its own uses the server");
    assert_eq!(gets("agents", "get", "kagent"), Truth::No);
    assert_eq!(gets("agents", "patch", "other"), Truth::No);
    assert_eq!(gets("agents", "create", "other"), Truth::No);
    assert_eq!(
        gets("remotemcpservers", "update", "kagent"),
        Truth::Unknown,
        "what it answers may talk the agent into it"
    );
    assert_eq!(gets("mcpservers", "update", "kagent"), Truth::No, "it is no such server");
}

/// Taking one mount away leaves the others, and the grant that is offered is one that ends the path.
#[test]
fn each_mount_that_gives_the_machine_is_a_way_of_its_own() {
    let pod = |mounts: &str| {
        let volumes = "[{name: k, hostPath: {path: /etc/kubernetes}}, {name: l, hostPath: {path: /var/lib/kubelet}}]";
        let spec = format!("{{volumes: {volumes}, containers: [{{name: c, image: i, volumeMounts: [{mounts}]}}]}}");
        let world = world(&format!("{{kind: Pod, apiVersion: v1, metadata: {{name: p}}, spec: {spec}}}"));
        let found = find(&world.steps, &world.target(&Goal::Administrator), None);
        let certain = found.paths.iter().filter(|path| path.truth == Truth::Yes).count();
        (certain, found.chokes.len(), found.cut.grants.len())
    };
    let (one, other) = ("{name: k, mountPath: /k, readOnly: true}", "{name: l, mountPath: /l, readOnly: true}");
    assert_eq!(pod(one), (1, 1, 1));
    assert_eq!(pod(&format!("{one}, {other}")), (1, 0, 2));
}

#[test]
fn a_setting_on_which_several_steps_rest_is_one_grant() {
    let world = world(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostPID: true\n  containers:\n  - {name: c, image: i, securityContext: {privileged: true}}\n",
    );
    let found = find(&world.steps, &world.target(&Goal::Administrator), None);
    assert!(world.steps.steps.iter().filter(|step| step.from == found.paths[0].from).count() > 1);
    let cites: Vec<String> = found.cut.grants.iter().map(|id| world.steps.grant(*id).unwrap().cite()).collect();
    let distinct: std::collections::BTreeSet<&String> = cites.iter().collect();
    assert_eq!(distinct.len(), cites.len(), "{cites:?}");
}

/// What ann reaches whom a ClusterRole with these rules is bound to.
fn ann_reaches(rules: &str, beside: &str) -> Truth {
    let world = world(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: given}}
rules: [{rules}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: ann}}
roleRef: {{kind: ClusterRole, name: given}}
subjects: [{{kind: User, name: ann}}]
{beside}"
    ));
    let from = world.steps.find("kube-user/ann").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn a_group_is_impersonated_together_with_somebody() {
    let masters = "{apiGroups: [''], resources: [groups], resourceNames: ['system:masters'], verbs: [impersonate]}";
    assert_eq!(ann_reaches(masters, ""), Truth::No);
    let users = "{apiGroups: [''], resources: [users], resourceNames: [bob], verbs: [impersonate]}";
    assert_eq!(ann_reaches(&format!("{masters}, {users}"), ""), Truth::Yes);
    assert_eq!(ann_reaches("{apiGroups: [''], resources: [groups], verbs: [impersonate]}", ""), Truth::No);
}

#[test]
fn a_role_that_is_named_may_be_bound_or_written_into() {
    const RBAC: &str = "apiGroups: [rbac.authorization.k8s.io]";
    let every = "---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: super}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]
";
    let writes = format!("{{{RBAC}, resources: [clusterrolebindings], verbs: [create]}}");
    let binds =
        |name: &str| format!("{writes}, {{{RBAC}, resources: [clusterroles], resourceNames: [{name}], verbs: [bind]}}");
    assert_eq!(ann_reaches(&binds("super"), every), Truth::Yes);
    assert_eq!(ann_reaches(&binds("view"), every), Truth::No);
    let escalates = |name: &str| {
        format!("{{{RBAC}, resources: [clusterroles], resourceNames: [{name}], verbs: [escalate, patch]}}")
    };
    assert_eq!(ann_reaches(&escalates("given"), ""), Truth::Yes);
    assert_eq!(ann_reaches(&escalates("other"), ""), Truth::No);
}

/// The paths to administrator where a ClusterRole with these rules is bound to a subject, as names with their truth, and
/// the names of those who are it as they stand.
fn bound(rules: &str, subject: &str) -> (Vec<(String, Truth)>, Vec<String>) {
    let world = world(&format!(
        "{{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: given}}, rules: [{rules}]}}
---
{{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: b}}, roleRef: {{kind: ClusterRole, name: given}}, subjects: [{subject}]}}
---
{{kind: ServiceAccount, apiVersion: v1, metadata: {{name: s, namespace: web}}}}"
    ));
    let found = find(&world.steps, &world.target(&Goal::Administrator), None);
    let name = |index: usize| world.steps.name(index).to_owned();
    let paths = found.paths.iter().map(|path| (name(path.from), path.truth)).collect();
    (paths, world.steps.administrators.iter().map(|index| name(*index)).collect())
}

#[test]
fn what_is_granted_to_anybody_is_a_path_from_whoever_that_is() {
    let everything = "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}";
    let outside = "whoever reaches the API server (system:unauthenticated)";
    let anyone = "whoever has an account of the cluster (system:authenticated)";
    let (unauthenticated, anonymous) =
        ("{kind: Group, name: 'system:unauthenticated'}", "{kind: User, name: 'system:anonymous'}");
    let starts = |name: &str| vec![(name.to_owned(), Truth::Yes)];
    let nobody = Vec::<String>::new();
    assert_eq!(bound(everything, unauthenticated), (starts(outside), nobody.clone()));
    assert_eq!(bound(everything, anonymous), (starts(outside), nobody.clone()));
    assert_eq!(bound(everything, &format!("{unauthenticated}, {anonymous}")), (starts(outside), nobody.clone()));
    let authenticated = "{kind: Group, name: 'system:authenticated'}";
    assert_eq!(bound(everything, authenticated), (starts(anyone), vec!["serviceaccount/web/s".to_owned()]));
    let escalates = "{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [escalate, patch]}";
    assert_eq!(bound(escalates, unauthenticated), (starts(outside), nobody.clone()));
    // What every cluster grants them: to look at what the API server offers, and to ask about oneself.
    let discovery = "{nonResourceURLs: [/api, '/api/*', /healthz, /version], verbs: [get]}";
    let oneself = "{apiGroups: [authorization.k8s.io], resources: [selfsubjectaccessreviews, selfsubjectrulesreviews], verbs: [create]}";
    for subject in [unauthenticated, anonymous, authenticated] {
        assert_eq!(bound(&format!("{discovery}, {oneself}"), subject), (Vec::new(), nobody.clone()), "{subject}");
    }
    // Whose members the files name, or are machines.
    assert!(bound(everything, "{kind: Group, name: 'system:nodes'}").0.is_empty());
}

#[test]
fn a_user_and_a_group_of_the_same_callers_are_one_start_with_what_both_are_granted() {
    let granted = |verb: &str, subject: &str| {
        format!(
            "{{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: {verb}}}, rules: [{{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [{verb}]}}]}}
---
{{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: {verb}}}, roleRef: {{kind: ClusterRole, name: {verb}}}, subjects: [{subject}]}}
---
"
        )
    };
    let user = granted("patch", "{kind: User, name: 'system:anonymous'}");
    let starts = |text: &str| {
        let world = world(text);
        find(&world.steps, &world.target(&Goal::Administrator), None).paths.len()
    };
    assert_eq!(starts(&format!("{user}{}", granted("escalate", "{kind: Group, name: 'system:unauthenticated'}"))), 1);
    assert_eq!(starts(&format!("{user}{}", granted("escalate", "{kind: Group, name: 'system:authenticated'}"))), 0);
    let world = world(&user);
    let start = world.steps.find("kube-user/system:anonymous").unwrap();
    assert_eq!(world.steps.nodes[start].kind, graph::step::NodeKind::Outside);
}

const STRONG: &str = "---
apiVersion: v1
kind: ServiceAccount
metadata: {name: boss, namespace: n}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: boss}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: boss, namespace: n}]
---
apiVersion: v1
kind: Namespace
metadata: {name: n, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: n}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}
";

#[test]
fn who_changes_a_template_chooses_its_service_account() {
    let patches =
        |verb: &str| format!("{{apiGroups: [apps], resources: [deployments], resourceNames: [web], verbs: [{verb}]}}");
    assert_eq!(ann_reaches(&patches("patch"), STRONG), Truth::Yes);
    assert_eq!(ann_reaches(&patches("get"), STRONG), Truth::No);
}

#[test]
fn what_is_granted_in_the_whole_cluster_holds_in_the_namespaces_that_every_cluster_has() {
    let rule = |verb: &str| format!("{{apiGroups: [''], resources: [pods], verbs: [{verb}]}}");
    let secured = |name: &str| {
        format!(
            "---\n{{kind: Namespace, apiVersion: v1, metadata: {{name: {name}, labels: {{pod-security.kubernetes.io/enforce: baseline}}}}}}\n"
        )
    };
    assert_eq!(ann_reaches(&rule("create"), ""), Truth::Yes, "no file names a namespace");
    assert_eq!(ann_reaches(&rule("list"), ""), Truth::No);
    assert_eq!(ann_reaches(&rule("create"), &secured("default")), Truth::Yes, "kube-system");
    assert_eq!(ann_reaches(&rule("create"), &secured("kube-system")), Truth::Yes, "default");
    assert_eq!(ann_reaches(&rule("create"), &(secured("default") + &secured("kube-system"))), Truth::No);
    let empty = graph::kubernetes::Estate::default();
    assert!(empty.all_namespaces().is_empty(), "where no cluster is there are no namespaces");
}

#[test]
fn signers_may_be_named_by_their_domain() {
    const GROUP: &str = "apiGroups: [certificates.k8s.io]";
    let rules = |signer: &str| {
        format!(
            "{{{GROUP}, resources: [certificatesigningrequests], verbs: [create]}}, {{{GROUP}, resources: [certificatesigningrequests/approval], verbs: [update]}}, {{{GROUP}, resources: [signers], resourceNames: ['{signer}'], verbs: [approve]}}"
        )
    };
    assert_eq!(ann_reaches(&rules("kubernetes.io/*"), STRONG), Truth::Yes);
    assert_eq!(ann_reaches(&rules("example.com/*"), STRONG), Truth::No);
}

#[test]
fn built_in_roles_are_whole_and_take_in_what_is_labelled_for_them() {
    let world = world(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: extra, labels: {rbac.authorization.k8s.io/aggregate-to-edit: 'true'}}
rules: [{apiGroups: [example.com], resources: [things], verbs: [delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: n}
roleRef: {kind: ClusterRole, name: admin}
subjects: [{kind: User, name: ann}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: v, namespace: n}
roleRef: {kind: ClusterRole, name: view}
subjects: [{kind: User, name: vera}]
",
    );
    let evaluator = Evaluator::new(&world.cluster);
    let may = |who: &str, verb: &str, group: &str, resource: &str| {
        let request = Request { verb, group, resource, namespace: Some("n"), name: None };
        evaluator.decide(&Subject::User(who.to_owned()), &request).verdict
    };
    assert_eq!(may("ann", "delete", "example.com", "things"), Truth::Yes);
    assert_eq!(may("vera", "delete", "example.com", "things"), Truth::No);
    assert_eq!(may("vera", "list", "", "endpoints"), Truth::Yes);
    assert_eq!(may("vera", "get", "", "secrets"), Truth::No);
}

#[test]
fn a_port_need_not_be_listed_to_be_reached() {
    let world = world(
        "apiVersion: v1
kind: Pod
metadata: {name: p, namespace: n, labels: {app: a}}
spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: n}
spec: {type: LoadBalancer, selector: {app: a}, ports: [{port: 80}]}
",
    );
    let found = find(&world.steps, &world.target(&Goal::Administrator), None);
    let starts = |path: &graph::step::paths::Path| world.steps.name(path.from).starts_with("whoever reaches service");
    assert!(found.paths.iter().any(starts));
}

const CLUSTER_ADMIN: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: ann}, {kind: ServiceAccount, name: s, namespace: n}]
--- {kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n},
  spec: {
    serviceAccountName: s,
    containers: [{name: c, image: i}]}}
";

/// What whoever reaches a service or an Ingress gets to.
fn reached(policies: &str, kind: &str, beside: &str) -> Truth {
    let world = world(&format!(
        "{{kind: Pod, apiVersion: v1, metadata: {{name: p, namespace: n, labels: {{app: a}}}}, spec: {{containers: [{{name: c, image: i, ports: [{{containerPort: 8080, name: web}}, {{containerPort: 9090}}]}}]}}}}
---
{{kind: Service, apiVersion: v1, metadata: {{name: s, namespace: n}}, spec: {{type: {kind}, selector: {{app: a}}, ports: [{{port: 80, targetPort: web}}, {{port: 90, targetPort: 9090}}]}}}}
---
{beside}
---
{policies}"
    ));
    let word = if beside.is_empty() { "service" } else { "ingress" };
    let from = |step: &&graph::step::Step| world.steps.name(step.from).starts_with(&format!("whoever reaches {word}"));
    let steps = world.steps.steps.iter().filter(|step| step.kind.id == "k8s-endpoint").filter(from);
    steps.map(|step| step.truth).max().unwrap_or(Truth::No)
}

#[test]
fn what_a_settings_name_says_is_said_once() {
    let world = world(
        "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}}",
    );
    let target = world.target(&Goal::Administrator);
    let found = find(&world.steps, &target, None);
    let (patch, observed) = (|_: &_| None, |_| None);
    let view = graph::step::report::View {
        steps: &world.steps,
        target: &target,
        found: &found,
        patch: &patch,
        observed: &observed,
        unobserved: None,
        gaps: &[],
    };
    let text = view.text(false);
    let said = text.lines().find(|line| line.contains("is privileged")).unwrap();
    assert_eq!(said.matches("container c is privileged").count(), 1, "{said}");
}

/// Where no single grant ends a path, those that do together are what a person changes.
#[test]
fn each_grant_of_a_cut_comes_with_its_change() {
    let world = world(
        "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {hostPID: true, volumes: [{name: r, hostPath: {path: /}}], containers: [{name: c, image: i, securityContext: {privileged: true}, volumeMounts: [{name: r, mountPath: /r}]}]}}",
    );
    let target = world.target(&Goal::Administrator);
    let found = find(&world.steps, &target, None);
    assert!(found.chokes.is_empty() && found.cut.grants.len() > 1);
    let patch = |grant: &graph::step::Grant| Some(format!("without {}", grant.part));
    let observed = |_| None;
    let view = graph::step::report::View {
        steps: &world.steps,
        target: &target,
        found: &found,
        patch: &patch,
        observed: &observed,
        unobserved: None,
        gaps: &[],
    };
    assert_eq!(view.text(false).matches("   | without ").count(), found.cut.grants.len());
    let json = view.json();
    assert!(json["cut"].as_array().unwrap().iter().all(|one| one["patch"].is_string()), "{json:#}");
}

#[test]
fn a_network_policy_lets_in_whom_it_names_at_the_ports_that_it_names() {
    let policy = |ingress: &str| {
        format!(
            "{{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {{name: d, namespace: n}}, spec: {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{ingress}]}}}}"
        )
    };
    for (ingress, expected) in [
        ("", Truth::No),
        ("{}", Truth::Yes),
        ("{ports: [{port: web}]}", Truth::Yes),
        ("{ports: [{port: 9090}]}", Truth::Yes),
        ("{ports: [{port: 9000, endPort: 9100}]}", Truth::Yes),
        ("{ports: [{port: 22}]}", Truth::No),
        ("{ports: [{port: 8080, protocol: UDP}]}", Truth::No),
        ("{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}", Truth::Yes),
        ("{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}", Truth::Unknown),
        ("{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 8080}]}", Truth::Unknown),
        ("{from: [{podSelector: {}}]}", Truth::No),
    ] {
        assert_eq!(reached(&policy(ingress), "LoadBalancer", ""), expected, "{ingress}");
    }
}

#[test]
fn an_ingress_and_a_route_lead_from_outside_to_the_service_and_port_that_they_name() {
    let ingress = |port: &str| {
        format!(
            "{{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {{name: i, namespace: n}}, spec: {{rules: [{{http: {{paths: [{{path: /, backend: {{service: {{name: s, port: {{number: {port}}}}}}}}}]}}}}]}}}}"
        )
    };
    assert_eq!(reached("", "ClusterIP", &ingress("80")), Truth::Yes);
    assert_eq!(reached("", "ClusterIP", &ingress("81")), Truth::No, "the service has no such port");
    assert_eq!(reached("", "ClusterIP", &ingress("80").replace("namespace: n", "namespace: m")), Truth::No);
    // What an Ingress routes comes from the pod that routes it: a policy that names pods may let it in.
    let pods = "{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {name: d, namespace: n}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: web}]}]}}";
    assert_eq!(reached(pods, "ClusterIP", &ingress("80")), Truth::Unknown);
    assert_eq!(reached(pods, "ClusterIP", &ingress("90")), Truth::No, "another port");
    let route = world("{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n, labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: s, namespace: n}, spec: {selector: {app: a}, ports: [{port: 80}]}}
---
{kind: HTTPRoute, apiVersion: gateway.networking.k8s.io/v1, metadata: {name: r, namespace: g}, spec: {rules: [{backendRefs: [{name: s, namespace: n, port: 80}]}]}}");
    assert!(route.steps.nodes.iter().any(|node| node.name == "whoever reaches httproute g/r"));
}

#[test]
fn a_number_that_no_container_lists_may_be_anyones_and_one_that_is_listed_is_its_containers() {
    let listeners = |ports: &str| {
        let world = world(&format!("{{kind: Pod, apiVersion: v1, metadata: {{name: p, namespace: n, labels: {{app: a}}}}, spec: {{containers: [{{name: one, image: i}}, {{name: two, image: i{ports}}}]}}}}
---
{{kind: Service, apiVersion: v1, metadata: {{name: s, namespace: n}}, spec: {{type: LoadBalancer, selector: {{app: a}}, ports: [{{port: 80}}]}}}}"));
        world.steps.steps.iter().filter(|step| step.kind.id == "k8s-endpoint").count()
    };
    assert_eq!((listeners(""), listeners(", ports: [{containerPort: 80}]")), (2, 1));
}

#[test]
fn the_metadata_service_is_asked_only_at_ports_that_leave() {
    let asks = |egress: &str| {
        let mut loaded = Loaded::default();
        add(&mut loaded, "account.json", &ROLE.replace("pod", "node"));
        add(
            &mut loaded,
            "i.json",
            r#"{"Reservations": [{"OwnerId": "111122223333", "Instances": [{"InstanceId": "i-1",
          "IamInstanceProfile": {"Arn": "arn:aws:iam::111122223333:role/node"}}]}]}"#,
        );
        add(&mut loaded, "c.yaml", &format!("{{kind: Node, apiVersion: v1, metadata: {{name: m}}, spec: {{providerID: 'aws:///eu-west-1a/i-1'}}}}
---
{{kind: Pod, apiVersion: v1, metadata: {{name: p, namespace: n}}, spec: {{nodeName: m, containers: [{{name: c, image: i}}]}}}}
---
{{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {{name: d, namespace: n}}, spec: {{podSelector: {{}}, policyTypes: [Egress], egress: [{egress}]}}}}"));
        loaded.link();
        let world = loaded.world();
        world.steps.steps.iter().any(|step| step.kind.id == "k8s-metadata")
    };
    assert!(asks("{}"));
    assert!(asks("{ports: [{port: 80}, {port: 443}]}"));
    assert!(!asks("{ports: [{port: 53, protocol: UDP}, {port: 53}]}"), "names alone are asked for");
    assert!(!asks("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}"));
    assert!(asks("{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{}]}"));
}

/// Whether a role of the cloud becomes administrator of the cluster.
fn administers_cluster(answers: &[&str], details: &str) -> Truth {
    let mut loaded = Loaded::default();
    add(&mut loaded, "account.json", details);
    for answer in answers {
        add(&mut loaded, "eks.json", answer);
    }
    assert_eq!(loaded.unread, []);
    loaded.link();
    let world = loaded.world();
    let from = world.steps.find("role/ci").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn an_access_policy_of_eks_is_what_its_role_would_be() {
    let policies = |name: &str, scope: &str| {
        format!(
            r#"{{"clusterName": "prod", "principalArn": "arn:aws:iam::111122223333:role/ci", "associatedAccessPolicies": [
              {{"policyArn": "arn:aws:eks::aws:cluster-access-policy/{name}", "accessScope": {scope}}}]}}"#
        )
    };
    let (all, one) = (r#"{"type": "cluster", "namespaces": []}"#, r#"{"type": "namespace", "namespaces": ["n"]}"#);
    assert_eq!(administers_cluster(&[&policies("AmazonEKSClusterAdminPolicy", all)], ROLE), Truth::Yes);
    assert_eq!(administers_cluster(&[&policies("AmazonEKSViewPolicy", all)], ROLE), Truth::No);
    let who = Subject::User("arn:aws:iam::111122223333:role/ci".into());
    let may = |(name, scope): (&str, &str), (verb, what, place): (&str, &str, &str)| {
        let mut loaded = Loaded::default();
        add(&mut loaded, "eks.json", &policies(name, scope));
        loaded.link();
        let groups = if what == "rolebindings" { "rbac.authorization.k8s.io" } else { "" };
        let request = Request { group: groups, ..Request::core(verb, what, Some(place)) };
        Evaluator::new(&loaded.cluster).decide(&who, &request).verdict
    };
    let (edit, admin, reads) = ("AmazonEKSEditPolicy", "AmazonEKSAdminPolicy", "AmazonEKSAdminViewPolicy");
    for (policy, asked, expected) in [
        ((edit, one), ("create", "pods/exec", "n"), Truth::Yes),
        ((edit, one), ("create", "pods/exec", "m"), Truth::No),
        ((edit, one), ("create", "rolebindings", "n"), Truth::No),
        ((admin, one), ("create", "rolebindings", "n"), Truth::Yes),
        ((reads, all), ("get", "secrets", "n"), Truth::Yes),
        ((reads, all), ("get", "rolebindings", "n"), Truth::Yes),
        ((reads, all), ("create", "pods", "n"), Truth::No),
        (("AmazonEKSViewPolicy", all), ("get", "secrets", "n"), Truth::No),
    ] {
        assert_eq!(may(policy, asked), expected, "{policy:?} {asked:?}");
    }
    let unknown = world(&policies("AmazonEKSOtherPolicy", all));
    let gaps = Evaluator::new(&unknown.cluster).gaps();
    assert!(gaps[0].starts_with("the EKS access policy AmazonEKSOtherPolicy, which the access of arn:"), "{gaps:?}");
}

#[test]
fn whoever_makes_access_entries_administers_the_cluster_that_takes_them() {
    let details = |actions: &str, on: &str| {
        format!(
            r#"{{"RoleDetailList": [{{"RoleName": "ci", "Arn": "arn:aws:iam::111122223333:role/ci", "RolePolicyList": [
             {{"PolicyName": "p", "PolicyDocument": {{"Statement": [{{"Effect": "Allow", "Action": {actions}, "Resource": "{on}"}}]}}}}]}}]}}"#
        )
    };
    let cluster = |mode: &str| {
        format!(
            r#"{{"cluster": {{"name": "prod", "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/prod", "accessConfig": {{"authenticationMode": "{mode}"}}}}}}"#
        )
    };
    let entry = r#"{"accessEntry": {"clusterName": "prod", "principalArn": "arn:aws:iam::111122223333:role/ci",
      "accessEntryArn": "arn:aws:eks:eu-west-1:111122223333:access-entry/prod/role/111122223333/ci/1"}}"#;
    let (api, map) = (cluster("API_AND_CONFIG_MAP"), cluster("CONFIG_MAP"));
    let both = details(r#"["eks:CreateAccessEntry", "eks:AssociateAccessPolicy"]"#, "*");
    let associate = details(r#""eks:AssociateAccessPolicy""#, "*");
    assert_eq!(administers_cluster(&[&api], &both), Truth::Yes);
    assert_eq!(administers_cluster(&[&map], &both), Truth::No, "the cluster takes no entries");
    assert_eq!(administers_cluster(&[&api], &associate), Truth::No, "it has no entry");
    assert_eq!(administers_cluster(&[&api, entry], &associate), Truth::Yes, "it has one");
    assert_eq!(administers_cluster(&[entry], &associate), Truth::Yes, "where an entry is, entries are taken");
    let elsewhere = details(r#""eks:*""#, "arn:aws:eks:eu-west-1:111122223333:cluster/other");
    assert_eq!(administers_cluster(&[&api], &elsewhere), Truth::No);
}
