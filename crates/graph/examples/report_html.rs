//! The HTML report of a graph in text form: `cargo run -p graph --example report_html FILE > report.html`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: report_html FILE")?;
    let graph = graph::text::parse(&std::fs::read_to_string(file)?)?;
    let findings = graph::rules::run(&graph);
    let report = graph::Report::new(env!("CARGO_PKG_VERSION"), "2026-01-02T03:04:05Z", graph, findings);
    print!("{}", graph::export::html(&report));
    Ok(())
}
