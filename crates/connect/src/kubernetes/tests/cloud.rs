//! Identities of a cluster in the cloud: tokens, roles that trust them, and who gets both.

use super::*;

#[test]
fn the_administrator_of_a_cluster_gets_to_the_role_of_a_service_account() {
    let account = r#"{"RoleDetailList": [{"RoleName": "cloud", "Arn": "arn:aws:iam::111122223333:role/cloud",
      "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A"},
        "Condition": {"StringEquals": {"oidc.eks.eu-west-1.amazonaws.com/id/A:sub": "system:serviceaccount:n:s"}}}]}}]}"#;
    let cluster = "apiVersion: v1
kind: ServiceAccount
metadata: {name: s, namespace: n, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/cloud'}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ann}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: ann}]
";
    let mut loaded = Loaded::default();
    add(&mut loaded, "account.json", account);
    add(&mut loaded, "cluster.yaml", cluster);
    loaded.link();
    let world = loaded.world();
    let (from, to) = (world.steps.find("kube-user/ann").unwrap(), world.steps.find("role/cloud").unwrap());
    let found = find(&world.steps, &world.target(&Goal::Node(to)), Some(from));
    assert_eq!(found.paths.first().map(|path| path.truth), Some(Truth::Yes));
}

const ANN_ADMINISTERS: &str = "{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: ann}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: ann}]}";

/// Whether the first is said to get the role that a trust policy gives to these subjects.
fn trusted(who: &str, (sub, further): (&str, &str), cluster: &str) -> Truth {
    let account = r#"{"RoleDetailList": [{"RoleName": "cloud", "Arn": "arn:aws:iam::111122223333:role/cloud",
      "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A"},
        "Condition": {"StringLike": {"oidc.eks.eu-west-1.amazonaws.com/id/A:sub": "SUB"}FURTHER}}]}}]}"#;
    let mut loaded = Loaded::default();
    add(&mut loaded, "account.json", &account.replace("SUB", sub).replace("FURTHER", further));
    add(&mut loaded, "cluster.yaml", cluster);
    assert_eq!(loaded.unread, []);
    loaded.link();
    let world = loaded.world();
    let (from, to) = (world.steps.find(who).unwrap(), world.steps.find("role/cloud").unwrap());
    let found = find(&world.steps, &world.target(&Goal::Node(to)), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn a_role_is_open_to_every_account_that_its_trust_policy_lets_in() {
    let account = "apiVersion: v1
kind: ServiceAccount
metadata: {name: s, namespace: n, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/other'}}
";
    let who = "serviceaccount/n/s";
    assert_eq!(trusted(who, ("system:serviceaccount:n:*", ""), account), Truth::Yes, "its pods have a token for it");
    assert_eq!(trusted(who, ("system:serviceaccount:m:*", ""), account), Truth::No);
    let other = r#", "StringEquals": {"oidc.eks.eu-west-1.amazonaws.com/id/A:aud": "vault"}"#;
    assert_eq!(trusted(who, ("system:serviceaccount:n:*", other), account), Truth::No);
    let plain = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: s, namespace: n}\n";
    assert_eq!(trusted(who, ("system:serviceaccount:n:*", ""), plain), Truth::Unknown, "somebody must ask for one");
    let asks = format!("{plain}---\n{ANN_ADMINISTERS}");
    assert_eq!(trusted("kube-user/ann", ("system:serviceaccount:n:*", ""), &asks), Truth::Yes, "who asks for one");
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n}\nspec: {containers: [{name: c, image: i}]}\n";
    assert_eq!(trusted("pod/n/p", ("*", ""), pod), Truth::Unknown, "an issuer of EKS, whatever it says of the subject");
}

#[test]
fn whoever_chooses_the_audience_of_a_token_gets_what_trusts_the_account() {
    let cluster = |rule: &str, annotations: &str| {
        format!(
            "{{kind: ServiceAccount, apiVersion: v1, metadata: {{name: s, namespace: n{annotations}}}}}
---
{{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: r, namespace: n}}, rules: [{rule}]}}
---
{{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: b, namespace: n}}, roleRef: {{kind: Role, name: r}}, subjects: [{{kind: User, name: ann}}]}}
---
{{kind: Pod, apiVersion: v1, metadata: {{name: p, namespace: n}}, spec: {{serviceAccountName: s, containers: [{{name: c, image: i}}]}}}}"
        )
    };
    let annotated = ", annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/cloud'}";
    let requests = "{apiGroups: [''], resources: [serviceaccounts/token], resourceNames: [s], verbs: [create]}";
    let creates = "{apiGroups: [''], resources: [pods], verbs: [create]}";
    let enters = "{apiGroups: [''], resources: [pods/exec], verbs: [create]}";
    let own = ("system:serviceaccount:n:s", "");
    let gets = |rule: &str, annotations: &str| trusted("kube-user/ann", own, &cluster(rule, annotations));
    for rule in [requests, creates] {
        assert_eq!(gets(rule, annotated), Truth::Yes, "{rule}");
        assert_eq!(gets(rule, ""), Truth::Yes, "{rule}");
        let other = ("system:serviceaccount:n:other", "");
        assert_eq!(trusted("kube-user/ann", other, &cluster(rule, annotated)), Truth::No, "{rule}");
    }
    assert_eq!(gets(enters, annotated), Truth::Yes, "its pods have one");
    assert_eq!(gets(enters, ""), Truth::Unknown, "who enters a pod has what it mounts");
    // Without the annotation the path goes on.
    let mut loaded = Loaded::default();
    add(&mut loaded, "account.json", ROLE);
    add(&mut loaded, "cluster.yaml", &cluster(requests, annotated).replace("role/cloud", "role/pod"));
    loaded.link();
    let world = loaded.world();
    let (from, to) = (world.steps.find("kube-user/ann").unwrap(), world.steps.find("role/pod").unwrap());
    let found = find(&world.steps, &world.target(&Goal::Node(to)), Some(from));
    let cites = found.chokes.iter().filter_map(|choke| world.steps.grant(choke.grant)).map(graph::step::Grant::cite);
    let cites: Vec<String> = cites.collect();
    assert!(cites.iter().any(|cite| cite.starts_with("Role n/r bound by")), "{cites:?}");
    assert!(!cites.iter().any(|cite| cite.contains("names the role")), "{cites:?}");
}

#[test]
fn a_token_for_the_cloud_that_a_pod_mounts_is_taken_by_the_cloud() {
    let pod = |audience: &str| {
        format!(
            "{{kind: Pod, apiVersion: v1, metadata: {{name: p, namespace: n}}, spec: {{serviceAccountName: s, automountServiceAccountToken: false, volumes: [{{name: v, projected: {{sources: [{{serviceAccountToken: {{path: t, audience: {audience}}}}}]}}}}], containers: [{{name: c, image: i, volumeMounts: [{{name: v, mountPath: /t}}]}}]}}}}"
        )
    };
    let trust = ("system:serviceaccount:n:s", "");
    assert_eq!(trusted("pod/n/p", trust, &pod("sts.amazonaws.com")), Truth::Yes);
    assert_eq!(trusted("pod/n/p", trust, &pod("vault")), Truth::No);
    assert_eq!(trusted("pod/n/p", ("system:serviceaccount:n:t", ""), &pod("sts.amazonaws.com")), Truth::No);
}

#[test]
fn a_pod_without_the_clusters_token_has_the_one_for_the_cloud() {
    let pod = |mounts: &str| {
        format!(
            "apiVersion: v1
kind: ServiceAccount
metadata: {{name: s, namespace: n, annotations: {{eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/cloud'}}}}
automountServiceAccountToken: {mounts}
---
apiVersion: v1
kind: Pod
metadata: {{name: p, namespace: n}}
spec: {{serviceAccountName: s, containers: [{{name: c, image: i}}]}}
"
        )
    };
    for mounts in ["true", "false"] {
        assert_eq!(trusted("pod/n/p", ("system:serviceaccount:n:s", ""), &pod(mounts)), Truth::Yes, "{mounts}");
    }
    let other = pod("false").replace("serviceAccountName: s,", "");
    assert_eq!(trusted("pod/n/p", ("system:serviceaccount:n:s", ""), &other), Truth::No);
}

/// What a pod gets of the administrator whose token its volumes may hold, and which its account and itself do not mount.
fn mounts(account: &str, volume: &str, mount: &str) -> Truth {
    let world = world(&format!(
        "{{kind: ServiceAccount, apiVersion: v1, metadata: {{name: boss, namespace: n}}}}
---
{{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {{name: b}}, roleRef: {{kind: ClusterRole, name: cluster-admin}}, subjects: [{{kind: ServiceAccount, name: boss, namespace: n}}]}}
---
{{kind: Secret, apiVersion: v1, type: kubernetes.io/service-account-token, metadata: {{name: boss-token, namespace: n, annotations: {{kubernetes.io/service-account.name: boss}}}}}}
---
{{kind: Secret, apiVersion: v1, type: Opaque, metadata: {{name: other, namespace: n, annotations: {{kubernetes.io/service-account.name: boss}}}}}}
---
{{kind: Pod, apiVersion: v1, metadata: {{name: p, namespace: n}}, spec: {{serviceAccountName: {account}, automountServiceAccountToken: false, volumes: [{{name: v, {volume}}}], containers: [{{name: c, image: i, volumeMounts: [{{name: {mount}, mountPath: /t}}]}}]}}}}"
    ));
    let from = world.steps.find("pod/n/p").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn a_pod_that_is_given_no_token_mounts_one_by_its_volumes() {
    let projected = |token: &str| format!("projected: {{sources: [{{configMap: {{name: ca}}}}, {token}]}}");
    let token = |audience: &str| projected(&format!("{{serviceAccountToken: {{path: token{audience}}}}}"));
    assert_eq!(mounts("boss", &token(""), "v"), Truth::Yes);
    assert_eq!(mounts("boss", &token(", audience: 'https://kubernetes.default.svc'"), "v"), Truth::Yes);
    assert_eq!(mounts("boss", &token(", audience: vault"), "v"), Truth::No, "it is for somebody else");
    assert_eq!(mounts("boss", &token(", audience: sts.amazonaws.com"), "v"), Truth::No);
    assert_eq!(mounts("boss", &token(""), "w"), Truth::No, "the container does not mount it");
    assert_eq!(mounts("plain", &token(""), "v"), Truth::No, "it is of the account that the pod runs as");
    assert_eq!(mounts("plain", "secret: {secretName: boss-token}", "v"), Truth::Yes);
    assert_eq!(mounts("plain", &projected("{secret: {name: boss-token}}"), "v"), Truth::Yes);
    assert_eq!(mounts("plain", "secret: {secretName: boss-token}", "w"), Truth::No);
    assert_eq!(mounts("plain", "secret: {secretName: other}", "v"), Truth::No, "it is no token");
    assert_eq!(mounts("boss", "emptyDir: {}", "v"), Truth::No);
}

#[test]
fn an_administrator_of_the_cluster_is_one_of_the_clusters_things() {
    let graph = graph::Graph::build(graph::way::world::observe(&world(CLUSTER_ADMIN)));
    let crown = graph.entities().iter().find(|entity| entity.name == "administrator of kubernetes").unwrap();
    assert_eq!(crown.text("cloud"), Some("kubernetes"));
    let pod = graph.entities().iter().find(|entity| entity.name == "pod/n/p").unwrap();
    let places: Vec<String> = pod.evidence.iter().map(graph::Evidence::place).collect();
    assert_eq!(places, ["cluster.yaml:9"], "where it is, and not where a relation ends in it");
    let tokens = graph.relations().iter().find(|one| graph.entity(one.from) == Some(pod)).unwrap();
    assert_eq!(tokens.evidence[0].line, Some(8), "the line that names the account, which a patch may take out");
}
