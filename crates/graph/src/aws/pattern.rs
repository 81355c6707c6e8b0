//! Patterns of policy elements: `*`, `?` and policy variables.
//!
//! A variable's value is text, never a pattern: a user whose name is `*` does not match everything
//! through `${aws:username}`.

use super::condition::{Context, Value};
use super::truth::Truth;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// As it was written, where that is not `text`.
    written: Option<Box<str>>,
    form: Form,
    variables: bool,
}

/// How the text is read. Most patterns of an account are globs, which are matched as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// With wildcards, the first of which stands at this byte.
    Glob(usize),
    /// Without any.
    Exact,
    /// With what `${…}` stands for.
    Tokens(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(u8),
    /// `?`
    One,
    /// `*`
    Any,
    /// `${key}` or `${key, 'default'}`
    Variable {
        key: String,
        default: Option<String>,
    },
}

impl Pattern {
    /// A pattern in which `${…}` is a policy variable (policy version 2012-10-17).
    pub fn with_variables(text: &str) -> Self {
        match tokens(text) {
            Some(tokens) => Self::new(text, Form::Tokens(tokens)),
            None => Self::plain(text),
        }
    }

    /// A pattern in which `$` is an ordinary character.
    pub fn plain(text: &str) -> Self {
        let first = text.bytes().position(|byte| byte == b'*' || byte == b'?');
        Self::new(text, first.map_or(Form::Exact, Form::Glob))
    }

    /// A plain pattern of what has no case: it matches texts in lower case.
    pub fn folded(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let written = (lower != text).then(|| text.into());
        Self { written, ..Self::plain(&lower) }
    }

    fn new(text: &str, form: Form) -> Self {
        let is_variable = |token: &Token| matches!(token, Token::Variable { .. });
        let variables = matches!(&form, Form::Tokens(tokens) if tokens.iter().any(is_variable));
        Self { text: text.to_owned(), written: None, form, variables }
    }

    /// A text without wildcards; variables are still read when `variables` says so.
    pub fn literal(text: &str, variables: bool) -> Self {
        let Some(mut tokens) = tokens(text).filter(|_| variables) else { return Self::new(text, Form::Exact) };
        for token in &mut tokens {
            match token {
                Token::One => *token = Token::Text(b'?'),
                Token::Any => *token = Token::Text(b'*'),
                Token::Text(_) | Token::Variable { .. } => {}
            }
        }
        Self::new(text, Form::Tokens(tokens))
    }

    /// As it is matched.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As somebody wrote it.
    pub fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }

    /// Whether it matches everything.
    pub fn is_any(&self) -> bool {
        self.text == "*"
    }

    /// Whether it has a wildcard or a variable.
    pub fn is_open(&self) -> bool {
        match &self.form {
            Form::Glob(_) => true,
            Form::Exact => false,
            Form::Tokens(tokens) => tokens.iter().any(|token| !matches!(token, Token::Text(_))),
        }
    }

    /// Whether `text` matches; unknown when that hangs on a variable whose value is not known.
    pub fn matches(&self, text: &str, context: &Context) -> Truth {
        let tokens = match &self.form {
            Form::Tokens(tokens) if self.variables => tokens,
            _ => return Truth::from_bool(self.may_match(text)),
        };
        match expand(tokens, context) {
            Expanded::Known(tokens) => Truth::from_bool(run(&tokens, text.as_bytes())),
            Expanded::Widest(tokens) if run(&tokens, text.as_bytes()) => Truth::Unknown,
            Expanded::Widest(_) | Expanded::Undefined => Truth::No,
        }
    }

    /// Whether `text` is excepted by this (`NotResource`). What a variable without a value excepts is not documented: it
    /// is unknown where some value would.
    pub fn excepts(&self, text: &str, context: &Context) -> Truth {
        let undefined =
            matches!(&self.form, Form::Tokens(tokens) if matches!(expand(tokens, context), Expanded::Undefined));
        if undefined && self.may_match(text) { Truth::Unknown } else { self.matches(text, context) }
    }

    /// Its six parts as an ARN's, taken apart at the colons outside of variables; nothing where there are fewer.
    pub fn arn_parts(&self) -> Option<Vec<Self>> {
        let parts: Vec<Self> = match &self.form {
            Form::Glob(_) => self.text.splitn(6, ':').map(Self::plain).collect(),
            Form::Exact => self.text.splitn(6, ':').map(|part| Self::new(part, Form::Exact)).collect(),
            Form::Tokens(tokens) => {
                let parts = tokens.splitn(6, |token| *token == Token::Text(b':'));
                parts.map(|part| Self::new("", Form::Tokens(part.to_vec()))).collect()
            }
        };
        (parts.len() == 6).then_some(parts)
    }

    /// Whether it has a policy variable.
    pub fn has_variables(&self) -> bool {
        self.variables
    }

    /// Whether `text` matches when variables stand for anything.
    pub fn may_match(&self, text: &str) -> bool {
        let (own, text) = (self.text.as_bytes(), text.as_bytes());
        match &self.form {
            Form::Exact => own == text,
            Form::Glob(first) => {
                let (Some((begins, rest)), Some((before, after))) =
                    (own.split_at_checked(*first), text.split_at_checked(*first))
                else {
                    return false;
                };
                begins == before && run_glob(rest, after)
            }
            Form::Tokens(tokens) => {
                let any =
                    |token: &Token| if matches!(token, Token::Variable { .. }) { Token::Any } else { token.clone() };
                run(&tokens.iter().map(any).collect::<Vec<_>>(), text)
            }
        }
    }
}

/// The tokens of a text with `${…}` in it.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else { break };
        tokens.extend(before.bytes().map(wildcard));
        tokens.push(variable(name));
        rest = tail;
    }
    if rest.len() == text.len() {
        return None;
    }
    tokens.extend(rest.bytes().map(wildcard));
    Some(tokens)
}

/// Tokens with what the request's context puts for their variables.
fn expand(own: &[Token], context: &Context) -> Expanded {
    let mut tokens = Vec::with_capacity(own.len());
    let mut widest = false;
    for token in own {
        let Token::Variable { key, default } = token else {
            tokens.push(token.clone());
            continue;
        };
        match (context.get(key), default) {
            (Value::Known(values), _) => match values.as_slice() {
                [value] => tokens.extend(value.bytes().map(Token::Text)),
                // A key with several values cannot stand for one text.
                _ => return Expanded::Undefined,
            },
            (Value::Absent, Some(default)) => tokens.extend(default.bytes().map(Token::Text)),
            (Value::Absent, None) => return Expanded::Undefined,
            (Value::Unknown | Value::Chosen | Value::Recent { .. }, _) => {
                tokens.push(Token::Any);
                widest = true;
            }
        }
    }
    if widest { Expanded::Widest(tokens) } else { Expanded::Known(tokens) }
}

enum Expanded {
    Known(Vec<Token>),
    /// Some variable stands for anything.
    Widest(Vec<Token>),
    /// A variable has no value: the element matches nothing.
    Undefined,
}

fn wildcard(byte: u8) -> Token {
    match byte {
        b'*' => Token::Any,
        b'?' => Token::One,
        byte => Token::Text(byte),
    }
}

fn variable(name: &str) -> Token {
    match name.trim() {
        "*" => Token::Text(b'*'),
        "?" => Token::Text(b'?'),
        "$" => Token::Text(b'$'),
        name => {
            let (key, default) = match name.split_once(',') {
                Some((key, default)) => (key, Some(default.trim().trim_matches('\'').to_owned())),
                None => (name, None),
            };
            Token::Variable { key: key.trim().to_ascii_lowercase(), default }
        }
    }
}

/// What one place of a pattern asks for.
enum Wanted {
    Any,
    One,
    Byte(u8),
}

fn run(tokens: &[Token], text: &[u8]) -> bool {
    let wanted = |at: usize| {
        tokens.get(at).map(|token| match token {
            Token::Any => Wanted::Any,
            Token::One => Wanted::One,
            Token::Text(byte) => Wanted::Byte(*byte),
            // A variable was replaced before.
            Token::Variable { .. } => Wanted::Any,
        })
    };
    matches_all(wanted, text)
}

fn run_glob(pattern: &[u8], text: &[u8]) -> bool {
    let wanted = |at: usize| {
        pattern.get(at).map(|byte| match byte {
            b'*' => Wanted::Any,
            b'?' => Wanted::One,
            byte => Wanted::Byte(*byte),
        })
    };
    matches_all(wanted, text)
}

/// Matches greedily, going back to the last `*` on a mismatch: linear for one star, never exponential.
fn matches_all(wanted: impl Fn(usize) -> Option<Wanted>, text: &[u8]) -> bool {
    let (mut at, mut byte) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while byte < text.len() {
        match (wanted(at), text.get(byte)) {
            (Some(Wanted::Any), _) => {
                star = Some((at, byte));
                at += 1;
            }
            (Some(Wanted::One), Some(_)) => {
                at += 1;
                byte = after_character(text, byte);
            }
            (Some(Wanted::Byte(expected)), Some(found)) if expected == *found => {
                at += 1;
                byte += 1;
            }
            _ => {
                let Some((star_at, star_byte)) = star else { return false };
                star = Some((star_at, star_byte + 1));
                at = star_at + 1;
                byte = star_byte + 1;
            }
        }
    }
    while let Some(Wanted::Any) = wanted(at) {
        at += 1;
    }
    wanted(at).is_none()
}

/// `?` is one character, which is up to four bytes.
fn after_character(text: &[u8], byte: usize) -> usize {
    let continued = text.iter().skip(byte + 1).take_while(|next| **next & 0xC0 == 0x80).count();
    byte + 1 + continued
}

/// Whether `text` matches the glob `pattern`.
pub fn glob(pattern: &str, text: &str) -> bool {
    Pattern::plain(pattern).may_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--b--", false),
            ("?", "é", true),
            ("??", "é", false),
            ("a?c", "ac", false),
            ("*ab", "aab", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_variable_is_text_and_never_a_wildcard() {
        let pattern = Pattern::with_variables("home/${aws:username}/*");
        let context = Context::default().with("aws:username", Value::one("*"));
        assert_eq!(pattern.matches("home/*/x", &context), Truth::Yes);
        assert_eq!(pattern.matches("home/bob/x", &context), Truth::No);
        assert_eq!(pattern.matches("home/bob/x", &Context::default()), Truth::Unknown);
        let absent = Context::default().with("aws:username", Value::Absent);
        assert_eq!(pattern.matches("home/bob/x", &absent), Truth::No);
        let fallback = Pattern::with_variables("${aws:PrincipalTag/team, 'none'}${*}");
        assert_eq!(
            fallback.matches("none*", &Context::default().with("aws:PrincipalTag/team", Value::Absent)),
            Truth::Yes
        );
    }
}
