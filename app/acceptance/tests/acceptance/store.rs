//! A look into Redis, past everything: whether something is really gone.

use tidemark_acceptance::{Failure, Outcome};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::world::World;

/// Runs a script that counts something, with one argument.
pub async fn count(world: &World, script: &str, argument: &str) -> Outcome<u64> {
    let address = world.stack.part("redis")?.address().ok_or_else(|| Failure::new("no address"))?;
    let mut ask = Vec::new();
    for words in [vec!["AUTH", &world.stack.secrets().redis_password], vec!["EVAL", script, "0", argument]] {
        ask.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            ask.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
    }
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(&ask).await?;
    let mut answers = BufReader::new(connection).lines();
    assert_eq!(answers.next_line().await?.as_deref(), Some("+OK"));
    let answer = answers.next_line().await?.unwrap_or_default();
    let counted = answer.strip_prefix(':').and_then(|count| count.parse().ok());
    counted.ok_or_else(|| Failure::new(answer))
}
