//! Amazon resource names: `arn:partition:service:region:account:resource`.

use std::fmt;

/// The six parts of an ARN, borrowed from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: &'a str,
    /// The service prefix, for example `iam`.
    pub service: &'a str,
    /// Empty for global services.
    pub region: &'a str,
    /// Empty where names are global (S3).
    pub account: &'a str,
    /// Everything after the fifth colon.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN; `None` when it does not have six parts.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") {
            return None;
        }
        Some(Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// The last segment of the resource, after its path: `alice` for `user/division/alice`.
    pub fn name(&self) -> &'a str {
        self.resource.rsplit('/').next().unwrap_or(self.resource)
    }
}

/// A form that is written for the partition `aws`, in another one (`aws-us-gov`, `aws-cn`).
pub(crate) fn in_partition(form: &str, partition: &str) -> String {
    match form.strip_prefix("arn:aws:") {
        Some(rest) if !partition.is_empty() => format!("arn:{partition}:{rest}"),
        _ => form.to_owned(),
    }
}

impl fmt::Display for Arn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:{}:{}:{}:{}", self.partition, self.service, self.region, self.account, self.resource)
    }
}
