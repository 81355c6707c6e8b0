//! What of the calls in an audit log rests on a rule.

use super::*;

/// Two roles, one of them bound twice, and a built-in one.
const BOUND: &str = "\
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: reader}
rules:
- {apiGroups: [''], resources: [secrets], verbs: [get, list]}
- {apiGroups: [apps], resources: [deployments/scale], verbs: [patch]}
---
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: also}
rules:
- {apiGroups: [''], resources: [secrets], verbs: [list]}
- {apiGroups: [''], resources: [users], resourceNames: [boss], verbs: [impersonate]}
- {apiGroups: [''], resources: [groups], verbs: [impersonate]}
---
kind: ClusterRoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: a}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, namespace: n, name: s}, {kind: Group, name: team}]
---
kind: ClusterRoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: b}
roleRef: {kind: ClusterRole, name: also}
subjects: [{kind: ServiceAccount, namespace: n, name: s}]
---
kind: RoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: c, namespace: n}
roleRef: {kind: ClusterRole, name: view}
subjects: [{kind: User, name: ann}]
";

/// An event of an audit log: by a user and its groups, of an object, with the rest of its fields.
fn event(who: (&str, &[&str]), verb: &str, object: serde_json::Value, rest: serde_json::Value) -> String {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "requestReceivedTimestamp": "2026-10-01T08:00:00.000000Z", "verb": verb,
        "user": { "username": who.0, "groups": who.1 }, "objectRef": object, "responseStatus": { "code": 200 }
    });
    event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    event.to_string()
}

#[test]
fn what_rests_on_a_rule_is_what_nothing_else_allows() {
    let s = ("system:serviceaccount:n:s", ["system:serviceaccounts"].as_slice());
    let ann = ("ann", ["team", "system:authenticated"].as_slice());
    let of = |resource: &str, name: &str| json!({ "resource": resource, "namespace": "n", "name": name, "apiVersion": "v1" });
    let none = || json!({});
    let scale =
        json!({ "resource": "deployments", "subresource": "scale", "apiGroup": "apps", "namespace": "n", "name": "d" });
    let events = [
        event(s, "get", of("secrets", "one"), none()),
        event(s, "get", of("secrets", "two"), none()),
        event(s, "list", of("secrets", ""), none()),
        event(s, "get", of("secrets", "one"), json!({ "stage": "RequestReceived" })),
        event(s, "get", of("secrets", "no"), json!({ "annotations": { "authorization.k8s.io/decision": "forbid" } })),
        event(s, "get", of("secrets", "no"), json!({ "responseStatus": { "code": 403 } })),
        event(
            s,
            "get",
            of("pods", "p"),
            json!({ "impersonatedUser": { "username": "boss", "groups": ["system:authenticated"] } }),
        ),
        event(
            s,
            "get",
            of("pods", "p"),
            json!({ "impersonatedUser": { "username": "x", "groups": ["system:masters"] } }),
        ),
        event(ann, "patch", scale.clone(), none()),
        event(ann, "get", of("pods", "p"), none()),
        event(("root", &["system:masters", "team"]), "patch", scale, none()),
        event(ann, "get", json!(null), json!({ "requestURI": "/healthz" })),
    ];
    let log = format!("{}\n\n{{\"torn\n", events.join("\n"));
    let list =
        json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [{ "stage": "ResponseComplete" }] });
    let stage = |stage: &str| event(s, "watch", of("secrets", ""), json!({ "stage": stage, "auditID": "w" }));
    let watched = [stage("ResponseStarted"), stage("ResponseComplete")];
    let logged = json!({ "events": [{ "message": watched[0] }, { "message": "I1001 a line of the kubelet's" }, { "message": watched[1] }] });
    let mut loaded = Loaded::default();
    let texts = [
        ("cluster.yaml", BOUND),
        ("audit.log", &log),
        ("list.json", &list.to_string()),
        ("cw.json", &logged.to_string()),
    ];
    for (name, text) in texts {
        add(&mut loaded, name, text);
    }
    let unread: Vec<String> =
        loaded.unread.iter().map(|one| format!("{}:{:?} {}", one.source, one.line, one.reason)).collect();
    assert!(unread[0].starts_with("audit.log:Some(14) this line is not JSON: "), "{unread:?}");
    assert_eq!(unread[1..], ["list.json:None 1 event of an audit log cut off, or without a time or a caller"]);
    loaded.cluster.link();
    let evaluator = Evaluator::new(&loaded.cluster);
    let uses = Uses::new(&evaluator);
    let told = |role: &str, rule: usize| {
        let cites = loaded.cluster.subjects().into_iter().flat_map(|subject| evaluator.what_can(&subject));
        let grants = cites.filter_map(|held| evaluator.grant(held.cite));
        let mut grants = grants.filter(|grant| grant.policy.contains(role) && grant.part == format!("rule {rule}"));
        uses.told(&grants.next().unwrap()).unwrap()
    };
    let stops = |calls: &str| format!("would stop what was observed: {calls}, the last at 2026-10-01T08:00:00Z");
    let idle = |text: &str| {
        text.starts_with("breaks nothing that was observed: no call of 12 records from 2026-10-01T08:00:00")
    };
    assert_eq!(told("ClusterRole reader", 1), stops("get secrets in namespace n by serviceaccount/n/s, 2 times"));
    assert_eq!(
        told("ClusterRole reader", 2),
        stops("patch deployments/scale.apps in namespace n by kube-user/ann, 1 time")
    );
    assert!(idle(&told("ClusterRole also", 1)), "what another rule allows, too: {}", told("ClusterRole also", 1));
    assert_eq!(told("ClusterRole also", 2), stops("impersonate users by serviceaccount/n/s, 1 time"));
    let alone = graph::step::Grant {
        policy: "ClusterRole reader".into(),
        arn: None,
        part: "a rule".into(),
        source: "cluster.yaml".into(),
        line: Some(5),
    };
    assert_eq!(uses.told(&alone).unwrap(), told("ClusterRole reader", 1));
    assert_eq!(told("ClusterRole also", 3), stops("impersonate groups by serviceaccount/n/s, 1 time"));
    // A built-in role stands in no file: its binding is what can be taken away.
    assert_eq!(told("ClusterRole view", 1), stops("get pods in namespace n by kube-user/ann, 1 time"));
    assert_eq!(
        uses.told(&graph::step::Grant {
            policy: "a pod".into(),
            arn: None,
            part: String::new(),
            source: "".into(),
            line: None
        }),
        None
    );
}
