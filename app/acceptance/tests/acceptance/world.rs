//! What all trials of one topology share: the stack, somebody who is logged in, and an observer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidemark_acceptance::{Outcome, eventually, http};
use tidemark_domain::UserId;
use tidemark_stack::{Part, Phase, Stack, StackOptions, Topology as StackTopology};

use super::api::Api;
use super::observer::Observer;
use super::run::{Settings, Topology};
use super::tokens::Mint;

/// Within this, an event must be in the log: far more than it takes, for machines that do other things too.
pub const SOON: Duration = Duration::from_secs(20);

/// Within this, whatever was broken must work again.
pub const RECOVERY: Duration = Duration::from_mins(1);

const TASKS_REPLICAS: u16 = 2;

pub struct World {
    pub topology: Topology,
    pub settings: Settings,
    pub stack: Arc<Stack>,
    pub observer: Observer,
    pub mint: Mint,
    /// Somebody who registered and logged in.
    pub member: Member,
    anonymous: Api,
    /// Where the roles of a system that somebody else runs are.
    roles: Option<BTreeMap<String, Vec<SocketAddr>>>,
}

/// A person with an account.
pub struct Member {
    pub id: String,
    pub username: String,
    pub password: String,
    pub api: Api,
}

impl World {
    /// The stack for a topology, but for the application's program.
    pub fn options(topology: Topology) -> StackOptions {
        let mut options = StackOptions::for_test(&format!("acceptance-{}", topology.name()));
        options.topology = match topology {
            Topology::Single => StackTopology::Single,
            Topology::Split => StackTopology::Split { tasks_replicas: TASKS_REPLICAS },
        };
        // Hashing at full strength would be most of what the suite waits for.
        options.environment = BTreeMap::from([
            ("ARGON2_MEMORY_KIBIBYTES".to_owned(), "1024".to_owned()),
            ("ARGON2_PASSES".to_owned(), "1".to_owned()),
        ]);
        options
    }

    /// The world on a stack that is healthy.
    pub async fn on(
        stack: Arc<Stack>,
        topology: Topology,
        settings: Settings,
        roles: Option<BTreeMap<String, Vec<SocketAddr>>>,
    ) -> Outcome<Self> {
        let anonymous = Api::new(http::client(), stack.base_url(), None);
        let (observer, member) = tokio::try_join!(Observer::start(&stack), Member::register(&anonymous))?;
        let mint = Mint::new(&stack.secrets().jwt_signing_key, member.api.token())?;
        Ok(Self { topology, settings, stack, observer, mint, member, anonymous, roles })
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> &Api {
        &self.anonymous
    }

    /// Somebody on the board that everybody shares.
    pub fn member(&self) -> &Api {
        &self.member.api
    }

    /// Somebody new on the shared board, who has never logged in.
    pub fn stranger(&self) -> Outcome<Api> {
        self.somebody("default")
    }

    /// Somebody in a workspace of their own: lists hold what the trial made, and nothing else.
    pub fn elsewhere(&self) -> Outcome<Api> {
        self.somebody(&unique("workspace"))
    }

    /// Somebody in that workspace.
    pub fn somebody(&self, workspace: &str) -> Outcome<Api> {
        let id = UserId::new(0, rand::random()).to_string();
        let changes =
            json!({ "sub": id, "userId": id, "username": unique("somebody"), "workspace": workspace });
        Ok(self.anonymous.with_token(self.mint.token(&changes)?))
    }

    /// The processes that serve a role: one in the single topology, in the split one each replica.
    pub fn processes(&self, role: &str) -> Outcome<Vec<Part>> {
        match (self.topology, role) {
            (Topology::Single, _) => Ok(vec![self.stack.part("tidemark")?]),
            (Topology::Split, "tasks") => Ok(vec![self.stack.part("tasks")?, self.stack.part("tasks-2")?]),
            (Topology::Split, role) => Ok(vec![self.stack.part(role)?]),
        }
    }

    /// Where the processes of a role listen, past the edge.
    pub fn addresses(&self, role: &str) -> Outcome<Vec<SocketAddr>> {
        if let Some(roles) = &self.roles {
            return Ok(roles.get(role).cloned().unwrap_or_default());
        }
        Ok(self.processes(role)?.iter().filter_map(Part::address).collect())
    }

    /// Waits until every part is healthy, and the application says so of itself.
    pub async fn wait_healthy(&self) -> Outcome {
        self.stack.wait_healthy().await?;
        eventually("everything healthy", RECOVERY, async || {
            let answer = self.anonymous.get("/api/health").await.map_err(|failure| failure.to_string())?;
            let is_healthy = answer.status.is_success() && answer.json()["status"] == json!("healthy");
            if is_healthy { Ok(()) } else { Err(answer.text()) }
        })
        .await
    }

    /// Brings back whatever does not run as it should.
    pub async fn mend(&self) -> Outcome {
        let broken: Vec<Part> =
            self.stack.parts().into_iter().filter(|part| part.status().phase != Phase::Healthy).collect();
        if broken.is_empty() {
            return Ok(());
        }
        for part in broken {
            if part.status().phase == Phase::Paused {
                part.resume().await?;
            }
            part.set_auto_restart(true).await?;
            part.start().await?;
        }
        self.wait_healthy().await
    }

    /// The log of a group, oldest first.
    pub async fn log_of_group(&self, api: &Api, group: &str) -> Outcome<Vec<Value>> {
        oldest_first(api, &format!("/api/logs/group/{group}?limit=1000")).await
    }

    /// The log of a task, oldest first.
    pub async fn log_of_task(&self, api: &Api, task: &str) -> Outcome<Vec<Value>> {
        oldest_first(api, &format!("/api/logs/task/{task}?limit=1000")).await
    }
}

impl Member {
    pub async fn register(anonymous: &Api) -> Outcome<Self> {
        let (username, password) = (unique("Ada"), "correct horse 1".to_owned());
        let credentials = json!({ "username": username, "password": password });
        let id = anonymous.post("/api/auth/register", &credentials).await?.expect(201).id("user");
        let session = anonymous.post("/api/auth/login", &credentials).await?.expect(200).json();
        let token = session["token"].as_str().unwrap_or_default();
        Ok(Self { id, username, password, api: anonymous.with_token(token) })
    }
}

async fn oldest_first(api: &Api, path: &str) -> Outcome<Vec<Value>> {
    let mut rows = api.all(path, "logs").await?;
    rows.reverse();
    Ok(rows)
}

/// A name that nobody else has.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:012x}", rand::random::<u64>() >> 16)
}

/// What the rows of a log say.
pub fn sentences(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["changes"].as_str()).collect()
}
