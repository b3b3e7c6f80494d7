//! Events: what happened, in words and in full.

mod fields;

use jiff::Timestamp;
use uuid::Uuid;

pub use self::fields::{Field, FieldChange, LONGEST_VALUE};
use crate::{Actor, Comment, Group, GroupId, Task, User, Workspace, text::text};

/// Made when the change is committed and kept for ever: every repeat of an event has the same id.
pub type EventId = Uuid;

/// One for each request: all events of one action share it, so that they can be undone together.
pub type ActionId = Uuid;

/// What kind of change it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
    Restored,
    StatusChanged,
    Commented,
    Registered,
}

impl EventKind {
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::Restored,
        Self::StatusChanged,
        Self::Commented,
        Self::Registered,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
            Self::StatusChanged => "status_changed",
            Self::Commented => "commented",
            Self::Registered => "registered",
        }
    }
}

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityKind {
    Group,
    Task,
    User,
}

impl EntityKind {
    pub const ALL: [Self; 3] = [Self::Group, Self::Task, Self::User];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "Group",
            Self::Task => "Task",
            Self::User => "User",
        }
    }
}

/// A change, with the entity as it stands after it and, where there was one, before it.
///
/// A new place among the other tasks is an update like any other: one request may move a task and rename it,
/// and that is one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    GroupCreated {
        group: Group,
    },
    GroupUpdated {
        before: Group,
        after: Group,
    },
    /// `group` is as it was before; `version` counts the deletion too.
    GroupDeleted {
        group: Group,
        version: u64,
    },
    GroupRestored {
        group: Group,
    },
    TaskCreated {
        task: Task,
        group_name: String,
    },
    TaskUpdated {
        before: Task,
        after: Task,
        group_name: String,
    },
    /// Apart from [`Change::TaskUpdated`], since readers wait for this kind alone: only the status differs.
    TaskStatusChanged {
        before: Task,
        after: Task,
        group_name: String,
    },
    /// `task` is as it was before; `version` counts the deletion too.
    TaskDeleted {
        task: Task,
        version: u64,
        group_name: String,
    },
    TaskRestored {
        task: Task,
        group_name: String,
    },
    TaskCommented {
        comment: Comment,
        task_name: String,
        group_name: String,
        version: u64,
    },
    UserRegistered {
        user: User,
    },
}

impl Change {
    pub fn kind(&self) -> EventKind {
        match self {
            Self::GroupCreated { .. } | Self::TaskCreated { .. } => EventKind::Created,
            Self::GroupUpdated { .. } | Self::TaskUpdated { .. } => EventKind::Updated,
            Self::GroupDeleted { .. } | Self::TaskDeleted { .. } => EventKind::Deleted,
            Self::GroupRestored { .. } | Self::TaskRestored { .. } => EventKind::Restored,
            Self::TaskStatusChanged { .. } => EventKind::StatusChanged,
            Self::TaskCommented { .. } => EventKind::Commented,
            Self::UserRegistered { .. } => EventKind::Registered,
        }
    }

    pub fn entity(&self) -> EntityKind {
        match self {
            Self::GroupCreated { .. }
            | Self::GroupUpdated { .. }
            | Self::GroupDeleted { .. }
            | Self::GroupRestored { .. } => EntityKind::Group,
            Self::TaskCreated { .. }
            | Self::TaskUpdated { .. }
            | Self::TaskStatusChanged { .. }
            | Self::TaskDeleted { .. }
            | Self::TaskRestored { .. }
            | Self::TaskCommented { .. } => EntityKind::Task,
            Self::UserRegistered { .. } => EntityKind::User,
        }
    }

    /// The group that was changed, or that the change happened in.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Self::GroupCreated { group }
            | Self::GroupUpdated { after: group, .. }
            | Self::GroupDeleted { group, .. }
            | Self::GroupRestored { group } => Some(group.id),
            Self::TaskCreated { task, .. }
            | Self::TaskUpdated { after: task, .. }
            | Self::TaskStatusChanged { after: task, .. }
            | Self::TaskDeleted { task, .. }
            | Self::TaskRestored { task, .. } => Some(task.id.group()),
            Self::TaskCommented { comment, .. } => Some(comment.id.task().group()),
            Self::UserRegistered { .. } => None,
        }
    }

    /// What an update changed, with texts short enough to be shown in a list. Empty for every other change:
    /// there the whole entity came or went.
    pub fn fields(&self) -> Vec<FieldChange> {
        self.differences().into_iter().map(FieldChange::bounded).collect()
    }

    fn differences(&self) -> Vec<FieldChange> {
        match self {
            Self::GroupUpdated { before, after } => fields::of_group(before, after),
            Self::TaskUpdated { before, after, .. } | Self::TaskStatusChanged { before, after, .. } => {
                fields::of_task(before, after)
            }
            _ => Vec::new(),
        }
    }

    /// The sentence that the activity log shows. Names are those that people knew before the change.
    pub fn sentence(&self) -> String {
        let clauses = || -> Vec<String> { self.differences().iter().map(FieldChange::clause).collect() };
        match self {
            Self::GroupCreated { group } => format!("Group '{}' was created", group.name.as_str()),
            Self::GroupUpdated { before, .. } => group_updated(before.name.as_str(), &clauses()),
            Self::GroupDeleted { group, .. } => format!("Group '{}' was deleted", group.name.as_str()),
            Self::GroupRestored { group } => format!("Group '{}' was restored", group.name.as_str()),
            Self::TaskCreated { task, .. } => format!("Task '{}' was created", task.name.as_str()),
            Self::TaskUpdated { before, .. } | Self::TaskStatusChanged { before, .. } => {
                task_updated(before.name.as_str(), &clauses())
            }
            Self::TaskDeleted { task, .. } => format!("Task '{}' was deleted", task.name.as_str()),
            Self::TaskRestored { task, .. } => format!("Task '{}' was restored", task.name.as_str()),
            Self::TaskCommented { task_name, .. } => format!("Comment added to task '{task_name}'"),
            Self::UserRegistered { user } => format!("User '{}' registered", user.username.as_str()),
        }
    }
}

/// Begins with words that clients of old look for; what was updated follows them.
fn group_updated(name: &str, clauses: &[String]) -> String {
    let what: Vec<&str> =
        clauses.iter().map(|clause| clause.strip_prefix("was ").unwrap_or(clause)).collect();
    if what.is_empty() {
        format!("Group '{name}' was updated")
    } else {
        format!("Group '{name}' was updated: {}", what.join("; "))
    }
}

fn task_updated(name: &str, clauses: &[String]) -> String {
    if clauses.is_empty() {
        format!("Task '{name}' was updated")
    } else {
        format!("Task '{name}' {}", clauses.join("; "))
    }
}

text!(
    /// The key under which a client may repeat its request: 1 to 255 characters. An event carries it, so that
    /// the client knows its own change when it hears of it.
    CommandId, parse_required, "Idempotency-Key", 255, One
);

/// The rules by which one change led to another, the first one first. That there are few of them stops rules
/// that call each other for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Causes(Vec<String>);

/// A change that would come of too many others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a change may follow from at most {} others", Causes::MOST)]
pub struct TooManyCauses;

impl Causes {
    pub const MOST: usize = 8;

    /// The causes of what the rule with the id `rule` does about a change that has these causes.
    pub fn and(&self, rule: &str) -> Result<Self, TooManyCauses> {
        if self.0.len() >= Self::MOST {
            return Err(TooManyCauses);
        }
        Ok(Self(self.0.iter().cloned().chain([rule.to_owned()]).collect()))
    }

    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// Who may see the group of an event, by the version of its list of members. Whoever passes the event on and
/// knows an older version must ask before it does: that list changes on another way than the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// Only its members see the group.
    pub private: bool,
    pub version: u64,
}

/// One mark that a change left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub occurred_at: Timestamp,
    pub workspace: Workspace,
    pub actor: Actor,
    pub change: Change,
    pub action_id: ActionId,
    pub command_id: Option<CommandId>,
    pub causes: Causes,
    pub access: Access,
    /// The W3C trace context of the request that made the change.
    pub traceparent: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommentId, Rank, TaskId, TaskStatus, UserId,
        comment::CommentText,
        group::{Discussion, GroupName},
        task::{Description, Schedule, TaskName, parse_day},
        user::{DisplayName, Username},
    };

    fn group(name: &str, discussion: &str) -> Group {
        Group {
            id: GroupId::new(1, [1; 8]),
            name: GroupName::parse(name).unwrap(),
            discussion: Discussion::parse(discussion).unwrap(),
            created_by: UserId::new(1, [1; 8]),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }

    fn task() -> Task {
        Task {
            id: TaskId::new(GroupId::new(1, [1; 8]), 0, [3; 8]),
            name: TaskName::parse("Dig").unwrap(),
            description: Description::parse("").unwrap(),
            status: TaskStatus::New,
            schedule: Schedule::default(),
            rank: Rank::of_creation(Timestamp::UNIX_EPOCH, 0),
            created_by: UserId::new(1, [1; 8]),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }

    fn schedule(start: &str, end: &str) -> Schedule {
        Schedule::new(parse_day("startDate", start).unwrap(), parse_day("endDate", end).unwrap()).unwrap()
    }

    fn updated(before: &Task, after: Task) -> Change {
        Change::TaskUpdated { before: before.clone(), after, group_name: "Garden".to_owned() }
    }

    fn words(before: &Task, after: Task) -> String {
        updated(before, after).sentence()
    }

    #[test]
    fn a_new_name_is_told_with_the_old_one() {
        let renamed = Task { name: TaskName::parse("Dig deep").unwrap(), ..task() };
        assert_eq!(words(&task(), renamed), "Task 'Dig' was renamed to 'Dig deep'");
    }

    #[test]
    fn a_new_description_is_told_without_repeating_it() {
        let described = Task { description: Description::parse("By hand").unwrap(), ..task() };
        assert_eq!(words(&task(), described.clone()), "Task 'Dig' description changed");
        assert_eq!(words(&described, task()), "Task 'Dig' description changed");
    }

    #[test]
    fn a_day_is_set_changed_and_cleared() {
        let on = |start, end| Task { schedule: schedule(start, end), ..task() };
        assert_eq!(words(&task(), on("", "2026-01-01")), "Task 'Dig' end date set to 2026-01-01");
        assert_eq!(
            words(&on("", "2026-01-01"), on("", "2026-01-02")),
            "Task 'Dig' end date changed from 2026-01-01 to 2026-01-02"
        );
        assert_eq!(words(&on("", "2026-01-02"), task()), "Task 'Dig' end date cleared");
        assert_eq!(words(&task(), on("2026-01-01", "")), "Task 'Dig' start date set to 2026-01-01");
    }

    #[test]
    fn a_new_place_is_told_as_a_move() {
        let moved = Task { rank: Rank::of_creation(Timestamp::UNIX_EPOCH, 9), ..task() };
        assert_eq!(words(&task(), moved), "Task 'Dig' was moved");
    }

    #[test]
    fn a_new_status_is_told_with_both() {
        let after = Task { status: TaskStatus::Completed, ..task() };
        let change = Change::TaskStatusChanged { before: task(), after, group_name: "Garden".to_owned() };
        assert_eq!(change.sentence(), "Task 'Dig' status changed from 'New' to 'Completed'");
        assert_eq!(change.kind(), EventKind::StatusChanged);
    }

    #[test]
    fn several_fields_are_told_in_one_sentence() {
        let after = Task {
            name: TaskName::parse("Plant").unwrap(),
            description: Description::parse("Roses").unwrap(),
            schedule: schedule("2026-01-01", "2026-01-02"),
            status: TaskStatus::InProgress,
            rank: Rank::of_creation(Timestamp::UNIX_EPOCH, 9),
            ..task()
        };
        assert_eq!(
            words(&task(), after),
            "Task 'Dig' was renamed to 'Plant'; description changed; start date set to 2026-01-01; end date \
             set to 2026-01-02; status changed from 'New' to 'In Progress'; was moved"
        );
    }

    #[test]
    fn an_update_of_a_group_says_what_was_updated() {
        let words = |before, after| Change::GroupUpdated { before, after }.sentence();
        let garden = group("Garden", "");
        assert_eq!(words(garden.clone(), group("Park", "")), "Group 'Garden' was updated: renamed to 'Park'");
        assert_eq!(
            words(garden.clone(), group("Garden", "Hoses")),
            "Group 'Garden' was updated: discussion changed"
        );
        assert_eq!(
            words(garden, group("Park", "Hoses")),
            "Group 'Garden' was updated: renamed to 'Park'; discussion changed"
        );
    }

    fn comment() -> Comment {
        Comment {
            id: CommentId::new(task().id, 0, [4; 8]),
            text: CommentText::parse("When?").unwrap(),
            author: Actor { id: task().created_by, name: Username::parse("Ada").unwrap() },
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn user() -> User {
        User {
            id: task().created_by,
            username: Username::parse("Ada").unwrap(),
            display_name: DisplayName::parse("").unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }

    fn commented() -> Change {
        let (task_name, group_name) = ("Dig".to_owned(), "Garden".to_owned());
        Change::TaskCommented { comment: comment(), task_name, group_name, version: 1 }
    }

    #[test]
    fn what_comes_and_goes_is_told_by_its_name() {
        let name = || "Garden".to_owned();
        let garden = || group("Garden", "");
        for (change, words) in [
            (Change::GroupCreated { group: garden() }, "Group 'Garden' was created"),
            (Change::GroupDeleted { group: garden(), version: 2 }, "Group 'Garden' was deleted"),
            (Change::GroupRestored { group: garden() }, "Group 'Garden' was restored"),
            (Change::TaskCreated { task: task(), group_name: name() }, "Task 'Dig' was created"),
            (Change::TaskDeleted { task: task(), version: 2, group_name: name() }, "Task 'Dig' was deleted"),
            (Change::TaskRestored { task: task(), group_name: name() }, "Task 'Dig' was restored"),
            (commented(), "Comment added to task 'Dig'"),
            (Change::UserRegistered { user: user() }, "User 'Ada' registered"),
        ] {
            assert_eq!(change.sentence(), words);
            assert_eq!(change.fields(), [], "{words}");
        }
    }

    #[test]
    fn a_change_names_the_group_it_happened_in() {
        let garden = group("Garden", "");
        assert_eq!(Change::GroupCreated { group: garden.clone() }.group(), Some(garden.id));
        for change in [updated(&task(), task()), commented()] {
            assert_eq!(change.group(), Some(task().id.group()));
        }
        assert_eq!(Change::UserRegistered { user: user() }.group(), None);
    }

    #[test]
    fn the_fields_of_an_update_have_their_values_before_and_after() {
        let after = Task {
            name: TaskName::parse("Plant").unwrap(),
            schedule: schedule("", "2026-01-02"),
            version: 2,
            updated_at: Timestamp::MAX,
            ..task()
        };
        let field = |field, before: &str, after: &str| FieldChange {
            field,
            before: Some(before.to_owned()).filter(|text| !text.is_empty()),
            after: Some(after.to_owned()),
            cut: false,
        };
        assert_eq!(
            updated(&task(), after).fields(),
            [field(Field::Name, "Dig", "Plant"), field(Field::EndDate, "", "2026-01-02")]
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let described = |text: &str| Task { description: Description::parse(text).unwrap(), ..task() };
        let fits = "🦀".repeat(LONGEST_VALUE);
        let fields = updated(&task(), described(&fits)).fields();
        assert_eq!((fields[0].after.as_deref(), fields[0].cut), (Some(fits.as_str()), false));

        let fields = updated(&described(&format!("{fits}🦀")), described("short")).fields();
        let before = fields[0].before.as_deref().unwrap();
        assert!(
            fields[0].cut && before.ends_with("🦀…") && before.chars().count() == LONGEST_VALUE,
            "{before}"
        );
        assert_eq!(fields[0].after.as_deref(), Some("short"));
    }

    #[test]
    fn rules_that_follow_from_each_other_come_to_an_end() {
        let mut causes = Causes::default();
        for number in 0..Causes::MOST {
            causes = causes.and(&format!("rule {number}")).unwrap();
        }
        assert_eq!(causes.as_slice().last().map(String::as_str), Some("rule 7"));
        assert_eq!(causes.and("one more"), Err(TooManyCauses));
    }

    #[test]
    fn a_command_id_is_bounded() {
        assert!(CommandId::parse(&"k".repeat(255)).is_ok());
        assert!(CommandId::parse(&"k".repeat(256)).is_err() && CommandId::parse("").is_err());
    }

    #[test]
    fn the_words_of_the_log_stay_as_its_readers_know_them() {
        assert_eq!(
            EventKind::ALL.map(EventKind::as_str).to_vec(),
            ["created", "updated", "deleted", "restored", "status_changed", "commented", "registered"]
        );
        assert_eq!(EntityKind::ALL.map(EntityKind::as_str), ["Group", "Task", "User"]);
        assert_eq!(
            Field::ALL.map(Field::as_str),
            ["name", "discussion", "description", "startDate", "endDate", "status", "rank"]
        );
    }
}
