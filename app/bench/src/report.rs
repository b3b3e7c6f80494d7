//! The report: medians, and the ratio to the raw sidecar.

use std::fmt::Write as _;

use crate::{Arguments, load::Load, scenario::Measured};

/// The figures as a Markdown table.
pub fn markdown(arguments: &Arguments, measured: &Measured) -> String {
    let raw = rate(median(&measured.raw));
    let rows = [
        ("raw sidecar: `POST /v1.0/state/statestore`".to_owned(), &measured.raw),
        (format!("Tidemark, hot: tasks in {} groups", arguments.hot_groups), &measured.hot),
        (format!("Tidemark, scattered: tasks in {} groups", arguments.scattered_groups), &measured.scattered),
    ];
    let mut text = format!(
        "{} connections, {} s a measurement, median of {} rounds in turn.\n\n\
         | load | requests/s | p50 | p99 | failures, all rounds | ratio to raw |\n|---|---|---|---|---|---|\n",
        arguments.connections, arguments.seconds, arguments.rounds
    );
    for (name, rounds) in rows {
        let load = median(rounds);
        let failures: u64 = rounds.iter().map(|load| load.failures).sum();
        let ratio = rate(load) / raw;
        let (p50, p99) = load.map_or(("", ""), |load| (load.median.as_str(), load.ninety_ninth.as_str()));
        writeln!(text, "| {name} | {:.0} | {p50} | {p99} | {failures} | {ratio:.2} |", rate(load))
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
