//! The HTML report of a graph in text form, or of a report in JSON:
//! `cargo run -p graph --example report_html FILE > report.html`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: report_html FILE")?;
    let text = std::fs::read_to_string(&file)?;
    let report = match file.ends_with(".json") {
        true => serde_json::from_str(&text)?,
        false => {
            let graph = graph::builtin::joined(graph::text::observations(&text)?);
            let rules = graph::rules::RULES.iter();
            graph::Report::of(env!("CARGO_PKG_VERSION"), "2026-01-02T03:04:05Z", graph, rules)
        }
    };
    print!("{}", graph::export::html(&report));
    Ok(())
}
