//! As much of HCL as removing a block and following a value needs: braces that match, and the expressions of policies.
//!
//! No evaluation (that is `terraform::value`): an operator but `==` and `!=` is not read. What does not parse is nothing,
//! never a guess.

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
    /// `name(…)` with its arguments.
    Call(String, Vec<Expression>),
    /// `left == right`, or `left != right` when negated.
    Equal {
        /// What is compared.
        sides: Box<(Expression, Expression)>,
        /// Whether it asks for a difference.
        negated: bool,
    },
    /// `condition ? yes : no`.
    Choice(Box<(Expression, Expression, Expression)>),
    /// `[for …]` or `{for …}`.
    Each(Box<Each>),
    /// A number, `true`, `false` or `null`.
    Word(String),
}

/// `[for name, … in over : each if condition]`; with a key it makes an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Each {
    pub(crate) names: Vec<String>,
    pub(crate) over: Expression,
    pub(crate) key: Option<Expression>,
    pub(crate) each: Expression,
    pub(crate) condition: Option<Expression>,
}

/// A part of a quoted text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// As it stands.
    Plain(String),
    /// A reference in `${…}`.
    Of(String),
    /// Another expression in `${…}`.
    Made(Box<Expression>),
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

/// The attributes of each block of a name within a block whose text begins behind its `{`.
pub(crate) fn nested(body: &str, line: u32, wanted: &str) -> Vec<Vec<(String, Expression)>> {
    let mut found = Vec::new();
    let mut scanner = Scanner { text: body, at: 0, line };
    loop {
        scanner.space();
        let name = scanner.name();
        match (name, scanner.peek()) {
            (None, None | Some('}')) => return found,
            (None, Some('"')) => {
                scanner.next();
                scanner.quoted();
            }
            (None, Some('{' | '[' | '(')) => {
                scanner.next();
                scanner.close();
            }
            (None, Some(_)) => {
                scanner.next();
            }
            (Some(name), _) => {
                scanner.blank();
                if name == wanted && scanner.peek() == Some('{') {
                    scanner.next();
                    found.push(attributes(scanner.rest(), scanner.line));
                    scanner.close();
                }
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

    /// An expression; nothing where an operator follows that is not read.
    fn expression(&mut self, depth: u32) -> Option<Expression> {
        if depth > DEPTH_MAX {
            return None;
        }
        let left = self.operand(depth)?;
        let mut after = self.clone();
        after.blank();
        let sign = after.rest().get(..2).filter(|sign| ["==", "!="].contains(sign));
        let found = match sign {
            None => left,
            Some(sign) => {
                let negated = sign == "!=";
                *self = after;
                self.skip(2);
                Expression::Equal { sides: Box::new((left, self.operand(depth + 1)?)), negated }
            }
        };
        let mut after = self.clone();
        after.space();
        if after.peek() == Some('?') {
            *self = after;
            self.next();
            self.space();
            let yes = self.expression(depth + 1)?;
            self.space();
            if self.next()? != ':' {
                return None;
            }
            self.space();
            let no = self.expression(depth + 1)?;
            return Some(Expression::Choice(Box::new((found, yes, no))));
        }
        // What is followed by another operator is not this alone.
        let mut after = self.clone();
        after.blank();
        let operator = matches!(after.peek(), Some('+' | '*' | '/' | '%' | '<' | '>' | '!' | '&' | '|' | '.' | '('))
            && !after.rest().starts_with("//")
            && !after.rest().starts_with("/*");
        (!operator && !after.rest().starts_with("==") && !after.rest().starts_with("for ")).then_some(found)
    }

    fn operand(&mut self, depth: u32) -> Option<Expression> {
        self.blank();
        Some(match self.peek()? {
            '"' => self.string(depth)?,
            '[' => self.list(depth)?,
            '{' => self.object(depth)?,
            '(' => {
                self.next();
                self.space();
                let inner = self.expression(depth + 1)?;
                self.space();
                (self.next()? == ')').then_some(inner)?
            }
            letter if letter.is_ascii_digit() || letter == '-' => {
                let word: String =
                    self.rest().chars().take_while(|one| one.is_ascii_digit() || "-.".contains(*one)).collect();
                self.skip(word.len());
                Expression::Word(word)
            }
            _ => self.named(depth)?,
        })
    }

    /// `for a, b in over : each if condition` behind its bracket, up to and with what closes it.
    fn each(&mut self, depth: u32, closing: char) -> Option<Expression> {
        self.name()?;
        let mut names = Vec::new();
        loop {
            self.space();
            names.push(self.name()?);
            self.space();
            if self.peek() != Some(',') {
                break;
            }
            self.next();
        }
        if self.name()? != "in" {
            return None;
        }
        self.space();
        let over = self.expression(depth + 1)?;
        self.space();
        if self.next()? != ':' {
            return None;
        }
        self.space();
        let mut each = self.expression(depth + 1)?;
        let mut key = None;
        self.space();
        if closing == '}' {
            if self.rest().get(..2) != Some("=>") {
                return None;
            }
            self.skip(2);
            self.space();
            key = Some(std::mem::replace(&mut each, self.expression(depth + 1)?));
            self.space();
        }
        let mut condition = None;
        if self.rest().starts_with("if ") {
            self.skip(3);
            condition = Some(self.expression(depth + 1)?);
            self.space();
        }
        (self.next()? == closing).then(|| Expression::Each(Box::new(Each { names, over, key, each, condition })))
    }

    fn named(&mut self, depth: u32) -> Option<Expression> {
        let name = self.name()?;
        if self.peek() == Some('(') {
            self.next();
            return Some(Expression::Call(name, self.arguments(depth)?));
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

    /// Arguments up to and with the `)`.
    fn arguments(&mut self, depth: u32) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        loop {
            self.space();
            if self.peek()? == ')' {
                self.next();
                return Some(arguments);
            }
            arguments.push(self.expression(depth + 1)?);
            self.space();
            match self.peek()? {
                ',' => {
                    self.next();
                }
                ')' => {}
                _ => return None,
            }
        }
    }

    fn string(&mut self, depth: u32) -> Option<Expression> {
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
                    let made = self.expression(depth + 1)?;
                    self.blank();
                    if self.next()? != '}' {
                        return None;
                    }
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                    parts.push(match made {
                        Expression::Reference(of) => Part::Of(of),
                        other => Part::Made(Box::new(other)),
                    });
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
        self.space();
        if self.rest().starts_with("for ") {
            return self.each(depth, ']');
        }
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
        self.space();
        if self.rest().starts_with("for ") {
            return self.each(depth, '}');
        }
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
                '"' => match self.string(depth + 1)? {
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
        assert_eq!(names, ["name", "doc", "maybe"]);
        assert!(matches!(&found[2].1, Expression::Choice(_)));
        assert_eq!(found[0].1, Expression::Text(vec![Part::Plain("x-".into()), Part::Of("var.a".into())]));
        let Expression::Call(call, argument) = &found[1].1 else { panic!("{found:?}") };
        assert_eq!(call, "jsonencode");
        let Expression::Object(entries) = &argument[0] else { panic!("{argument:?}") };
        let Expression::List(statements) = &entries[0].1 else { panic!("{entries:?}") };
        assert_eq!(statements[0].1, 18);
        let Expression::Object(statement) = &statements[0].0 else { panic!("{statements:?}") };
        assert_eq!(statement[0].0, "Effect");
        let Expression::List(actions) = &statement[1].1 else { panic!("{statement:?}") };
        assert_eq!(actions[1].0, Expression::Reference("b.c[0].arn".into()));
    }

    #[test]
    fn choices_calls_and_rules_are_read_and_blocks_by_name() {
        let of = |text: &str| attributes(&format!("a = {text}\n}}\n"), 1).into_iter().next().map(|(_, is)| is);
        assert!(
            matches!(of("f(1, \"b\",\n  c.d,\n)"), Some(Expression::Call(name, all)) if name == "f" && all.len() == 3)
        );
        assert!(matches!(of("(a.b != 1)\n ? x.y : z.w"), Some(Expression::Choice(_))));
        let Some(Expression::Each(each)) = of("{ for k, v in local.m : k => v.arn if v == 1 }") else {
            panic!("no rule")
        };
        assert_eq!((each.names.len(), each.key.is_some(), each.condition.is_some()), (2, true, true));
        assert!(matches!(of("\"x${f(1)}\""), Some(Expression::Text(parts)) if matches!(parts[1], Part::Made(_))));
        for broken in ["a + 1", "[for x]", "[for x in y : ]", "{for x in y : x}", "f(1", "a ? b", "(a", "a == "] {
            assert_eq!(of(broken), None, "{broken}");
        }
        let body = "  name = \"r\"\n  inline {\n    n = 1\n  }\n  other {\n    inline = 2\n  }\n  inline {\n    n = 2\n  }\n}\ninline {\n}";
        let found = nested(body, 1, "inline");
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], [("n".to_owned(), Expression::Word("2".into()))]);
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
