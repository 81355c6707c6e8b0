//! Which parts of a text are secrets, and how to speak of them without showing them.
//!
//! A secret leaves this module only as a salted digest ([`Salt::digest`]) or as a redacted text
//! ([`redact`]). References to a secret kept elsewhere (`${VAR}`, `${input:…}`, `op://…`) and
//! placeholders (`<your key>`, `xxxx`) are not secrets.

use std::ops::Range;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use regex::Regex;

/// Keys the digests of one installation, so that two scans agree and two installations do not.
#[derive(Clone)]
pub struct Salt(hmac::Key);

impl Salt {
    /// From bytes that stay private: whoever has them can test guesses against digests.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// HMAC-SHA-256 of the value, in hex.
    pub fn digest(&self, value: &str) -> String {
        hex::encode(hmac::sign(&self.0, value.as_bytes()))
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// Thirty-two random bytes, for salts and keys.
pub fn random() -> Result<[u8; 32], aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}

/// A secret within a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The rule that saw it.
    pub rule: &'static str,
    /// Where it is in the text, in bytes.
    pub range: Range<usize>,
}

/// Rules for values that say themselves what they are: id and pattern. Where a group `v` exists it is
/// the secret, else the whole match.
const SHAPES: &[(&str, &str)] = &[
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_-]{16,}"),
    ("openrouter-key", r"\bsk-or-v1-[A-Za-z0-9]{16,}"),
    ("openai-key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
    ("github-token", r"\bgh[pousr]_[A-Za-z0-9]{16,}"),
    ("github-fine-grained-token", r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    ("gitlab-token", r"\bgl(?:pat|dt|rt|cbt|ptt|ft|agent|soat)-[A-Za-z0-9_.-]{16,}"),
    ("slack-token", r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}"),
    ("slack-app-token", r"\bxapp-[0-9]-[A-Za-z0-9-]{10,}"),
    ("slack-webhook", r"https://hooks\.slack\.com/(?:services|workflows|triggers)/(?P<v>[A-Za-z0-9/_-]{16,})"),
    ("aws-access-key-id", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("google-api-key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("google-oauth-token", r"\bya29\.[A-Za-z0-9_-]{20,}"),
    ("google-oauth-secret", r"\bGOCSPX-[A-Za-z0-9_-]{20,}"),
    ("stripe-key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{30,}"),
    ("pypi-token", r"\bpypi-[A-Za-z0-9_-]{30,}"),
    ("huggingface-token", r"\bhf_[A-Za-z0-9]{20,}"),
    ("sendgrid-key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("telegram-token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),
    ("digitalocean-token", r"\bdo[opr]_v1_[a-f0-9]{40,}"),
    ("databricks-token", r"\bdapi[a-f0-9]{32}"),
    ("atlassian-token", r"\bATATT3[A-Za-z0-9_=.-]{20,}"),
    ("vault-token", r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}"),
    ("linear-key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{20,}"),
    ("notion-token", r"\b(?:ntn_[A-Za-z0-9]{30,}|secret_[A-Za-z0-9]{40,})"),
    ("supabase-token", r"\bsb(?:p|_secret)_[A-Za-z0-9_-]{20,}"),
    ("figma-token", r"\bfigd_[A-Za-z0-9_-]{20,}"),
    ("postman-key", r"\bPMAK-[A-Za-z0-9-]{20,}"),
    ("tavily-key", r"\btvly-[A-Za-z0-9_-]{16,}"),
    ("perplexity-key", r"\bpplx-[A-Za-z0-9]{20,}"),
    ("groq-key", r"\bgsk_[A-Za-z0-9]{20,}"),
    ("replicate-token", r"\br8_[A-Za-z0-9]{20,}"),
    ("firecrawl-key", r"\bfc-[a-f0-9]{32}"),
    ("shopify-token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}"),
    ("doppler-token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9]{20,}"),
    ("azure-account-key", r"AccountKey=(?P<v>[A-Za-z0-9+/]{40,}={0,2})"),
    ("json-web-token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("private-key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[A-Za-z0-9+/=\s\\rn-]{16,}"),
    ("url-password", r"\b[a-z][a-z0-9+.-]*://[^\s/:@?#]*:(?P<v>[^\s/@?#]+)@"),
    ("authorization-header", r"(?i)\b(?:bearer|basic|token)\s+(?P<v>[A-Za-z0-9+/_.~=:-]{8,})"),
    (
        "named-secret",
        r#"(?i)\b(?:[a-z0-9]+[_-])*(?:api[_-]?key|access[_-]?key|secret(?:[_-]?key)?|private[_-]?key|auth[_-]?token|access[_-]?token|client[_-]?secret|token|password|passwd|pwd)["']?\s*[=:]\s*["']?(?P<v>[^\s"'&,;}{$]{6,})"#,
    ),
];

static RULES: LazyLock<Vec<(&'static str, Regex)>> =
    LazyLock::new(|| SHAPES.iter().filter_map(|(id, shape)| Some((*id, Regex::new(shape).ok()?))).collect());

static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x) \$\{[^}]*\} | \$\(?[A-Za-z_][A-Za-z0-9_]*\)? | %[A-Za-z_][A-Za-z0-9_]*% | \{\{[^}]*\}\}
             | \{(?:env|file|input|secret|user_config):[^}]*\} | (?:op|vault|keychain|keyring|secret|aws-sm|gcp-sm|env)://\S+ ",
    )
    .ok()
});

/// Whether a value only says where the secret is, or holds the place of one.
fn is_no_secret(value: &str) -> bool {
    let rest = REFERENCE.as_ref().map_or_else(|| value.into(), |reference| reference.replace_all(value, ""));
    let rest = rest.trim();
    let rest = ["bearer", "basic", "token"]
        .iter()
        .find_map(|scheme| {
            rest.get(..scheme.len()).filter(|head| head.eq_ignore_ascii_case(scheme)).and(rest.get(scheme.len()..))
        })
        .filter(|rest| rest.is_empty() || rest.starts_with(' '))
        .map_or(rest, str::trim);
    rest.is_empty() || is_placeholder(rest)
}

/// Whether a value was written by an author of documentation, not by a generator of keys.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let marked = value.starts_with('<') || value.ends_with('>') || value.starts_with('[') || value.contains("...");
    let spoken = [
        "your",
        "changeme",
        "change-me",
        "change_me",
        "replace",
        "placeholder",
        "example",
        "insert",
        "redacted",
        "todo",
        "dummy",
        "xxxx",
        "****",
        "••••",
        "…",
        "enter-",
        "enter_",
        "my-api",
        "my_api",
        "api-key-here",
        "none",
        "null",
    ];
    let tail = value.rsplit(['_', '-', '.', ' ']).next().unwrap_or(value);
    let one_char = tail.len() >= 4 && tail.chars().all(|c| tail.starts_with(c));
    marked || one_char || spoken.iter().any(|word| lower.contains(word))
}

/// Whether a name says that its value is secret.
pub fn names_a_secret(name: &str) -> bool {
    let words = split_words(name);
    let joined = words.join("_");
    let strong = [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "pat",
        "credential",
        "credentials",
        "apikey",
        "pgpassword",
    ];
    let pairs = [
        "api_key",
        "access_key",
        "private_key",
        "secret_key",
        "auth_key",
        "service_key",
        "account_key",
        "signing_key",
        "encryption_key",
        "license_key",
        "x_key",
        "app_key",
        "master_key",
        "connection_string",
    ];
    let heads = ["authorization", "proxy_authorization", "cookie"];
    // `TOKEN_LIMIT` and `PASSWORD_FILE` speak about a secret without being one.
    let about = [
        "limit", "max", "count", "path", "file", "dir", "url", "uri", "endpoint", "type", "ttl", "expiry", "timeout",
        "name", "budget", "length", "scopes",
    ];
    if words.last().is_some_and(|last| about.contains(&last.as_str())) {
        return false;
    }
    words.iter().any(|word| {
        strong.contains(&word.as_str()) || word.ends_with("password") || word.ends_with("token") && word.len() < 16
    }) || pairs.iter().any(|pair| joined.ends_with(pair) || joined.contains(&format!("{pair}_")))
        || heads.contains(&joined.as_str())
        || words.last().is_some_and(|last| last == "key") && words.len() > 1
}

/// `githubPersonalAccessToken`, `X-Api-Key` and `GITHUB_TOKEN` as lower-case words.
fn split_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        let starts = !c.is_alphanumeric() || (c.is_uppercase() && before_lower);
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The secrets in a text of which nothing else is known: only those that show their kind.
pub fn find(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (rule, shape) in RULES.iter() {
        for captures in shape.captures_iter(text) {
            let Some(matched) = captures.name("v").or_else(|| captures.get(0)) else { continue };
            let overlaps = |other: &Found| other.range.start < matched.end() && matched.start() < other.range.end;
            if !is_no_secret(matched.as_str()) && !found.iter().any(overlaps) {
                found.push(Found { rule, range: matched.range() });
            }
        }
    }
    found.sort_by_key(|found| found.range.start);
    found
}

/// The secrets in the value of a name: an environment variable, a header, a flag, a setting.
pub fn find_named(name: &str, value: &str) -> Vec<Found> {
    let found = find(value);
    if !found.is_empty() || is_no_secret(value) {
        return found;
    }
    if names_a_secret(name) && looks_set(value) {
        return vec![Found { rule: "named-secret", range: 0..value.len() }];
    }
    if is_random(value) {
        return vec![Found { rule: "high-entropy", range: 0..value.len() }];
    }
    found
}

/// Whether a value under a telling name can be a secret at all: not a switch, not a path, not an address.
fn looks_set(value: &str) -> bool {
    let switch = ["true", "false", "yes", "no", "on", "off", "default", "auto"];
    let path = value.starts_with(['/', '~', '.']) || value.get(1..3) == Some(":\\");
    value.len() >= 4 && !switch.contains(&value.to_ascii_lowercase().as_str()) && !path && !value.contains("://")
}

/// Whether a value looks drawn at random: long, one word, mixed, with much information per character.
fn is_random(value: &str) -> bool {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "+/=_-.".contains(c));
    let kinds = [
        value.chars().any(|c| c.is_ascii_lowercase()),
        value.chars().any(|c| c.is_ascii_uppercase()),
        value.chars().any(|c| c.is_ascii_digit()),
    ];
    let mixed = kinds.into_iter().filter(|present| *present).count() == 3;
    let worded = value.starts_with(['/', '.', '~', '@']) || value.matches(['/', '.']).count() > 2;
    (24..=512).contains(&value.len()) && plain && mixed && !worded && entropy(value) >= 4.2
}

/// Shannon entropy in bits per character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total).map(|p| -p * p.log2()).sum()
}

/// The text with each secret replaced by the name of its rule.
pub fn redact(text: &str, found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for secret in found {
        out.push_str(text.get(at..secret.range.start).unwrap_or_default());
        out.push_str(&format!("[{}]", secret.rule));
        at = secret.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// The text with every secret that shows its kind redacted.
pub fn mask(text: &str) -> String {
    redact(text, &find(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles() {
        assert_eq!(RULES.len(), SHAPES.len());
        assert!(REFERENCE.is_some());
    }

    fn check(name: &str, value: &str, expected: &str) {
        assert_eq!(redact(value, &find_named(name, value)), expected, "{name}={value}");
    }

    #[test]
    fn secrets_are_found_where_they_lie() {
        check("GITHUB_TOKEN", "ghp_aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5", "[github-token]");
        check("Authorization", "Bearer sk-ant-api03-Zq8vN2xW5yB7kD1fH4", "Bearer [anthropic-key]");
        check("Authorization", "Bearer abcdef123456", "Bearer [authorization-header]");
        check("PGPASSWORD", "hunter22", "[named-secret]");
        check("DATABASE_URL", "postgres://app:hunter22@db:5432/x", "postgres://app:[url-password]@db:5432/x");
        check("HEADERS", r#"{"X-Api-Key": "q8Zk2mV9"}"#, r#"{"X-Api-Key": "[named-secret]"}"#);
        check("url", "https://h/mcp?api_key=q8Zk2mV9&x=1", "https://h/mcp?api_key=[named-secret]&x=1");
        check("WHATEVER", "qT7xR2vL9mK4wZ8pB3nY6cF1", "[high-entropy]");
    }

    #[test]
    fn references_placeholders_and_plain_values_are_not_secrets() {
        for (name, value) in [
            ("GITHUB_TOKEN", "${GITHUB_TOKEN}"),
            ("GITHUB_TOKEN", "${input:token}"),
            ("TOKEN", "$TOKEN"),
            ("TOKEN", "%TOKEN%"),
            ("TOKEN", "{env:TOKEN}"),
            ("TOKEN", "op://vault/item/field"),
            ("Authorization", "Bearer ${env:TOKEN}"),
            ("API_KEY", "<your-api-key>"),
            ("API_KEY", "YOUR_API_KEY_HERE"),
            ("API_KEY", "ghp_xxxxxxxxxxxxxxxxxxxx"),
            ("SECRET_FILE", "/run/secrets/x"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/home/u/key.json"),
            ("MAX_TOKENS", "4096"),
            ("TOKEN_LIMIT", "100000"),
            ("NODE_ENV", "production"),
            ("AWS_REGION", "eu-central-1"),
            ("IMAGE", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            ("ID", "550e8400-e29b-41d4-a716-446655440000"),
            ("PKG", "@modelcontextprotocol/server-filesystem@2025.8.21"),
        ] {
            check(name, value, value);
        }
    }

    #[test]
    fn digests_depend_on_salt_and_value_only() {
        let (a, b) = (Salt::new(b"a"), Salt::new(b"b"));
        assert_eq!(a.digest("x"), a.digest("x"));
        assert_ne!(a.digest("x"), b.digest("x"));
        assert_ne!(a.digest("x"), a.digest("y"));
        assert_eq!(format!("{a:?}"), "Salt(…)");
    }
}
