//! Load and comparison runs: the release build creating tasks, beside the same load generator saving the same
//! bytes straight to the sidecar's state API, on the same machine in the same run; and reading boards and lists,
//! beside raw reads of the same page.
//!
//! Machines differ and are noisy; only the ratio of two figures of one run means something. The pairs are
//! therefore measured in turn, several times, and the medians are compared.

mod load;
mod report;
mod scenario;

use std::path::PathBuf;

use clap::Parser;

/// Measure Tidemark against its own raw sidecar.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release program to measure
    #[arg(long)]
    binary: PathBuf,
    /// Connections that are open at the same time
    #[arg(long, default_value_t = 1000)]
    connections: u32,
    /// Groups in the hot run
    #[arg(long, default_value_t = 100)]
    hot_groups: usize,
    /// Groups in the scattered run
    #[arg(long, default_value_t = 2000)]
    scattered_groups: usize,
    /// How long one measurement takes [seconds, at most 60]
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// How often each pair is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    rounds: u32,
    /// Where the report goes, as Markdown; without, to standard output
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let measured = scenario::run(&arguments).await?;
    let text = report::markdown(&arguments, &measured);
    match &arguments.report {
        Some(path) => std::fs::write(path, text)?,
        None => print!("{text}"),
    }
    Ok(())
}
