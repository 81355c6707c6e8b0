//! What travels beside a request and is no part of it to policy: a member of an object that a protocol keeps room for.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::strict::{fields, members, with_member};
use super::{Malformed, Message, Request};

/// Where a protocol has room for what travels beside its messages: an object of the parameters or of the result, and a
/// member of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) object: &'static str,
    pub(crate) name: &'static str,
}

impl Beside {
    /// What travels beside a result.
    pub(crate) fn of(self, result: &Value) -> Option<&Value> {
        result.get(self.object)?.get(self.name)
    }

    /// Parameters or a result without it; an object that held nothing else goes, too.
    pub(crate) fn without(self, mut value: Value) -> Value {
        if let Some(Value::Object(object)) = value.get_mut(self.object) {
            object.retain(|key, _| !key.eq_ignore_ascii_case(self.name));
            if object.is_empty()
                && let Some(value) = value.as_object_mut()
            {
                value.remove(self.object);
            }
        }
        value
    }
}

impl Request {
    /// The same request with what travels beside it set, or taken away; nothing else differs. `None` where it would be
    /// too large.
    pub(crate) fn with_beside(&self, place: Beside, value: Option<&str>) -> Option<Self> {
        let text = std::str::from_utf8(self.raw()).ok()?;
        let Beside { object, name } = place;
        let own = || Some(format!("{{{}:{}}}", Value::from(name), value?));
        let changed = match beside_of(self, object).ok().flatten() {
            Some(_) => with_member(text, &["params", object], (name, value))?,
            // Also where what stands there is no object, or stands there twice.
            None => with_member(text, &["params"], (object, own().as_deref()))?,
        };
        match Message::read(Bytes::from(changed)) {
            Ok(Message::Request(request)) => Some(request),
            _ => None,
        }
    }
}

/// The members of the object beside a request, if that is an object. That it is there twice, or in another case, is an
/// error.
fn beside_of<'a>(request: &'a Request, object: &'static str) -> Result<Option<Vec<(String, &'a RawValue)>>, Malformed> {
    let [found] = fields(request.params(), &[object])?;
    Ok(found.and_then(|found| members(found.get()).ok()))
}

/// What travels beside a request as JSON text, if it is there: `None` within if it is there twice, or in another case.
pub(crate) fn beside(request: &Request, Beside { object, name }: Beside) -> Result<Option<Option<String>>, Malformed> {
    let all = beside_of(request, object)?.unwrap_or_default();
    let mut found = all.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let Some((key, value)) = found.next() else { return Ok(None) };
    Ok(Some((found.next().is_none() && key == name).then(|| value.get().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, Malformed> {
        Message::read(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_member_of_meta_is_set_and_taken_away_and_nothing_else_changes() {
        let request = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{params}}}"#);
            match read(&text) {
                Ok(Message::Request(request)) => request,
                other => panic!("{other:?}"),
            }
        };
        let plain = request(r#"{"name":"a","arguments":{"x":1.50}}"#);
        let place = Beside { object: "_meta", name: "k/l" };
        let set = plain.with_beside(place, Some("[1]")).unwrap();
        assert_eq!(set.params(), r#"{"name":"a","arguments":{"x":1.50},"_meta":{"k/l":[1]}}"#);
        assert_eq!(beside(&set, place), Ok(Some(Some("[1]".to_owned()))));
        assert_eq!(set.with_beside(place, None).unwrap().params(), r#"{"name":"a","arguments":{"x":1.50},"_meta":{}}"#);
        // However it is written, and however often.
        for meta in [r#"{"k\/l":1,"z":2e1,"K/L":3,"k/l":4}"#, "null", r#"{"z":2e1},"_meta":{"k/l":4}"#] {
            let odd = request(&format!(r#"{{"name":"a","_meta":{meta}}}"#));
            assert!(!matches!(beside(&odd, place), Ok(Some(Some(_)))), "{meta}");
            let set = odd.with_beside(place, Some("5")).unwrap();
            assert_eq!(beside(&set, place), Ok(Some(Some("5".to_owned()))), "{meta}");
        }
    }
}
