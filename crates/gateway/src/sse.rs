//! Server-sent events, as far as MCP uses them: whole events out of a stream of bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::call::SIZE_MAX_BYTES;

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: BytesMut,
    seen: usize,
    /// Whether an event came.
    begun: bool,
}

/// An event is longer than any message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is too large")]
pub(crate) struct TooLarge;

impl Events {
    /// More bytes came.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.held.extend_from_slice(bytes);
        if self.held.len() > SIZE_MAX_BYTES + 64 * 1024 { Err(TooLarge) } else { Ok(()) }
    }

    /// The next whole event with the empty line that ends it.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let from = self.seen.saturating_sub(3);
        let end = self.held.get(from..)?.windows(2).enumerate().find_map(|(at, pair)| {
            let at = from + at;
            match pair {
                b"\n\n" | b"\r\r" => Some(at + 2),
                b"\n\r" if self.held.get(at + 2) == Some(&b'\n') => Some(at + 3),
                _ => None,
            }
        });
        match end {
            Some(end) => {
                self.seen = 0;
                let event = self.held.split_to(end).freeze();
                // A mark before the first is no part of it.
                let is_marked = !std::mem::replace(&mut self.begun, true) && event.starts_with(b"\xef\xbb\xbf");
                Some(if is_marked { event.slice(3..) } else { event })
            }
            None => {
                self.seen = self.held.len();
                None
            }
        }
    }
}

/// The data of an event; `None` if it has none (a comment, a retry).
pub(crate) fn data(event: &[u8]) -> Option<Bytes> {
    let mut data: Option<Vec<u8>> = None;
    for line in lines(event) {
        let Some(rest) = line.strip_prefix(b"data:") else { continue };
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        match &mut data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(rest);
            }
            None => data = Some(rest.to_vec()),
        }
    }
    data.filter(|data| !data.is_empty()).map(Bytes::from)
}

/// The event without its data, if there is anything in it that clients must hear: its number, its name, when to come
/// again. What another reader could take for data is not.
pub(crate) fn without_data(event: &[u8]) -> Option<Bytes> {
    // Data of no length: an event with a number and nothing else.
    let meant: Vec<&[u8]> =
        lines(event).filter(|line| is_meant(line) || matches!(*line, b"data:" | b"data: ")).collect();
    let is_comment = lines(event).any(|line| line.starts_with(b":"));
    let kept = if meant.is_empty() && is_comment { vec![b":".as_slice()] } else { meant };
    (!kept.is_empty()).then(|| Bytes::from([kept.join(&b'\n'), b"\n\n".to_vec()].concat()))
}

/// Whether every reader takes a line for the same, and for no data.
fn is_meant(line: &[u8]) -> bool {
    let known = [b"id:".as_slice(), b"event:", b"retry:"].iter().any(|name| line.starts_with(name));
    known && line.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether a client can ask for what comes after this event.
pub(crate) fn is_numbered(event: &[u8]) -> bool {
    number(event).is_some()
}

/// What a client says to hear what comes after this event.
pub(crate) fn number(event: &[u8]) -> Option<&[u8]> {
    lines(event).find_map(|line| line.strip_prefix(b"id:")).map(<[u8]>::trim_ascii)
}

/// How long a client is to wait before it takes up a stream again.
pub(crate) fn retry(event: &[u8]) -> Option<Duration> {
    let text = lines(event).find_map(|line| line.strip_prefix(b"retry:"))?;
    let milliseconds: u32 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    Some(Duration::from_millis(milliseconds.into()))
}

/// The event with other data.
pub(crate) fn with_data(event: &[u8], data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(event.len());
    for line in lines(event).filter(|line| is_meant(line)) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    Bytes::from(out)
}

/// An event of our own.
pub(crate) fn event(data: &[u8]) -> Bytes {
    with_data(b"event: message\n", data)
}

fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|byte| matches!(byte, b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_reader_could_take_for_data_does_not_go_on() {
        let mut events = Events::default();
        events.push(b"\xef\xbb\xbfdata: 1\n\n").unwrap();
        assert_eq!(
            data(&events.next().unwrap()),
            Some(Bytes::from("1")),
            "a mark before the first event hides nothing"
        );
        for (event, goes_on) in [
            ("id: 1\nretry: 5\n\n", Some("id: 1\nretry: 5\n\n")),
            ("id: 1\ndata: \n\n", Some("id: 1\ndata: \n\n")),
            (": ping\n\n", Some(":\n\n")),
            (": a\u{2028}data: b\n\n", Some(":\n\n")),
            ("\u{feff}data: b\n\n", None),
            ("id: 1\u{2028}data: b\nDATA: c\n\n", None),
        ] {
            assert_eq!(without_data(event.as_bytes()).as_deref(), goes_on.map(str::as_bytes), "{event:?}");
        }
        let event = with_data("event: message\nx\u{2028}: y\ndata: 1\nid: 7\n\n".as_bytes(), b"2");
        assert_eq!(event, Bytes::from("event: message\nid: 7\ndata: 2\n\n"));
    }

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = b"id: 1\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n: ping\n\ndata:x\n\n";
        for cut in 0..text.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                events.push(part).unwrap();
                found.extend(std::iter::from_fn(|| events.next()));
            }
            let data: Vec<_> = found.iter().map(|event| data(event)).collect();
            assert_eq!(data, [Some(Bytes::from("{\"a\":\n1}")), None, Some(Bytes::from("x"))], "cut at {cut}");
        }
    }

    #[test]
    fn a_server_says_when_to_come_again() {
        assert_eq!(retry(b"id: 1\nretry: 500\n\n"), Some(Duration::from_millis(500)));
        assert_eq!((retry(b"retry: -1\n\n"), retry(b"retry: soon\n\n"), retry(b"data: 1\n\n")), (None, None, None));
    }

    #[test]
    fn replaced_data_keeps_the_events_id() {
        assert_eq!(with_data(b"id: 7\ndata: a\ndata: b\n\n", b"{}"), Bytes::from("id: 7\ndata: {}\n\n"));
    }
}
