//! Ways through CodeBuild.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "codebuild-create-project",
        title: "creates a CodeBuild project that runs as the role, and starts a build",
        catalogue: &["codebuild-001", "codebuild-004"],
        why: "The build specification is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["codebuild.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:codebuild:*:{account}:project/*", &["codebuild:CreateProject"]),
                on("arn:aws:codebuild:*:{account}:project/*", &["codebuild:StartBuild", "codebuild:StartBuildBatch"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/codebuild-001", "https://pathfinding.cloud/paths/codebuild-004"],
    },
    Kind {
        id: "codebuild-override",
        title: "starts a build of a project that runs as the role, with a build specification of its own",
        catalogue: &["codebuild-002", "codebuild-003"],
        why: "`buildspecOverride` replaces what the build does.",
        shape: Shape::ExistingWorkload {
            workload: "codebuild-project",
            needs: &[it(&["codebuild:StartBuild", "codebuild:StartBuildBatch"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/codebuild-002", "https://pathfinding.cloud/paths/codebuild-003"],
    },
    Kind {
        id: "codebuild-update-project",
        title: "gives a CodeBuild project the role, and starts a build",
        catalogue: &[],
        why: "A project's role and source may be changed by who may pass the new role.",
        shape: Shape::NewWorkload {
            services: &["codebuild.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:codebuild:*:{account}:project/*", &["codebuild:UpdateProject"]),
                on("arn:aws:codebuild:*:{account}:project/*", &["codebuild:StartBuild", "codebuild:StartBuildBatch"]),
            ],
            existing: Some("codebuild-project"),
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-codebuild-privesc/index.html",
        ],
    },
];
