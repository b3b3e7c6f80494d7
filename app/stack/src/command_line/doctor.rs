//! Telling what this machine has and what is missing.

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

use nix::sys::statvfs::statvfs;

use super::control;
use super::request::Request;
use crate::folders::Folders;
use crate::install::{DAPR_VERSION, Examination, KAFKA_VERSION, PartCache, examine};
use crate::ports::is_free;

/// A laptop's share: five sidecars, Kafka, `PostgreSQL`, Redis and the application.
const MEMORY_MEGABYTES: u64 = 3_000;
/// Go's build cache for `daprd` and the data of a stack.
const DISK_MEGABYTES: u64 = 5_000;
const PUBLIC_PORT: u16 = 3001;

pub(super) async fn doctor(folders: &Folders) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    report.line(
        cfg!(target_os = "linux"),
        "Linux",
        "the stack reads /proc: run it on Linux, or in a Linux machine",
    );
    for Examination { title, found, remedy } in examine().await {
        match found {
            Some(found) => report.line(true, &format!("{title}: {found}"), ""),
            None => report.line(false, &title, &remedy),
        }
    }
    let cache = PartCache::new(&folders.cache());
    for (name, version, how) in [
        ("daprd", DAPR_VERSION, "is built at the first start"),
        ("kafka", KAFKA_VERSION, "is downloaded at the first start"),
    ] {
        let place = cache.place(name, version);
        let text = if place.exists() { place.display().to_string() } else { how.to_owned() };
        report.line(true, &format!("{name} {version}: {text}"), "");
    }
    if let Some(memory) = available_memory_megabytes() {
        report.line(
            memory >= MEMORY_MEGABYTES,
            &format!("{memory} MB of memory available"),
            &format!("the stack wants about {MEMORY_MEGABYTES} MB"),
        );
    }
    if let Some(disk) = free_disk_megabytes(folders) {
        report.line(
            disk >= DISK_MEGABYTES,
            &format!("{disk} MB free on disk"),
            &format!("the stack wants about {DISK_MEGABYTES} MB"),
        );
    }
    let state = folders.state();
    if control::ask_status(&state).await?.is_some() {
        let url = Request::read(&state).map(|request| request.url()).unwrap_or_default();
        report.line(true, &format!("the stack is running: {url}"), "");
    } else {
        let remedy = format!("port {PUBLIC_PORT} is taken: stop that program, or use make dev-up PORT=3005");
        report.line(is_free(PUBLIC_PORT), &format!("port {PUBLIC_PORT} is free"), &remedy);
    }
    println!("{}", report.text);
    if report.remedies.is_empty() {
        println!("All is well.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("To do:");
    for remedy in &report.remedies {
        println!("  - {remedy}");
    }
    Ok(ExitCode::FAILURE)
}

#[derive(Default)]
struct Report {
    text: String,
    remedies: BTreeSet<String>,
}

impl Report {
    fn line(&mut self, well: bool, what: &str, remedy: &str) {
        self.text.extend([if well { "ok    " } else { "to do " }, what, "\n"]);
        if !well {
            self.remedies.insert(remedy.to_owned());
        }
    }
}

fn available_memory_megabytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}

fn free_disk_megabytes(folders: &Folders) -> Option<u64> {
    let cache = folders.cache();
    let existing = cache.ancestors().find(|folder| folder.exists())?;
    let disk = statvfs(existing).ok()?;
    Some(disk.blocks_available() * disk.fragment_size() / (1024 * 1024))
}
