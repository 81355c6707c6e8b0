//! Bytes of files as text: bounded, packed or not, in the encodings that shells on all systems write.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use graph::Unread;

use crate::cloud::{self, NOT_PLANNED};

/// The largest file that is read, and the most that all packed ones of a run may hold together: an export of a large
/// organisation has some hundred megabytes.
const SIZE_MAX_BYTES: u64 = 1 << 30;

/// How many bytes may still be unpacked in a run. A small file may unpack to a thousand times its size, and there may be
/// many.
pub(super) struct Left(u64);

impl Default for Left {
    fn default() -> Self {
        Self(SIZE_MAX_BYTES)
    }
}

impl Left {
    fn unpack(&mut self, packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut unpacked = Vec::new();
        let result = MultiGzDecoder::new(packed).take(self.0 + 1).read_to_end(&mut unpacked);
        let size_bytes = unpacked.len() as u64;
        let is_within = size_bytes <= self.0;
        // What is thrown away was unpacked too.
        self.0 = self.0.saturating_sub(size_bytes);
        if !is_within {
            return Err("unpacks, with what was unpacked before it, to more bytes than are read in one run".to_owned());
        }
        result.map_err(|error| format!("cannot be unpacked: {error}"))?;
        Ok(unpacked)
    }
}

/// How the names of files end that hold documents, and of those that may: logs, and what is packed.
const DOCUMENTS: [&str; 4] = ["json", "yaml", "yml", "tfstate"];
const OTHERS: [&str; 5] = ["gz", "tgz", "log", "jsonl", "ndjson"];

/// What a file packed by gzip begins with.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Whether a file's name is that of a document.
pub(crate) fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| DOCUMENTS.iter().any(|known| extension == *known))
}

/// Whether a file's name says that it may hold something that is read.
pub(crate) fn may_hold(path: &Path) -> bool {
    is_document(path) || path.extension().is_some_and(|extension| OTHERS.iter().any(|known| extension == *known))
}

/// The text of a file, or of all JSON and YAML files directly in a folder and of those below it that are known by what
/// they say or where they lie, in the order of their names. An archive's are those of its files, named below it.
pub(super) fn texts(path: &Path, left: &mut Left, unread: &mut Vec<Unread>) -> Vec<(String, String)> {
    let files = if path.is_dir() { listed(path, unread) } else { vec![path.to_owned()] };
    let mut texts = Vec::new();
    for file in files {
        let source = file.display().to_string();
        let bytes = bytes(&file, left);
        if let Some(archive) = bytes.as_ref().ok().filter(|bytes| is_archive(bytes)) {
            let before = (texts.len(), unread.len());
            unpacked((&source, archive), left, &mut texts, unread);
            if before == (texts.len(), unread.len()) {
                unread.push(Unread::new(source, None, HOLDS_NOTHING));
            }
            continue;
        }
        match bytes.and_then(decode) {
            Ok(text) => texts.push((source, text)),
            Err(reason) => unread.push(Unread::new(source, None, reason)),
        }
    }
    texts
}

/// Why an archive says nothing.
const HOLDS_NOTHING: &str = "holds no file whose name is that of a document, a log or a packed one";

/// Whether the first header of a tar archive stands here.
pub(crate) fn is_archive(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// The texts of the files in an archive. What follows a fault of the archive itself cannot be found.
fn unpacked(
    (source, archive): (&str, &[u8]),
    left: &mut Left,
    texts: &mut Vec<(String, String)>,
    unread: &mut Vec<Unread>,
) {
    let mut archive = tar::Archive::new(archive);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return unread.push(Unread::new(source, None, error.to_string())),
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let reason = format!("is broken, and not read from there on: {error}");
                return unread.push(Unread::new(source, None, reason));
            }
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() || !may_hold(Path::new(&name)) {
            continue;
        }
        let name = format!("{source}/{}", name.trim_start_matches("./"));
        let mut bytes = Vec::new();
        let read = entry.read_to_end(&mut bytes).map_err(|error| error.to_string());
        let plain = read.and_then(|_| if bytes.starts_with(&GZIP) { left.unpack(&bytes) } else { Ok(bytes) });
        match plain.and_then(inside) {
            Ok(text) => texts.push((name, text)),
            Err(reason) => unread.push(Unread::new(name, None, reason)),
        }
    }
}

/// The text of a file in an archive.
fn inside(bytes: Vec<u8>) -> Result<String, String> {
    if is_archive(&bytes) { Err("is an archive in an archive, and not read".to_owned()) } else { decode(bytes) }
}

fn listed(folder: &Path, unread: &mut Vec<Unread>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            unread.push(Unread::new(folder.display().to_string(), None, error.to_string()));
            return Vec::new();
        }
    };
    let all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_meant = |path: &PathBuf| is_document(path) && !path.is_dir();
    let (mut files, others): (Vec<PathBuf>, Vec<PathBuf>) = all.iter().cloned().partition(is_meant);
    // What is directly in the folder was meant; below it, packed and in logs, lies much that nobody meant.
    files.extend(cloud::below(&others));
    if files.is_empty() && all.iter().any(|path| path.extension().is_some_and(|kind| kind == "tf")) {
        unread.push(Unread::pending(folder.display().to_string(), None, NOT_PLANNED));
    }
    files.sort();
    files
}

/// What a file holds, unpacked.
fn bytes(path: &Path, left: &mut Left) -> Result<Vec<u8>, String> {
    // Before the open: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("is not a regular file".into());
    }
    if metadata.len() > SIZE_MAX_BYTES {
        return Err(format!("has {} bytes, more than the {SIZE_MAX_BYTES} that are read", metadata.len()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(SIZE_MAX_BYTES).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.starts_with(&GZIP) { left.unpack(&bytes) } else { Ok(bytes) }
}

/// The beginning of a file, unpacked; nothing of one that cannot be read.
pub(crate) fn head(path: &Path, size_bytes: u64) -> Vec<u8> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(size_bytes).read_to_end(&mut head));
    if read.is_err() || !head.starts_with(&GZIP) {
        return if read.is_ok() { head } else { Vec::new() };
    }
    let mut unpacked = Vec::new();
    // The end is cut off, which is an error after all that could be unpacked.
    let _ = MultiGzDecoder::new(head.as_slice()).take(size_bytes).read_to_end(&mut unpacked);
    unpacked
}

/// UTF-8 with or without a mark, and UTF-16 with one, as PowerShell's `>` writes it.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<String, String> {
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| read(*pair)).collect();
        String::from_utf16(&units).map_err(|_| "is not UTF-16 although it says so".to_owned())
    };
    match bytes.as_slice() {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).map_err(|_| "is not UTF-8".to_owned()),
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes).map_err(|_| "is neither UTF-8 nor UTF-16".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Left, Unread, decode};

    fn texts(path: &std::path::Path, unread: &mut Vec<Unread>) -> Vec<(String, String)> {
        super::texts(path, &mut Left::default(), unread)
    }

    #[test]
    fn below_a_folder_is_read_what_is_known_and_directly_in_it_all() {
        let dir = tempfile::tempdir().unwrap();
        let object = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n";
        for (name, text) in [("beside.json", "{}"), ("web/agent.yaml", object), ("web/package.json", "{}")] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut unread = Vec::new();
        let found: Vec<String> = texts(dir.path(), &mut unread).into_iter().map(|(source, _)| source).collect();
        let wanted = ["beside.json", "web/agent.yaml"].map(|name| dir.path().join(name).display().to_string());
        assert_eq!((found.as_slice(), unread.len()), (wanted.as_slice(), 0));
    }

    #[test]
    fn encodings_that_shells_write() {
        let wide = |write: fn(u16) -> [u8; 2], mark: [u8; 2]| {
            let units = "{\"é\"}".encode_utf16().flat_map(write);
            mark.into_iter().chain(units).collect::<Vec<u8>>()
        };
        assert_eq!(decode(wide(u16::to_le_bytes, [0xFF, 0xFE])).unwrap(), "{\"é\"}");
        assert_eq!(decode(wide(u16::to_be_bytes, [0xFE, 0xFF])).unwrap(), "{\"é\"}");
        assert_eq!(decode(b"\xEF\xBB\xBF{}".to_vec()).unwrap(), "{}");
        assert!(decode(vec![0xFF, 0x00]).is_err());
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn packed_files_and_archives_are_read_as_what_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in [("./a/pods.json", r#"{"items":[]}"#), ("a/notes.txt", "no"), ("b.yaml", "kind: A")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("dump.tar.gz", &packed(&archive));
        write("trail.json.gz", &[packed(b"{\"CloudTrailEvent\""), packed(b": 1}")].concat());
        write("sources.tgz", &packed(b"nothing of ours"));
        let mut unread = Vec::new();
        let found = texts(dir.path(), &mut unread);
        let below = |name: &str| dir.path().join(name).display().to_string();
        let wanted = [
            (below("dump.tar.gz/a/pods.json"), r#"{"items":[]}"#.to_owned()),
            (below("dump.tar.gz/b.yaml"), "kind: A".to_owned()),
            (below("trail.json.gz"), r#"{"CloudTrailEvent": 1}"#.to_owned()),
        ];
        assert_eq!((found.as_slice(), unread.len()), (wanted.as_slice(), 0));

        let mut left = Left(50);
        let mut unread = Vec::new();
        let trail = dir.path().join("trail.json.gz");
        assert_eq!(super::texts(&trail, &mut left, &mut unread).len(), 1);
        assert_eq!(super::texts(&trail, &mut left, &mut unread).len(), 1);
        assert_eq!((super::texts(&trail, &mut left, &mut unread).len(), unread.len()), (0, 1), "50 bytes are spent");
        assert!(unread[0].reason.contains("with what was unpacked before it"), "{unread:?}");

        write("torn.tgz", packed(&archive).split_at(60).0);
        write("cut.tar", archive.split_at(1_100).0);
        for (name, reason, held) in
            [("torn.tgz", "cannot be unpacked", 0), ("cut.tar", "is broken, and not read from there", 1)]
        {
            let (mut unread, path) = (Vec::new(), dir.path().join(name));
            assert_eq!(texts(&path, &mut unread).len(), held, "{name}");
            assert!(unread.iter().any(|one| one.reason.contains(reason)), "{name}: {unread:?}");
        }
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn in_an_archive_all_is_read_that_may_hold_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let (trail, inner) = (packed(b"{\"a\": 1}"), packed(&archive(&[("x.json", b"{}")])));
        let files: [(&str, &[u8]); 4] =
            [("trail.json.gz", &trail), ("audit.log", b"{}"), ("lines.ndjson", b"{}"), ("inner.tgz", &inner)];
        std::fs::write(&path, archive(&files)).unwrap();
        let mut unread = Vec::new();
        let found: Vec<String> = texts(&path, &mut unread).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, ["{\"a\": 1}", "{}", "{}"]);
        assert!(unread.len() == 1 && unread[0].reason.contains("archive in an archive"), "{unread:?}");

        std::fs::write(&path, archive(&[("notes.txt", b"no")])).unwrap();
        let mut unread = Vec::new();
        assert_eq!(texts(&path, &mut unread), []);
        assert!(unread.len() == 1 && unread[0].reason.contains("holds no file"), "{unread:?}");
    }
}
