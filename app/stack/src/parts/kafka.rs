//! Kafka, one broker without `ZooKeeper`, and its topics.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use nix::sys::signal::Signal;

use super::stop_order;
use crate::error::StackError;
use crate::probe::Probe;
use crate::process::Launch;
use crate::state_folder::StateFolder;
use crate::supervision::{Hook, MemberSpecification, RestartPolicy, UnitSpecification};

pub(crate) const NAME: &str = "kafka";
pub(crate) const USUAL_PORT: u16 = 19_092;
pub(crate) const USUAL_CONTROLLER_PORT: u16 = 19_093;

/// The ledger and its projections; each has a dead-letter topic beside it.
const TOPICS: [&str; 8] = [
    "todo-history-events",
    "task.created",
    "task.updated",
    "task.deleted",
    "task.status-changed",
    "task.commented",
    "group.changed",
    "user.registered",
];
const PARTITIONS: u16 = 6;
const DAY_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;
const RETENTION_DAYS: u64 = 7;
/// Dead letters are few and wait for a person.
const DEAD_LETTER_PARTITIONS: u16 = 1;
const DEAD_LETTER_RETENTION_DAYS: u64 = 30;

/// The application publishes to it to see that the broker takes events; nobody listens.
const PROBE_TOPIC: &str = "tidemark.health";

/// Topic tools at once: each is a Java program of its own.
const TOOLS_AT_ONCE: usize = 2;

/// Names the topics that exist, so that a warm start needs no tool.
const TOPICS_MADE: &str = "tidemark-topics";

const LOGGING: &str = include_str!("kafka/log4j2.xml");

/// Where Kafka's programs are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    pub(crate) java: PathBuf,
    /// The folder with Kafka's jars.
    pub(crate) libraries: PathBuf,
}

impl Programs {
    /// Where this Java's archive of the topic tool's classes is, or would be.
    fn archive(&self) -> Option<PathBuf> {
        let java = self.java.canonicalize().ok()?;
        let built = fs::metadata(&java).ok()?.mtime();
        let name = java.to_string_lossy().trim_start_matches('/').replace('/', "-");
        Some(self.libraries.parent()?.join(format!("topic-tool-{name}-{built}.jsa")))
    }

    /// A program from Kafka's jars.
    fn program(&self, directory: &Path, options: &[&str], logging: &Path, class: &str) -> Launch {
        Launch::new(&self.java, directory)
            .arguments(options)
            .argument(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .argument("-cp")
            .argument(self.libraries.join("*"))
            .argument(class)
    }
}

pub(crate) fn unit(
    programs: &Programs,
    state: &StateFolder,
    address: SocketAddr,
    controller: SocketAddr,
) -> Result<UnitSpecification, StackError> {
    let data = state.data(NAME, None)?;
    let folder = state.configuration(NAME)?;
    let properties = folder.join("server.properties");
    let text = server_properties(&data, address, controller);
    fs::write(&properties, text).map_err(StackError::file("write", &properties))?;
    let logging = folder.join("log4j2.xml");
    fs::write(&logging, LOGGING).map_err(StackError::file("write", &logging))?;

    let launch = programs
        .program(&data, &["-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError"], &logging, "kafka.Kafka")
        .argument(&properties);
    let broker = Broker { programs: programs.clone(), data, properties, logging, address };
    let preparing = broker.clone();
    Ok(UnitSpecification {
        members: vec![MemberSpecification {
            name: NAME.to_owned(),
            launch,
            probe: Probe::Kafka { address },
            address: Some(address),
            stop_signal: Signal::SIGTERM,
            stop_grace: Duration::from_secs(20),
            start_deadline: Duration::from_mins(2),
            log: state.log(NAME),
        }],
        prepare: Some(Hook::new(move || preparing.clone().format())),
        complete: Some(Hook::new(move || broker.clone().make_topics())),
        dependencies: Vec::new(),
        stop_order: stop_order::INFRASTRUCTURE,
        policy: RestartPolicy::default(),
        auto_restart: true,
        run_folder: state.run(),
    })
}

/// One broker has nobody to keep in step with, so everything is kept once and nothing waits for others. After
/// a kill the broker is let back in when the session of its former self has expired: soon.
fn server_properties(data: &Path, address: SocketAddr, controller: SocketAddr) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={logs}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=3\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.heartbeat.interval.ms=500\n\
         broker.session.timeout.ms=2000\n",
        logs = data.join("log").display(),
    )
}

/// A topic to make.
#[derive(Debug, Clone)]
struct Topic {
    name: String,
    partitions: u16,
    retention_days: u64,
}

impl Topic {
    fn events(name: &str) -> Self {
        Self { name: name.to_owned(), partitions: PARTITIONS, retention_days: RETENTION_DAYS }
    }

    fn dead_letters(of: &str) -> Self {
        Self {
            name: format!("{of}.dlq"),
            partitions: DEAD_LETTER_PARTITIONS,
            retention_days: DEAD_LETTER_RETENTION_DAYS,
        }
    }

    fn probe() -> Self {
        Self { name: PROBE_TOPIC.to_owned(), partitions: 1, retention_days: 1 }
    }
}

fn all_topics() -> impl Iterator<Item = Topic> {
    TOPICS
        .into_iter()
        .flat_map(|name| [Topic::events(name), Topic::dead_letters(name)])
        .chain([Topic::probe()])
}

/// What is done to the broker beside running it.
#[derive(Debug, Clone)]
struct Broker {
    programs: Programs,
    data: PathBuf,
    properties: PathBuf,
    logging: PathBuf,
    address: SocketAddr,
}

impl Broker {
    /// Gives a new data folder its cluster id.
    async fn format(self) -> Result<(), StackError> {
        if self.data.join("log").join("meta.properties").exists() {
            return Ok(());
        }
        let mut id = rand::random::<[u8; 16]>();
        // An id that begins with a dash would be taken for an option.
        id[0] &= 0x7F;
        self.tool("kafka.tools.StorageTool")
            .arguments(["format", "--cluster-id", &BASE64URL_NOPAD.encode(&id), "--config"])
            .argument(&self.properties)
            .run()
            .await?;
        Ok(())
    }

    /// Makes the topics that are not there yet.
    async fn make_topics(self) -> Result<(), StackError> {
        let note = self.data.join(TOPICS_MADE);
        let made = fs::read_to_string(&note).unwrap_or_default();
        let missing: Vec<Topic> =
            all_topics().filter(|topic| !made.lines().any(|line| line == topic.name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.make_archive().await;
        stream::iter(missing.clone())
            .map(|topic| self.make_topic(topic))
            .buffer_unordered(TOOLS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let names: Vec<&str> = made.lines().chain(missing.iter().map(|topic| topic.name.as_str())).collect();
        fs::write(&note, names.join("\n")).map_err(StackError::file("write", &note))
    }

    async fn make_topic(&self, topic: Topic) -> Result<(), StackError> {
        self.tool("org.apache.kafka.tools.TopicCommand")
            .arguments(["--create", "--if-not-exists", "--topic", &topic.name])
            .arguments(["--partitions", &topic.partitions.to_string()])
            .arguments(["--config", &format!("retention.ms={}", topic.retention_days * DAY_MILLISECONDS)])
            .arguments(["--bootstrap-server", &self.address.to_string()])
            .run()
            .await?;
        Ok(())
    }

    /// Keeps the classes of the topic tool in the form in which this Java has loaded them: with that, making
    /// a topic takes half the time. An archive of another Java is ignored by it, so each has its own.
    async fn make_archive(&self) {
        let Some(archive) = self.programs.archive() else { return };
        if archive.exists() {
            return;
        }
        let unfinished = archive.with_extension(format!("{}.new", std::process::id()));
        let option = format!("-XX:ArchiveClassesAtExit={}", unfinished.display());
        let list = self
            .tool_with("org.apache.kafka.tools.TopicCommand", &[&option])
            .arguments(["--list", "--bootstrap-server", &self.address.to_string()])
            .run()
            .await;
        // Without an archive the tool is only slower.
        if list.is_ok() {
            let _ = fs::rename(&unfinished, &archive);
        }
    }

    fn tool(&self, class: &str) -> Launch {
        match self.programs.archive().filter(|archive| archive.exists()) {
            Some(archive) => {
                self.tool_with(class, &[&format!("-XX:SharedArchiveFile={}", archive.display())])
            }
            None => self.tool_with(class, &[]),
        }
    }

    fn tool_with(&self, class: &str, option: &[&str]) -> Launch {
        // Short-lived: what helps a server only costs here.
        let options = [
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xlog:cds=off",
            "-Xlog:cds+dynamic=off",
        ];
        self.programs.program(&self.data, &[&options, option].concat(), &self.logging, class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_get_the_same_topics() {
        let mut here: Vec<String> = all_topics()
            .map(|Topic { name, partitions, retention_days }| format!("{name} {partitions} {retention_days}"))
            .collect();
        let there = include_str!("../../../../deploy/kafka/topics");
        let mut there: Vec<&str> = there.lines().filter(|line| !line.starts_with('#')).collect();
        here.sort_unstable();
        there.sort_unstable();
        assert_eq!(here, there);
    }
}
