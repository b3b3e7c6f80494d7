//! Calling what the stack offers over HTTP.

use std::time::Duration;

/// A client that gives up: nothing on this machine takes longer than this to answer.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(15))
        .build()
        .expect("a client without TLS has nothing that could fail")
}
