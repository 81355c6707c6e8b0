//! Reads a whole text as comma-separated values with a header (RFC 4180), strictly.
//!
//! Only where the operator says who writes the columns (`results`): a program that does not quote what strangers write
//! lets them write rows, and nothing in the text tells such a program from a careful one.

use serde_json::{Map, Value};

/// How many columns a table may have.
const COLUMNS_MAX: usize = 256;

/// The rows of a table by its header; nothing if a row does not fit.
pub(crate) fn parse(text: &str, rows_max: usize) -> Option<Value> {
    let separator = *[b',', b';', b'\t'].iter().find(|separator| {
        let header = text.lines().next().unwrap_or_default();
        header.bytes().any(|byte| byte == **separator)
    })?;
    let mut rows = rows(text.trim_end(), separator, rows_max.saturating_add(1))?.into_iter();
    let header = rows.next()?;
    let named = header.iter().all(|name| is_name(name)) && header.len() <= COLUMNS_MAX;
    let distinct = header.iter().collect::<std::collections::BTreeSet<_>>().len() == header.len();
    if !named || !distinct || header.len() < 2 || rows.len() == 0 {
        return None;
    }
    let row = |cells: Vec<String>| {
        let fits = cells.len() == header.len();
        let cells = header.iter().cloned().zip(cells.into_iter().map(Value::String));
        fits.then(|| Value::Object(cells.collect::<Map<_, _>>()))
    };
    rows.map(row).collect::<Option<Vec<_>>>().map(Value::Array)
}

/// A column's name: short, and no sentence.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.split_whitespace().count() <= 4 && !name.contains(['@', '.', '!', '?'])
}

fn rows(text: &str, separator: u8, max: usize) -> Option<Vec<Vec<String>>> {
    let mut rows = vec![Vec::new()];
    let mut rest = text;
    loop {
        let (cell, after) = cell(rest, separator)?;
        rows.last_mut()?.push(cell);
        let Some(next) = after.chars().next() else { return Some(rows) };
        rest = after.get(1..)?;
        if next == '\r' {
            rest = rest.strip_prefix('\n')?;
        }
        if next != char::from(separator) {
            if rows.len() >= max {
                return None;
            }
            rows.push(Vec::new());
        }
    }
}

/// One cell, and what follows it: a separator, a line end or nothing.
fn cell(text: &str, separator: u8) -> Option<(String, &str)> {
    let ends = |c: char| c == char::from(separator) || c == '\n' || c == '\r';
    let Some(mut rest) = text.strip_prefix('"') else {
        let (cell, after) = text.split_at(text.find(ends).unwrap_or(text.len()));
        // A quote in the middle of a bare cell is not what careful programs write.
        return (!cell.contains('"')).then(|| (cell.to_owned(), after));
    };
    let mut cell = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return (after.is_empty() || after.starts_with(ends)).then_some((cell, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_read_by_its_header() {
        let text = "id;name\r\n7;\"Ann; \"\"the\r\nboss\"\"\"\r\n";
        assert_eq!(parse(text, 10), Some(json!([{"id": "7", "name": "Ann; \"the\r\nboss\""}])));
    }

    #[test]
    fn what_does_not_fit_stays_text() {
        for text in [
            "id,name",
            "id,name\n7",
            "id,id\n7,8",
            "id,name\n7,a\"b",
            "id,name\n7,\"open",
            "Dear all, hello.\nbye, bye",
        ] {
            assert_eq!(parse(text, 10), None, "{text}");
        }
        assert_eq!(parse(&format!("a,b\n{}", "1,2\n".repeat(20)), 10), None);
    }
}
