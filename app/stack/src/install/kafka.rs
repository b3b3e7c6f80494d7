//! Kafka's jars, by Maven.

use std::fs;

use super::packages::{JAVA, MAVEN, find_program, install as install_packages};
use super::{KAFKA_VERSION, PartCache};
use crate::error::StackError;
use crate::install::cache::with_progress;
use crate::parts::kafka::Programs;
use crate::process::Launch;
use crate::progress::Progress;

const PROJECT: &str = include_str!("kafka/pom.xml");

pub(super) async fn install(cache: &PartCache, progress: &Progress) -> Result<Programs, StackError> {
    let present = cache.place("kafka", KAFKA_VERSION).exists();
    let mut missing = Vec::new();
    if JAVA.find().is_none() {
        missing.push(&JAVA);
    }
    if !present && MAVEN.find().is_none() {
        missing.push(&MAVEN);
    }
    if !missing.is_empty() {
        install_packages(&missing, progress).await?;
    }
    let java = find_program("java").ok_or_else(|| JAVA.missing())?;
    let libraries = cache
        .provide("kafka", KAFKA_VERSION, progress, |folder| async move {
            let what = format!("downloading Kafka {KAFKA_VERSION} (54 MB; under a minute on a usual line)");
            let project = folder.join("pom.xml");
            fs::write(&project, PROJECT.replace("{version}", KAFKA_VERSION))
                .map_err(StackError::file("write", &project))?;
            let download = Launch::new("mvn", &folder)
                .with_whole_environment()
                .arguments(["--batch-mode", "--quiet", "-Dstyle.color=never", "dependency:copy-dependencies"])
                .arguments(["-DincludeScope=runtime", "-DoutputDirectory=libs"]);
            with_progress(&what, progress, async { download.run().await.map(drop) }).await
        })
        .await?
        .join("libs");
    Ok(Programs { java, libraries })
}
