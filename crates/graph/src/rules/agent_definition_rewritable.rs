//! The rule `agent-definition-rewritable`.

use super::{Match, Rule, takeover};
use crate::frameworks::Cite;
use crate::model::Graph;

pub(super) const RULE: Rule = Rule {
    id: "agent-definition-rewritable",
    title: "A principal can alter an agent's instructions, knowledge, memory, guardrail or runtime",
    why: "Whoever may update an agent decides what it is told and which code it is, and acts with its role from then on. Who writes its knowledge base or \
          its memory, or takes its guardrail away, may talk it into the same.",
    fix: "Let only the pipeline that deploys the agent update it.",
    cites: &[
        Cite::Llm("LLM04"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI01"),
        Cite::Agentic("ASI10"),
        Cite::Maestro("L3"),
        Cite::Maestro("L6"),
        Cite::Nist("CM-5"),
        Cite::Nist("AC-5"),
        Cite::Atlas("T0081"),
    ],
    fires: "identity dev acts_as agent-role via.ways=[{\"kind\":\"bedrock-update-agent\",\"title\":\"updates a Bedrock agent that runs as the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity agent-role",
    silent: "identity dev acts_as agent-role via.ways=[{\"kind\":\"sts-assume-role\",\"title\":\"assumes the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity agent-role",
    check,
};

/// The kinds of step that are meant.
const KINDS: &[&str] = &[
    "bedrock-update-agent",
    "agentcore-update-runtime",
    "bedrock-poison-bucket",
    "bedrock-poison-documents",
    "bedrock-delete-guardrail",
    "agentcore-write-memory",
    "agent-image-push",
    "k8s-rewrite-agent",
    "k8s-answer-agent",
];

fn check(graph: &Graph) -> Vec<Match> {
    takeover::by(graph, KINDS, "what the agent's role may read and change")
}
