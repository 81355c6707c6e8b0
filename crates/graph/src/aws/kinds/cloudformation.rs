//! Ways through CloudFormation.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "cloudformation-create-stack",
        title: "creates a stack that acts as the role",
        catalogue: &["cloudformation-001"],
        why: "A stack makes any resource that its role may make, an administrator included.",
        shape: Shape::NewWorkload {
            services: &["cloudformation.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:cloudformation:*:{account}:stack/*", &["cloudformation:CreateStack"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/cloudformation-001"],
    },
    Kind {
        id: "cloudformation-update-stack",
        title: "replaces the template of a stack that acts as the role",
        catalogue: &["cloudformation-002"],
        why: "A stack keeps its service role: whoever updates the stack uses it without passing it.",
        shape: Shape::ExistingWorkload {
            workload: "cloudformation-stack",
            needs: &[it(&["cloudformation:UpdateStack"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/cloudformation-002"],
    },
    Kind {
        id: "cloudformation-change-set",
        title: "executes a change set on a stack that acts as the role",
        catalogue: &["cloudformation-005"],
        why: "A stack keeps its service role: whoever executes a change set uses it without passing it.",
        shape: Shape::ExistingWorkload {
            workload: "cloudformation-stack",
            needs: &[it(&["cloudformation:CreateChangeSet"]), it(&["cloudformation:ExecuteChangeSet"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/cloudformation-005"],
    },
    Kind {
        id: "cloudformation-create-stack-set",
        title: "creates a stack set whose administration role is the role",
        catalogue: &["cloudformation-003"],
        why: "The administration role assumes the execution role in each target account.",
        shape: Shape::NewWorkload {
            services: &["cloudformation.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:cloudformation:*:{account}:stackset/*", &["cloudformation:CreateStackSet"]),
                on("arn:aws:cloudformation:*:{account}:stackset/*", &["cloudformation:CreateStackInstances"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/cloudformation-003"],
    },
    Kind {
        id: "cloudformation-update-stack-set",
        title: "replaces the template of a stack set whose administration role is the role",
        catalogue: &["cloudformation-004"],
        why: "The administration role assumes the execution role in each target account.",
        shape: Shape::NewWorkload {
            services: &["cloudformation.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:cloudformation:*:{account}:stackset/*", &["cloudformation:UpdateStackSet"])],
            existing: Some("cloudformation-stackset"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/cloudformation-004"],
    },
];
