//! Reading a file that somebody else wrote: bounded, regular, text.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest configuration that is read. `~/.claude.json` grows with use.
pub const SIZE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing is there.
    #[error("does not exist")]
    Absent,
    /// The system refused.
    #[error("cannot be read: {0}")]
    Refused(std::io::ErrorKind),
    /// A folder, socket, pipe or device.
    #[error("is not a regular file")]
    NotAFile,
    /// Too large.
    #[error("has {0} bytes, more than the {SIZE_MAX_BYTES} that are read")]
    TooLarge(u64),
    /// Not text.
    #[error("is {0}, not UTF-8")]
    NotText(&'static str),
}

/// The file's text. A symbolic link is followed, as its client does.
pub fn read(path: &Path) -> Result<String, Unreadable> {
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Unreadable::Absent,
        kind => Unreadable::Refused(kind),
    };
    // Before the open: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(refused)?;
    if !metadata.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(refused)?.take(SIZE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > SIZE_MAX_BYTES {
        return Err(Unreadable::TooLarge(metadata.len().max(bytes.len() as u64)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if error.as_bytes().starts_with(&[0xff, 0xfe]) || error.as_bytes().starts_with(&[0xfe, 0xff]) => {
            Err(Unreadable::NotText("UTF-16"))
        }
        Err(_) => Err(Unreadable::NotText("binary or in another encoding")),
    }
}

/// The text without a byte order mark, which Windows editors write and no parser here expects.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
