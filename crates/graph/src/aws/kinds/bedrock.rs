//! Ways through Bedrock agents and AgentCore.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "agentcore-create-interpreter",
        title: "creates an AgentCore code interpreter that runs as the role, and runs code in it",
        catalogue: &["bedrock-001"],
        why: "The interpreter's metadata endpoint hands out the role's credentials to the code inside.",
        shape: Shape::NewWorkload {
            services: &["bedrock-agentcore.amazonaws.com"],
            profile: false,
            needs: &[
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:code-interpreter*",
                    &["bedrock-agentcore:CreateCodeInterpreter"],
                ),
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:code-interpreter*",
                    &["bedrock-agentcore:StartCodeInterpreterSession"],
                ),
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:code-interpreter*",
                    &["bedrock-agentcore:InvokeCodeInterpreter"],
                ),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/bedrock-001"],
    },
    Kind {
        id: "agentcore-use-interpreter",
        title: "runs code in an AgentCore code interpreter that runs as the role",
        catalogue: &["bedrock-002"],
        why: "The interpreter's metadata endpoint hands out the role's credentials to the code inside.",
        shape: Shape::ExistingWorkload {
            workload: "code-interpreter",
            needs: &[
                it(&["bedrock-agentcore:StartCodeInterpreterSession"]),
                it(&["bedrock-agentcore:InvokeCodeInterpreter"]),
            ],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/bedrock-002"],
    },
    Kind {
        id: "agentcore-create-runtime",
        title: "creates an AgentCore runtime that runs as the role, and invokes it",
        catalogue: &["bedrock-003"],
        why: "The runtime's container is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["bedrock-agentcore.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:bedrock-agentcore:*:{account}:runtime/*", &["bedrock-agentcore:CreateAgentRuntime"]),
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:runtime/*",
                    &["bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:InvokeAgentRuntimeCommand"],
                ),
            ],
            existing: None,
        },
        partial: None,
        references: &[
            "https://pathfinding.cloud/paths/bedrock-003",
            "https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-permissions.html",
        ],
    },
    Kind {
        id: "agentcore-create-harness",
        title: "creates an AgentCore harness that runs as the role, and runs a command in it",
        catalogue: &["bedrock-005"],
        why: "A harness is a runtime with a managed agent; a command runs as root beside the agent, past model and guardrails.",
        shape: Shape::NewWorkload {
            services: &["bedrock-agentcore.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:bedrock-agentcore:*:{account}:harness/*", &["bedrock-agentcore:CreateHarness"]),
                on("arn:aws:bedrock-agentcore:*:{account}:runtime/*", &["bedrock-agentcore:CreateAgentRuntime"]),
                on("arn:aws:bedrock-agentcore:*:{account}:runtime/*", &["bedrock-agentcore:InvokeAgentRuntimeCommand"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/bedrock-005"],
    },
    Kind {
        id: "agentcore-run-command",
        title: "runs a command in an AgentCore runtime that runs as the role",
        catalogue: &["bedrock-004"],
        why: "The command runs as root beside the agent, past model and guardrails, and reads the role's credentials.",
        shape: Shape::ExistingWorkload {
            workload: "agent-runtime",
            needs: &[it(&["bedrock-agentcore:InvokeAgentRuntimeCommand"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/bedrock-004"],
    },
    Kind {
        id: "agentcore-update-runtime",
        title: "replaces the code of an AgentCore runtime by its own, with the role",
        catalogue: &[],
        why: "UpdateAgentRuntime replaces the container and passes the role again.",
        shape: Shape::NewWorkload {
            services: &["bedrock-agentcore.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:bedrock-agentcore:*:{account}:runtime/*", &["bedrock-agentcore:UpdateAgentRuntime"]),
                on("arn:aws:bedrock-agentcore:*:{account}:runtime/*", &["bedrock-agentcore:InvokeAgentRuntime"]),
            ],
            existing: Some("agent-runtime"),
        },
        partial: None,
        references: &["https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-permissions.html"],
    },
    Kind {
        id: "agentcore-create-browser",
        title: "creates an AgentCore browser that runs as the role, and drives it",
        catalogue: &["bedrock-006"],
        why: "Its driver has the browser read the metadata endpoint of its microVM, which hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["bedrock-agentcore.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:bedrock-agentcore:*:{account}:browser*", &["bedrock-agentcore:CreateBrowser"]),
                on("arn:aws:bedrock-agentcore:*:{account}:browser*", &["bedrock-agentcore:StartBrowserSession"]),
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:browser*",
                    &["bedrock-agentcore:ConnectBrowserAutomationStream"],
                ),
            ],
            existing: None,
        },
        partial: None,
        references: &[
            "https://pathfinding.cloud/paths/bedrock-006",
            "https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/browser-tool.html",
        ],
    },
    Kind {
        id: "agentcore-use-browser",
        title: "drives an AgentCore browser that runs as the role",
        catalogue: &["bedrock-007"],
        why: "Its driver has the browser read the metadata endpoint of its microVM, which hands out the role's credentials.",
        shape: Shape::ExistingWorkload {
            workload: "agentcore-browser",
            needs: &[
                it(&["bedrock-agentcore:StartBrowserSession"]),
                it(&["bedrock-agentcore:ConnectBrowserAutomationStream"]),
            ],
        },
        partial: None,
        references: &[
            "https://pathfinding.cloud/paths/bedrock-007",
            "https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/browser-tool.html",
        ],
    },
    Kind {
        id: "bedrock-create-agent",
        title: "creates a Bedrock agent that acts as the role, and instructs it",
        catalogue: &[],
        why: "The agent calls, as the role, the functions of the action groups that its maker gives it.",
        shape: Shape::NewWorkload {
            services: &["bedrock.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:bedrock:*:{account}:agent/*", &["bedrock:CreateAgent"]),
                on("arn:aws:bedrock:*:{account}:agent/*", &["bedrock:CreateAgentActionGroup"]),
                on("arn:aws:bedrock:*:{account}:agent/*", &["bedrock:PrepareAgent"]),
                on("arn:aws:bedrock:*:{account}:agent-alias/*", &["bedrock:InvokeAgent"]),
            ],
            existing: None,
        },
        partial: Some(
            "what follows takes no more than models, knowledge bases and the functions of its action groups: a Bedrock agent uses its role for nothing else",
        ),
        references: &["https://docs.aws.amazon.com/bedrock/latest/userguide/agents-permission.html"],
    },
    Kind {
        id: "bedrock-update-action-group",
        title: "points an action group of a Bedrock agent at a function of its own choice, and instructs the agent",
        catalogue: &[],
        why: "The agent calls, as its role, whatever function its action group names.",
        shape: Shape::ExistingWorkload {
            workload: "bedrock-agent",
            needs: &[
                it(&["bedrock:UpdateAgentActionGroup", "bedrock:CreateAgentActionGroup"]),
                it(&["bedrock:PrepareAgent"]),
                on("arn:aws:bedrock:*:{account}:agent-alias/*", &["bedrock:InvokeAgent"]),
            ],
        },
        partial: Some(
            "what follows takes no more than models, knowledge bases and the functions of its action groups: a Bedrock agent uses its role for nothing else",
        ),
        references: &["https://docs.aws.amazon.com/bedrock/latest/userguide/agents-permission.html"],
    },
    Kind {
        id: "bedrock-update-agent",
        title: "rewrites the instructions of a Bedrock agent, whose role it then passes and uses",
        catalogue: &[],
        why: "UpdateAgent replaces the agent's instructions and its role.",
        shape: Shape::NewWorkload {
            services: &["bedrock.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:bedrock:*:{account}:agent/*", &["bedrock:UpdateAgent"]),
                on("arn:aws:bedrock:*:{account}:agent/*", &["bedrock:PrepareAgent"]),
                on("arn:aws:bedrock:*:{account}:agent-alias/*", &["bedrock:InvokeAgent"]),
            ],
            existing: Some("bedrock-agent"),
        },
        partial: Some(
            "what follows takes no more than models, knowledge bases and the functions of its action groups: a Bedrock agent uses its role for nothing else",
        ),
        references: &["https://docs.aws.amazon.com/bedrock/latest/userguide/agents-permission.html"],
    },
];
