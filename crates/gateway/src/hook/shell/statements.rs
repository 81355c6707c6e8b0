//! What databases are told in a language of their own, as a program's words or its input: statements of SQL, known by the
//! words that they begin with, and words of other languages.
//!
//! It reads no grammar. Where a statement begins is taken broadly (behind each `;`, comment and line), so that a quote hides
//! none; a text of which a part looks like a statement counts as one. A condition that holds for every row by what the rows
//! hold (`WHERE id = id`) counts as a condition.

use super::programs::cluster;

/// Programs that take SQL.
const SQL: &[&str] = &[
    "psql",
    "pgcli",
    "mysql",
    "mariadb",
    "mycli",
    "cockroach",
    "clickhouse",
    "clickhouse-client",
    "sqlcmd",
    "bq",
    "snowsql",
    "usql",
    "heroku",
    "turso",
    "wrangler",
];

/// Programs that take another language, with what stands in a text that may lose data.
const OTHERS: &[(&[&str], &[&str])] = &[
    // A computed name may be any method's.
    (&["mongosh", "mongo"], &["drop", "delete", "remove", "eval(", "]("]),
    (&["redis-cli", "valkey-cli"], &["flushall", "flushdb"]),
];

/// How many letters may stand before a value in one word (`-qtcDROP …`).
const LETTERS_MAX: usize = 8;
/// How much of a statement is read; a condition further behind is none.
const STATEMENT_MAX_CHARS: usize = 4_096;

/// What ends a condition.
const CLAUSES: &[&str] = &["GROUP", "LIMIT", "ORDER", "RETURNING"];
/// Words of a condition that name no column.
const CONSTANTS: &[&str] = &["AND", "BETWEEN", "FALSE", "IN", "IS", "LIKE", "NOT", "NULL", "OR", "TRUE"];

pub(super) fn is_known(program: &str) -> bool {
    SQL.contains(&program) || others(program).is_some()
}

/// Whether one of the texts that a program gets loses data.
pub(super) fn destroy<'t>(program: &str, mut texts: impl Iterator<Item = &'t str>) -> bool {
    if SQL.contains(&program) {
        return texts.any(|text| values(text).into_iter().any(has_lossy_statement));
    }
    let Some(words) = others(program) else { return false };
    texts.map(str::to_ascii_lowercase).any(|text| words.iter().any(|word| text.contains(word)))
}

fn others(program: &str) -> Option<&'static [&'static str]> {
    OTHERS.iter().find(|(programs, _)| programs.contains(&program)).map(|(_, words)| *words)
}

/// A word, and the value that may stand in it behind an option.
fn values(word: &str) -> Vec<&str> {
    let attached = cluster(word).map_or(0, |_| LETTERS_MAX);
    let short = (2..=attached + 1).filter_map(|at| word.get(at..));
    let long = word.split_once('=').filter(|_| word.starts_with("--")).map(|(_, value)| value);
    [word].into_iter().chain(long).chain(short).collect()
}

fn has_lossy_statement(text: &str) -> bool {
    // As `echo` and `printf` write it.
    let text = text.replace("\\n", "\n");
    text.split(';').any(|piece| starts(piece).filter_map(|at| piece.get(at..)).any(is_lossy))
}

/// Where a statement may begin. What stands in `/*! … */` is run by some.
fn starts(piece: &str) -> impl Iterator<Item = usize> {
    let ends = move |mark: &'static str| piece.match_indices(mark).map(move |(at, _)| at + mark.len());
    std::iter::once(0).chain(ends("\n")).chain(ends("*/")).chain(ends("/*!"))
}

fn is_lossy(statement: &str) -> bool {
    let statement = statement.trim_start();
    if ["--", "#", "/*"].iter().any(|comment| statement.starts_with(comment)) {
        return false;
    }
    let statement = statement.trim_start_matches(|char: char| !char.is_ascii_alphabetic());
    let rest = statement.trim_start_matches(|char: char| char.is_ascii_alphabetic());
    let verb = statement.strip_suffix(rest).unwrap_or_default().to_ascii_uppercase();
    let goes_on = |char: char| char.is_whitespace() || "\"`[(".contains(char);
    if !rest.starts_with(goes_on) && !rest.starts_with("/*") && !rest.starts_with("--") {
        return false;
    }
    let end = rest.char_indices().nth(STATEMENT_MAX_CHARS).map_or(rest.len(), |(at, _)| at);
    let rest = rest.get(..end).unwrap_or_default();
    let any = |wanted: &[&str]| words(rest).iter().any(|word| wanted.contains(&word.as_str()));
    match verb.as_str() {
        "DROP" | "TRUNCATE" => !words(rest).is_empty(),
        "DELETE" => !has_condition(rest),
        "UPDATE" => words(rest).iter().skip(1).any(|word| word == "SET") && !has_condition(rest),
        "ALTER" => any(&["DROP", "TRUNCATE"]),
        "WITH" => any(&["DELETE"]),
        "EXPLAIN" => any(&["ANALYZE", "ANALYSE"]) && any(&["DELETE"]),
        "DO" => any(&["DELETE", "DROP", "EXECUTE", "TRUNCATE"]),
        _ => false,
    }
}

/// Whether a statement is about some of the rows only: its condition names something.
fn has_condition(statement: &str) -> bool {
    // What stands between quotes names nothing.
    let unquoted: Vec<String> = uncommented(statement).split('\'').step_by(2).map(str::to_owned).collect();
    let words = words(&unquoted.join(" "));
    let condition = words.iter().map(String::as_str).skip_while(|word| *word != "WHERE").skip(1);
    condition
        .take_while(|word| !CLAUSES.contains(word))
        .any(|word| !word.starts_with(|char: char| char.is_ascii_digit()) && !CONSTANTS.contains(&word))
}

/// The words of a text, in capitals.
fn words(text: &str) -> Vec<String> {
    let is_other = |char: char| !char.is_alphanumeric() && char != '_';
    text.split(is_other).filter(|word| !word.is_empty()).map(str::to_ascii_uppercase).collect()
}

fn uncommented(text: &str) -> String {
    let line = |line: &str| line.split('#').next().and_then(|line| line.split("--").next()).map(str::to_owned);
    let lines: Vec<String> = text.lines().filter_map(line).collect();
    let text = lines.join("\n");
    let mut parts = text.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + " " + part.split_once("*/").map_or("", |(_, after)| after))
}
