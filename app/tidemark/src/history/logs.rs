//! Log rows as clients see them, newest first, by pages.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidemark_api::{
    Refusal,
    history::{LogEntry, Logs},
};
use tidemark_domain::Workspace;

use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    operations::{Answer, paging, refusals},
};

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub limit: Option<u64>,
    pub cursor: Option<&'a str>,
}

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1000;

/// The time and number of the last entry seen. The end of time comes before all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LastEntry(String, i64);

impl Default for LastEntry {
    fn default() -> Self {
        Self(END_OF_TIME.to_owned(), i64::MAX)
    }
}

/// As PostgreSQL writes it.
pub const END_OF_TIME: &str = "infinity";

/// Where a page starts: at a time that the database can read, whoever made the cursor.
fn start(cursor: Option<&str>) -> Result<LastEntry, Refusal> {
    let last: LastEntry = paging::position(cursor)?;
    if is_time(&last.0) { Ok(last) } else { Err(paging::refuse_cursor()) }
}

/// Whether the text is a time as the log shows it, or the end of all.
pub fn is_time(text: &str) -> bool {
    let is_ours = |at: Timestamp| at >= Timestamp::UNIX_EPOCH && format!("{at:.3}") == text;
    text == END_OF_TIME || text.parse().is_ok_and(is_ours)
}

/// The rows of a workspace in which `column` has `value`.
pub async fn newest_first(
    database: &DatabaseBinding,
    workspace: &Workspace,
    column: &'static str,
    value: &str,
    page: Page<'_>,
) -> Result<Answer<Logs>, Refusal> {
    let limit = paging::limit(page.limit, DEFAULT_LIMIT, LARGEST_LIMIT)?;
    let LastEntry(time, id) = start(page.cursor)?;
    let sql = format!(
        r#"SELECT id,
                  to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "timestamp",
                  event_type, entity, entity_id, group_id, group_name, task_id, task_name, changes, user_name,
                  action_id::text AS action_id
           FROM todo_event_logs
           WHERE {column} = $1 AND workspace = $2 AND ("timestamp", id) < ($3::text::timestamptz, $4::text::bigint)
           ORDER BY todo_event_logs."timestamp" DESC, id DESC
           LIMIT $5::text::bigint"#
    );
    // One more than asked for tells whether there are more.
    let (id, most) = (id.to_string(), (limit + 1).to_string());
    let rows = database.rows(&sql, &[value, workspace.as_str(), &time, &id, &most]).await;
    let mut logs: Vec<LogEntry> = rows.map_err(|fault| refuse(&fault))?;
    let more = logs.len() > limit;
    logs.truncate(limit);
    let last = logs.last().filter(|_| more);
    let next = last.map(|last| paging::cursor(&LastEntry(last.timestamp.0.clone(), last.id)));
    Ok(Logs { logs, next }.into())
}

/// The refusal behind a failed query.
pub fn refuse(fault: &DatabaseError) -> Refusal {
    if fault.may_pass() {
        return refusals::unavailable("the history is unavailable at the moment", fault);
    }
    refusals::internal(fault)
}

#[cfg(test)]
mod tests {
    use tidemark_api::Reason;
    use tonic::{Code, Status};

    use super::*;
    use crate::dapr::SidecarError;

    fn sidecar(code: Code, message: &str) -> DatabaseError {
        let status = Status::new(code, message);
        DatabaseError::Sidecar(SidecarError { operation: "invoke_binding", code, status })
    }

    #[test]
    fn only_what_may_pass_is_told_as_unavailable() {
        let no_json = serde_json::from_str::<()>("no JSON").unwrap_err();
        for (fault, reason) in [
            (sidecar(Code::Unavailable, "connection refused"), Reason::Unavailable),
            (sidecar(Code::Internal, "too many clients (SQLSTATE 53300)"), Reason::Unavailable),
            (DatabaseError::NoRow, Reason::Unavailable),
            (sidecar(Code::Internal, "out of range (SQLSTATE 22003)"), Reason::Internal),
            (DatabaseError::Rows(no_json), Reason::Internal),
        ] {
            assert_eq!(refuse(&fault).reason(), reason, "{fault}");
        }
    }

    #[test]
    fn a_made_up_cursor_never_reaches_the_database() {
        for time in [
            "soon",
            "",
            "now",
            "2026-03-01T01:59:00Z[Europe/Vienna]",
            "-009999-01-01T00:00:00.000Z",
            "2026-02-30T00:00:00Z",
            "'; DROP TABLE x",
        ] {
            let cursor = paging::cursor(&LastEntry(time.to_owned(), 1));
            assert_eq!(start(Some(&cursor)).unwrap_err(), paging::refuse_cursor(), "{time}");
        }
        let given = LastEntry("2026-03-01T01:59:00.123Z".to_owned(), 7);
        assert!(start(Some(&paging::cursor(&given))).is_ok() && start(None).is_ok());
    }
}
