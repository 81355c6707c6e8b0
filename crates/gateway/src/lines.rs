//! One message a line, of bounded length, from any stream.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::call::SIZE_MAX_BYTES;

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    held: BytesMut,
    /// Up to here there is no line end.
    seen: usize,
    /// The rest of a line that was too long is skipped.
    skips: bool,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end.
    Whole(Bytes),
    /// A line longer than [`SIZE_MAX_BYTES`]; it is skipped.
    TooLong,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, held: BytesMut::new(), seen: 0, skips: false }
    }

    /// The next line that is not empty; `None` at the end or when the stream breaks. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.take() {
                return Some(line);
            }
            self.held.reserve(8 * 1024);
            match self.from.read_buf(&mut self.held).await {
                Ok(1..) => {}
                _ => return self.rest(),
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        loop {
            let fresh = self.held.get(self.seen..).unwrap_or_default();
            let Some(end) = fresh.iter().position(|byte| *byte == b'\n').map(|at| self.seen + at) else {
                self.seen = self.held.len();
                if self.held.len() <= SIZE_MAX_BYTES {
                    return None;
                }
                self.held.clear();
                self.seen = 0;
                if std::mem::replace(&mut self.skips, true) {
                    return None;
                }
                return Some(Line::TooLong);
            };
            let mut line = self.held.split_to(end + 1);
            self.seen = 0;
            if std::mem::take(&mut self.skips) {
                continue;
            }
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Line::Whole(line.freeze()));
            }
        }
    }

    /// The last line may lack its end.
    fn rest(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.held);
        self.seen = 0;
        let empty = rest.iter().all(u8::is_ascii_whitespace) || self.skips;
        (!empty).then(|| Line::Whole(rest.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_long_ones_do_not_come() {
        let mut text = b"a\r\n\n b \n".to_vec();
        text.extend(std::iter::repeat_n(b'x', SIZE_MAX_BYTES * 2));
        text.extend(b"\nlast");
        let mut lines = Lines::new(text.as_slice());
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(line);
        }
        let whole = |text: &'static str| Line::Whole(Bytes::from_static(text.as_bytes()));
        assert_eq!(read, [whole("a"), whole(" b "), Line::TooLong, whole("last")]);
    }
}
