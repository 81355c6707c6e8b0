//! Canonical JSON, RFC 8785: sorted members, no white space, shortest numbers. An entry's bytes.
//!
//! One deviation, stated in `spec/record.md`: integers beyond 2^53 keep all their digits. RFC 8785 would
//! round them to a double, and the log would then hold another action than the one that was judged.

use std::cell::Cell;
use std::cmp::Ordering;
use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use crate::string;

/// The canonical bytes of a value. Fails only where JSON itself does: a key that is no string, or NaN.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    framed(value, 0, |bytes| bytes.to_vec())
}

/// Room that has grown larger is not kept.
const ROOM_MAX: usize = 256 << 10;

thread_local! {
    /// The room that was written into last on this thread, to be used again.
    static ROOM: Cell<Canonical> = const { Cell::new(Canonical::new()) };
}

/// Lends out the canonical bytes of a value behind so many zeros, which leave room for a header.
pub(crate) fn framed<T: Serialize + ?Sized, R>(
    value: &T,
    header: usize,
    then: impl FnOnce(&[u8]) -> R,
) -> Result<R, serde_json::Error> {
    let mut room = ROOM.replace(Canonical::new());
    room.out.resize(header, 0);
    let written = value.serialize(&mut Serializer::with_formatter(io::sink(), Lent(&mut room)));
    let result = written.map(|()| then(&room.out));
    if room.out.capacity() <= ROOM_MAX && room.sorted.capacity() <= ROOM_MAX {
        room.out.clear();
        room.objects.clear();
        room.members.clear();
        ROOM.set(room);
    }
    result
}

/// Members are written as they come; an object whose keys came out of order is put in order when it ends.
struct Canonical {
    out: Vec<u8>,
    objects: Vec<Object>,
    members: Vec<Member>,
    /// An object's members while they are put in order.
    sorted: Vec<u8>,
}

/// An object being written: where its members start, in `out` and in `members`, and whether their keys came in order
/// so far.
struct Object {
    start: usize,
    first: usize,
    sorted: bool,
}

/// A member of an object being written: offsets into `out`.
struct Member {
    start: usize,
    key_end: usize,
    end: usize,
    /// Whether the key is of ASCII without escapes, so that its bytes sort as it does.
    plain: bool,
}

impl Canonical {
    const fn new() -> Self {
        Self { out: Vec::new(), objects: Vec::new(), members: Vec::new(), sorted: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn close_object(&mut self) -> io::Result<()> {
        let Self { out, objects, members, sorted } = self;
        let object = objects.pop().ok_or_else(unbalanced)?;
        if !object.sorted {
            let own = members.get_mut(object.first..).unwrap_or_default();
            own.sort_by(|a, b| compare(out, a, b));
            sorted.clear();
            for (position, member) in own.iter().enumerate() {
                if position > 0 {
                    sorted.push(b',');
                }
                sorted.extend_from_slice(out.get(member.start..member.end).unwrap_or_default());
            }
            out.truncate(object.start);
            out.extend_from_slice(sorted);
        }
        members.truncate(object.first);
        self.put(b"}")
    }

    /// The key of the last member is whole: does it come after the one before it?
    fn end_key(&mut self) -> io::Result<()> {
        let Self { out, objects, members, .. } = self;
        let object = objects.last_mut().ok_or_else(unbalanced)?;
        let member = members.last_mut().ok_or_else(unbalanced)?;
        member.key_end = out.len();
        member.plain = string::name_end(out, member.start + 1) + 1 == out.len();
        if let Some([before, member]) = members.get(object.first..).and_then(<[Member]>::last_chunk::<2>) {
            object.sorted &= compare(out, before, member) == Ordering::Less;
        }
        Ok(())
    }
}

/// RFC 8785 §3.2.3: by UTF-16 code units of the unescaped key. Bytes do the same for plain ASCII.
fn compare(out: &[u8], a: &Member, b: &Member) -> Ordering {
    let key = |member: &Member| out.get(member.start..member.key_end).unwrap_or_default();
    if a.plain && b.plain {
        // Without the quotes: the closing one is larger than `!` and would put `a!` before `a`.
        let name = |member: &Member| out.get(member.start + 1..member.key_end - 1).unwrap_or_default();
        return string::order(name(a), name(b));
    }
    let units = |member| -> Vec<u16> {
        serde_json::from_slice::<String>(key(member)).unwrap_or_default().encode_utf16().collect()
    };
    units(a).cmp(&units(b))
}

fn unbalanced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "unbalanced object")
}

/// `serde_json` takes a formatter by value; this lends it ours.
struct Lent<'a>(&'a mut Canonical);

type Written = io::Result<()>;

impl Formatter for Lent<'_> {
    fn write_null<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b"null")
    }

    fn write_bool<W: ?Sized + io::Write>(&mut self, _: &mut W, value: bool) -> Written {
        self.0.put(if value { b"true" } else { b"false" })
    }

    fn write_i8<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i8) -> Written {
        self.write_i64(writer, i64::from(value))
    }

    fn write_i16<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i16) -> Written {
        self.write_i64(writer, i64::from(value))
    }

    fn write_i32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i32) -> Written {
        self.write_i64(writer, i64::from(value))
    }

    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> Written {
        if value < 0 {
            self.0.put(b"-")?;
        }
        self.write_u64(writer, value.unsigned_abs())
    }

    fn write_i128<W: ?Sized + io::Write>(&mut self, _: &mut W, value: i128) -> Written {
        self.0.put(value.to_string().as_bytes())
    }

    fn write_u8<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u8) -> Written {
        self.write_u64(writer, u64::from(value))
    }

    fn write_u16<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u16) -> Written {
        self.write_u64(writer, u64::from(value))
    }

    fn write_u32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u32) -> Written {
        self.write_u64(writer, u64::from(value))
    }

    fn write_u64<W: ?Sized + io::Write>(&mut self, _: &mut W, value: u64) -> Written {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut rest = value;
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            start = place;
            if rest == 0 {
                break;
            }
        }
        self.0.put(digits.get(start..).unwrap_or_default())
    }

    fn write_u128<W: ?Sized + io::Write>(&mut self, _: &mut W, value: u128) -> Written {
        self.0.put(value.to_string().as_bytes())
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f32) -> Written {
        self.write_f64(writer, f64::from(value))
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f64) -> Written {
        if !value.is_finite() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "JSON has no NaN and no infinity"));
        }
        self.0.put(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }

    fn write_number_str<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: &str) -> Written {
        if let Ok(integer) = value.parse::<i128>() {
            return self.write_i128(writer, integer);
        }
        let number = value.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.write_f64(writer, number)
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b"\"")
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b"\"")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, fragment: &str) -> Written {
        self.0.put(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, _: &mut W, escape: CharEscape) -> Written {
        match escape {
            CharEscape::Quote => self.0.put(br#"\""#),
            CharEscape::ReverseSolidus => self.0.put(br"\\"),
            CharEscape::Solidus => self.0.put(b"/"),
            CharEscape::Backspace => self.0.put(br"\b"),
            CharEscape::FormFeed => self.0.put(br"\f"),
            CharEscape::LineFeed => self.0.put(br"\n"),
            CharEscape::CarriageReturn => self.0.put(br"\r"),
            CharEscape::Tab => self.0.put(br"\t"),
            CharEscape::AsciiControl(byte) => self.0.put(format!("\\u{byte:04x}").as_bytes()),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W, first: bool) -> Written {
        self.0.put(if first { b"" } else { b"," })
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b"{")?;
        self.0.objects.push(Object { start: self.0.out.len(), first: self.0.members.len(), sorted: true });
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.close_object()
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W, first: bool) -> Written {
        self.0.put(if first { b"" } else { b"," })?;
        let start = self.0.out.len();
        self.0.members.push(Member { start, key_end: start, end: start, plain: false });
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.end_key()
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        self.0.put(b":")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> Written {
        let end = self.0.out.len();
        self.0.members.last_mut().ok_or_else(unbalanced)?.end = end;
        Ok(())
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> Written {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "raw JSON is not canonical"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(to_vec(value).unwrap()).unwrap()
    }

    #[test]
    fn the_rfc_example() {
        let value: Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .unwrap();
        assert_eq!(
            text(&value),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
    }

    #[test]
    fn keys_sort_by_utf16() {
        let keys = json!({"€": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "😀": 5, "\u{80}": 6, "ö": 7, "a!": 8, "a": 9});
        assert_eq!(
            text(&keys),
            "{\"\\r\":2,\"1\":4,\"a\":9,\"a!\":8,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn large_integers_keep_their_digits() {
        assert_eq!(
            text(&json!([u64::MAX, i64::MIN, 9_007_199_254_740_993_u64])),
            "[18446744073709551615,-9223372036854775808,9007199254740993]"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_another_implementation(value in values()) {
            prop_assert_eq!(to_vec(&value).unwrap(), serde_json_canonicalizer::to_vec(&value).unwrap());
        }
    }
}
