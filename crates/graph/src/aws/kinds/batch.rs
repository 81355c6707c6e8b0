//! Ways through AWS Batch.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "batch-submit",
        title: "registers a Batch job that runs as the role, and submits it",
        catalogue: &["batch-001", "batch-003"],
        why: "The job's container is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:batch:*:{account}:job-definition/*", &["batch:RegisterJobDefinition"]),
                on("arn:aws:batch:*:{account}:job-definition/*", &["batch:SubmitJob"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/batch-001", "https://pathfinding.cloud/paths/batch-003"],
    },
    Kind {
        id: "batch-override",
        title: "submits a Batch job that runs as the role, with a command of its own",
        catalogue: &["batch-002"],
        why: "`containerOverrides` replaces the command of a job definition, which keeps its role.",
        shape: Shape::ExistingWorkload { workload: "batch-job-definition", needs: &[it(&["batch:SubmitJob"])] },
        partial: None,
        references: &["https://pathfinding.cloud/paths/batch-002"],
    },
];
