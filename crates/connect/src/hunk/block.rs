//! The hunk that removes a block of a `.tf` file, or an object of a list in one.

use std::ops::Range;

use super::{LINES_MAX, hunk};
use crate::{hcl, secret};

/// Blocks within others that are a grant by themselves.
const INNER: &[&str] = &["statement", "inline_policy"];

/// The hunk, or nothing where no whole block or object begins at the line, or where the file speaks of it elsewhere.
pub(super) fn removal(name: &str, text: &str, line: u32) -> Option<String> {
    let first = usize::try_from(line).ok()?.checked_sub(1)?;
    let lines: Vec<&str> = text.split('\n').collect();
    let head = lines.get(first)?;
    let start: usize = lines.iter().take(first).map(|line| line.len() + 1).sum();
    let span = removable(head)?;
    if !head.contains('{') || is_referred(text, head) {
        return None;
    }
    let (end, alone) = hcl::closing(text, start + span.start)?;
    let last = text.get(..end)?.matches('\n').count();
    if !alone || last - first >= LINES_MAX {
        return None;
    }
    let whole = lines.strip_suffix(&[""]).unwrap_or(&lines);
    let (from, to) = (first.saturating_sub(1), (last + 1).min(whole.len().saturating_sub(1)));
    let shown: Vec<String> = whole.get(from..=to)?.iter().map(|line| masked(line)).collect();
    let number = |at: usize| u32::try_from(at + 1).unwrap_or(u32::MAX);
    Some(hunk(name, &shown, (number(from), number(first), number(last)), false))
}

/// Where a line's block or object begins, if it is one that may go.
fn removable(line: &str) -> Option<Range<usize>> {
    let head = line.trim_start();
    let at = line.len() - head.len();
    let inner =
        || INNER.iter().any(|word| head.strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with('{')));
    let whole = head.starts_with("resource \"") || head.starts_with("data \"");
    (head.starts_with('{') || whole && at == 0 || inner()).then_some(at..line.len())
}

/// Whether the file names the resource that a line begins.
fn is_referred(text: &str, line: &str) -> bool {
    let mut parts = line.split('"');
    let (word, kind, name) = (parts.next().unwrap_or_default().trim(), parts.next(), parts.nth(1));
    match (kind, name) {
        (Some(kind), Some(name)) if word == "resource" => text.contains(&format!("{kind}.{name}.")),
        (Some(kind), Some(name)) if word == "data" => text.contains(&format!("data.{kind}.{name}.")),
        _ => false,
    }
}

/// The line with a secret as dots: by its words, or by the name of what it is given to.
fn masked(line: &str) -> String {
    let value = line.split_once('=').and_then(|(name, value)| Some((name.trim(), value.trim().strip_prefix('"')?)));
    if let Some((name, value)) = value {
        let value = value.trim_end_matches('"');
        if !secret::find_named(name, value).is_empty() {
            return line.replace(value, "…");
        }
    }
    secret::mask(line)
}

#[cfg(test)]
mod tests {
    use super::super::removal;

    const FILE: &str = "data \"aws_iam_policy_document\" \"a\" {\n  statement {\n    actions = [\"s3:*\"] # }\n  }\n  statement {\n    actions = [\"iam:*\"]\n  }\n}\n\nresource \"aws_iam_policy\" \"b\" {\n  password = \"q8Zk2mV9x7Lp4Rt6\"\n  policy = jsonencode({\n    Statement = [\n      {\n        Effect = \"Allow\"\n      },\n      { Effect = \"Deny\" }\n    ]\n  })\n}\n";

    #[test]
    fn a_statement_goes_as_a_block_and_as_an_object() {
        insta::assert_snapshot!(removal("main.tf", FILE, 5).unwrap(), @r#"
        --- main.tf
        +++ main.tf
        @@ -4,5 +4,2 @@
           }
        -  statement {
        -    actions = ["iam:*"]
        -  }
         }
        "#);
        insta::assert_snapshot!(removal("main.tf", FILE, 14).unwrap(), @r#"
        --- main.tf
        +++ main.tf
        @@ -13,5 +13,2 @@
             Statement = [
        -      {
        -        Effect = "Allow"
        -      },
               { Effect = "Deny" }
        "#);
        assert!(removal("main.tf", FILE, 17).unwrap().contains("-      { Effect = \"Deny\" }\n"));
    }

    #[test]
    fn a_resource_goes_unless_something_speaks_of_it_and_no_secret_is_shown() {
        let hunk = removal("main.tf", FILE, 10).unwrap();
        assert!(hunk.contains("-resource") && !hunk.contains("q8Zk2mV9x7Lp4Rt6"), "{hunk}");
        let referred = format!("{FILE}output \"x\" {{\n  value = aws_iam_policy.b.arn\n}}\n");
        assert_eq!(removal("main.tf", &referred, 10), None);
        for line in [0, 3, 4, 11, 12, 13, 99] {
            assert_eq!(removal("main.tf", FILE, line), None, "{line}");
        }
        assert_eq!(removal("main.tf", "resource \"a\" \"b\" {", 1), None);
    }
}
