//! How much happened to each group or task, the latest active first, by pages.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidemark_api::{
    Refusal,
    history::{GroupSummary, TaskSummary},
};
use tidemark_domain::Workspace;

use super::logs::{END_OF_TIME, is_time};
use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    operations::paging,
};

/// When the last one that was shown was last active, and its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSummary(String, String);

impl Default for LastSummary {
    fn default() -> Self {
        Self(END_OF_TIME.to_owned(), String::new())
    }
}

impl LastSummary {
    /// Where a page starts, whoever made the cursor: the database reads the time, and no text with a zero in it.
    pub fn of(cursor: Option<&str>) -> Result<Self, Refusal> {
        let last: Self = paging::position(cursor)?;
        let is_ours = is_time(&last.0) && !last.1.contains('\0');
        if is_ours { Ok(last) } else { Err(paging::refuse_cursor()) }
    }

    pub fn is_before(&self, summary: &impl Summary) -> bool {
        let Self(time, id) = summary.place();
        time < self.0 || (time == self.0 && id > self.1)
    }
}

/// What is summed up of one thing.
pub trait Summary: DeserializeOwned {
    /// The beginning of the names of its columns.
    const KIND: &'static str;

    fn place(&self) -> LastSummary;
}

impl Summary for GroupSummary {
    const KIND: &'static str = "group";

    fn place(&self) -> LastSummary {
        LastSummary(self.last_activity.0.clone(), self.group_id.clone())
    }
}

impl Summary for TaskSummary {
    const KIND: &'static str = "task";

    fn place(&self) -> LastSummary {
        LastSummary(self.last_activity.0.clone(), self.task_id.clone())
    }
}

/// At most so many of a workspace, or of one of its groups, after the last one shown.
pub async fn read<S: Summary>(
    database: &DatabaseBinding,
    workspace: &Workspace,
    group: Option<&str>,
    after: &LastSummary,
    most: usize,
) -> Result<Vec<S>, DatabaseError> {
    let kind = S::KIND;
    let of_group = if group.is_some() { "AND group_id = $5" } else { "" };
    // Ids are compared as their bytes are, here and in the program.
    let sql = format!(
        r#"SELECT {kind}_id,
                  (array_agg({kind}_name ORDER BY "timestamp" DESC, id DESC))[1] AS {kind}_name,
                  count(*)::text AS log_count,
                  to_char(max("timestamp") AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_activity
           FROM todo_event_logs
           WHERE workspace = $1 AND {kind}_id IS NOT NULL {of_group}
           GROUP BY {kind}_id
           HAVING max("timestamp") < $2::text::timestamptz
               OR (max("timestamp") = $2::text::timestamptz AND {kind}_id > $3::text COLLATE "C")
           ORDER BY max("timestamp") DESC, {kind}_id COLLATE "C"
           LIMIT $4::text::bigint"#
    );
    let (LastSummary(time, id), most) = (after, most.to_string());
    let parameters = [workspace.as_str(), time, id, &most].into_iter().chain(group);
    database.rows(&sql, &parameters.collect::<Vec<_>>()).await
}

/// The first of them, and the cursor of the page after these if there are more.
pub fn page<S: Summary>(mut found: Vec<S>, limit: usize) -> (Vec<S>, Option<String>) {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| paging::cursor(&last.place()));
    (found, next)
}

#[cfg(test)]
mod tests {
    use tidemark_api::values::Moment;

    use super::*;

    fn summary(id: &str, second: u32) -> TaskSummary {
        TaskSummary {
            task_id: id.to_owned(),
            task_name: None,
            log_count: "1".to_owned(),
            last_activity: Moment(format!("2026-03-01T01:59:0{second}.000Z")),
        }
    }

    #[test]
    fn a_page_goes_on_after_its_last_one_and_the_last_page_nowhere() {
        let all = [summary("b", 2), summary("c", 2), summary("a", 1)];
        let (first, next) = page(all.to_vec(), 2);
        assert_eq!(first.len(), 2);
        let after = LastSummary::of(next.as_deref()).unwrap();
        assert_eq!(all.iter().map(|one| after.is_before(one)).collect::<Vec<_>>(), [false, false, true]);
        let start = LastSummary::of(None).unwrap();
        assert!(all.iter().all(|one| start.is_before(one)));
        assert_eq!(page(all.to_vec(), 3).1, None);
    }

    #[test]
    fn a_made_up_cursor_never_reaches_the_database() {
        for (time, id) in [("soon", "a"), ("2026-03-01T01:59:00Z", "a"), (END_OF_TIME, "a\0")] {
            let cursor = paging::cursor(&LastSummary(time.to_owned(), id.to_owned()));
            assert_eq!(LastSummary::of(Some(&cursor)), Err(paging::refuse_cursor()), "{time} {id}");
        }
    }
}
