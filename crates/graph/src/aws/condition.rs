//! The `Condition` element: every operator, with a third answer where the request is not known.
//!
//! After the IAM user guide, "IAM JSON policy elements: Condition operators" and "Set operators for
//! multivalued context keys". A key that nobody told us about is unknown, not absent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::arn::Arn;
use super::pattern::Pattern;
use super::truth::Truth;

/// What the request carries for a condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Present with these values.
    Known(Vec<String>),
    /// Not in the request.
    Absent,
    /// Not known here.
    Unknown,
    /// The caller decides: good enough for any grant, and never what a deny rests on.
    Chosen,
    /// A time between two known ones (seconds since 1970), perhaps absent.
    Recent {
        /// Not before this.
        earliest: i64,
        /// Not after this.
        latest: i64,
        /// Whether the request may lack the key.
        maybe_absent: bool,
    },
}

impl Value {
    /// Present with one value.
    pub fn one(value: impl Into<String>) -> Self {
        Self::Known(vec![value.into()])
    }
}

/// The condition keys of a request. Keys are compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Shared by the many requests of one principal.
    keys: Arc<BTreeMap<String, Value>>,
    /// What one request adds, the last first: it counts instead.
    over: Vec<(Cow<'static, str>, Value)>,
}

impl Context {
    /// The same context with one more key.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.set(key, value);
        self
    }

    /// Adds or replaces a key.
    pub fn set(&mut self, key: &str, value: Value) {
        Arc::make_mut(&mut self.keys).insert(key.to_ascii_lowercase(), value);
    }

    /// Adds or replaces a key, given in lower case, for one request.
    pub(crate) fn lay(&mut self, key: &'static str, value: Value) {
        self.over.push((Cow::Borrowed(key), value));
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.over.is_empty()
    }

    /// Adds or replaces all keys of another context.
    pub fn extend(&mut self, other: &Self) {
        self.over.extend(other.keys.iter().map(|(key, value)| (Cow::Owned(key.clone()), value.clone())));
        self.over.extend(other.over.iter().cloned());
    }

    /// The value of a key, given in lower case.
    pub fn get(&self, key: &str) -> &Value {
        // A principal whose tags are known lacks the tags that are not listed.
        let family = || self.own(&format!("{}/*", key.split_once('/')?.0));
        self.own(key).or_else(family).unwrap_or(&Value::Unknown)
    }

    fn own(&self, key: &str) -> Option<&Value> {
        let over = self.over.iter().rev().find(|(own, _)| own == key).map(|(_, value)| value);
        over.or_else(|| self.keys.get(key))
    }
}

/// One operator applied to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// As written, for example `ForAnyValue:StringLike`.
    pub operator: String,
    /// The key as written.
    pub key: String,
    /// The policy's values as written.
    pub values: Vec<String>,
    lower_key: String,
    test: Test,
    negated: bool,
    if_exists: bool,
    set: Option<Set>,
    patterns: Vec<Pattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Text,
    TextIgnoringCase,
    Like,
    Arn,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Null,
    /// An operator that AWS does not have: the condition can never be judged.
    Unrecognised,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Whether it holds only where its key has one of its values.
    pub(super) fn is_demanded(&self) -> bool {
        let compares = !matches!(self.test, Test::Null | Test::Unrecognised);
        compares && !self.negated && !self.if_exists && self.set != Some(Set::All)
    }

    /// Compiles `operator: {key: values}`.
    pub fn new(operator: &str, key: &str, values: Vec<String>, variables: bool) -> Self {
        let (set, bare) = match operator.split_once(':') {
            Some(("ForAllValues", bare)) => (Some(Set::All), bare),
            Some(("ForAnyValue", bare)) => (Some(Set::Any), bare),
            _ => (None, operator),
        };
        let (bare, if_exists) = match bare.strip_suffix("IfExists") {
            Some(bare) => (bare, true),
            None => (bare, false),
        };
        let (test, negated) = test(bare);
        let compile = |value: &String| match test {
            Test::Like | Test::Arn if variables => Pattern::with_variables(value),
            Test::Like | Test::Arn => Pattern::plain(value),
            _ => Pattern::literal(value, variables),
        };
        Self {
            operator: operator.to_owned(),
            key: key.to_owned(),
            lower_key: key.to_ascii_lowercase(),
            patterns: values.iter().map(compile).collect(),
            values,
            test,
            negated,
            if_exists,
            set,
        }
    }

    /// Whether the request satisfies it.
    pub fn holds(&self, context: &Context) -> Truth {
        let value = context.get(&self.lower_key);
        if self.test == Test::Null {
            return self.holds_null(value);
        }
        match value {
            _ if self.test == Test::Unrecognised => Truth::Unknown,
            Value::Unknown | Value::Chosen => Truth::Unknown,
            Value::Absent => self.holds_absent(),
            Value::Recent { earliest, latest, maybe_absent } => {
                let present = self.holds_between(*earliest, *latest);
                let absent = self.holds_absent();
                if !*maybe_absent || present == absent { present } else { Truth::Unknown }
            }
            Value::Known(values) => self.holds_known(values, context),
        }
    }

    /// Whether the caller decides the key's value.
    pub fn is_chosen(&self, context: &Context) -> bool {
        *context.get(&self.lower_key) == Value::Chosen
    }

    fn holds_null(&self, value: &Value) -> Truth {
        let wanted = self.values.iter().any(|value| value.eq_ignore_ascii_case("true"));
        match value {
            Value::Unknown | Value::Chosen | Value::Recent { maybe_absent: true, .. } => Truth::Unknown,
            Value::Absent => Truth::from_bool(wanted),
            Value::Known(_) | Value::Recent { .. } => Truth::from_bool(!wanted),
        }
    }

    fn holds_absent(&self) -> Truth {
        match self.set {
            Some(Set::All) => Truth::Yes,
            _ if self.if_exists => Truth::Yes,
            Some(Set::Any) => Truth::No,
            None => Truth::from_bool(self.negated),
        }
    }

    fn holds_known(&self, values: &[String], context: &Context) -> Truth {
        let each = values.iter().map(|value| self.holds_one(value, context));
        match (self.set, self.negated) {
            (Some(Set::All), _) | (None, true) => Truth::all(each),
            (Some(Set::Any), _) | (None, false) => Truth::any(each),
        }
    }

    /// One value of the request against all values of the policy: or, and nor when negated.
    fn holds_one(&self, value: &str, context: &Context) -> Truth {
        let hit = Truth::any(self.patterns.iter().map(|pattern| self.compare(pattern, value, context)));
        if self.negated { hit.negate() } else { hit }
    }

    fn compare(&self, pattern: &Pattern, value: &str, context: &Context) -> Truth {
        let wanted = pattern.as_str();
        match self.test {
            Test::Text | Test::Like | Test::Binary => pattern.matches(value, context),
            Test::TextIgnoringCase => {
                Pattern::literal(&wanted.to_lowercase(), wanted.contains("${")).matches(&value.to_lowercase(), context)
            }
            Test::Arn => arn_like(pattern, value, context),
            Test::Number(order) => ordered(order, value.parse::<f64>().ok(), wanted.parse::<f64>().ok()),
            Test::Date(order) => ordered(order, seconds(value), seconds(wanted)),
            Test::Bool => Truth::from_bool(wanted.eq_ignore_ascii_case(value)),
            Test::Address => Truth::from_bool(in_range(wanted, value)),
            Test::Null | Test::Unrecognised => Truth::Unknown,
        }
    }

    fn holds_between(&self, earliest: i64, latest: i64) -> Truth {
        let Test::Date(order) = self.test else { return Truth::Unknown };
        let hit = Truth::any(self.values.iter().map(|wanted| match seconds(wanted) {
            Some(limit) => between(order, earliest, latest, limit),
            None => Truth::No,
        }));
        if self.negated { hit.negate() } else { hit }
    }
}

fn test(operator: &str) -> (Test, bool) {
    use Order::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    match operator {
        "StringEquals" => (Test::Text, false),
        "StringNotEquals" => (Test::Text, true),
        "StringEqualsIgnoreCase" => (Test::TextIgnoringCase, false),
        "StringNotEqualsIgnoreCase" => (Test::TextIgnoringCase, true),
        "StringLike" => (Test::Like, false),
        "StringNotLike" => (Test::Like, true),
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "NumericEquals" => (Test::Number(Equal), false),
        "NumericNotEquals" => (Test::Number(Equal), true),
        "NumericLessThan" => (Test::Number(Less), false),
        "NumericLessThanEquals" => (Test::Number(LessOrEqual), false),
        "NumericGreaterThan" => (Test::Number(Greater), false),
        "NumericGreaterThanEquals" => (Test::Number(GreaterOrEqual), false),
        "DateEquals" => (Test::Date(Equal), false),
        "DateNotEquals" => (Test::Date(Equal), true),
        "DateLessThan" => (Test::Date(Less), false),
        "DateLessThanEquals" => (Test::Date(LessOrEqual), false),
        "DateGreaterThan" => (Test::Date(Greater), false),
        "DateGreaterThanEquals" => (Test::Date(GreaterOrEqual), false),
        "Bool" => (Test::Bool, false),
        "BinaryEquals" => (Test::Binary, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        "Null" => (Test::Null, false),
        _ => (Test::Unrecognised, false),
    }
}

fn ordered<T: PartialOrd>(order: Order, value: Option<T>, wanted: Option<T>) -> Truth {
    let (Some(value), Some(wanted)) = (value, wanted) else { return Truth::No };
    Truth::from_bool(match order {
        Order::Equal => value == wanted,
        Order::Less => value < wanted,
        Order::LessOrEqual => value <= wanted,
        Order::Greater => value > wanted,
        Order::GreaterOrEqual => value >= wanted,
    })
}

/// Whether every, some or no time between two satisfies the comparison.
fn between(order: Order, earliest: i64, latest: i64, limit: i64) -> Truth {
    let at = |time| ordered(order, Some(time), Some(limit));
    match (at(earliest), at(latest)) {
        (Truth::Yes, Truth::Yes) => Truth::Yes,
        (Truth::No, Truth::No) if order != Order::Equal || limit < earliest || limit > latest => Truth::No,
        _ => Truth::Unknown,
    }
}

/// `ArnEquals` and `ArnLike` are the same: each of the six parts is matched for itself.
fn arn_like(pattern: &Pattern, value: &str, context: &Context) -> Truth {
    let (Some(want), Some(have)) = (pattern.arn_parts(), Arn::parse(value)) else {
        // The documentation speaks of six parts only; what fewer match is not certain, `*` apart.
        let whole = pattern.matches(value, context);
        return if pattern.is_any() { whole } else { whole.and(Truth::Unknown) };
    };
    let parts = ["arn", have.partition, have.service, have.region, have.account, have.resource];
    Truth::all(want.iter().zip(parts).map(|(want, have)| want.matches(have, context)))
}

fn in_range(range: &str, address: &str) -> bool {
    let (network, bits) = match range.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (range, Some(128)),
    };
    let (Ok(network), Ok(address), Some(bits)) = (network.parse::<IpAddr>(), address.parse::<IpAddr>(), bits) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(bits);
            u64::from(network.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(bits);
            shift == 128 || network.to_bits() >> shift == address.to_bits() >> shift
        }
        _ => false,
    }
}

/// Seconds since 1970 of an ISO 8601 date, with or without time and offset, or of an epoch number.
pub fn seconds(text: &str) -> Option<i64> {
    if let Ok(epoch) = text.parse::<i64>() {
        return Some(epoch).filter(|_| text.len() > 4);
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00Z"));
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next().flatten().unwrap_or(1), parts.next().flatten().unwrap_or(1));
    if !(0..=9_999).contains(&year) {
        return None;
    }
    let (clock, offset) = split_offset(time)?;
    let mut parts = clock.splitn(3, ':').map(|part| part.split('.').next().and_then(|part| part.parse::<i64>().ok()));
    let (hour, minute, second) =
        (parts.next()??, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0));
    // What no calendar has is no date, and no number that is counted with.
    let (date, clock) = ((0..=9_999, 1..=12, 1..=31), (0..=24, 0..=59, 0..=60));
    let is_date = date.0.contains(&year) && date.1.contains(&month) && date.2.contains(&day);
    if !is_date || !clock.0.contains(&hour) || !clock.1.contains(&minute) || !clock.2.contains(&second) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (clock, offset) = time.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let hours = digits.get(..2)?.parse::<i64>().ok()?;
    let minutes = digits.get(2..4).and_then(|minutes| minutes.parse::<i64>().ok()).unwrap_or(0);
    Some((clock, sign * (hours * 3_600 + minutes * 60)))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, key: &str, values: &[&str], value: Value) -> Truth {
        let condition = Condition::new(operator, key, values.iter().map(ToString::to_string).collect(), true);
        condition.holds(&Context::default().with(key, value))
    }

    #[test]
    fn what_no_calendar_has_is_no_date() {
        assert_eq!(seconds("2024-02-29T12:00:00Z"), Some(1_709_208_000));
        for text in [
            "9000000000000000000-01-01T00:00:00Z",
            "2024-9000000000000000000-01",
            "2024-01-9000000000000000000",
            "2024-01-01T9000000000000000000:00:00Z",
            "2024-01-01T00:9000000000000000000:00Z",
            "2024-13-01",
            "2024-00-01",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn operators() {
        use Truth::{No, Unknown, Yes};
        let many = || Value::Known(vec!["a".into(), "b".into()]);
        let recent = |maybe_absent| Value::Recent { earliest: 1_700_000_000, latest: 1_700_100_000, maybe_absent };
        let cases = [
            ("StringEquals", vec!["a"], Value::one("a"), Yes),
            ("StringEquals", vec!["A"], Value::one("a"), No),
            ("StringEquals", vec!["*"], Value::one("a"), No),
            ("StringNotEquals", vec!["a", "b"], Value::one("b"), No),
            ("StringNotEquals", vec!["a"], Value::Absent, Yes),
            ("StringEquals", vec!["a"], Value::Absent, No),
            ("StringEqualsIfExists", vec!["a"], Value::Absent, Yes),
            ("StringEqualsIgnoreCase", vec!["A"], Value::one("a"), Yes),
            ("StringLike", vec!["rep*"], Value::one("repo:x"), Yes),
            ("StringNotLike", vec!["rep*"], Value::one("repo:x"), No),
            ("StringLike", vec!["rep*"], Value::Unknown, Unknown),
            ("NumericLessThan", vec!["10"], Value::one("9"), Yes),
            ("NumericLessThan", vec!["10"], Value::one("x"), No),
            ("DateLessThan", vec!["2020-01-01T00:00:00Z"], Value::one("2019-12-31T23:59:59Z"), Yes),
            ("DateGreaterThan", vec!["2020-01-01T00:00:01Z"], recent(false), Yes),
            ("DateGreaterThan", vec!["2020-01-01T00:00:01Z"], recent(true), Unknown),
            ("DateLessThan", vec!["2020-01-01T00:00:01Z"], recent(true), No),
            ("Bool", vec!["true"], Value::one("True"), Yes),
            ("IpAddress", vec!["10.0.0.0/8"], Value::one("10.2.3.4"), Yes),
            ("NotIpAddress", vec!["10.0.0.0/8"], Value::one("10.2.3.4"), No),
            ("IpAddress", vec!["0.0.0.0/0"], Value::one("1.2.3.4"), Yes),
            ("IpAddress", vec!["2001:db8::/32"], Value::one("2001:db8::1"), Yes),
            ("ArnLike", vec!["arn:aws:iam::*:role/x"], Value::one("arn:aws:iam::1:role/x"), Yes),
            ("ArnLike", vec!["arn:aws:*:role/x"], Value::one("arn:aws:iam::1:role/x"), Unknown),
            ("ArnLike", vec!["arn:aws:iam::2:role/*"], Value::one("arn:aws:iam::1:role/x"), No),
            ("Null", vec!["true"], Value::Absent, Yes),
            ("Null", vec!["false"], Value::one("x"), Yes),
            ("ForAllValues:StringEquals", vec!["a", "b", "c"], many(), Yes),
            ("ForAllValues:StringEquals", vec!["a"], many(), No),
            ("ForAllValues:StringEquals", vec!["a"], Value::Absent, Yes),
            ("ForAnyValue:StringEquals", vec!["a"], many(), Yes),
            ("ForAnyValue:StringEquals", vec!["a"], Value::Absent, No),
            ("ForAnyValue:StringNotEquals", vec!["a"], many(), Yes),
            ("Unheard", vec!["a"], Value::one("a"), Unknown),
        ];
        for (operator, values, value, expected) in cases {
            assert_eq!(holds(operator, "k", &values, value.clone()), expected, "{operator} {values:?} {value:?}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(seconds("1970-01-02"), Some(86_400));
        assert_eq!(seconds("2020-02-29T12:00:00+02:00"), Some(1_582_970_400));
        assert_eq!(seconds("1582970400"), Some(1_582_970_400));
        assert_eq!(seconds("soon"), None);
    }
}
