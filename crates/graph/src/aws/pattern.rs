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
    tokens: Vec<Token>,
    variables: bool,
    /// The bytes before the first wildcard or variable: most mismatches show here.
    prefix: usize,
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
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else { break };
            tokens.extend(before.bytes().map(wildcard));
            tokens.push(variable(name));
            rest = tail;
        }
        tokens.extend(rest.bytes().map(wildcard));
        let variables = tokens.iter().any(|token| matches!(token, Token::Variable { .. }));
        Self::new(text, tokens, variables)
    }

    /// A pattern in which `$` is an ordinary character.
    pub fn plain(text: &str) -> Self {
        Self::new(text, text.bytes().map(wildcard).collect(), false)
    }

    fn new(text: &str, tokens: Vec<Token>, variables: bool) -> Self {
        let prefix = tokens.iter().take_while(|token| matches!(token, Token::Text(_))).count();
        Self { text: text.to_owned(), tokens, variables, prefix }
    }

    /// A text without wildcards; variables are still read when `variables` says so.
    pub fn literal(text: &str, variables: bool) -> Self {
        let mut pattern = if variables { Self::with_variables(text) } else { Self::plain(text) };
        for token in &mut pattern.tokens {
            match token {
                Token::One => *token = Token::Text(b'?'),
                Token::Any => *token = Token::Text(b'*'),
                Token::Text(_) | Token::Variable { .. } => {}
            }
        }
        Self::new(text, pattern.tokens, pattern.variables)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches everything.
    pub fn is_any(&self) -> bool {
        self.text == "*"
    }

    /// Whether it has a wildcard or a variable.
    pub fn is_open(&self) -> bool {
        self.tokens.iter().any(|token| !matches!(token, Token::Text(_)))
    }

    /// Whether `text` matches; unknown when that hangs on a variable whose value is not known.
    pub fn matches(&self, text: &str, context: &Context) -> Truth {
        if !self.variables {
            return Truth::from_bool(self.run_plain(text));
        }
        match self.expand(context) {
            Expanded::Known(tokens) => Truth::from_bool(run(&tokens, text.as_bytes())),
            Expanded::Widest(tokens) if run(&tokens, text.as_bytes()) => Truth::Unknown,
            Expanded::Widest(_) | Expanded::Undefined => Truth::No,
        }
    }

    /// Whether `text` is excepted by this (`NotResource`). What a variable without a value excepts is not documented: it
    /// is unknown where some value would.
    pub fn excepts(&self, text: &str, context: &Context) -> Truth {
        let undefined = self.variables && matches!(self.expand(context), Expanded::Undefined);
        if undefined && self.may_match(text) { Truth::Unknown } else { self.matches(text, context) }
    }

    /// Whether it has a policy variable.
    pub fn has_variables(&self) -> bool {
        self.variables
    }

    /// Whether `text` matches when variables stand for anything.
    pub fn may_match(&self, text: &str) -> bool {
        if !self.variables {
            return self.run_plain(text);
        }
        let tokens: Vec<Token> = self
            .tokens
            .iter()
            .map(|token| if matches!(token, Token::Variable { .. }) { Token::Any } else { token.clone() })
            .collect();
        run(&tokens, text.as_bytes())
    }

    fn run_plain(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let prefix = self.tokens.iter().take(self.prefix).zip(text).all(|(token, byte)| *token == Token::Text(*byte));
        prefix && run(&self.tokens, text)
    }

    fn expand(&self, context: &Context) -> Expanded {
        let mut tokens = Vec::with_capacity(self.tokens.len());
        let mut widest = false;
        for token in &self.tokens {
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

/// Matches greedily, going back to the last `*` on a mismatch: linear for one star, never exponential.
fn run(tokens: &[Token], text: &[u8]) -> bool {
    let (mut token, mut byte) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while byte < text.len() {
        match (tokens.get(token), text.get(byte)) {
            (Some(Token::Any), _) => {
                star = Some((token, byte));
                token += 1;
            }
            (Some(Token::One), Some(_)) => {
                token += 1;
                byte = after_character(text, byte);
            }
            (Some(Token::Text(expected)), Some(found)) if expected == found => {
                token += 1;
                byte += 1;
            }
            _ => {
                let Some((star_token, star_byte)) = star else { return false };
                star = Some((star_token, star_byte + 1));
                token = star_token + 1;
                byte = star_byte + 1;
            }
        }
    }
    tokens.iter().skip(token).all(|token| matches!(token, Token::Any))
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
