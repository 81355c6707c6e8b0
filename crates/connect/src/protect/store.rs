//! The bytes of configurations before they were rewritten, and writing files so that nobody ever sees
//! half of one.
//!
//! Trusted: whoever can write here decides what `unprotect` restores, so files are private. Order of
//! writes when protecting: original, manifest, then the configuration. A crash between them leaves a
//! manifest whose file still has its original bytes, which the next plan sees and starts from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::edit::Change;

/// What was done to one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The file, with symbolic links resolved.
    pub path: PathBuf,
    /// The client whose file it is.
    pub client: String,
    /// Whether the file was there before.
    pub existed: bool,
    /// Digest of the bytes before.
    pub before: String,
    /// Digest of the bytes that were left.
    pub after: String,
    /// What was changed, in order.
    pub changes: Vec<Change>,
}

/// The folder of originals.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// SHA-256 in hex.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

impl Store {
    /// On a folder that exists.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Keeps others from changing configurations until the file is dropped.
    pub fn lock(&self) -> io::Result<File> {
        let file = private().open(self.dir.join(".lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// What was done to `path`.
    pub fn manifest(&self, path: &Path) -> io::Result<Option<Manifest>> {
        match fs::read(self.file(path, "json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every manifest, by path.
    pub fn manifests(&self) -> io::Result<Vec<Manifest>> {
        let mut all = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(serde_json::from_slice::<Manifest>(&fs::read(path)?)?);
            }
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    /// The bytes before, if they are still those of the manifest.
    pub fn original(&self, manifest: &Manifest) -> io::Result<Option<Vec<u8>>> {
        let bytes = fs::read(self.file(&manifest.path, "original"))?;
        Ok((digest(&bytes) == manifest.before).then_some(bytes))
    }

    /// Keeps the original and the manifest.
    pub fn keep(&self, manifest: &Manifest, original: &[u8]) -> io::Result<()> {
        let mode = Some(0o600);
        write(&self.file(&manifest.path, "original"), original, mode)?;
        write(&self.file(&manifest.path, "json"), &serde_json::to_vec_pretty(manifest)?, mode)
    }

    /// Forgets a file that has been restored.
    pub fn forget(&self, path: &Path) -> io::Result<()> {
        for kind in ["json", "original"] {
            match fs::remove_file(self.file(path, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&self, path: &Path, kind: &str) -> PathBuf {
        let id: String = digest(path.as_os_str().as_encoded_bytes()).chars().take(24).collect();
        self.dir.join(format!("{id}.{kind}"))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a whole file under another name and moves it into place: a reader sees the old bytes or the
/// new ones. Without `mode`, the old file's mode and owner are kept; a new one is private.
pub fn write(path: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.bailiwick-{}", std::process::id()));
    let written = write_fresh(&fresh, path, bytes, mode).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_fresh(fresh: &Path, path: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    let _ = fs::remove_file(fresh);
    let mut file = private().create_new(true).open(fresh)?;
    file.write_all(bytes)?;
    keep_owner(&file, path, mode)?;
    file.sync_all()
}

#[cfg(unix)]
fn keep_owner(file: &File, path: &Path, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    let old = match fs::metadata(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode.unwrap_or(old.mode() & 0o7777)))
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _path: &Path, _mode: Option<u32>) -> io::Result<()> {
    Ok(())
}
