//! The history database through the sidecar's PostgreSQL binding.
//!
//! The binding's `query` answers an empty list when the statement fails, and its numbers lose precision.
//! So statements run by `exec`, which reports errors; rows are read as one JSON text, for which "no row" is
//! an error too; parameters travel as text and are cast in SQL. Statements are sent in one line: the sidecar
//! repeats them in a header of its gRPC answer, where a line break makes the whole call fail.

use std::{collections::HashMap, time::Duration};

use dapr::dapr::proto::runtime::v1::InvokeBindingRequest;
use serde::de::DeserializeOwned;

use super::sidecar::{Client, Sidecar, SidecarError};

/// A statement that did not run, or rows that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error("the query gave no row: the statement failed behind the binding")]
    NoRow,
    #[error("the rows are not what the query promises")]
    Rows(#[source] serde_json::Error),
}

impl DatabaseError {
    /// Whether the same statement may succeed after a pause. What fails for its data or its form never will.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Sidecar(_) => !self.is_data_fault(),
            // The binding does not say why.
            Self::NoRow => true,
            Self::Rows(_) => false,
        }
    }

    /// Whether the data itself is at fault (SQLSTATE class 22): repeating the statement cannot help.
    pub fn is_data_fault(&self) -> bool {
        matches!(self, Self::Sidecar(fault) if fault.status.message().contains("SQLSTATE 22"))
    }
}

/// The PostgreSQL binding component.
#[derive(Clone)]
pub struct DatabaseBinding {
    sidecar: Sidecar,
    component: String,
    deadline: Duration,
}

impl DatabaseBinding {
    pub fn new(sidecar: Sidecar, component: String, deadline: Duration) -> Self {
        Self { sidecar, component, deadline }
    }

    /// The same database with another deadline: migrations may take longer than a request.
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Runs one statement with parameters, or several without.
    pub async fn execute(&self, sql: &str, parameters: &[&str]) -> Result<(), DatabaseError> {
        self.invoke("exec", sql, parameters).await?;
        Ok(())
    }

    /// Reads the rows of `sql` in order. Each row becomes a JSON object with the columns as members.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = format!("SELECT coalesce(json_agg(t), '[]')::text FROM ({sql}) AS t");
        let answer = self.invoke("query", &sql, parameters).await?;
        let table: Vec<Vec<String>> = serde_json::from_slice(&answer).map_err(DatabaseError::Rows)?;
        let text = table.into_iter().flatten().next().ok_or(DatabaseError::NoRow)?;
        serde_json::from_str(&text).map_err(DatabaseError::Rows)
    }

    async fn invoke(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<u8>, SidecarError> {
        let mut metadata = HashMap::from([("sql".to_owned(), one_line(sql))]);
        if !parameters.is_empty() {
            let parameters = serde_json::to_string(parameters).expect("a list of strings always makes JSON");
            metadata.insert("params".to_owned(), parameters);
        }
        let request = InvokeBindingRequest {
            name: self.component.clone(),
            operation: operation.to_owned(),
            metadata,
            data: Vec::new(),
        };
        let send = |mut client: Client, request| async move { client.invoke_binding(request).await };
        Ok(self.sidecar.call("invoke_binding", request, self.deadline, send).await?.data)
    }
}

/// Joins the lines of a statement and leaves out those that are comments.
fn one_line(sql: &str) -> String {
    let lines = sql.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"));
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_sent_in_one_line_without_its_comments() {
        assert_eq!(one_line("-- why\nSELECT 1,\n    -- and more\n    2;\n"), "SELECT 1, 2;");
    }
}
