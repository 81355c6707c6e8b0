//! Whose account a plan changes: what it asked of AWS says it, or else what its values name.

use std::collections::BTreeSet;

use super::plan::Resource;
use crate::account::{UNKNOWN, named};
use crate::aws::text;
use crate::document::Node;

/// The partition and the account of what a plan makes: what it asked of AWS, or what its values name and the other files
/// are about ([`named`]).
pub(super) fn home(
    resources: &[Resource],
    planned: &Node,
    known: impl FnOnce() -> Option<(String, String)>,
) -> (String, String) {
    let asked = |kind: &str, key: &str| {
        resources.iter().find(|one| one.kind == kind).and_then(|one| text(&one.values, key)).map(str::to_owned)
    };
    let made: BTreeSet<&str> = resources.iter().filter(|one| !one.is_data).map(Resource::label).collect();
    let (partition, account) = named(planned, &made, known).unzip();
    let usual = || "aws".to_owned();
    (
        asked("aws_partition", "partition").or(partition).unwrap_or_else(usual),
        asked("aws_caller_identity", "account_id").or(account).unwrap_or_else(|| UNKNOWN.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Format};

    fn account(values: &str) -> String {
        account_beside(values, None)
    }

    fn account_beside(values: &str, known: Option<&str>) -> String {
        let made = |name: &str| {
            let node = Document::parse(&format!("{{\"name\": \"{name}\"}}"), Format::Json).unwrap().root().clone();
            let (kind, name) = ("aws_iam_role".to_owned(), name.to_owned());
            Resource { module: String::new(), kind, name, index: None, is_data: false, values: node.clone(), node }
        };
        let known = || Some(("aws".to_owned(), known?.to_owned()));
        home(&[made("own")], Document::parse(values, Format::Json).unwrap().root(), known).1
    }

    #[test]
    fn the_account_of_the_other_files_outweighs_what_may_be_of_anybody() {
        let layer = r#"[{"layers": ["arn:aws:lambda:us-east-1:017000801446:layer:Powertools:1"]}]"#;
        assert_eq!(account_beside(layer, Some("111122223333")), "111122223333");
        assert_eq!(account(layer), "017000801446", "where nothing else is known");
        let own = r#"[{"role": "arn:aws:iam::444455556666:role/own"}]"#;
        assert_eq!(account_beside(own, Some("111122223333")), "444455556666", "it names what the plan makes");
    }

    #[test]
    fn the_account_is_that_of_what_the_plan_makes_or_of_what_its_policies_speak_of() {
        let policy = |resources: &str, principal: &str| {
            let document = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Resource": {resources}}}}}"#
            );
            serde_json::json!([{ "policy": document }]).to_string()
        };
        let elsewhere = "arn:aws:iam::444455556666:root";
        assert_eq!(account(&policy("[]", elsewhere)), "000000000000", "whom it lets in may be anywhere");
        let most = r#"["arn:aws:s3:us-east-1:111122223333:a", "arn:aws:sqs:us-east-1:111122223333:b", "arn:aws:iam::444455556666:role/x", "*"]"#;
        assert_eq!(account(&policy(most, elsewhere)), "111122223333");
        let own = r#"["arn:aws:s3:us-east-1:111122223333:a", "arn:aws:sqs:us-east-1:111122223333:b", "arn:aws:iam::444455556666:role/own"]"#;
        assert_eq!(account(&policy(own, elsewhere)), "444455556666", "it names what the plan makes");
        assert_eq!(account(r#"[{"role": "arn:aws:iam::777788889999:role/other"}]"#), "777788889999");
    }
}
