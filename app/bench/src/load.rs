//! The load generator: `wrk`, driven by a script that gives every request a body of its own.

use std::{path::Path, process::Stdio};

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

/// What `wrk` measured.
#[derive(Debug, Clone)]
pub struct Load {
    pub requests_per_second: f64,
    /// As `wrk` prints them, with their units.
    pub median: String,
    pub ninety_ninth: String,
    /// Answers other than 2xx and 3xx, and socket errors.
    pub failures: u64,
}

/// Where requests go and how long.
pub struct Target<'a> {
    pub url: &'a str,
    pub script: &'a Path,
    pub connections: u32,
    pub seconds: u32,
}

/// Loads the target.
pub async fn run(target: &Target<'_>) -> anyhow::Result<Load> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency", "--timeout", "30s"])
        .args(["--connections", &target.connections.to_string()])
        .args(["--duration", &format!("{}s", target.seconds)])
        .arg("--script")
        .arg(target.script)
        .arg(target.url)
        .stdin(Stdio::null())
        .output()
        .await
        .context("run wrk (Debian: apt-get install wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&text).with_context(|| format!("read what wrk printed:\n{text}"))
}

fn parse(text: &str) -> anyhow::Result<Load> {
    let value = |name: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(name));
        line.map(str::trim).map(str::to_owned)
    };
    let requests_per_second = value("Requests/sec:").context("no rate")?.parse()?;
    let bad_answers = value("Non-2xx or 3xx responses:").map_or(Ok(0), |count| count.parse())?;
    let socket_errors: u64 = value("Socket errors:").map_or(0, |line| {
        line.split(',').filter_map(|part| part.split_whitespace().last()?.parse::<u64>().ok()).sum()
    });
    ensure!(requests_per_second > 0.0, "nothing was answered");
    Ok(Load {
        requests_per_second,
        median: value("50%").context("no median")?,
        ninety_ninth: value("99%").context("no 99th percentile")?,
        failures: bad_answers + socket_errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_latencies_and_failures_are_read_from_what_wrk_prints() {
        let text = "Running 10s test @ http://127.0.0.1:3001\n  Latency Distribution\n     50%   71.03ms\n     \
                    75%   90.00ms\n     99%  205.11ms\n  132501 requests in 10.04s, 92.71MB read\n  Socket errors: \
                    connect 0, read 1, write 0, timeout 2\n  Non-2xx or 3xx responses: 4\nRequests/sec:  13197.31\n";
        let load = parse(text).unwrap();
        assert!((load.requests_per_second - 13_197.31).abs() < 0.01);
        assert_eq!((load.median.as_str(), load.ninety_ninth.as_str()), ("71.03ms", "205.11ms"));
        assert_eq!(load.failures, 7);
    }

    #[test]
    fn a_run_without_an_answer_is_no_measurement() {
        assert!(parse("  50% 0us\n  99% 0us\nRequests/sec:      0.00\n").is_err());
    }
}
