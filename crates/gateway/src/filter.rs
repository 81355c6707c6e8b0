//! A set of digests of fixed size: what was added it always knows again, and, where it is a third full, one in a hundred
//! besides (a Bloom filter with four positions).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Its size: 200,000 digests fill a third of it.
const BYTES: usize = 256 * 1024;

/// The set.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<u8>);

impl Filter {
    pub(crate) fn new() -> Self {
        Self(vec![0; BYTES])
    }

    /// Adds a digest, given by at least 32 hexadecimal digits.
    pub(crate) fn add(&mut self, digest: &str) {
        for (byte, bit) in positions(digest) {
            if let Some(byte) = self.0.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// Whether a digest may have been added. A filter that lacks bits lacks no digest.
    pub(crate) fn may_hold(&self, digest: &str) -> bool {
        positions(digest).all(|(byte, bit)| self.0.get(byte).is_none_or(|byte| byte & bit != 0))
    }
}

/// Where a digest stands.
fn positions(digest: &str) -> impl Iterator<Item = (usize, u8)> {
    let numbers = digest.as_bytes().chunks(8).take(4).filter_map(|eight| std::str::from_utf8(eight).ok());
    let numbers = numbers.filter_map(|eight| usize::from_str_radix(eight, 16).ok());
    numbers.map(|number| (number / 8 % BYTES, 1 << (number % 8)))
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'a> Deserialize<'a> for Filter {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}
