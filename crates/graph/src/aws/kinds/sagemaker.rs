//! Ways through SageMaker.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "sagemaker-create-notebook",
        title: "creates a SageMaker notebook that runs as the role, and opens it",
        catalogue: &["sagemaker-001"],
        why: "A terminal in the notebook holds the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["sagemaker.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:sagemaker:*:{account}:notebook-instance/*", &["sagemaker:CreateNotebookInstance"]),
                on(
                    "arn:aws:sagemaker:*:{account}:notebook-instance*",
                    &[
                        "sagemaker:CreatePresignedNotebookInstanceUrl",
                        "sagemaker:CreateNotebookInstanceLifecycleConfig",
                    ],
                ),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/sagemaker-001"],
    },
    Kind {
        id: "sagemaker-training-job",
        title: "creates a SageMaker training job that runs as the role",
        catalogue: &["sagemaker-002"],
        why: "The job's container is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["sagemaker.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:sagemaker:*:{account}:training-job/*", &["sagemaker:CreateTrainingJob"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/sagemaker-002"],
    },
    Kind {
        id: "sagemaker-processing-job",
        title: "creates a SageMaker processing job that runs as the role",
        catalogue: &["sagemaker-003"],
        why: "The job's container is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["sagemaker.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:sagemaker:*:{account}:processing-job/*", &["sagemaker:CreateProcessingJob"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/sagemaker-003"],
    },
    Kind {
        id: "sagemaker-open-notebook",
        title: "opens a SageMaker notebook that runs as the role",
        catalogue: &["sagemaker-004"],
        why: "A presigned URL opens Jupyter, and its terminal holds the role's credentials.",
        shape: Shape::ExistingWorkload {
            workload: "sagemaker-notebook",
            needs: &[it(&["sagemaker:CreatePresignedNotebookInstanceUrl"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/sagemaker-004"],
    },
    Kind {
        id: "sagemaker-lifecycle",
        title: "gives a SageMaker notebook that runs as the role a start script of its own",
        catalogue: &["sagemaker-005"],
        why: "A lifecycle configuration runs as root when the notebook starts.",
        shape: Shape::ExistingWorkload {
            workload: "sagemaker-notebook",
            needs: &[
                it(&["sagemaker:StopNotebookInstance"]),
                it(&["sagemaker:UpdateNotebookInstance"]),
                it(&["sagemaker:StartNotebookInstance"]),
                on(
                    "arn:aws:sagemaker:*:{account}:notebook-instance-lifecycle-config/*",
                    &[
                        "sagemaker:CreateNotebookInstanceLifecycleConfig",
                        "sagemaker:UpdateNotebookInstanceLifecycleConfig",
                    ],
                ),
            ],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/sagemaker-005"],
    },
];
