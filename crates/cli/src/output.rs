//! What a command prints. That nobody reads any more (`| head`) is no fault, and ends nothing that is under way.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints a line to standard output, as `println!` would, which panics where nobody reads.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// Prints a text and ends the line.
pub(crate) fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// Prints a text as it is.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Asks the person at the terminal. Where there is none, it says `how` to agree without being asked.
pub(crate) fn agreed(question: &str, how: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        say!("{how}")?;
        return Ok(false);
    }
    print(&format!("{question} [y/N] "))?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
