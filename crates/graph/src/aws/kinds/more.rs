//! Ways through Cognito, CodeDeploy, EMR Serverless, GameLift, HealthOmics, Image Builder, Braket and Managed Flink.

use super::{Kind, Shape, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "cognito-set-pool-roles",
        title: "gives the role to the guests of a Cognito identity pool, and is one",
        catalogue: &["cognitoidentity-001"],
        why: "A pool that lets in guests hands out its guest role's credentials to everyone who asks.",
        shape: Shape::NewWorkload {
            services: &["cognito-identity.amazonaws.com"],
            profile: false,
            needs: &[on(
                "arn:aws:cognito-identity:*:{account}:identitypool/*",
                &["cognito-identity:SetIdentityPoolRoles"],
            )],
            existing: Some("identity-pool"),
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/cognitoidentity-001"],
    },
    Kind {
        id: "codedeploy-deploy",
        title: "deploys a revision of its own to an EC2 instance that runs as the role",
        catalogue: &["codedeploy-001"],
        why: "The hooks of a revision run as root on the instances of the deployment group.",
        shape: Shape::ExistingWorkload {
            workload: "ec2-instance",
            needs: &[
                on("arn:aws:codedeploy:*:{account}:deploymentgroup:*", &["codedeploy:CreateDeployment"]),
                on("arn:aws:codedeploy:*:{account}:application:*", &["codedeploy:RegisterApplicationRevision"]),
                on("arn:aws:codedeploy:*:{account}:deploymentconfig:*", &["codedeploy:GetDeploymentConfig"]),
            ],
        },
        partial: Some("the instance belongs to a deployment group and runs the CodeDeploy agent"),
        references: &["https://pathfinding.cloud/paths/codedeploy-001"],
    },
    Kind {
        id: "emr-serverless-job",
        title: "creates an EMR Serverless application, and starts a job that runs as the role",
        catalogue: &["emrserverless-001"],
        why: "The job's script is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["emr-serverless.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:emr-serverless:*:{account}:/applications/*", &["emr-serverless:CreateApplication"]),
                on("arn:aws:emr-serverless:*:{account}:/applications/*", &["emr-serverless:StartJobRun"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/emrserverless-001"],
    },
    Kind {
        id: "gamelift-fleet",
        title: "uploads a build and creates a GameLift fleet that runs it as the role",
        catalogue: &["gamelift-001"],
        why: "The server process of a fleet is the attacker's and may share the instance role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com", "gamelift.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:gamelift:*:{account}:build/*", &["gamelift:CreateBuild"]),
                on("arn:aws:gamelift:*:{account}:build/*", &["gamelift:RequestUploadCredentials"]),
                on("arn:aws:gamelift:*:{account}:fleet/*", &["gamelift:CreateFleet"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/gamelift-001"],
    },
    Kind {
        id: "omics-workflow",
        title: "creates a HealthOmics workflow, and starts a run of it as the role",
        catalogue: &["omics-001"],
        why: "The workflow's tasks are the attacker's; they reach S3 with the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["omics.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:omics:*:{account}:workflow/*", &["omics:CreateWorkflow"]),
                on("arn:aws:omics:*:{account}:run/*", &["omics:StartRun"]),
            ],
            existing: None,
        },
        partial: Some("the role may write where the attacker reads"),
        references: &["https://pathfinding.cloud/paths/omics-001"],
    },
    Kind {
        id: "imagebuilder-image",
        title: "has EC2 Image Builder build an image on an instance with the role's profile",
        catalogue: &["imagebuilder-001"],
        why: "A component's commands run as root on the instance that builds.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com"],
            profile: true,
            needs: &[
                on("arn:aws:imagebuilder:*:{account}:component/*", &["imagebuilder:CreateComponent"]),
                on("arn:aws:imagebuilder:*:{account}:image-recipe/*", &["imagebuilder:CreateImageRecipe"]),
                on(
                    "arn:aws:imagebuilder:*:{account}:infrastructure-configuration/*",
                    &["imagebuilder:CreateInfrastructureConfiguration"],
                ),
                on("arn:aws:imagebuilder:*:{account}:image/*", &["imagebuilder:CreateImage"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/imagebuilder-001"],
    },
    Kind {
        id: "braket-job",
        title: "creates a Braket hybrid job that runs as the role",
        catalogue: &["braket-001"],
        why: "The job's script is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["braket.amazonaws.com"],
            profile: false,
            needs: &[on("arn:aws:braket:*:{account}:job/*", &["braket:CreateJob"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/braket-001"],
    },
    Kind {
        id: "flink-application",
        title: "creates a Managed Flink application that runs as the role, and starts it",
        catalogue: &["kinesisanalytics-001"],
        why: "The application's code is the attacker's.",
        shape: Shape::NewWorkload {
            services: &["kinesisanalytics.amazonaws.com"],
            profile: false,
            needs: &[
                on("arn:aws:kinesisanalytics:*:{account}:application/*", &["kinesisanalytics:CreateApplication"]),
                on("arn:aws:kinesisanalytics:*:{account}:application/*", &["kinesisanalytics:StartApplication"]),
            ],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/kinesisanalytics-001"],
    },
];
