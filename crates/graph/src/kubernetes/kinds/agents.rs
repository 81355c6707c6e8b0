//! Ways through the custom resources that describe agents and their servers: who writes one decides what is done with
//! the rights of another.

use std::sync::Arc;

use super::Kind;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{Custom, CustomKind, Estate};
use crate::kubernetes::evaluate::Request;
use crate::step::{Ground, Page};

const AGENTS: &str = "https://kagent.dev/docs/kagent";
const SERVERS: &str = "https://kagent.dev/docs/kmcp";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-rewrite-agent",
            title: "rewrites the agent's definition",
            catalogue: &[],
            why: "Who changes an agent's object decides what it is told and which tools it has, and acts with its rights from then on.",
            references: &[AGENTS],
        },
        derive: rewrite_agents,
        example: "{kind: Agent, apiVersion: kagent.dev/v1alpha2, metadata: {name: a, namespace: n}, spec: {type: Declarative, declarative: {systemMessage: m}}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [agents], resourceNames: [a], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: Agent, apiVersion: kagent.dev/v1alpha2, metadata: {name: a, namespace: n}, spec: {type: Declarative, declarative: {systemMessage: m}}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [agents], resourceNames: [other], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-rewrite-server",
            title: "rewrites what the server runs",
            catalogue: &[],
            why: "Who changes the object of a server that the cluster runs chooses its image and command, and so acts with its rights.",
            references: &[SERVERS],
        },
        derive: rewrite_servers,
        example: "{kind: MCPServer, apiVersion: kagent.dev/v1alpha1, metadata: {name: s, namespace: n}, spec: {deployment: {image: i, cmd: npx}}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [mcpservers], verbs: [update]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: RemoteMCPServer, apiVersion: kagent.dev/v1alpha2, metadata: {name: s, namespace: n}, spec: {url: 'https://mcp.example.com/'}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [remotemcpservers], verbs: [update]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-answer-agent",
            title: "puts its own answers into a server of the agent",
            catalogue: &[],
            why: "Who changes a server's object decides where its agents' calls go, and may talk the agents into what it likes.",
            references: &[AGENTS, SERVERS],
        },
        derive: answer_agents,
        example: "{kind: Agent, apiVersion: kagent.dev/v1alpha2, metadata: {name: a, namespace: n}, spec: {declarative: {tools: [{type: McpServer, mcpServer: {name: s}}]}}}
---
{kind: RemoteMCPServer, apiVersion: kagent.dev/v1alpha2, metadata: {name: s, namespace: n}, spec: {url: 'https://mcp.example.com/'}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [remotemcpservers], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: Agent, apiVersion: kagent.dev/v1alpha2, metadata: {name: a, namespace: n}, spec: {declarative: {tools: [{type: McpServer, mcpServer: {name: other}}]}}}
---
{kind: RemoteMCPServer, apiVersion: kagent.dev/v1alpha2, metadata: {name: s, namespace: n}, spec: {url: 'https://mcp.example.com/'}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [remotemcpservers], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-create-agent",
            title: "makes an agent that uses the server",
            catalogue: &[],
            why: "An agent of one's own calls the tools of any server of its namespace.",
            references: &[AGENTS],
        },
        derive: create_agents,
        example: "{kind: RemoteMCPServer, apiVersion: kagent.dev/v1alpha2, metadata: {name: s, namespace: n}, spec: {url: 'https://mcp.example.com/'}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [kagent.dev], resources: [agents], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: RemoteMCPServer, apiVersion: kagent.dev/v1alpha2, metadata: {name: s, namespace: n}, spec: {url: 'https://mcp.example.com/'}}
---
{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: m}, rules: [{apiGroups: [kagent.dev], resources: [agents], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: m}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
    },
];

const TALKED_INTO: &str = "the agent does what the server's answers say";

fn of_kind(estate: &Estate, kind: CustomKind) -> impl Iterator<Item = &Custom> {
    estate.customs.iter().filter(move |custom| custom.kind == kind)
}

/// Who may change an object, each with the ground.
fn writers(deriver: &mut Deriver<'_>, custom: &Custom) -> Vec<(usize, Arc<Ground>)> {
    let Custom { group, resource, meta, .. } = custom;
    let request = Request { verb: "", group, resource, namespace: Some(&meta.namespace), name: Some(&meta.name) };
    let mut writers = Vec::new();
    for (subject, node) in deriver.actors() {
        if let Some(ground) = deriver.allowed_any(&subject, &["patch", "update"], request) {
            writers.push((node, ground));
        }
    }
    writers
}

fn rewrite_agents(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for agent in of_kind(estate, CustomKind::Agent) {
        let to = deriver.custom(agent);
        for (node, ground) in writers(deriver, agent) {
            deriver.push(node, to, vec![ground]);
        }
    }
}

fn rewrite_servers(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for server in of_kind(estate, CustomKind::Server).filter(|server| server.command.is_some()) {
        let to = deriver.custom(server);
        for (node, ground) in writers(deriver, server) {
            deriver.push(node, to, vec![ground]);
        }
    }
}

fn answer_agents(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for server in of_kind(estate, CustomKind::Server) {
        let writers = writers(deriver, server);
        for agent in of_kind(estate, CustomKind::Agent) {
            let is_it = |(namespace, name, _): &&(String, String, u32)| {
                *namespace == server.meta.namespace && *name == server.meta.name
            };
            let Some((.., line)) = agent.uses.iter().find(is_it) else { continue };
            let to = deriver.custom(agent);
            let uses = (agent.name(), format!("uses {}", server.name()));
            let uses = deriver.setting(&agent.meta, uses, *line);
            for (node, ground) in &writers {
                deriver.push_possible((*node, to), vec![ground.clone(), uses.clone()], TALKED_INTO);
            }
        }
    }
}

fn create_agents(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for server in of_kind(estate, CustomKind::Server) {
        let to = deriver.custom(server);
        let place = Some(server.meta.namespace.as_str());
        let request = Request { group: &server.group, ..Request::core("create", "agents", place) };
        for (subject, node) in deriver.actors() {
            if let Some(ground) = deriver.allowed(&subject, &request) {
                deriver.push(node, to, vec![ground]);
            }
        }
    }
}
