//! Ways through AWS Lambda.

use super::{Kind, Shape, by_role, it, joined, on};

/// A queue of the attacker's own account.
const OWN_QUEUE: &str = "arn:aws:sqs:*:{elsewhere}:*";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "lambda-create-invoke",
        title: "creates a Lambda function that runs as the role, and invokes it",
        catalogue: &["lambda-001"],
        why: "The code of a new function is the attacker's, and its credentials are the role's.",
        shape: Shape::NewWorkload {
            services: &["lambda.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:CreateFunction"]),
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/lambda-001"],
    },
    Kind {
        id: "lambda-create-permission",
        title: "creates a Lambda function that runs as the role, and lets another account invoke it",
        catalogue: &["lambda-006"],
        why: "Who may change a function's policy may let any account invoke it, an attacker's own included.",
        shape: Shape::NewWorkload {
            services: &["lambda.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:CreateFunction"]),
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:AddPermission"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/lambda-006"],
    },
    Kind {
        id: "lambda-create-own-queue",
        title: "creates a Lambda function that runs as the role, and binds it to a queue of another account",
        catalogue: &["lambda-002"],
        why: "A queue of another account invokes the function too, if the function's role may receive from it: the attacker brings one that lets it, and no right to invoke is needed.",
        shape: Shape::NewWorkload {
            services: &["lambda.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:CreateFunction"]),
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:CreateEventSourceMapping"]),
                by_role(OWN_QUEUE, &["sqs:ReceiveMessage"]),
                by_role(OWN_QUEUE, &["sqs:DeleteMessage"]),
                by_role(OWN_QUEUE, &["sqs:GetQueueAttributes"]),
            ],
            existing: None,
        },
        partial: None,
        references: &[
            "https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-cross-account-example.html",
            "https://pathfinding.cloud/paths/lambda-002",
        ],
    },
    Kind {
        id: "lambda-create-event-source",
        title: "creates a Lambda function that runs as the role, and binds it to an event source",
        catalogue: &["lambda-002"],
        why: "An event source invokes the function whenever an item arrives: no right to invoke is needed.",
        shape: Shape::NewWorkload {
            services: &["lambda.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:CreateFunction"]),
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:CreateEventSourceMapping"]),
            ],
            existing: Some("event-source"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/lambda-002"],
    },
    Kind {
        id: "lambda-update-code-invoke",
        title: "replaces the code of a Lambda function that runs as the role, and invokes it",
        catalogue: &["lambda-004", "lambda-005"],
        why: "The function keeps its role when its code changes.",
        shape: Shape::ExistingWorkload {
            workload: "lambda-function",
            needs: &[
                it(&["lambda:UpdateFunctionCode"]),
                it(&["lambda:InvokeFunction", "lambda:AddPermission", "lambda:InvokeFunctionUrl"]),
            ],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/lambda-004", "https://pathfinding.cloud/paths/lambda-005"],
    },
    Kind {
        id: "lambda-update-code",
        title: "replaces the code of a Lambda function that runs as the role, and waits for its trigger",
        catalogue: &["lambda-003"],
        why: "The function keeps its role when its code changes; its own triggers will run it.",
        shape: Shape::ExistingWorkload { workload: "lambda-function", needs: &[it(&["lambda:UpdateFunctionCode"])] },
        partial: Some("the function has a trigger of its own"),
        references: &["https://pathfinding.cloud/paths/lambda-003"],
    },
    Kind {
        id: "lambda-update-code-url",
        title: "replaces the code of a Lambda function that runs as the role, and calls its public URL",
        catalogue: &["lambda-003"],
        why: "A function URL without authentication runs the function for everyone: no right to invoke it is needed.",
        shape: Shape::ExistingWorkload {
            workload: "lambda-function",
            needs: &[it(&["lambda:UpdateFunctionCode"]), joined("public-url", &[])],
        },
        partial: None,
        references: &[
            "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
            "https://pathfinding.cloud/paths/lambda-003",
        ],
    },
    Kind {
        id: "lambda-add-layer",
        title: "adds a layer to a Lambda function that runs as the role",
        catalogue: &[],
        why: "A layer or a runtime wrapper runs inside the function, before its own code.",
        shape: Shape::ExistingWorkload {
            workload: "lambda-function",
            needs: &[
                it(&["lambda:UpdateFunctionConfiguration"]),
                it(&["lambda:InvokeFunction", "lambda:AddPermission"]),
            ],
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-lambda-privesc/index.html",
        ],
    },
    Kind {
        id: "lambda-change-role",
        title: "gives the role to a Lambda function whose code it controls",
        catalogue: &[],
        why: "A function's role may be changed after its creation by who may pass the new role.",
        shape: Shape::NewWorkload {
            services: &["lambda.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:UpdateFunctionConfiguration"]),
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:UpdateFunctionCode"]),
                on("arn:aws:lambda:*:{account}:function:*", &["lambda:InvokeFunction", "lambda:AddPermission"]),
            ],
            existing: Some("lambda-function"),
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-lambda-privesc/index.html",
        ],
    },
];
