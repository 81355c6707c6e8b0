//! `bailiwick ledger erase`.

use std::path::Path;
use std::process::ExitCode;

use gateway::door::hello::{Hello, Reply};
use jiff::Timestamp;
use ledger::{OpenError, Options};
use serde_json::Value;

use super::{key_file, print_line};
use crate::home::Home;

pub(super) fn run(dir: &Path, home: &Home, subject: &str, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("nothing brings the payloads of `{subject}` back; say `--yes` to erase them");
    }
    let erased = match key_file(dir, home).open(dir, Options::new(Timestamp::now())) {
        Ok((ledger, _)) => ledger.erase(subject, Timestamp::now())?,
        // The gateway that holds it does it for us.
        Err(OpenError::Locked { holder, .. }) if dir == home.ledger() => {
            match super::super::mcp::ask(home, &Hello::Erase { subject: subject.to_owned() })? {
                Some(Reply::Done { output }) => output == Value::Bool(true),
                Some(Reply::Failed { error }) => anyhow::bail!("the gateway could not erase: {error}"),
                None => anyhow::bail!("the ledger is in use by {holder}, and no gateway answers"),
            }
        }
        Err(error) => return Err(error.into()),
    };
    if erased {
        print_line(&format!("the payloads of `{subject}` are erased; the log says so"))
    } else {
        print_line(&format!("there are no payloads of `{subject}`"))?;
        Ok(ExitCode::from(1))
    }
}
