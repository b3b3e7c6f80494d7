//! Asking a part whether it works, in the part's own protocol, so that "healthy" means "answers" and not
//! "has opened a port".

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than this is no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// One way to ask.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// An HTTP GET answers with a success status.
    Http { url: String },
    /// Redis logs the password in and answers a ping (while it loads its file it answers an error).
    Redis { address: SocketAddr, password: String },
    /// The broker answers which protocol versions it speaks.
    Kafka { address: SocketAddr },
    /// The server is ready to check a password (while it recovers it answers an error).
    Postgres { address: SocketAddr, database: String, user: String },
}

impl Probe {
    /// # Errors
    /// Why the part is not healthy, in a few words.
    pub(crate) async fn check(&self) -> Result<(), String> {
        match timeout(ANSWER_WITHIN, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
        }
    }

    async fn ask(&self) -> Result<(), String> {
        match self {
            Self::Http { url } => ask_http(url).await,
            Self::Redis { address, password } => ask_redis(*address, password).await,
            Self::Kafka { address } => ask_kafka(*address).await,
            Self::Postgres { address, database, user } => ask_postgres(*address, database, user).await,
        }
    }
}

async fn ask_http(url: &str) -> Result<(), String> {
    // A proxy of the developer's is not asked for loopback, and a connection is not kept over a restart.
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client without TLS is built")
    });
    let response = CLIENT.get(url).send().await.map_err(|error| with_causes(&error))?;
    if response.status().is_success() {
        return Ok(());
    }
    let status = response.status();
    let body: String = response.text().await.unwrap_or_default().chars().take(200).collect();
    Err(format!("HTTP {status} {}", body.trim()))
}

async fn ask_redis(address: SocketAddr, password: &str) -> Result<(), String> {
    let mut stream = connect(address).await?;
    let request = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n*1\r\n$4\r\nPING\r\n", password.len());
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let expected = "+OK\r\n+PONG\r\n";
    let mut answer = vec![0; expected.len()];
    match stream.read_exact(&mut answer).await {
        Ok(_) if answer == expected.as_bytes() => Ok(()),
        Ok(_) => Err(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn ask_kafka(address: SocketAddr) -> Result<(), String> {
    /// Request `ApiVersions` (18), version 0, correlation 1, with no client name.
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF];
    let mut stream = connect(address).await?;
    stream.write_all(&REQUEST).await.map_err(|error| error.to_string())?;
    // Length and correlation, then the error code.
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
    match answer {
        [.., 0, 0] => Ok(()),
        [.., high, low] => Err(format!("error code {}", i16::from_be_bytes([high, low]))),
    }
}

async fn ask_postgres(address: SocketAddr, database: &str, user: &str) -> Result<(), String> {
    let mut stream = connect(address).await?;
    let mut body = 196_608_u32.to_be_bytes().to_vec(); // protocol 3.0
    for text in ["user", user, "database", database, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).map_err(|error| error.to_string())?;
    let message = [length.to_be_bytes().as_slice(), &body].concat();
    stream.write_all(&message).await.map_err(|error| error.to_string())?;
    // All of it: closing with something unread would be logged by the server as a fault.
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).await.map_err(|error| error.to_string())?;
    match answer.get(..read).unwrap_or_default() {
        // "Authenticate": the server is open for business.
        [b'R', ..] => Ok(()),
        [] => Err("the connection was closed".to_owned()),
        [_, error @ ..] => {
            let text = String::from_utf8_lossy(error.get(4..).unwrap_or_default()).replace('\0', " ");
            Err(text.trim().to_owned())
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| error.to_string())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => with_causes(cause),
        None => error.to_string(),
    }
}
