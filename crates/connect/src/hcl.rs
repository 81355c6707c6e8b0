//! As much of HCL as removing a block and following a value needs: braces that match, and the expressions of policies.
//!
//! No evaluation: a function's result, a condition and an operator are [`Expression::Other`]. What does not parse is
//! nothing, never a guess.

/// A value as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    /// A quoted text, in parts; a part in `${…}` is an expression of its own.
    Text(Vec<Part>),
    /// `a.b.c`, with indexes.
    Reference(String),
    /// `[…]`, each with its line.
    List(Vec<(Expression, u32)>),
    /// `{…}`, each key with its value.
    Object(Vec<(String, Expression)>),
    /// `name(…)` with one argument.
    Call(String, Box<Expression>),
    /// A number, `true`, `false` or `null`.
    Word(String),
}

/// A part of a quoted text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// As it stands.
    Plain(String),
    /// A reference in `${…}`.
    Of(String),
}

/// How deep expressions nest.
const DEPTH_MAX: u32 = 32;

/// The attributes at the top of a block whose text begins behind its `{`, each with its expression. `line` is the
/// first line of the text.
pub(crate) fn attributes(body: &str, line: u32) -> Vec<(String, Expression)> {
    let mut found = Vec::new();
    let mut scanner = Scanner { text: body, at: 0, line };
    loop {
        scanner.space();
        let Some(name) = scanner.name() else {
            match scanner.next() {
                None | Some('}') => return found,
                Some('{' | '[' | '(') => scanner.close(),
                Some('"') => scanner.quoted(),
                Some(_) => {}
            }
            continue;
        };
        scanner.blank();
        if scanner.peek() == Some('=') && !scanner.rest().starts_with("==") {
            scanner.next();
            let start = scanner.clone();
            match scanner.expression(0) {
                Some(expression) => found.push((name, expression)),
                None => scanner = start,
            }
        }
    }
}

/// The end (behind the closing brace) of what opens first at or after `from`, and whether only spaces and a comma
/// follow on its line.
pub(crate) fn closing(text: &str, from: usize) -> Option<(usize, bool)> {
    let open = from + text.get(from..)?.find('{')?;
    let mut scanner = Scanner { text, at: open + 1, line: 1 };
    scanner.close();
    let rest = text.get(scanner.at..)?.split('\n').next().unwrap_or_default();
    let closed = text.get(..scanner.at)?.ends_with('}');
    closed.then(|| (scanner.at, rest.trim().trim_end_matches(',').trim().is_empty()))
}

#[derive(Clone)]
struct Scanner<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        self.line += u32::from(letter == '\n');
        Some(letter)
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    /// Spaces within a line.
    fn blank(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
    }

    /// Spaces, line ends and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                while !matches!(self.peek(), None | Some('\n')) {
                    self.next();
                }
            } else if rest.starts_with("/*") {
                let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
                self.skip(rest.get(..end).unwrap_or_default().chars().count());
            } else if rest.starts_with(char::is_whitespace) {
                self.next();
            } else {
                return;
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        while let Some(letter) = self.peek() {
            let fits = letter.is_alphanumeric() || letter == '_' || letter == '-' && !name.is_empty();
            if !fits || name.is_empty() && letter.is_numeric() {
                break;
            }
            name.push(letter);
            self.next();
        }
        (!name.is_empty()).then_some(name)
    }

    /// Goes behind the bracket that closes the one just read.
    fn close(&mut self) {
        let mut depth = 1_u32;
        loop {
            self.space();
            match self.next() {
                None => return,
                Some('{' | '[' | '(') => depth += 1,
                Some('}' | ']' | ')') => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                Some('"') => self.quoted(),
                Some('<') if self.rest().starts_with('<') => self.heredoc(),
                Some(_) => {}
            }
        }
    }

    /// Goes behind a text whose first quote was read.
    fn quoted(&mut self) {
        while let Some(letter) = self.next() {
            match letter {
                '"' | '\n' => return,
                '\\' => self.skip(1),
                '$' | '%' if self.peek() == Some('{') => {
                    self.next();
                    self.close();
                }
                _ => {}
            }
        }
    }

    /// Goes behind `<<WORD` to the line of the word.
    fn heredoc(&mut self) {
        self.next();
        if self.peek() == Some('-') {
            self.next();
        }
        let Some(word) = self.name() else { return };
        while self.peek().is_some() {
            let line: String = self.rest().split('\n').next().unwrap_or_default().to_owned();
            self.skip(line.chars().count());
            if line.trim() == word {
                return;
            }
            self.next();
        }
    }

    fn expression(&mut self, depth: u32) -> Option<Expression> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.blank();
        let found = match self.peek()? {
            '"' => self.string()?,
            '[' => self.list(depth)?,
            '{' => self.object(depth)?,
            letter if letter.is_ascii_digit() || letter == '-' => {
                let word: String =
                    self.rest().chars().take_while(|one| one.is_ascii_digit() || "-.".contains(*one)).collect();
                self.skip(word.len());
                Expression::Word(word)
            }
            _ => self.named(depth)?,
        };
        // What is followed by an operator is not this alone.
        let mut after = self.clone();
        after.blank();
        let operator =
            matches!(after.peek(), Some('?' | '+' | '*' | '/' | '%' | '<' | '>' | '!' | '&' | '|' | '.' | '('))
                && !after.rest().starts_with("//")
                && !after.rest().starts_with("/*");
        (!operator && !after.rest().starts_with("==") && !after.rest().starts_with("for ")).then_some(found)
    }

    fn named(&mut self, depth: u32) -> Option<Expression> {
        let name = self.name()?;
        if self.peek() == Some('(') {
            self.next();
            self.space();
            let argument = self.expression(depth + 1)?;
            self.space();
            return (self.next()? == ')').then(|| Expression::Call(name, Box::new(argument)));
        }
        if ["true", "false", "null"].contains(&name.as_str()) {
            return Some(Expression::Word(name));
        }
        let mut reference = name;
        loop {
            match self.peek() {
                Some('.') => {
                    self.next();
                    reference.push('.');
                    reference.push_str(&self.name()?);
                }
                Some('[') => {
                    let start = self.at;
                    self.next();
                    self.close();
                    reference.push_str(self.text.get(start..self.at)?);
                }
                _ => return Some(Expression::Reference(reference)),
            }
        }
    }

    fn string(&mut self) -> Option<Expression> {
        self.next();
        let (mut parts, mut plain) = (Vec::new(), String::new());
        loop {
            match self.next()? {
                '"' => break,
                '\n' => return None,
                '\\' => match self.next()? {
                    'n' => plain.push('\n'),
                    't' => plain.push('\t'),
                    other => plain.push(other),
                },
                '$' if self.rest().starts_with("${") => {
                    // `$${` is a `${` of the text itself: a variable of the policy.
                    self.next();
                    self.next();
                    plain.push_str("${");
                }
                '$' if self.peek() == Some('{') => {
                    self.next();
                    self.blank();
                    let Some(Expression::Reference(of)) = self.named(DEPTH_MAX) else { return None };
                    self.blank();
                    if self.next()? != '}' {
                        return None;
                    }
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                    parts.push(Part::Of(of));
                }
                '%' if self.peek() == Some('{') => return None,
                other => plain.push(other),
            }
        }
        parts.push(Part::Plain(plain));
        parts.retain(|part| *part != Part::Plain(String::new()));
        Some(Expression::Text(parts))
    }

    fn list(&mut self, depth: u32) -> Option<Expression> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.space();
            if self.peek()? == ']' {
                self.next();
                return Some(Expression::List(items));
            }
            let line = self.line;
            items.push((self.expression(depth + 1)?, line));
            self.space();
            match self.peek()? {
                ',' => {
                    self.next();
                }
                ']' => {}
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: u32) -> Option<Expression> {
        self.next();
        let mut entries = Vec::new();
        loop {
            self.space();
            let key = match self.peek()? {
                '}' => {
                    self.next();
                    return Some(Expression::Object(entries));
                }
                ',' => {
                    self.next();
                    continue;
                }
                '"' => match self.string()? {
                    Expression::Text(parts) => match parts.as_slice() {
                        [Part::Plain(key)] => key.clone(),
                        _ => return None,
                    },
                    _ => return None,
                },
                _ => self.name()?,
            };
            self.blank();
            if !matches!(self.next()?, '=' | ':') {
                return None;
            }
            self.blank();
            entries.push((key, self.expression(depth + 1)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_and_blocks_passed_over() {
        let body = "\n  # a = 1\n  name = \"x-${var.a}\"\n  inner {\n    hidden = 1\n  }\n  doc = jsonencode({\n    Statement = [\n      { Effect = \"Allow\", \"Action\" : [\"a\", b.c[0].arn], N = 1 },\n    ]\n  })\n  maybe = a ? b : c\n  last = $\n}\nafter = 1\n";
        let found = attributes(body, 10);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["name", "doc"]);
        assert_eq!(found[0].1, Expression::Text(vec![Part::Plain("x-".into()), Part::Of("var.a".into())]));
        let Expression::Call(call, argument) = &found[1].1 else { panic!("{found:?}") };
        assert_eq!(call, "jsonencode");
        let Expression::Object(entries) = argument.as_ref() else { panic!("{argument:?}") };
        let Expression::List(statements) = &entries[0].1 else { panic!("{entries:?}") };
        assert_eq!(statements[0].1, 18);
        let Expression::Object(statement) = &statements[0].0 else { panic!("{statements:?}") };
        assert_eq!(statement[0].0, "Effect");
        let Expression::List(actions) = &statement[1].1 else { panic!("{statement:?}") };
        assert_eq!(actions[1].0, Expression::Reference("b.c[0].arn".into()));
    }

    #[test]
    fn what_does_not_parse_is_nothing_and_ends() {
        for text in
            ["", "a = ", "a = [", "a = {", "a = \"${", "a = \"${x", "a = f(", "{", "<<E\nx", "a = [1 2]", "a = \"\\"]
        {
            assert_eq!(attributes(text, 1), [], "{text}");
        }
        assert_eq!(
            attributes("a = \"$${aws:username}\"", 1)[0].1,
            Expression::Text(vec![Part::Plain("${aws:username}".into())])
        );
        assert_eq!(closing("x {\n a = \"}\" # }\n}\n", 0), Some((18, true)));
        assert_eq!(closing("x {", 0), None);
        assert_eq!(closing("[{ a = 1 }, { b = 2 }]", 1), Some((10, false)));
    }
}
