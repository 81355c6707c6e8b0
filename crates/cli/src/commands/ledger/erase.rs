//! `bailiwick ledger erase`.

use std::path::Path;
use std::process::ExitCode;

use gateway::door::hello::Change;
use graph::plural;
use serde_json::Value;

use super::{change, is_of_home};
use crate::format::Format;
use crate::home::Home;
use crate::settings;

pub(super) fn run((dir, home): (&Path, &Home), subject: &str, yes: bool, format: Format) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("nothing brings the payloads of `{subject}` back; say `--yes` to erase them");
    }
    // What is shared with other gateways is not this one's alone.
    let shared = match is_of_home(dir, home) {
        true => settings::read(home.root())?.replicas.folder(home.root())?.map(|folder| folder.join("sessions")),
        false => None,
    };
    let mut done = change(dir, home, &Change::Erase { subject: subject.to_owned() })?;
    if let (Some(members), Some(folder)) = (done.as_object_mut(), &shared) {
        members.insert("not_erased".to_owned(), folder.display().to_string().into());
    }
    let erased = done.get("erased") == Some(&Value::Bool(true));
    let sessions = done.get("sessions").and_then(Value::as_u64).unwrap_or(0);
    format.tell(&done, || {
        let payloads = if erased {
            format!("the payloads of `{subject}` are erased; the log says so")
        } else {
            format!("there are no payloads of `{subject}`")
        };
        let kept = match sessions {
            0 => String::new(),
            count => format!(
                "\nerased what the gateway kept of {}; what goes on of that counts as having seen the worst",
                plural(count, "session")
            ),
        };
        let rest = shared.as_ref().map_or_else(String::new, |folder| {
            format!(
                "\nnot erased: what is kept, sealed, of sessions that go on at several gateways, in `{}`;\n\
                 each file there goes 14 days after its session was last used, while a gateway runs",
                folder.display()
            )
        });
        payloads + &kept + &rest
    })?;
    Ok(ExitCode::from(u8::from(!erased && sessions == 0)))
}
