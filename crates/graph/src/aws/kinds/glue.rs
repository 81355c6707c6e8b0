//! Ways through AWS Glue.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "glue-create-dev-endpoint",
        title: "creates a Glue development endpoint that runs as the role",
        catalogue: &["glue-001"],
        why: "The creator gives the endpoint an SSH key; the endpoint holds the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["glue.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:glue:*:{account}:devEndpoint/*", &["glue:CreateDevEndpoint"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-001"],
    },
    Kind {
        id: "glue-update-dev-endpoint",
        title: "adds an SSH key to a Glue development endpoint that runs as the role",
        catalogue: &["glue-002"],
        why: "The endpoint accepts the new key and holds the role's credentials.",
        shape: Shape::ExistingWorkload { workload: "glue-dev-endpoint", needs: &[it(&["glue:UpdateDevEndpoint"])] },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-002"],
    },
    Kind {
        id: "glue-create-job-run",
        title: "creates a Glue job that runs as the role, and starts it",
        catalogue: &["glue-003"],
        why: "The job's script is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["glue.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:glue:*:{account}:job/*", &["glue:CreateJob"]),
                on("arn:aws:glue:*:{account}:job/*", &["glue:StartJobRun"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-003"],
    },
    Kind {
        id: "glue-create-job-trigger",
        title: "creates a Glue job that runs as the role, and a trigger that starts it",
        catalogue: &["glue-004"],
        why: "A trigger made with start-on-creation runs the job without the right to start it.",
        shape: Shape::NewWorkload {
            services: &["glue.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:glue:*:{account}:job/*", &["glue:CreateJob"]),
                on("arn:aws:glue:*:{account}:trigger/*", &["glue:CreateTrigger"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-004"],
    },
    Kind {
        id: "glue-update-job-run",
        title: "gives a Glue job the role and a script of its own, and starts it",
        catalogue: &["glue-005"],
        why: "A job's role and script may be changed by who may pass the new role.",
        shape: Shape::NewWorkload {
            services: &["glue.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:glue:*:{account}:job/*", &["glue:UpdateJob"]),
                on("arn:aws:glue:*:{account}:job/*", &["glue:StartJobRun"]),
            ],
            existing: Some("glue-job"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-005"],
    },
    Kind {
        id: "glue-update-job-trigger",
        title: "gives a Glue job the role and a script of its own, and a trigger that starts it",
        catalogue: &["glue-006"],
        why: "A job's role and script may be changed by who may pass the new role.",
        shape: Shape::NewWorkload {
            services: &["glue.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:glue:*:{account}:job/*", &["glue:UpdateJob"]),
                on("arn:aws:glue:*:{account}:trigger/*", &["glue:CreateTrigger"]),
            ],
            existing: Some("glue-job"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-006"],
    },
    Kind {
        id: "glue-session",
        title: "opens an interactive Glue session that runs as the role, and runs statements in it",
        catalogue: &["glue-007"],
        why: "A session's statements are the attacker's and need no job and no script.",
        shape: Shape::NewWorkload {
            services: &["glue.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:glue:*:{account}:session/*", &["glue:CreateSession"]),
                on("arn:aws:glue:*:{account}:session/*", &["glue:RunStatement"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/glue-007"],
    },
];
