//! A whole stack: which parts there are, how they find each other, and in which order they stop.

mod attachment;
mod bare_sidecar;
mod layout;
mod options;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

pub use attachment::Attachment;
pub use bare_sidecar::{ProjectResources, Sidecar, SidecarOptions};
pub use options::{Infrastructure, StackOptions, Topology};

use crate::error::StackError;
use crate::install::{PartCache, Programs, install};
use crate::part::{Part, PartStatus};
use crate::parts::{kafka, postgres, redis};
use crate::ports::PortBook;
use crate::progress::Progress;
use crate::secrets::Secrets;
use crate::state_folder::StateFolder;
use crate::supervision::{Unit, UnitSpecification};

/// Longest wait for a whole stack; the single parts have their own limits below this.
const ALL_HEALTHY_WITHIN: Duration = Duration::from_mins(3);

/// A running stack. [`Stack::stop`] ends it in order. Without that, each process is asked to end when the
/// last handle to it is dropped, and killed when the runtime ends.
#[derive(Debug)]
pub struct Stack {
    options: StackOptions,
    programs: Programs,
    secrets: Secrets,
    ports: Mutex<PortBook>,
    /// Parts in the order in which they were added, each unit's together.
    parts: Mutex<Vec<Owned>>,
    addresses: Addresses,
    // Last, so that the lock is given up when everything else is gone.
    state: StateFolder,
}

/// A part and when it stops.
#[derive(Debug)]
struct Owned {
    part: Part,
    stop_order: u8,
}

/// Where the infrastructure and the public interface listen.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    public: Option<SocketAddr>,
    redis: Option<SocketAddr>,
    kafka: Option<SocketAddr>,
    kafka_controller: Option<SocketAddr>,
    postgres: Option<SocketAddr>,
}

impl Addresses {
    fn take(options: &StackOptions, ports: &mut PortBook) -> Result<Self, StackError> {
        let mut take = |part: Infrastructure, usage: &str, usual: u16| {
            options.infrastructure.contains(&part).then(|| ports.take(usage, usual)).transpose()
        };
        let redis = take(Infrastructure::Redis, redis::NAME, redis::USUAL_PORT)?;
        let kafka = take(Infrastructure::Kafka, kafka::NAME, kafka::USUAL_PORT)?;
        let kafka_controller = take(Infrastructure::Kafka, "kafka-controller", kafka::USUAL_CONTROLLER_PORT)?;
        let postgres = take(Infrastructure::Postgres, postgres::NAME, postgres::USUAL_PORT)?;
        let public = options.application.is_some().then(|| ports.public()).transpose()?;
        Ok(Self { public, redis, kafka, kafka_controller, postgres })
    }
}

impl Stack {
    /// Installs what is missing, starts every part and waits until all are healthy.
    ///
    /// # Errors
    /// Whatever kept a part from becoming healthy, with the end of its log; everything is stopped again.
    pub async fn start(options: StackOptions, progress: Progress) -> Result<Self, StackError> {
        let stack = Self::launch(options, &progress).await?;
        match stack.wait_healthy().await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    /// Like [`Stack::start`], but returns as soon as all parts are supervised.
    pub async fn launch(options: StackOptions, progress: &Progress) -> Result<Self, StackError> {
        let cache = PartCache::new(&options.cache);
        let programs = install(&options.installables(), &cache, progress).await?;
        let state = StateFolder::open(&options.state, progress).await?;
        if options.fresh {
            state.clear()?;
        }
        let secrets = Secrets::open(&state.file("secrets.json"))?;
        secrets.write_secret_store(state.file("secret-store.json"))?;
        let mut ports = PortBook::open(options.ports, state.file("ports.json"));
        let addresses = Addresses::take(&options, &mut ports)?;
        let stack = Self {
            options,
            programs,
            secrets,
            ports: Mutex::new(ports),
            parts: Mutex::default(),
            addresses,
            state,
        };
        stack.start_infrastructure()?;
        stack.start_application()?;
        Ok(stack)
    }

    fn start_infrastructure(&self) -> Result<(), StackError> {
        let Self { programs, secrets, state, addresses, .. } = self;
        if let Some(address) = addresses.redis {
            self.supervise(redis::unit(&programs.redis, state, address, &secrets.redis_password)?);
        }
        if let (Some(address), Some(controller)) = (addresses.kafka, addresses.kafka_controller) {
            self.supervise(kafka::unit(&programs.kafka, state, address, controller)?);
        }
        if let Some(address) = addresses.postgres {
            self.supervise(postgres::unit(&programs.postgres, state, address, &secrets.postgres_password)?);
        }
        Ok(())
    }

    /// Takes a port for `usage`, at its `usual` place where the plan has one.
    fn take_port(&self, usage: &str, usual: u16) -> Result<SocketAddr, StackError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).take(usage, usual)
    }

    fn supervise(&self, specification: UnitSpecification) -> Vec<Part> {
        let stop_order = specification.stop_order;
        let parts = Unit::supervise(specification);
        let mut all = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(parts.iter().map(|part| Owned { part: part.clone(), stop_order }));
        parts
    }

    /// Waits until every part is healthy.
    ///
    /// # Errors
    /// The first part found that is not, with the end of its log.
    pub async fn wait_healthy(&self) -> Result<(), StackError> {
        let waits =
            self.parts().into_iter().map(|part| async move { part.wait_healthy(ALL_HEALTHY_WITHIN).await });
        futures_util::future::try_join_all(waits).await.map(drop)
    }

    /// Stops everything in order: the edge, applications, each application's sidecar, then what they use.
    /// The stack has no parts after that.
    pub async fn stop(&self) {
        let mut owned = std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner));
        owned.sort_by_key(|owned| owned.stop_order);
        for group in owned.chunk_by(|one, other| one.stop_order == other.stop_order) {
            // Asking any member stops its unit; asking the others then finds nothing left to do.
            join_all(group.iter().map(|owned| owned.part.stop())).await;
        }
    }

    /// Restarts the application and the edge, and leaves the infrastructure alone.
    pub async fn restart_application(&self) -> Result<(), StackError> {
        let first_of_each_unit: Vec<Part> = {
            let all = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter()
                .filter(|owned| {
                    owned.part.member == 0 && owned.stop_order <= crate::parts::stop_order::APPLICATION
                })
                .map(|owned| owned.part.clone())
                .collect()
        };
        futures_util::future::try_join_all(first_of_each_unit.iter().map(Part::restart)).await?;
        Ok(())
    }

    /// All parts, in the order in which they were added.
    pub fn parts(&self) -> Vec<Part> {
        let all = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|owned| owned.part.clone()).collect()
    }

    /// The part named `name`: `redis`, `kafka`, `postgres`, `edge`; in the single topology `tidemark` and
    /// `tidemark-sidecar`; in the split one each role, as `tasks` and `tasks-sidecar`, and replicas of tasks
    /// as `tasks-2` and `tasks-2-sidecar`.
    pub fn part(&self, name: &str) -> Result<Part, StackError> {
        let parts = self.parts();
        if let Some(part) = parts.iter().find(|part| part.name() == name) {
            return Ok(part.clone());
        }
        let known: Vec<String> = parts.iter().map(Part::name).collect();
        Err(StackError::UnknownPart { name: name.to_owned(), known: known.join(", ") })
    }

    /// What is known about every part.
    pub fn status(&self) -> Vec<PartStatus> {
        self.parts().iter().map(Part::status).collect()
    }

    /// Where the public interface is, as in `http://localhost:3001`.
    ///
    /// # Panics
    /// In a stack without application.
    pub fn base_url(&self) -> String {
        let public = self.addresses.public.expect("this stack was started without the application");
        format!("http://localhost:{}", public.port())
    }

    /// The passwords, tokens and keys of this stack.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Redis's address, for a test that looks behind Dapr.
    pub fn redis_address(&self) -> Option<SocketAddr> {
        self.addresses.redis
    }

    /// Kafka's address, for a test that looks behind Dapr.
    pub fn kafka_address(&self) -> Option<SocketAddr> {
        self.addresses.kafka
    }

    /// The history database as a URL, for a test that looks behind Dapr.
    pub fn postgres_url(&self) -> Option<String> {
        let address = self.addresses.postgres?;
        let (role, database) = (postgres::ROLE, postgres::DATABASE);
        Some(format!("postgres://{role}:{}@{address}/{database}", self.secrets.postgres_password))
    }

    /// What the sidecars' components read from the environment.
    fn component_environment(&self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::from([
            ("SECRETS_FILE".to_owned(), self.state.file("secret-store.json").display().to_string()),
            ("NAME_RESOLUTION_FILE".to_owned(), self.state.file("names.db").display().to_string()),
            ("DAPR_API_TOKEN".to_owned(), self.secrets.dapr_api_token.clone()),
            ("APP_API_TOKEN".to_owned(), self.secrets.app_api_token.clone()),
        ]);
        if let Some(redis) = self.addresses.redis {
            environment.insert("REDIS_ADDRESS".to_owned(), redis.to_string());
        }
        if let Some(kafka) = self.addresses.kafka {
            environment.insert("KAFKA_BROKERS".to_owned(), kafka.to_string());
        }
        if let Some(postgres) = self.addresses.postgres {
            environment.insert("POSTGRES_HOST".to_owned(), postgres.ip().to_string());
            environment.insert("POSTGRES_PORT".to_owned(), postgres.port().to_string());
        }
        environment
    }

    /// The parts that a sidecar's components connect to.
    fn infrastructure(&self) -> Vec<Part> {
        let all = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|owned| owned.stop_order == crate::parts::stop_order::INFRASTRUCTURE)
            .map(|owned| owned.part.clone())
            .collect()
    }
}
