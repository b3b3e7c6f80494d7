//! The history database through the `PostgreSQL` binding.

use std::collections::HashMap;
use std::sync::Arc;

use dapr::dapr::proto::runtime::v1::{InvokeBindingRequest, InvokeBindingResponse};
use serde_json::json;
use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Outcome, trials};
use tonic::Status;

use super::contract::Contract;
use super::sidecar::{Client, DEADLINE, call, client};

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        exec_reports_an_error_with_its_sqlstate,
        query_answers_an_empty_list_when_the_statement_fails_while_it_runs,
        rows_come_exact_as_one_json_text,
        numbers_survive_as_text_parameters_and_not_as_json_numbers,
        a_batch_written_twice_is_there_once_and_the_new_rows_are_counted,
        several_statements_without_parameters_are_one_transaction,
        refused_statements_do_not_close_the_database,
        a_circuit_breaker_would_take_refused_statements_for_an_outage,
    ]
}

struct Database {
    client: Client,
}

impl Database {
    async fn open(contract: &Contract) -> Outcome<Self> {
        Ok(Self { client: contract.client().await? })
    }

    async fn exec(&self, sql: &str, parameters: &serde_json::Value) -> Result<InvokeBindingResponse, Status> {
        self.invoke("exec", sql, parameters).await
    }

    async fn query(&self, sql: &str, parameters: &serde_json::Value) -> Result<String, Status> {
        let answer = self.invoke("query", sql, parameters).await?;
        Ok(String::from_utf8_lossy(&answer.data).into_owned())
    }

    /// One JSON text, read as the application reads rows.
    async fn rows(&self, sql: &str, parameters: &serde_json::Value) -> Outcome<String> {
        let sql = format!("SELECT coalesce(json_agg(t), '[]')::text FROM ({sql}) AS t");
        let table: Vec<Vec<String>> = serde_json::from_str(&self.query(&sql, parameters).await?)?;
        Ok(table.into_iter().flatten().collect())
    }

    async fn invoke(
        &self,
        operation: &str,
        sql: &str,
        parameters: &serde_json::Value,
    ) -> Result<InvokeBindingResponse, Status> {
        let mut metadata = HashMap::from([("sql".to_owned(), sql.to_owned())]);
        if parameters.as_array().is_some_and(|list| !list.is_empty()) {
            metadata.insert("params".to_owned(), parameters.to_string());
        }
        let request = InvokeBindingRequest {
            name: "historydb".to_owned(),
            operation: operation.to_owned(),
            metadata,
            data: Vec::new(),
        };
        Ok(self.client.clone().invoke_binding(call(request, DEADLINE)).await?.into_inner())
    }
}

fn message<T>(result: Result<T, Status>) -> String {
    result.err().map(|status| status.message().to_owned()).unwrap_or_default()
}

async fn exec_reports_an_error_with_its_sqlstate(contract: Arc<Contract>) -> Outcome {
    let database = Database::open(&contract).await?;
    database.exec("CREATE TABLE reported (id int PRIMARY KEY)", &json!([])).await?;
    database.exec("INSERT INTO reported VALUES ($1::int)", &json!(["1"])).await?;
    let duplicate = message(database.exec("INSERT INTO reported VALUES ($1::int)", &json!(["1"])).await);
    assert!(duplicate.contains("SQLSTATE 23505"), "{duplicate}");
    let division = message(database.exec("SELECT 1 / $1::int", &json!(["0"])).await);
    assert!(division.contains("SQLSTATE 22012"), "{division}");
    let unknown = message(database.exec("INSERT INTO missing VALUES (1)", &json!([])).await);
    assert!(unknown.contains("SQLSTATE 42P01"), "{unknown}");
    Ok(())
}

/// Why nothing is written by `query`, and why no row at all is a failure of a read.
async fn query_answers_an_empty_list_when_the_statement_fails_while_it_runs(
    contract: Arc<Contract>,
) -> Outcome {
    let database = Database::open(&contract).await?;
    database.exec("CREATE TABLE swallowed (id int PRIMARY KEY)", &json!([])).await?;
    let insert = "INSERT INTO swallowed VALUES ($1::int) RETURNING id";
    assert_eq!(database.query(insert, &json!(["1"])).await?, "[[1]]");
    assert_eq!(database.query(insert, &json!(["1"])).await?, "[]", "a duplicate key");
    assert_eq!(database.query("SELECT 1 / $1::int", &json!(["0"])).await?, "[]", "a division by zero");
    Ok(())
}

async fn rows_come_exact_as_one_json_text(contract: Arc<Contract>) -> Outcome {
    let database = Database::open(&contract).await?;
    let sql =
        "SELECT i, i * 4503599627370497 AS large, 'é\"' AS text FROM generate_series(1, 2) i ORDER BY i";
    let rows = database.rows(sql, &json!([])).await?;
    let expected = "[{\"i\":1,\"large\":4503599627370497,\"text\":\"é\\\"\"}, \n \
                    {\"i\":2,\"large\":9007199254740994,\"text\":\"é\\\"\"}]";
    assert_eq!(rows, expected);
    assert_eq!(database.rows("SELECT 1 WHERE false", &json!([])).await?, "[]");
    Ok(())
}

async fn numbers_survive_as_text_parameters_and_not_as_json_numbers(contract: Arc<Contract>) -> Outcome {
    let database = Database::open(&contract).await?;
    let sql = "SELECT $1::bigint AS number";
    let as_text = database.rows(sql, &json!(["9007199254740995"])).await?;
    assert_eq!(as_text, "[{\"number\":9007199254740995}]");
    let as_number = database.rows(sql, &json!([9_007_199_254_740_995_u64])).await?;
    assert_eq!(as_number, "[{\"number\":9007199254740996}]", "rounded on the way");
    Ok(())
}

async fn a_batch_written_twice_is_there_once_and_the_new_rows_are_counted(
    contract: Arc<Contract>,
) -> Outcome {
    let database = Database::open(&contract).await?;
    database.exec("CREATE TABLE idempotent (id text PRIMARY KEY, seq bigint)", &json!([])).await?;
    let write = async |rows: serde_json::Value| {
        let sql = "INSERT INTO idempotent (id, seq) \
                   SELECT id, seq FROM jsonb_to_recordset($1::jsonb) AS x(id text, seq bigint) \
                   ON CONFLICT DO NOTHING";
        let answer = database.exec(sql, &json!([rows.to_string()])).await?;
        Ok::<_, Status>(answer.metadata.get("rows-affected").cloned().unwrap_or_default())
    };
    let batch = json!([{"id": "a", "seq": "9007199254740993"}, {"id": "b", "seq": "2"}]);
    assert_eq!(write(batch.clone()).await?, "2");
    assert_eq!(write(batch).await?, "0");
    assert_eq!(write(json!([{"id": "b", "seq": "3"}, {"id": "c", "seq": "3"}])).await?, "1");
    let rows = database.rows("SELECT * FROM idempotent ORDER BY id", &json!([])).await?;
    let rows: serde_json::Value = serde_json::from_str(&rows)?;
    let expected = json!([
        {"id": "a", "seq": 9_007_199_254_740_993_u64}, {"id": "b", "seq": 2}, {"id": "c", "seq": 3}
    ]);
    assert_eq!(rows, expected);
    Ok(())
}

async fn several_statements_without_parameters_are_one_transaction(contract: Arc<Contract>) -> Outcome {
    let database = Database::open(&contract).await?;
    let failed = database.exec("CREATE TABLE half_made (id int); SELECT 1 / 0", &json!([])).await;
    assert!(message(failed).contains("SQLSTATE 22012"));
    let made = database.rows("SELECT to_regclass('half_made') AS made", &json!([])).await?;
    assert_eq!(made, "[{\"made\":null}]", "the first statement was undone");
    database.exec("CREATE TABLE whole (id int); INSERT INTO whole VALUES (1)", &json!([])).await?;
    assert_eq!(database.rows("SELECT id FROM whole", &json!([])).await?, "[{\"id\":1}]");
    let with_parameters = database.exec("SELECT $1::int; SELECT 1", &json!(["1"])).await;
    assert!(message(with_parameters).contains("SQLSTATE 42601"));
    Ok(())
}

async fn refused_statements_do_not_close_the_database(contract: Arc<Contract>) -> Outcome {
    let database = Database::open(&contract).await?;
    for _ in 0..20 {
        assert!(message(database.exec("SELECT 1 / 0", &json!([])).await).contains("SQLSTATE 22012"));
    }
    assert_eq!(database.query("SELECT 1", &json!([])).await?, "[[1]]");
    Ok(())
}

/// Why `dapr/resiliency.yaml` gives the database none.
async fn a_circuit_breaker_would_take_refused_statements_for_an_outage(contract: Arc<Contract>) -> Outcome {
    let (sidecar, _calm) = contract.guarded().await?;
    let database = Database { client: client(sidecar)? };
    for _ in 0..5 {
        assert!(message(database.exec("SELECT 1 / 0", &json!([])).await).contains("SQLSTATE 22012"));
    }
    let closed = message(database.query("SELECT 1", &json!([])).await);
    assert!(closed.contains("circuit breaker is open"), "{closed}");
    Ok(())
}
