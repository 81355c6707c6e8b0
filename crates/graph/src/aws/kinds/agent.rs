//! Ways to an agent by what it reads, calls, runs or is held by.
//!
//! None of them gives the agent's role outright: they decide what the agent is told, by whom it is checked, or which
//! code it is. What it then does with its role is the model's answer, so each is possible and says on what.

use super::{Kind, Shape, joined, on};

/// What is left open where an attacker's text, and not the attacker's code, reaches an agent.
const OBEYS: &str = "the agent does what it reads there";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "bedrock-poison-bucket",
        title: "writes into the bucket that a Bedrock agent's knowledge base is filled from, which the agent then reads, with the role",
        catalogue: &[],
        why: "What lies in the bucket is what the agent is told at the next synchronisation.",
        shape: Shape::ExistingWorkload {
            workload: "bedrock-agent",
            needs: &[joined("knowledge-bucket", &["s3:PutObject"])],
        },
        partial: Some("the knowledge base is synchronised, and the agent does what it reads there"),
        references: &[
            "https://docs.aws.amazon.com/bedrock/latest/userguide/kb-data-source-sync-ingest.html",
            "https://atlas.mitre.org/techniques/AML.T0070",
        ],
    },
    Kind {
        id: "bedrock-poison-documents",
        title: "puts documents into the knowledge base of a Bedrock agent, which the agent then reads, with the role",
        catalogue: &[],
        why: "IngestKnowledgeBaseDocuments takes the text itself: no bucket and no synchronisation are needed.",
        shape: Shape::ExistingWorkload {
            workload: "bedrock-agent",
            needs: &[joined("knowledge-base", &["bedrock:IngestKnowledgeBaseDocuments"])],
        },
        partial: Some(OBEYS),
        references: &["https://docs.aws.amazon.com/bedrock/latest/userguide/kb-direct-ingestion-add.html"],
    },
    Kind {
        id: "bedrock-delete-guardrail",
        title: "takes away the guardrail of a Bedrock agent, and talks it into what the guardrail stopped, with the role",
        catalogue: &[],
        why: "Without its guardrail the agent takes prompts that the guardrail would have refused.",
        shape: Shape::ExistingWorkload {
            workload: "bedrock-agent",
            needs: &[
                joined("guardrail", &["bedrock:DeleteGuardrail", "bedrock:UpdateGuardrail"]),
                on("arn:aws:bedrock:*:{account}:agent-alias/*", &["bedrock:InvokeAgent"]),
            ],
        },
        partial: Some("the guardrail was all that kept the agent from it"),
        references: &[
            "https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails.html",
            "https://docs.aws.amazon.com/bedrock/latest/userguide/agents-guardrail.html",
        ],
    },
    Kind {
        id: "bedrock-tool-code",
        title: "rewrites the function behind a Bedrock agent's tool, whose answers the agent then reads, with the role",
        catalogue: &[],
        why: "The tool keeps its name; what it answers is what the attacker wrote.",
        shape: Shape::ExistingWorkload {
            workload: "bedrock-agent",
            needs: &[joined("tool", &["lambda:UpdateFunctionCode"])],
        },
        partial: Some("the agent does what its tool answers"),
        references: &["https://docs.aws.amazon.com/bedrock/latest/userguide/agents-lambda.html"],
    },
    Kind {
        id: "agentcore-write-memory",
        title: "writes the memory that an agent with the role reads",
        catalogue: &[],
        why: "What one writes into a memory that agents share, the others take for what they knew.",
        shape: Shape::Shared {
            services: &["bedrock-agentcore.amazonaws.com"],
            resource: "arn:aws:bedrock-agentcore:*:{account}:memory/*",
            writes: &[
                "bedrock-agentcore:CreateEvent",
                "bedrock-agentcore:BatchCreateMemoryRecords",
                "bedrock-agentcore:BatchUpdateMemoryRecords",
            ],
            reads: &[
                "bedrock-agentcore:RetrieveMemoryRecords",
                "bedrock-agentcore:ListMemoryRecords",
                "bedrock-agentcore:GetMemoryRecord",
                "bedrock-agentcore:ListEvents",
            ],
        },
        partial: Some("the agent does what its memory says"),
        references: &[
            "https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/memory.html",
            "https://atlas.mitre.org/techniques/AML.T0080",
        ],
    },
    Kind {
        id: "agent-image-push",
        title: "pushes the image that an AgentCore runtime with the role runs",
        catalogue: &[],
        why: "A tag names whatever was pushed last; the next deployment of the agent runs it.",
        shape: Shape::ExistingWorkload { workload: "agent-runtime", needs: &[joined("image", &["ecr:PutImage"])] },
        partial: Some("the runtime is deployed again with the same tag"),
        references: &[
            "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html",
            "https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-permissions.html",
        ],
    },
    Kind {
        id: "function-image-push",
        title: "pushes the image that a Lambda function with the role runs",
        catalogue: &[],
        why: "A tag names whatever was pushed last; the next deployment of the function runs it.",
        shape: Shape::ExistingWorkload { workload: "lambda-function", needs: &[joined("image", &["ecr:PutImage"])] },
        partial: Some("the function is deployed again with the same tag"),
        references: &["https://docs.aws.amazon.com/lambda/latest/dg/images-create.html"],
    },
    Kind {
        id: "task-image-push",
        title: "pushes the image that an ECS task definition with the role names",
        catalogue: &[],
        why: "A tag names whatever was pushed last; the next task that starts runs it.",
        shape: Shape::ExistingWorkload {
            workload: "ecs-task-definition",
            needs: &[joined("image", &["ecr:PutImage"])],
        },
        partial: Some("a task of the definition is started"),
        references: &["https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-tasks-containers.html"],
    },
    Kind {
        id: "build-push-source",
        title: "pushes to the repository that a CodeBuild project with the role builds",
        catalogue: &[],
        why: "The repository holds the build's instructions; what deploys an agent deploys what they say.",
        shape: Shape::ExistingWorkload {
            workload: "codebuild-project",
            needs: &[joined("source", &["codecommit:GitPush"])],
        },
        partial: Some("the project builds what is pushed, by a trigger or by somebody's hand"),
        references: &["https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html"],
    },
    Kind {
        id: "agentcore-take-consent",
        title: "takes the OAuth tokens that users let agents have",
        catalogue: &[],
        why: "Whoever may name any user when it asks for a workload's access token gets the tokens that this user \
              consented to give the agent, and acts elsewhere as the user.",
        shape: Shape::Consents {
            needs: &[
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:workload-identity-directory/default/workload-identity/*",
                    &["bedrock-agentcore:GetWorkloadAccessTokenForUserId"],
                ),
                on(
                    "arn:aws:bedrock-agentcore:*:{account}:token-vault/*",
                    &["bedrock-agentcore:GetResourceOauth2Token"],
                ),
            ],
        },
        partial: Some("users have consented"),
        references: &["https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/identity-authentication.html"],
    },
];
