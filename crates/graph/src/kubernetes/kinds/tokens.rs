//! Ways to the token of a service account.

use super::Kind;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{Container, Pod, Secret, Share, Subject};
use crate::kubernetes::evaluate::Request;
use crate::step::Page;

const REFERENCES: &[&str] = &["https://kubernetes.io/docs/concepts/security/service-accounts/"];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-mounted-token",
            title: "reads the token that is mounted",
            catalogue: &["TOKEN_STEAL", "IDENTITY_ASSUME", "VOLUME_DISCOVER"],
            why: "A pod carries the token of its service account unless it or the account says otherwise; whatever they say, \
                  it carries those of its projected volumes and its secrets.",
            references: &[
                "https://kubehound.io/reference/attacks/TOKEN_STEAL/",
                "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting",
                "https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken",
            ],
        },
        derive: mounted,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {serviceAccountName: s, containers: [{name: c, image: i}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {serviceAccountName: s, automountServiceAccountToken: false, containers: [{name: c, image: i}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-token-request",
            title: "requests a token of the account",
            catalogue: &[],
            why: "`create` on `serviceaccounts/token` gives a token of the account to whoever asks.",
            references: REFERENCES,
        },
        derive: request,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [serviceaccounts], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
    },
    Kind {
        page: Page {
            id: "k8s-list-secrets",
            title: "lists the secrets, tokens among them",
            catalogue: &["TOKEN_LIST", "PERMISSION_DISCOVER"],
            why: "A list of secrets holds their contents; a secret of the type service-account-token holds a token.",
            references: &["https://kubehound.io/reference/attacks/TOKEN_LIST/"],
        },
        derive: list,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Secret, apiVersion: v1, type: kubernetes.io/service-account-token, metadata: {name: t, namespace: n, annotations: {kubernetes.io/service-account.name: s}}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Secret, apiVersion: v1, type: kubernetes.io/service-account-token, metadata: {name: t, namespace: n, annotations: {kubernetes.io/service-account.name: s}}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
    },
    Kind {
        page: Page {
            id: "k8s-get-secrets",
            title: "reads any secret whose name it knows or tries",
            catalogue: &["TOKEN_BRUTEFORCE", "PERMISSION_DISCOVER"],
            why: "`get` needs the secret's name, whose five random characters can be tried.",
            references: &["https://kubehound.io/reference/attacks/TOKEN_BRUTEFORCE/"],
        },
        derive: get,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [secrets], resourceNames: [other], verbs: [get]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
    },
    Kind {
        page: Page {
            id: "k8s-token-secret",
            title: "finds the account's token among them",
            catalogue: &["TOKEN_LIST", "TOKEN_BRUTEFORCE"],
            why: "A secret of the type service-account-token holds a token that never expires.",
            references: &["https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets"],
        },
        derive: token_secrets,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Secret, apiVersion: v1, type: kubernetes.io/service-account-token, metadata: {name: t, namespace: n, annotations: {kubernetes.io/service-account.name: s}}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Secret, apiVersion: v1, type: kubernetes.io/service-account-token, metadata: {name: t, namespace: m, annotations: {kubernetes.io/service-account.name: s}}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: m}}",
    },
    Kind {
        page: Page {
            id: "k8s-share-processes",
            title: "enters another container of the pod",
            catalogue: &["SHARE_PS_NAMESPACE"],
            why: "Containers that share processes reach each other's files through /proc/PID/root.",
            references: &["https://kubehound.io/reference/attacks/SHARE_PS_NAMESPACE/"],
        },
        derive: share,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {shareProcessNamespace: true, containers: [{name: a, image: i}, {name: b, image: i}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: a, image: i}, {name: b, image: i}]}}",
    },
];

fn mounted(deriver: &mut Deriver<'_>) {
    for (pod, container, node) in deriver.containers.clone() {
        let token = container.tokens.iter().find(|token| token.is_for_server());
        let said = match token {
            _ if deriver.estate.mounts_token(pod) => {
                Some((format!("runs as service account {}", pod.account), pod.account_line.unwrap_or(pod.meta.line)))
            }
            Some(token) => Some((format!("mounts a token of service account {}", pod.account), token.line)),
            None => None,
        };
        if let Some((said, line)) = said {
            let to = deriver.subject(&Subject::ServiceAccount(pod.meta.namespace.clone(), pod.account.clone()));
            let ground = deriver.pod_setting(pod, said, line);
            deriver.push(node, to, vec![ground]);
        }
        mounted_secrets(deriver, (pod, container), node);
    }
}

/// Tokens that lie in secrets are of the account that the secret names, whoever the pod runs as.
fn mounted_secrets(deriver: &mut Deriver<'_>, (pod, container): (&Pod, &Container), node: usize) {
    let estate = deriver.estate;
    for (name, line) in &container.secrets {
        let is_it = |secret: &&Secret| secret.meta.namespace == pod.meta.namespace && secret.meta.name == *name;
        let Some(account) = estate.secrets.iter().find(is_it).and_then(|secret| secret.account.clone()) else {
            continue;
        };
        let said = format!("mounts the secret {name}, which holds a token of service account {account}");
        let to = deriver.subject(&Subject::ServiceAccount(pod.meta.namespace.clone(), account));
        let ground = deriver.pod_setting(pod, said, *line);
        deriver.push(node, to, vec![ground]);
    }
}

fn request(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        for (target, to) in deriver.subjects.clone() {
            let Subject::ServiceAccount(namespace, name) = &target else { continue };
            let request = Request::core("create", "serviceaccounts/token", Some(namespace)).named(name);
            if let Some(ground) = deriver.allowed(&subject, &request) {
                deriver.push(node, to, vec![ground]);
            }
        }
    }
}

const NO_SECRET: &str = "a secret holds its token: the files show none, and since 1.24 Kubernetes makes none by itself";

fn list(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        for (namespace, ground) in deriver.places(&subject, &["list", "watch"], Request::core("", "secrets", None)) {
            let secrets = deriver.secrets_in(&namespace, false);
            deriver.push(node, secrets, vec![ground]);
        }
    }
}

/// What the secrets of a namespace give: the tokens among them.
fn token_secrets(deriver: &mut Deriver<'_>) {
    for namespace in deriver.estate.all_namespaces() {
        let (listed, tried) = (deriver.read_secrets_in(&namespace, false), deriver.read_secrets_in(&namespace, true));
        for (account, to) in deriver.accounts_in(&namespace) {
            match listed {
                Some(all) if tokens(deriver, &namespace, &account).is_empty() => {
                    deriver.push_possible((all, to), Vec::new(), NO_SECRET);
                }
                Some(all) => deriver.push(all, to, Vec::new()),
                None => {}
            }
            if let Some(named) = tried {
                deriver.push_possible((named, to), Vec::new(), "its token secret exists and its name is found");
            }
        }
    }
}

fn get(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        for (namespace, ground) in deriver.places(&subject, &["get"], Request::core("", "secrets", None)) {
            let secrets = deriver.secrets_in(&namespace, true);
            deriver.push(node, secrets, vec![ground]);
        }
        // Where rules name the secret, nothing needs to be tried.
        for secret in deriver.names(&subject, "get", "secrets") {
            let known = deriver.estate.secrets.iter().filter(|one| one.meta.name == secret);
            for token in known.filter(|one| one.account.is_some()) {
                let namespace = token.meta.namespace.as_str();
                let request = Request::core("get", "secrets", Some(namespace)).named(&secret);
                let account = Subject::ServiceAccount(namespace.to_owned(), token.account.clone().unwrap_or_default());
                if let Some(ground) = deriver.allowed(&subject, &request) {
                    let to = deriver.subject(&account);
                    deriver.push(node, to, vec![ground]);
                }
            }
        }
    }
}

/// The secrets that hold a token of a service account.
fn tokens(deriver: &Deriver<'_>, namespace: &str, account: &str) -> Vec<String> {
    let of = deriver
        .estate
        .secrets
        .iter()
        .filter(|secret| secret.meta.namespace == namespace && secret.account.as_deref() == Some(account));
    of.map(|secret| secret.meta.name.clone()).collect()
}

fn share(deriver: &mut Deriver<'_>) {
    for (pod, container, node) in deriver.containers.clone() {
        let Some(line) = pod.shares.get(&Share::Processes) else { continue };
        for (other, inner, to) in deriver.containers.clone() {
            if std::ptr::eq(pod, other) && container.name != inner.name {
                let ground = deriver.pod_setting(pod, "shareProcessNamespace", *line);
                deriver.push(node, to, vec![ground]);
            }
        }
    }
}
