//! The operator's policy files, to read. They are changed with an editor, not here.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Control;
use crate::problem::Problem;

/// A policy file.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyFile {
    /// Its name.
    name: String,
    /// Its text, cut at 256 KiB.
    text: String,
}

/// The policy files.
#[derive(Serialize, ToSchema)]
pub(crate) struct Policies {
    /// Where they lie.
    folder: String,
    /// The files, by name.
    files: Vec<PolicyFile>,
    /// Files that could not be read.
    unread: Vec<String>,
}

const FILES_MAX: usize = 200;
const FILE_MAX_BYTES: u64 = 256 * 1024;

/// The policy files.
#[utoipa::path(get, path = "/api/policies", responses((status = 200, body = Policies), (status = 401, body = Problem)))]
pub(crate) async fn policies(State(control): State<Control>) -> Result<Json<Policies>, Problem> {
    control.blocking(|control| Ok(Json(read(&control.options().policy)))).await
}

fn read(folder: &Path) -> Policies {
    let mut policies = Policies { folder: folder.display().to_string(), files: Vec::new(), unread: Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else {
        policies.unread.push(policies.folder.clone());
        return policies;
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cedar"));
    paths.sort();
    for path in paths.into_iter().take(FILES_MAX) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match read_bounded(&path) {
            Ok(text) => policies.files.push(PolicyFile { name, text }),
            Err(error) => policies.unread.push(format!("{name}: {error}")),
        }
    }
    policies
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
