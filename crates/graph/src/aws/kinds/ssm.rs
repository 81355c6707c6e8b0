//! Ways through Systems Manager.

use super::{Kind, Shape, by_role, it, on};

/// AWS's own documents that run a command; their names have no account.
const RUNS: &str = "arn:aws:ssm:*::document/AWS-Run*";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "ssm-start-session",
        title: "opens a session on an EC2 instance that runs as the role",
        catalogue: &["ssm-001"],
        why: "A shell on the instance reads the role's credentials from the metadata service.",
        shape: Shape::ExistingWorkload {
            workload: "ec2-instance",
            needs: &[it(&["ssm:StartSession"]), by_role("*", &["ssmmessages:CreateDataChannel"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ssm-001"],
    },
    Kind {
        id: "ssm-send-command",
        title: "runs a command on an EC2 instance that runs as the role",
        catalogue: &["ssm-002"],
        why: "AWS asks for the instance and for the document. The command runs as root and reads the role's credentials from the metadata service.",
        shape: Shape::ExistingWorkload {
            workload: "ec2-instance",
            needs: &[
                it(&["ssm:SendCommand"]),
                on(RUNS, &["ssm:SendCommand"]),
                by_role("*", &["ssmmessages:CreateDataChannel"]),
            ],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ssm-002"],
    },
    Kind {
        id: "ssm-association",
        title: "creates an association that runs a command on an EC2 instance that runs as the role",
        catalogue: &[],
        why: "State Manager runs the document on the instance as root.",
        shape: Shape::ExistingWorkload {
            workload: "ec2-instance",
            needs: &[
                it(&["ssm:CreateAssociation"]),
                on(RUNS, &["ssm:CreateAssociation"]),
                by_role("*", &["ssmmessages:CreateDataChannel"]),
            ],
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-ssm-privesc/index.html",
        ],
    },
    Kind {
        id: "ssm-automation",
        title: "starts an automation that acts as the role",
        catalogue: &["ssm-003"],
        why: "An automation document may call any API as the role that it is given.",
        shape: Shape::NewWorkload {
            services: &["ssm.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:ssm:*:{account}:automation-definition/*", &["ssm:StartAutomationExecution"]),
                on("arn:aws:ssm:*:{account}:document/*", &["ssm:CreateDocument"]),
            ],
            existing: None,
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-ssm-privesc/index.html",
        ],
    },
];
