//! `bailiwick ledger erase`.

use std::path::Path;
use std::process::ExitCode;

use gateway::door::hello::Change;
use serde_json::Value;

use super::{change, is_of_home};
use crate::format::Format;
use crate::home::Home;

pub(super) fn run((dir, home): (&Path, &Home), subject: &str, yes: bool, format: Format) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("nothing brings the payloads of `{subject}` back; say `--yes` to erase them");
    }
    let mut done = change(dir, home, &Change::Erase { subject: subject.to_owned() })?;
    // What the gateway keeps to judge later calls by, in plain text.
    let sessions = Some(home.gateway().join("sessions")).filter(|folder| is_of_home(dir, home) && folder.is_dir());
    if let (Some(members), Some(folder)) = (done.as_object_mut(), &sessions) {
        members.insert("not_erased".to_owned(), folder.display().to_string().into());
    }
    let erased = done.get("erased") == Some(&Value::Bool(true));
    format.tell(&done, || {
        let payloads = if erased {
            format!("the payloads of `{subject}` are erased; the log says so")
        } else {
            format!("there are no payloads of `{subject}`")
        };
        let rest = sessions.as_ref().map_or_else(String::new, |folder| {
            format!(
                "\nnot erased: what the gateway keeps of sessions, with words of prompts and results, in `{}`;\n\
                 to be rid of them stop it and empty each file there but `forgotten.json` (`truncate -s 0`): their sessions then\n\
                 count as having seen the worst, where without the files they would count as new",
                folder.display()
            )
        });
        payloads + &rest
    })?;
    Ok(ExitCode::from(u8::from(!erased)))
}
