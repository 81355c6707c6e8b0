//! The console over made-up data, for work on `console/`: prints its address with a sign-in link.
//! `cargo run -p control --example console [PORT]`, then `npm --prefix console run build` after each change:
//! a debug build reads the files from the build folder.

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use jiff::SignedDuration;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let calls = std::env::args().nth(2).and_then(|calls| calls.parse().ok()).unwrap_or(40);
    let folder = std::env::temp_dir().join(format!("bailiwick-console-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let started = support::start(&folder).await;
    let ledger = started.ledger.clone();
    tokio::task::spawn_blocking(move || {
        for sequence in 1..=calls {
            match sequence % 17 {
                5 => support::denied_call(&ledger, sequence),
                _ => support::read_call(&ledger, sequence),
            };
        }
        support::ask_call(&ledger, calls + 1, SignedDuration::from_mins(30));
        support::ask_call(&ledger, calls + 2, SignedDuration::from_mins(30));
    })
    .await?;
    if let Err(problem) = started.control.put_scan(support::scan()).await {
        eprintln!("{}", problem.detail);
    }
    let _ = started.ledger.seal();
    match (started.control.listen_http(port).await, started.control.sign_in_token().await) {
        (Ok(listening), Ok(token)) => println!("http://127.0.0.1:{}/#sign-in={}", listening.port(), token.reveal()),
        (Err(error), _) => eprintln!("{error}"),
        (_, Err(problem)) => eprintln!("{}", problem.detail),
    }
    tokio::signal::ctrl_c().await?;
    started.control.close();
    std::fs::remove_dir_all(&folder)
}
