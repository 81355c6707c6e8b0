//! Ways through EC2 instances and their profiles.

use super::{Kind, Shape, it, on};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "ec2-run-instances",
        title: "starts an EC2 instance with the role's instance profile",
        catalogue: &["ec2-001"],
        why: "User data runs as root on the new instance, and the metadata service hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com"],
            profile: true,
            needs: &[on("arn:aws:ec2:*:{account}:instance/*", &["ec2:RunInstances"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ec2-001"],
    },
    Kind {
        id: "ec2-spot-instances",
        title: "requests a spot instance with the role's instance profile",
        catalogue: &["ec2-003"],
        why: "User data runs as root on the new instance, and the metadata service hands out the role's credentials.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com"],
            profile: true,
            needs: &[on("arn:aws:ec2:*:{account}:spot-instances-request/*", &["ec2:RequestSpotInstances"])],
            existing: None,
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ec2-003"],
    },
    Kind {
        id: "ec2-user-data",
        title: "replaces the user data of an EC2 instance that runs as the role, and restarts it",
        catalogue: &["ec2-002"],
        why: "A cloud-init payload in user data runs as root at the next boot.",
        shape: Shape::ExistingWorkload {
            workload: "ec2-instance",
            needs: &[it(&["ec2:ModifyInstanceAttribute"]), it(&["ec2:StopInstances"]), it(&["ec2:StartInstances"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ec2-002"],
    },
    Kind {
        id: "ec2-launch-template",
        title: "puts its own user data into a launch template that uses the role",
        catalogue: &["ec2-004"],
        why: "A new default version of the template may name any instance profile that an earlier version named; the next launch runs it.",
        shape: Shape::ExistingWorkload {
            workload: "launch-template",
            needs: &[it(&["ec2:CreateLaunchTemplateVersion"]), it(&["ec2:ModifyLaunchTemplate"])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ec2-004"],
    },
    Kind {
        id: "ec2-instance-connect",
        title: "pushes an SSH key to an EC2 instance that runs as the role",
        catalogue: &["ec2instanceconnect-003"],
        why: "EC2 Instance Connect accepts the key for sixty seconds; a shell on the instance reads the role's credentials.",
        shape: Shape::ExistingWorkload {
            workload: "ec2-instance",
            needs: &[it(&[
                "ec2-instance-connect:SendSSHPublicKey",
                "ec2-instance-connect:SendSerialConsoleSSHPublicKey",
            ])],
        },
        partial: None,
        references: &["https://pathfinding.cloud/paths/ec2instanceconnect-003"],
    },
    Kind {
        id: "ec2-swap-profile",
        title: "gives the role's instance profile to an EC2 instance that it controls",
        catalogue: &[],
        why: "An instance's profile may be replaced while it runs by who may pass the new role.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com"],
            profile: true,
            needs: &[
                on(
                    "arn:aws:ec2:*:{account}:instance/*",
                    &["ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation"],
                ),
                on(
                    "arn:aws:ec2:*:{account}:instance/*",
                    &["ssm:StartSession", "ssm:SendCommand", "ec2-instance-connect:SendSSHPublicKey"],
                ),
            ],
            existing: Some("ec2-instance"),
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-ec2-privesc/index.html",
        ],
    },
    Kind {
        id: "autoscaling-launch-configuration",
        title: "creates a launch configuration with the role's instance profile and a group that launches it",
        catalogue: &[],
        why: "User data of the launch configuration runs as root on instances that the group starts.",
        shape: Shape::NewWorkload {
            services: &["ec2.amazonaws.com"],
            profile: true,
            needs: &[
                on("arn:aws:autoscaling:*:{account}:launchConfiguration:*", &["autoscaling:CreateLaunchConfiguration"]),
                on(
                    "arn:aws:autoscaling:*:{account}:autoScalingGroup:*",
                    &["autoscaling:CreateAutoScalingGroup", "autoscaling:UpdateAutoScalingGroup"],
                ),
            ],
            existing: None,
        },
        partial: None,
        references: &[
            "https://cloud.hacktricks.wiki/en/pentesting-cloud/aws-security/aws-privilege-escalation/aws-ec2-privesc/index.html",
        ],
    },
];
