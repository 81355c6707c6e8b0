//! Says what is being done when it takes longer than a second.
//!
//! Only on a terminal, on standard error, and gone when the work is: what a command prints is the same with and
//! without it.

use std::sync::mpsc;
use std::time::Duration;

use indicatif::ProgressBar;

/// How long nothing is said.
const QUIET: Duration = Duration::from_secs(1);
/// How often the time that it has taken is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// Does `work`, which is called `doing`: "reading the ledger".
pub(crate) fn of<T>(doing: &'static str, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        scope.spawn(move || {
            if waiting.recv_timeout(QUIET) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Draws nothing where standard error is no terminal.
                let style = indicatif::ProgressStyle::with_template("{spinner} {msg} {elapsed}");
                let spinner = ProgressBar::new_spinner().with_message(doing).with_elapsed(QUIET);
                spinner.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner()));
                spinner.enable_steady_tick(TICK);
                let _ = waiting.recv();
                spinner.finish_and_clear();
            }
        });
        let result = work();
        drop(done);
        result
    })
}
