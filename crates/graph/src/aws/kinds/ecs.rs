//! Ways through ECS tasks.

use super::{Kind, Shape, by_role, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "ecs-new-cluster-service",
        title: "registers a task that runs as the role, and a service on a new cluster that starts it",
        catalogue: &["ecs-001"],
        why: "The task's command is the attacker's, and the container metadata endpoint hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:ecs:*:{account}:cluster/*", &["ecs:CreateCluster"]),
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RegisterTaskDefinition"]),
                on("arn:aws:ecs:*:{account}:service/*", &["ecs:CreateService"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-001"],
    },
    Kind {
        id: "ecs-new-cluster-task",
        title: "registers a task that runs as the role, and runs it on a new cluster",
        catalogue: &["ecs-002"],
        why: "The task's command is the attacker's, and the container metadata endpoint hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:ecs:*:{account}:cluster/*", &["ecs:CreateCluster"]),
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RegisterTaskDefinition"]),
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RunTask"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-002"],
    },
    Kind {
        id: "ecs-service",
        title: "registers a task that runs as the role, and a service that starts it",
        catalogue: &["ecs-003"],
        why: "The task's command is the attacker's, and the container metadata endpoint hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RegisterTaskDefinition"]),
                on("arn:aws:ecs:*:{account}:service/*", &["ecs:CreateService", "ecs:UpdateService"]),
            ],
            existing: Some("ecs-cluster"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-003"],
    },
    Kind {
        id: "ecs-run-task",
        title: "registers a task that runs as the role, and runs it",
        catalogue: &["ecs-004"],
        why: "The task's command is the attacker's, and the container metadata endpoint hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RegisterTaskDefinition"]),
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RunTask"]),
            ],
            existing: Some("ecs-cluster"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-004"],
    },
    Kind {
        id: "ecs-start-task",
        title: "registers a task that runs as the role, and starts it on a container instance",
        catalogue: &["ecs-005"],
        why: "The task's command is the attacker's, and the container metadata endpoint hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RegisterTaskDefinition"]),
                on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:StartTask"]),
            ],
            existing: Some("ecs-cluster"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-005"],
    },
    Kind {
        id: "ecs-override-task",
        title: "starts an existing task with the role and a command of its own",
        catalogue: &["ecs-007", "ecs-008", "ecs-009"],
        why: "`overrides` of RunTask and StartTask replace both the command and the role of a registered task.",
        shape: Shape::NewWorkload {
            services: &["ecs-tasks.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:ecs:*:{account}:task-definition/*", &["ecs:RunTask", "ecs:StartTask"])],
            existing: Some("ecs-task-definition"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-007"],
    },
    Kind {
        id: "ecs-execute-command",
        title: "opens a shell in an ECS task that runs as the role",
        catalogue: &["ecs-006"],
        why: "ECS Exec gives a shell in the container, next to the endpoint with the role's credentials.",
        shape: Shape::ExistingWorkload {
            workload: "ecs-task",
            needs: &[it(&["ecs:ExecuteCommand"]), by_role("*", &["ssmmessages:CreateDataChannel"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ecs-006"],
    },
];
