//! Canonical JSON, RFC 8785: sorted members, no white space, shortest numbers. An entry's bytes.
//!
//! One deviation, stated in `spec/record.md`: integers beyond 2^53 keep all their digits. RFC 8785 would
//! round them to a double, and the log would then hold another action than the one that was judged.
//!
//! Every entry is written by this while its caller waits, so it is a serializer of its own: that of serde_json looks
//! at each byte of a string and tells its formatter of each quote.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};
use serde_json::Error;

use crate::string;

/// The canonical bytes of a value. Fails only where JSON itself does: a key that is no string, or NaN.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    framed(value, 0, |bytes| bytes.to_vec())
}

/// Room that has grown larger is not kept.
const ROOM_MAX: usize = 256 << 10;
/// The name by which serde_json says that a text is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

thread_local! {
    /// The room that was written into last on this thread, to be used again.
    static ROOM: Cell<Canonical> = const { Cell::new(Canonical::new()) };
}

/// Lends out the canonical bytes of a value behind so many zeros, which leave room for a header.
pub(crate) fn framed<T: Serialize + ?Sized, R>(
    value: &T,
    header: usize,
    then: impl FnOnce(&[u8]) -> R,
) -> Result<R, Error> {
    let mut room = ROOM.replace(Canonical::new());
    room.out.resize(header, 0);
    let result = value.serialize(&mut room).map(|()| then(&room.out));
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

    /// A comma, unless this is the first in an array or object. Nothing else ends with the bracket.
    fn separate(&mut self, bracket: u8) {
        if self.out.last() != Some(&bracket) {
            self.out.push(b',');
        }
    }

    /// A part of a string.
    fn put_escaped(&mut self, text: &str) {
        let (bytes, mut at) = (text.as_bytes(), 0);
        loop {
            let end = string::end(bytes, at);
            self.out.extend_from_slice(bytes.get(at..end).unwrap_or_default());
            let Some(byte) = bytes.get(end) else { return };
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', *byte]),
                0x08 => self.out.extend_from_slice(br"\b"),
                0x0c => self.out.extend_from_slice(br"\f"),
                b'\n' => self.out.extend_from_slice(br"\n"),
                b'\r' => self.out.extend_from_slice(br"\r"),
                b'\t' => self.out.extend_from_slice(br"\t"),
                _ => self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            }
            at = end + 1;
        }
    }

    fn put_number(&mut self, number: u64) {
        let (mut digits, mut start, mut rest) = ([0; 20], 20, number);
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            start = place;
            if rest == 0 {
                break;
            }
        }
        self.out.extend_from_slice(digits.get(start..).unwrap_or_default());
    }

    /// Begins the object that stands for a variant. One member needs no order.
    fn begin_variant(&mut self, variant: &str) -> Result<(), Error> {
        self.out.push(b'{');
        self.serialize_str(variant)?;
        self.out.push(b':');
        Ok(())
    }

    fn put_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate(b'{');
        let start = self.out.len();
        key.serialize(&mut *self)?;
        match self.out.get(start) {
            Some(b'"') => {}
            // Numbers and truth values are keys by their text.
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.out.insert(start, b'"');
                self.out.push(b'"');
            }
            _ => return Err(Error::custom("a key must be a string")),
        }
        let plain = string::name_end(&self.out, start + 1) + 1 == self.out.len();
        let member = Member { start, key_end: self.out.len(), end: start, plain };
        let object = self.objects.last_mut().ok_or_else(unbalanced)?;
        if let Some(before) = self.members.get(object.first..).and_then(<[Member]>::last) {
            object.sorted &= compare(&self.out, before, &member) == Ordering::Less;
        }
        self.members.push(member);
        Ok(())
    }

    fn put_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b':');
        value.serialize(&mut *self)?;
        self.members.last_mut().ok_or_else(unbalanced)?.end = self.out.len();
        Ok(())
    }

    fn end_object(&mut self) -> Result<(), Error> {
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
        self.out.push(b'}');
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

fn unbalanced() -> Error {
    Error::custom("a member that is in no object")
}

/// What is displayed, as a string.
struct Displayed<'a>(&'a mut Canonical);

impl fmt::Write for Displayed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put_escaped(text);
        Ok(())
    }
}

/// An array or object being written. `variant`: it is the one member of an object.
struct Compound<'a> {
    room: &'a mut Canonical,
    variant: bool,
}

impl<'a> Compound<'a> {
    fn array(room: &'a mut Canonical, variant: Option<&str>) -> Result<Self, Error> {
        variant.map_or(Ok(()), |variant| room.begin_variant(variant))?;
        room.out.push(b'[');
        Ok(Self { room, variant: variant.is_some() })
    }

    fn object(room: &'a mut Canonical, variant: Option<&str>) -> Result<Self, Error> {
        variant.map_or(Ok(()), |variant| room.begin_variant(variant))?;
        room.objects.push(Object { start: room.out.len() + 1, first: room.members.len(), sorted: true });
        room.out.push(b'{');
        Ok(Self { room, variant: variant.is_some() })
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.room.separate(b'[');
        value.serialize(&mut *self.room)
    }

    fn end_array(self) -> Result<(), Error> {
        self.room.out.push(b']');
        self.end_variant()
    }

    fn end_object(self) -> Result<(), Error> {
        self.room.end_object()?;
        self.end_variant()
    }

    fn end_variant(self) -> Result<(), Error> {
        if self.variant {
            self.room.out.push(b'}');
        }
        Ok(())
    }
}

type Written = Result<(), Error>;
type Begun<'a> = Result<Compound<'a>, Error>;

/// A number is written as the widest of its sort.
macro_rules! as_the_widest {
    ($($name:ident: $type:ty => $widest:ident,)*) => {$(
        fn $name(self, value: $type) -> Written {
            self.$widest(value.into())
        }
    )*};
}

impl<'a> Serializer for &'a mut Canonical {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn serialize_bool(self, value: bool) -> Written {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    as_the_widest! {
        serialize_i8: i8 => serialize_i64,
        serialize_i16: i16 => serialize_i64,
        serialize_i32: i32 => serialize_i64,
        serialize_u8: u8 => serialize_u64,
        serialize_u16: u16 => serialize_u64,
        serialize_u32: u32 => serialize_u64,
        serialize_f32: f32 => serialize_f64,
    }

    fn serialize_i64(self, value: i64) -> Written {
        if value < 0 {
            self.out.push(b'-');
        }
        self.put_number(value.unsigned_abs());
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Written {
        self.out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Written {
        self.put_number(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Written {
        self.out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Written {
        if !value.is_finite() {
            return Err(Error::custom("JSON has no NaN and no infinity"));
        }
        self.out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Written {
        self.out.push(b'"');
        self.put_escaped(value);
        self.out.push(b'"');
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Written {
        self.out.push(b'"');
        write!(Displayed(self), "{value}").map_err(Error::custom)?;
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.begin_variant(variant)?;
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Begun<'a> {
        Compound::array(self, None)
    }

    fn serialize_tuple(self, _: usize) -> Begun<'a> {
        Compound::array(self, None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Begun<'a> {
        Compound::array(self, None)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Begun<'a> {
        Compound::array(self, Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Begun<'a> {
        Compound::object(self, None)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Begun<'a> {
        if name == RAW {
            return Err(Error::custom("raw JSON is not canonical"));
        }
        Compound::object(self, None)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Begun<'a> {
        Compound::object(self, Some(variant))
    }
}

/// Arrays of all sorts are written alike.
macro_rules! arrays {
    ($($form:ident: $item:ident,)*) => {$(
        impl ser::$form for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                self.item(value)
            }

            fn end(self) -> Written {
                self.end_array()
            }
        }
    )*};
}

arrays! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.room.put_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.room.put_value(value)
    }

    fn end(self) -> Written {
        self.end_object()
    }
}

/// And structs.
macro_rules! structs {
    ($($form:ident,)*) => {$(
        impl ser::$form for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
                self.room.put_key(name)?;
                self.room.put_value(value)
            }

            fn end(self) -> Written {
                self.end_object()
            }
        }
    )*};
}

structs! {
    SerializeStruct,
    SerializeStructVariant,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct New(u8);

    #[derive(Serialize, PartialEq, Eq, Hash)]
    enum Variant {
        Unit,
        New(char),
        Tuple(u8, Option<u8>),
        Struct { b: u8, a: Option<u8> },
    }

    /// Every form that serde knows; serde_json makes the same values of them.
    #[test]
    fn values_have_the_forms_of_serde_json() {
        #[derive(Serialize)]
        struct Forms {
            small: (i8, i16, i32, u8, u16, u32, f32, f64),
            wide: (i128, u128),
            text: (char, String, std::path::PathBuf, std::net::Ipv6Addr),
            none: (Option<u8>, (), Unit),
            some: (Option<u8>, New),
            variants: Vec<Variant>,
            numbers: HashMap<i8, bool>,
            truths: HashMap<bool, ()>,
            words: HashMap<Variant, jiff::Timestamp>,
            empty: (HashMap<String, u8>, Vec<u8>, String),
        }
        let forms = Forms {
            small: (-128, i16::MIN, i32::MIN, 255, u16::MAX, u32::MAX, 0.1, 2.5e-7),
            wide: (i64::MIN.into(), u64::MAX.into()),
            text: ('"', (0..=300_u32).filter_map(char::from_u32).collect(), "/a\\b".into(), [7; 16].into()),
            none: (None, (), Unit),
            some: (Some(1), New(2)),
            variants: vec![
                Variant::Unit,
                Variant::New('ö'),
                Variant::Tuple(1, None),
                Variant::Struct { b: 1, a: Some(2) },
            ],
            numbers: HashMap::from([(-1, true), (100, false), (2, true), (10, true)]),
            truths: HashMap::from([(true, ()), (false, ())]),
            words: HashMap::from([(Variant::Unit, jiff::Timestamp::UNIX_EPOCH)]),
            empty: Default::default(),
        };
        let value = serde_json::to_value(&forms).unwrap();
        let bytes = to_vec(&forms).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        assert_eq!(bytes, to_vec(&value).unwrap());
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        assert!(to_vec(&[1.0, f64::NAN]).is_err() && to_vec(&f32::INFINITY).is_err());
        assert!(to_vec(&serde_json::value::RawValue::from_string("1.0".to_owned()).unwrap()).is_err());
        assert!(to_vec(&HashMap::from([((), 1)])).is_err() && to_vec(&HashMap::from([([1], 1)])).is_err());
        assert!(to_vec(&HashMap::from([(Variant::New('a'), 1)])).is_err());
        // Nothing of them is left behind for the next.
        assert_eq!(to_vec(&json!({"a": [1]})).unwrap(), br#"{"a":[1]}"#);
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
