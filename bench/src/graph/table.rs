//! Rows of measurements, and how cost grows with size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::generate::Size;
use super::ms;

/// One measurement.
#[derive(Clone)]
pub(super) struct Row {
    who: &'static str,
    what: &'static str,
    took: Option<Duration>,
    bound_ms: Option<f64>,
    said: String,
}

impl Row {
    pub(super) fn new(who: &'static str, what: &'static str, took: Duration) -> Self {
        Self { who, what, took: Some(took), bound_ms: None, said: String::new() }
    }

    /// Something that was not measured, and why.
    pub(super) fn skipped(who: &'static str, what: &'static str, why: impl Into<String>) -> Self {
        Self { who, what, took: None, bound_ms: None, said: why.into() }
    }

    pub(super) fn bound(mut self, bound_ms: Option<f64>) -> Self {
        self.bound_ms = bound_ms;
        self
    }

    pub(super) fn said(mut self, said: impl Into<String>) -> Self {
        self.said = said.into();
        self
    }

    pub(super) fn print(&self) {
        let took = self.took.map_or("skipped".to_owned(), |took| format!("{:.2} ms", ms(took)));
        let bound = match (self.bound_ms, self.took) {
            (Some(bound), Some(took)) if ms(took) < bound => format!("within {bound} ms"),
            (Some(bound), _) => format!("OVER {bound} ms"),
            (None, _) => String::new(),
        };
        println!("  {:<10} {:<28} {took:>14}  {bound:<16} {}", self.who, self.what, self.said);
    }
}

/// All rows by size.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<(Size, Vec<Row>)>,
}

impl Table {
    pub(super) fn add(&mut self, size: Size, rows: Vec<Row>) {
        self.rows.push((size, rows));
    }

    fn series(&self) -> BTreeMap<(&'static str, &'static str), Vec<(u32, f64)>> {
        let mut series: BTreeMap<_, Vec<(u32, f64)>> = BTreeMap::new();
        for (size, rows) in &self.rows {
            for row in rows {
                if let Some(took) = row.took {
                    series.entry((row.who, row.what)).or_default().push((size.edges, ms(took)));
                }
            }
        }
        series
    }

    /// Milliseconds by number of edges, and how many times ours the peers take.
    pub(super) fn print_growth(&self) {
        println!("\nmilliseconds by number of edges");
        let edges: Vec<u32> = self.rows.iter().map(|(size, _)| size.edges).collect();
        let head: String = edges.iter().map(|edges| format!("{edges:>14}")).collect();
        println!("  {:<40}{head}", "");
        let series = self.series();
        for ((who, what), points) in &series {
            let cell = |edges: &u32| {
                let at = points.iter().find(|(size, _)| size == edges);
                let ours = series.get(&("ours", *what)).and_then(|ours| ours.iter().find(|(size, _)| size == edges));
                match (at, ours) {
                    (Some((_, took)), Some((_, ours))) if *who != "ours" => {
                        let times = took / ours;
                        let digits = usize::from(times < 10.0);
                        format!("{took:.1} ({times:.digits$}x)")
                    }
                    (Some((_, took)), _) => format!("{took:.2}"),
                    (None, _) => "-".to_owned(),
                }
            };
            let cells: String = edges.iter().map(|edges| format!("{:>14}", cell(edges))).collect();
            println!("  {:<40}{cells}", format!("{who}: {what}"));
        }
    }

    /// A plot with both axes logarithmic: all of ours, and of the peers the one question that every one answers.
    pub(super) fn svg(&self) -> String {
        const COLOURS: [&str; 12] = [
            "#3454d1", "#d1495b", "#2a9d8f", "#e09f3e", "#7b2cbf", "#555555", "#0081a7", "#9c6644", "#e56bb1",
            "#84a98c", "#000000", "#ef6351",
        ];
        let x = |edges: u32| 60.0 + (f64::from(edges).log10() - 3.0) * 130.0;
        let y = |took: f64| 330.0 - (took.max(0.01).log10() + 2.0) * 45.0;
        let mut svg = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 380\" font-family=\"sans-serif\" font-size=\"11\"><rect width=\"860\" height=\"380\" fill=\"white\"/>\n",
        );
        for power in 3..=7 {
            let at = x(10u32.pow(power));
            let _ = writeln!(
                svg,
                "<line x1=\"{at}\" y1=\"20\" x2=\"{at}\" y2=\"330\" stroke=\"#ddd\"/><text x=\"{at}\" y=\"346\" text-anchor=\"middle\">10^{power}</text>"
            );
        }
        for power in -2..=4 {
            let at = y(10f64.powi(power));
            let _ = writeln!(
                svg,
                "<line x1=\"60\" y1=\"{at}\" x2=\"600\" y2=\"{at}\" stroke=\"#ddd\"/><text x=\"55\" y=\"{at}\" text-anchor=\"end\">10^{power}</text>"
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"330\" y=\"366\" text-anchor=\"middle\">edges</text><text x=\"60\" y=\"14\">milliseconds</text>"
        );
        let series = self.series();
        let shown = series.iter().filter(|((who, what), _)| *who == "ours" || *what == "all pairs");
        for (number, ((who, what), points)) in shown.enumerate() {
            let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or("black");
            let line: Vec<String> =
                points.iter().map(|(edges, took)| format!("{:.1},{:.1}", x(*edges), y(*took))).collect();
            let dash = if *who == "ours" { "" } else { " stroke-dasharray=\"5 3\"" };
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
                line.join(" ")
            );
            // A peer that answers at one size only has a point and no line.
            for (edges, took) in points {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>",
                    x(*edges),
                    y(*took)
                );
            }
            let at = 30 + number * 18;
            let _ = writeln!(
                svg,
                "<line x1=\"620\" y1=\"{at}\" x2=\"645\" y2=\"{at}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/><text x=\"652\" y=\"{}\">{who}: {what}</text>",
                at + 4
            );
        }
        svg + "</svg>\n"
    }
}
