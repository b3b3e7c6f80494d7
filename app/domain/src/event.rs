//! Events: what happened, in words and in full.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Actor, Comment, Group, GroupId, Task, TaskId, TaskStatus, User, Workspace};

/// Made when the change is committed and kept for ever: every repeat of an event has the same id.
pub type EventId = Uuid;

/// What kind of change it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
    StatusChanged,
    Commented,
    Registered,
}

impl EventKind {
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Updated, Self::Deleted, Self::StatusChanged, Self::Commented, Self::Registered];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
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

/// A change, with the entity as it stands after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    GroupCreated { group: Group },
    GroupUpdated { group: Group },
    GroupDeleted { id: GroupId, name: String, version: u64 },
    TaskCreated { task: Task, group_name: String },
    TaskUpdated { task: Task, group_name: String },
    TaskStatusChanged { task: Task, from: TaskStatus, group_name: String },
    TaskDeleted { id: TaskId, name: String, version: u64, group_name: String },
    TaskCommented { comment: Comment, task_name: String, group_name: String, version: u64 },
    UserRegistered { user: User },
}

impl Change {
    pub fn kind(&self) -> EventKind {
        match self {
            Self::GroupCreated { .. } | Self::TaskCreated { .. } => EventKind::Created,
            Self::GroupUpdated { .. } | Self::TaskUpdated { .. } => EventKind::Updated,
            Self::GroupDeleted { .. } | Self::TaskDeleted { .. } => EventKind::Deleted,
            Self::TaskStatusChanged { .. } => EventKind::StatusChanged,
            Self::TaskCommented { .. } => EventKind::Commented,
            Self::UserRegistered { .. } => EventKind::Registered,
        }
    }

    pub fn entity(&self) -> EntityKind {
        match self {
            Self::GroupCreated { .. } | Self::GroupUpdated { .. } | Self::GroupDeleted { .. } => {
                EntityKind::Group
            }
            Self::TaskCreated { .. }
            | Self::TaskUpdated { .. }
            | Self::TaskStatusChanged { .. }
            | Self::TaskDeleted { .. }
            | Self::TaskCommented { .. } => EntityKind::Task,
            Self::UserRegistered { .. } => EntityKind::User,
        }
    }

    /// The sentence that the activity log shows.
    pub fn sentence(&self) -> String {
        match self {
            Self::GroupCreated { group } => format!("Group '{}' was created", group.name.as_str()),
            Self::GroupUpdated { group } => format!("Group '{}' was updated", group.name.as_str()),
            Self::GroupDeleted { name, .. } => format!("Group '{name}' was deleted"),
            Self::TaskCreated { task, .. } => format!("Task '{}' was created", task.name.as_str()),
            Self::TaskUpdated { task, .. } => format!("Task '{}' was updated", task.name.as_str()),
            Self::TaskStatusChanged { task, from, .. } => {
                format!("Task '{}' status changed from '{from}' to '{}'", task.name.as_str(), task.status)
            }
            Self::TaskDeleted { name, .. } => format!("Task '{name}' was deleted"),
            Self::TaskCommented { task_name, .. } => format!("Comment added to task '{task_name}'"),
            Self::UserRegistered { user } => format!("User '{}' registered", user.username.as_str()),
        }
    }
}

/// One mark that a change left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub occurred_at: Timestamp,
    pub workspace: Workspace,
    pub actor: Actor,
    pub change: Change,
    /// The W3C trace context of the request that made the change.
    pub traceparent: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_log_stay_as_its_readers_know_them() {
        assert_eq!(
            EventKind::ALL.map(EventKind::as_str),
            ["created", "updated", "deleted", "status_changed", "commented", "registered"]
        );
        assert_eq!(EntityKind::ALL.map(EntityKind::as_str), ["Group", "Task", "User"]);
    }
}
