//! The rule `agent-tool-code-rewritable`.

use super::{Match, Rule, takeover};
use crate::frameworks::Cite;
use crate::model::Graph;

pub(super) const RULE: Rule = Rule {
    id: "agent-tool-code-rewritable",
    title: "A principal can rewrite the code behind an agent's tool",
    why: "The tool keeps its name and its description, and does what the principal wrote. Every agent that calls it then works \
          for the principal, with the function's role.",
    fix: "Let only the pipeline that builds the tool update its code or its action group.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI02"),
        Cite::Agentic("ASI04"),
        Cite::Maestro("L3"),
        Cite::Maestro("L4"),
        Cite::Nist("CM-5"),
        Cite::Nist("SI-7"),
        Cite::Atlas("T0110"),
    ],
    fires: "identity dev acts_as tool-role via.ways=[{\"kind\":\"bedrock-update-action-group\",\"title\":\"replaces the function behind an action group\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity tool-role",
    silent: "identity dev acts_as tool-role via.ways=[{\"kind\":\"ec2-run-instances\",\"title\":\"starts an instance with the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity tool-role",
    check,
};

/// The kinds of step that are meant.
const KINDS: &[&str] = &[
    "bedrock-update-action-group",
    "bedrock-tool-code",
    "lambda-update-code-invoke",
    "lambda-update-code-url",
    "lambda-update-code",
    "lambda-add-layer",
    "function-image-push",
];

fn check(graph: &Graph) -> Vec<Match> {
    takeover::by(graph, KINDS, "what the function's role may read and change")
}
