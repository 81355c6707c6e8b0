//! Ways through App Runner, Data Pipeline, Step Functions, EventBridge Scheduler and EMR.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "apprunner-create-service",
        title: "creates an App Runner service that runs as the role",
        catalogue: &["apprunner-001"],
        why: "The image and the start command are the attacker's.",
        shape: Shape::NewWorkload {
            services: &["tasks.apprunner.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:apprunner:*:{account}:service/*", &["apprunner:CreateService"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/apprunner-001"],
    },
    Kind {
        id: "apprunner-update-service",
        title: "replaces the image of an App Runner service that runs as the role",
        catalogue: &["apprunner-002"],
        why: "The service keeps its role when its image or start command changes.",
        shape: Shape::ExistingWorkload { workload: "apprunner-service", needs: &[it(&["apprunner:UpdateService"])] },
        partial: None,
        references: &["https://pathfinding.cloud/paths/apprunner-002"],
    },
    Kind {
        id: "datapipeline-create",
        title: "creates a data pipeline that acts as the role",
        catalogue: &["datapipeline-001"],
        why: "A pipeline's shell activity runs the attacker's command as the role.",
        shape: Shape::NewWorkload {
            services: &["datapipeline.amazonaws.com", "elasticmapreduce.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:datapipeline:*:{account}:pipeline/*", &["datapipeline:CreatePipeline"]),
                on("arn:aws:datapipeline:*:{account}:pipeline/*", &["datapipeline:PutPipelineDefinition"]),
                on("arn:aws:datapipeline:*:{account}:pipeline/*", &["datapipeline:ActivatePipeline"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/datapipeline-001"],
    },
    Kind {
        id: "stepfunctions-create",
        title: "creates a state machine that acts as the role, and starts it",
        catalogue: &[],
        why: "A state machine may call any API as its role through SDK integrations.",
        shape: Shape::NewWorkload {
            services: &["states.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:states:*:{account}:stateMachine:*", &["states:CreateStateMachine"]),
                on("arn:aws:states:*:{account}:stateMachine:*", &["states:StartExecution"]),
            ],
            existing: None,
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-stepfunctions-privesc/index.html",
        ],
    },
    Kind {
        id: "stepfunctions-update",
        title: "replaces the definition of a state machine that acts as the role",
        catalogue: &[],
        why: "A state machine keeps its role when its definition changes.",
        shape: Shape::ExistingWorkload {
            workload: "state-machine",
            needs: &[it(&["states:UpdateStateMachine"]), it(&["states:StartExecution", "states:StartSyncExecution"])],
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-stepfunctions-privesc/index.html",
        ],
    },
    Kind {
        id: "scheduler-create",
        title: "creates a schedule that calls an API as the role",
        catalogue: &[],
        why: "Universal targets of EventBridge Scheduler call any API as the role.",
        shape: Shape::NewWorkload {
            services: &["scheduler.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:scheduler:*:{account}:schedule/*", &["scheduler:CreateSchedule"])],
            existing: None,
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/eventbridgescheduler-privesc/index.html",
        ],
    },
    Kind {
        id: "emr-run-job-flow",
        title: "starts an EMR cluster with the role's instance profile",
        catalogue: &["emr-001"],
        why: "Bootstrap actions run on the cluster's instances, which hold the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com"],
            profile: true,
            needs: &[on("arn:aws:elasticmapreduce:*:{account}:cluster/*", &["elasticmapreduce:RunJobFlow"])],
            existing: None,
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-emr-privesc/index.html",
        ],
    },
];
