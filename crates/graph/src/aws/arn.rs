//! Amazon resource names: `arn:partition:service:region:account:resource`.

use std::fmt;

/// The region of what is in one that nobody said.
pub const ANY_REGION: &str = "*";

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
        let mut rest = text.strip_prefix("arn:")?;
        // Parts are short and this is asked millions of times: a search made for long texts takes longer.
        let mut part = || {
            let (head, tail) = rest.split_at_checked(rest.bytes().position(|byte| byte == b':')?)?;
            rest = tail.get(1..)?;
            Some(head)
        };
        let (partition, service, region, account) = (part()?, part()?, part()?, part()?);
        Some(Self { partition, service, region, account, resource: rest })
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

#[cfg(test)]
mod tests {
    use super::Arn;

    #[test]
    fn six_parts_and_no_fewer() {
        let arn = Arn::parse("arn:aws:lambda:eu-west-1:111122223333:function:jobs:1").unwrap();
        assert_eq!((arn.partition, arn.service, arn.region), ("aws", "lambda", "eu-west-1"));
        assert_eq!((arn.account, arn.resource), ("111122223333", "function:jobs:1"));
        assert_eq!(Arn::parse("arn:aws:s3:::").map(|arn| arn.resource), Some(""));
        for text in ["", "arn", "arn:", "arn:aws:s3::", "ARN:aws:s3:::b", "aws:s3:::b:c:d", "x:arn:aws:s3:::b"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
