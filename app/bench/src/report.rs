//! The report: medians, and the ratio to the raw sidecar.

use std::fmt::Write as _;

use crate::{Arguments, load::Load, scenario::Row};

/// The figures as a Markdown table.
pub fn markdown(arguments: &Arguments, rows: &[Row]) -> String {
    let mut text = format!(
        "{} s a measurement, median of {} rounds in turn.\n\n\
         | load | connections | requests/s | p50 | p99 | failures, all rounds | ratio to raw |\n\
         |---|---|---|---|---|---|---|\n",
        arguments.seconds, arguments.rounds
    );
    for Row { name, connections, loads, raw } in rows {
        let load = median(loads);
        let failures: u64 = loads.iter().map(|load| load.failures).sum();
        let raw = rows.get(*raw).map_or(0.0, |raw| rate(median(&raw.loads)));
        let ratio = rate(load) / raw;
        let (p50, p99) = load.map_or(("", ""), |load| (load.median.as_str(), load.ninety_ninth.as_str()));
        writeln!(
            text,
            "| {name} | {connections} | {:.0} | {p50} | {p99} | {failures} | {ratio:.2} |",
            rate(load)
        )
        .expect("writing to a string cannot fail");
    }
    text
}

fn median(rounds: &[Load]) -> Option<&Load> {
    let mut sorted: Vec<&Load> = rounds.iter().collect();
    sorted.sort_by(|a, b| a.requests_per_second.total_cmp(&b.requests_per_second));
    sorted.get(sorted.len() / 2).copied()
}

fn rate(load: Option<&Load>) -> f64 {
    load.map_or(0.0, |load| load.requests_per_second)
}
