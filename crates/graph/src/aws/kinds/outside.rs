//! Ways in from outside of the account, for those who hold nothing in it.

use super::{Kind, Shape};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: "lambda-public-url",
        title: "sends what it likes to the public URL of a Lambda function that runs as the role",
        catalogue: &[],
        why: "A function URL without authentication takes input from everyone. Where the function asks a model, or has a \
              flaw, that input decides what it does with its role.",
        shape: Shape::Exposed { workload: "lambda-function", joint: "public-url" },
        partial: Some("what is sent can steer the function: by a flaw, or by a model that obeys it"),
        references: &["https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"],
    },
    Kind {
        id: "ci-assume-role",
        title: "runs a workflow of its repository, which takes the role",
        catalogue: &[],
        why: "Whoever may push to what the trust policy names decides what the workflow does with the role: what it deploys, \
              an agent too, is theirs.",
        shape: Shape::Workflow,
        partial: None,
        references: &[
            "https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws",
        ],
    },
];

/// Token issuers whose subjects are workflows of repositories.
pub(crate) const ISSUERS: &[&str] = &[
    "token.actions.githubusercontent.com",
    "gitlab.com",
    "oidc.circleci.com",
    "agent.buildkite.com",
    "vstoken.dev.azure.com",
    "api.bitbucket.org",
];

/// Whether a provider's tokens are those of workflows.
pub(crate) fn issues_to_workflows(provider: &str) -> bool {
    let issuer = provider.split_once("oidc-provider/").map_or(provider, |(_, issuer)| issuer);
    let host = issuer.split([' ', '/']).next().unwrap_or_default();
    ISSUERS.contains(&host)
}
