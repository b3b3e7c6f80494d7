//! The ledger event on the wire: Avro, framed as schema registries expect it (a zero byte, the schema id in
//! four bytes, the datum), or JSON for hand-made probes. The encoding happens here and not in the sidecar:
//! the sidecar would take the registry's latest schema, and an event that it cannot decode would block its
//! partition before any dead-letter step.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_avro_fast::{
    Schema,
    de::{DeserializerState, read::ReaderRead},
    ser::SerializerConfig,
};
use tidemark_domain::{Actor, Change, Event, Group, Task, event::FieldChange};
use uuid::Uuid;

/// The ledger's topic: every change of every entity, in order per entity.
pub const TOPIC: &str = "todo-history-events";

/// Where an event goes that cannot be decoded or handled.
pub const DEAD_LETTER_TOPIC: &str = "todo-history-events.dlq";

/// Every schema that events were ever written with, oldest first, by its id in the registry. Pinned: an event
/// says itself which schema it was written with, and is read by that one. A released schema is never changed;
/// the next one only adds what has a default, so that each reader reads the events of each writer.
pub const SCHEMAS: [(u32, &str); 2] = [
    (1, include_str!("../schemas/todo-history-events.v1.avsc")),
    (SCHEMA_ID, include_str!("../schemas/todo-history-events.v2.avsc")),
];

/// The id of the schema that this release writes: the last of [`SCHEMAS`].
pub const SCHEMA_ID: u32 = 2;

static PARSED_SCHEMAS: LazyLock<[(u32, Schema); SCHEMAS.len()]> = LazyLock::new(|| {
    SCHEMAS.map(|(id, text)| (id, text.parse().expect("the schema files in this repository are valid Avro")))
});

fn schema(id: u32) -> Option<&'static Schema> {
    PARSED_SCHEMAS.iter().find(|(known, _)| *known == id).map(|(_, schema)| schema)
}

const FRAME: usize = 5;

/// How events are written. Both are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Avro,
    /// For probes with tools that know no Avro.
    Json,
}

/// Bytes on the topic that are no event: what a dead letter is made of.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the event is empty")]
    Empty,
    #[error("the first byte is {0:#04x}, which starts neither an Avro frame nor a JSON object")]
    UnknownFormat(u8),
    #[error("the event was written with schema {0}, which this release does not know")]
    UnknownSchema(u32),
    #[error("the Avro datum does not fit the schema")]
    Avro(#[source] serde_avro_fast::de::DeError),
    #[error("{0} bytes are left over after the Avro datum")]
    TrailingBytes(usize),
    #[error("the JSON is not an event")]
    Json(#[source] serde_json::Error),
}

/// The event as a record: what consumers read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEvent {
    pub event_id: String,
    pub event_type: String,
    /// Milliseconds since 1970-01-01T00:00:00Z, as every time here.
    pub timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// One for all events of a request. Events of the first schema do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    #[serde(default)]
    pub causes: Vec<String>,
    pub payload: Payload,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    pub entity: String,
    pub entity_id: String,
    pub entity_version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    pub changes: String,
    pub user: String,
    pub user_id: String,
    pub workspace: String,
    pub timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<CommentState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountState>,
    /// The group as it was before its deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_group: Option<GroupState>,
    /// The task as it was before its deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_task: Option<TaskState>,
    #[serde(default)]
    pub fields: Vec<FieldState>,
    #[serde(default)]
    pub access: AccessState,
}

/// A field that an update changed: [`FieldChange`] as a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldState {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default)]
    pub cut: bool,
}

/// Who may see the group of the event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessState {
    pub private: bool,
    pub version: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    pub name: String,
    pub discussion: String,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskState {
    pub name: String,
    pub description: String,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
    pub rank: String,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommentState {
    pub id: String,
    pub text: String,
    pub author: String,
    pub author_id: String,
    pub created_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountState {
    pub username: String,
    pub display_name: String,
    pub created_at: i64,
}

impl From<&Event> for HistoryEvent {
    fn from(event: &Event) -> Self {
        let timestamp = event.occurred_at.as_millisecond();
        Self {
            event_id: event.id.to_string(),
            event_type: event.change.kind().as_str().to_owned(),
            timestamp,
            traceparent: event.traceparent.clone(),
            action_id: Some(event.action_id.to_string()),
            command_id: event.command_id.clone().map(String::from),
            causes: event.causes.as_slice().to_vec(),
            payload: Payload {
                entity: event.change.entity().as_str().to_owned(),
                changes: event.change.sentence(),
                user: event.actor.name.as_str().to_owned(),
                user_id: event.actor.id.to_string(),
                workspace: event.workspace.to_string(),
                timestamp,
                fields: event.change.fields().into_iter().map(FieldState::from).collect(),
                access: AccessState {
                    private: event.access.private,
                    version: version_number(event.access.version),
                },
                ..subject(&event.change)
            },
        }
    }
}

/// The part of the payload that depends on what was changed.
fn subject(change: &Change) -> Payload {
    match change {
        Change::GroupCreated { group }
        | Change::GroupUpdated { after: group, .. }
        | Change::GroupRestored { group } => Payload {
            group: Some(group.into()),
            ..group_subject(group.id.to_string(), group.name.as_str(), group.version)
        },
        Change::GroupDeleted { group, version } => Payload {
            deleted_group: Some(group.into()),
            ..group_subject(group.id.to_string(), group.name.as_str(), *version)
        },
        Change::TaskCreated { task, group_name }
        | Change::TaskUpdated { after: task, group_name, .. }
        | Change::TaskStatusChanged { after: task, group_name, .. }
        | Change::TaskRestored { task, group_name } => Payload {
            task: Some(task.into()),
            ..task_subject(task.id, task.name.as_str(), task.version, group_name)
        },
        Change::TaskDeleted { task, version, group_name } => Payload {
            deleted_task: Some(task.into()),
            ..task_subject(task.id, task.name.as_str(), *version, group_name)
        },
        Change::TaskCommented { comment, task_name, group_name, version } => Payload {
            comment: Some(CommentState {
                id: comment.id.to_string(),
                text: comment.text.as_str().to_owned(),
                author: comment.author.name.as_str().to_owned(),
                author_id: comment.author.id.to_string(),
                created_at: comment.created_at.as_millisecond(),
            }),
            ..task_subject(comment.id.task(), task_name, *version, group_name)
        },
        Change::UserRegistered { user } => Payload {
            entity_id: user.id.to_string(),
            entity_version: version_number(user.version),
            account: Some(AccountState {
                username: user.username.as_str().to_owned(),
                display_name: user.display_name.as_str().to_owned(),
                created_at: user.created_at.as_millisecond(),
            }),
            ..Payload::default()
        },
    }
}

fn group_subject(id: String, name: &str, version: u64) -> Payload {
    Payload {
        entity_id: id.clone(),
        entity_version: version_number(version),
        group_id: Some(id),
        group_name: Some(name.to_owned()),
        ..Payload::default()
    }
}

fn task_subject(id: tidemark_domain::TaskId, name: &str, version: u64, group_name: &str) -> Payload {
    Payload {
        entity_id: id.to_string(),
        entity_version: version_number(version),
        group_id: Some(id.group().to_string()),
        group_name: Some(group_name.to_owned()),
        task_id: Some(id.to_string()),
        task_name: Some(name.to_owned()),
        ..Payload::default()
    }
}

/// Avro has no unsigned numbers; no entity is changed 2^63 times.
fn version_number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

impl From<FieldChange> for FieldState {
    fn from(change: FieldChange) -> Self {
        let FieldChange { field, before, after, cut } = change;
        Self { name: field.as_str().to_owned(), before, after, cut }
    }
}

impl From<&Group> for GroupState {
    fn from(group: &Group) -> Self {
        Self {
            name: group.name.as_str().to_owned(),
            discussion: group.discussion.as_str().to_owned(),
            created_by: group.created_by.to_string(),
            created_at: group.created_at.as_millisecond(),
            updated_at: group.updated_at.as_millisecond(),
        }
    }
}

impl From<&Task> for TaskState {
    fn from(task: &Task) -> Self {
        Self {
            name: task.name.as_str().to_owned(),
            description: task.description.as_str().to_owned(),
            status: task.status.to_string(),
            start_date: task.schedule.start().map(|day| day.to_string()),
            end_date: task.schedule.end().map(|day| day.to_string()),
            rank: task.rank.to_string(),
            created_by: task.created_by.to_string(),
            created_at: task.created_at.as_millisecond(),
            updated_at: task.updated_at.as_millisecond(),
        }
    }
}

/// Writes `event` for the topic.
pub fn encode(event: &Event, format: Format) -> Vec<u8> {
    let event = HistoryEvent::from(event);
    match format {
        Format::Avro => {
            let mut frame = Vec::with_capacity(512);
            frame.push(0);
            frame.extend(SCHEMA_ID.to_be_bytes());
            let schema = schema(SCHEMA_ID).expect("the schema that is written is one of those that are read");
            let mut configuration = SerializerConfig::new(schema);
            serde_avro_fast::to_datum(&event, frame, &mut configuration)
                .expect("the record type and the schema are checked against each other by a test")
        }
        Format::Json => serde_json::to_vec(&event).expect("strings and numbers always make JSON"),
    }
}

/// Reads an event from the topic, whichever of the two formats it is in.
pub fn decode(bytes: &[u8]) -> Result<HistoryEvent, DecodeError> {
    match bytes.first() {
        None => Err(DecodeError::Empty),
        Some(b'{') => serde_json::from_slice(bytes).map_err(DecodeError::Json),
        Some(0) => {
            let (frame, datum) = bytes.split_at_checked(FRAME).ok_or(DecodeError::Empty)?;
            let id = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
            decode_datum(schema(id).ok_or(DecodeError::UnknownSchema(id))?, datum)
        }
        Some(first) => Err(DecodeError::UnknownFormat(*first)),
    }
}

fn decode_datum(schema: &Schema, datum: &[u8]) -> Result<HistoryEvent, DecodeError> {
    let mut rest = datum;
    let mut reader = ReaderRead::new(&mut rest);
    // A text is as long as the bytes that are there: else a few of them could claim half a gigabyte of memory.
    reader.max_alloc_size = datum.len();
    let mut state = DeserializerState::new(reader, schema);
    let event = HistoryEvent::deserialize(state.deserializer()).map_err(DecodeError::Avro)?;
    if rest.is_empty() { Ok(event) } else { Err(DecodeError::TrailingBytes(rest.len())) }
}

/// The id of an event, if it is one.
pub fn event_id(event: &HistoryEvent) -> Option<Uuid> {
    event.event_id.parse().ok()
}

/// The key that orders an event: the group's id, else the entity's.
pub fn partition_key(change: &Change, actor: &Actor) -> String {
    let group = change.group().map(|group| group.to_string());
    // Users belong to no group, and register themselves.
    group.unwrap_or_else(|| actor.id.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use tidemark_domain::{
        Access, Causes, CommandId, Comment, CommentId, GroupId, Rank, TaskId, TaskStatus, User, UserId,
        Workspace,
        comment::CommentText,
        group::{Discussion, GroupName},
        task::{Description, Schedule, TaskName, parse_day},
        user::{DisplayName, Username},
    };

    use super::*;
    use crate::{damage::any_or_damaged, strange};

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn every_change() -> Vec<Change> {
        let group = Group {
            id: GroupId::new(2, [9; 8]),
            name: GroupName::parse("Gärten").unwrap(),
            discussion: Discussion::parse("").unwrap(),
            created_by: UserId::new(1, [1; 8]),
            created_at: at(1),
            updated_at: at(2),
            version: 1,
        };
        let task = Task {
            id: TaskId::new(group.id, 0, [3; 8]),
            name: TaskName::parse("Paint 'the' fence").unwrap(),
            description: Description::parse("x").unwrap(),
            status: TaskStatus::New,
            schedule: Schedule::new(parse_day("startDate", "2026-05-01").unwrap(), None).unwrap(),
            rank: Rank::of_creation(at(1), 0),
            created_by: group.created_by,
            created_at: at(1),
            updated_at: at(2),
            version: 2,
        };
        let renamed = Group { name: GroupName::parse("Parks").unwrap(), version: 2, ..group.clone() };
        let edited = Task {
            description: Description::parse(&"🦀".repeat(600)).unwrap(),
            schedule: Schedule::default(),
            version: 3,
            ..task.clone()
        };
        let completed = Task { status: TaskStatus::Completed, version: 3, ..task.clone() };
        let name = || "Gärten".to_owned();
        let comment = Comment {
            id: CommentId::new(task.id, 0, [4; 8]),
            text: CommentText::parse("Which colour?").unwrap(),
            author: actor(),
            created_at: at(5),
        };
        let user = User {
            id: group.created_by,
            username: Username::parse("Ada").unwrap(),
            display_name: DisplayName::parse("").unwrap(),
            created_at: at(1),
            updated_at: at(1),
            version: 1,
        };
        vec![
            Change::GroupCreated { group: group.clone() },
            Change::GroupUpdated { before: group.clone(), after: renamed },
            Change::GroupDeleted { group: group.clone(), version: 3 },
            Change::GroupRestored { group },
            Change::TaskCreated { task: task.clone(), group_name: name() },
            Change::TaskUpdated { before: task.clone(), after: edited, group_name: name() },
            Change::TaskStatusChanged { before: task.clone(), after: completed, group_name: name() },
            Change::TaskDeleted { task: task.clone(), version: 4, group_name: name() },
            Change::TaskRestored { task, group_name: name() },
            Change::TaskCommented { comment, task_name: "Paint".to_owned(), group_name: name(), version: 3 },
            Change::UserRegistered { user },
        ]
    }

    fn actor() -> Actor {
        Actor { id: UserId::new(1, [1; 8]), name: Username::parse("Ada").unwrap() }
    }

    fn event(change: Change) -> Event {
        Event {
            id: Uuid::from_u128(7),
            occurred_at: at(1_800_000_000_123),
            workspace: Workspace::shared(),
            actor: actor(),
            change,
            action_id: Uuid::from_u128(8),
            command_id: Some(CommandId::parse("the client's own key").unwrap()),
            causes: Causes::default().and("rule 1").unwrap(),
            access: Access { private: true, version: 3 },
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        }
    }

    #[test]
    fn every_kind_of_change_reads_back_as_it_was_written_in_both_formats() {
        for change in every_change() {
            let event = event(change);
            for format in [Format::Avro, Format::Json] {
                assert_eq!(decode(&encode(&event, format)).unwrap(), HistoryEvent::from(&event));
            }
        }
    }

    #[test]
    fn an_event_as_json_says_only_what_there_is() {
        for change in every_change() {
            let event = Event { command_id: None, traceparent: None, ..event(change) };
            let json: serde_json::Value = serde_json::from_slice(&encode(&event, Format::Json)).unwrap();
            let payload = json["payload"].as_object().unwrap();
            assert!(json.as_object().unwrap().values().chain(payload.values()).all(|value| !value.is_null()));
        }
    }

    /// The schemas of all releases, as the official library understands them.
    fn official_schemas() -> Vec<apache_avro::Schema> {
        SCHEMAS.iter().map(|(_, text)| apache_avro::Schema::parse_str(text).unwrap()).collect()
    }

    fn official_read(
        writer: &apache_avro::Schema,
        reader: &apache_avro::Schema,
        mut datum: &[u8],
    ) -> HistoryEvent {
        let value = apache_avro::from_avro_datum(writer, &mut datum, Some(reader)).unwrap();
        assert!(datum.is_empty());
        apache_avro::from_value(&value).unwrap()
    }

    /// `event` without what came with the second schema.
    fn as_of_the_first_schema(event: &Event) -> HistoryEvent {
        let event = HistoryEvent::from(event);
        HistoryEvent {
            action_id: None,
            command_id: None,
            causes: Vec::new(),
            payload: Payload {
                deleted_group: None,
                deleted_task: None,
                fields: Vec::new(),
                access: AccessState::default(),
                ..event.payload
            },
            ..event
        }
    }

    /// What a release with the first schema wrote on the topic, by the hand of the official library: ours
    /// refuses members that a schema does not have.
    fn written_by_the_first_release(event: &Event) -> Vec<u8> {
        let event = serde_json::to_value(HistoryEvent::from(event)).unwrap();
        let schema = &official_schemas()[0];
        let value = apache_avro::types::Value::from(event).resolve(schema).unwrap();
        [vec![0, 0, 0, 0, 1], apache_avro::to_avro_datum(schema, value).unwrap()].concat()
    }

    #[test]
    fn the_official_avro_library_reads_what_is_written() {
        let schemas = official_schemas();
        let newest = schemas.last().unwrap();
        for change in every_change() {
            let event = event(change);
            let bytes = encode(&event, Format::Avro);
            assert_eq!(official_read(newest, newest, &bytes[FRAME..]), HistoryEvent::from(&event));
        }
    }

    #[test]
    fn the_events_of_the_first_release_are_read_today() {
        let schemas = official_schemas();
        for change in every_change() {
            let event = event(change);
            let bytes = written_by_the_first_release(&event);
            let expected = as_of_the_first_schema(&event);
            assert_eq!(decode(&bytes).unwrap(), expected);
            assert_eq!(official_read(&schemas[0], &schemas[1], &bytes[FRAME..]), expected);
        }
    }

    #[test]
    fn an_event_that_the_first_release_wrote_once_is_read_for_ever() {
        // Bytes kept from then, so that no later change of the record or of its writer can go unnoticed.
        let bytes = include_bytes!("../schemas/samples/todo-history-events.v1.bin");
        let event = decode(bytes).unwrap();
        assert_eq!(
            event.payload.changes,
            "Task 'Paint 'the' fence' status changed from 'New' to 'Completed'"
        );
        assert_eq!((event.event_type.as_str(), event.payload.entity_version), ("status_changed", 3));
        assert_eq!((event.action_id, event.payload.fields), (None, Vec::new()));
    }

    #[test]
    fn today_s_events_are_read_by_the_first_release() {
        let schemas = official_schemas();
        for change in every_change() {
            let event = event(change);
            let bytes = encode(&event, Format::Avro);
            let read = official_read(&schemas[1], &schemas[0], &bytes[FRAME..]);
            assert_eq!(read, as_of_the_first_schema(&event));
        }
    }

    #[test]
    fn every_schema_can_read_every_other() {
        let schemas = official_schemas();
        for (writer, (writer_id, _)) in schemas.iter().zip(SCHEMAS) {
            for (reader, (reader_id, _)) in schemas.iter().zip(SCHEMAS) {
                let compatible =
                    apache_avro::schema_compatibility::SchemaCompatibility::can_read(writer, reader);
                assert!(compatible.is_ok(), "{reader_id} reads {writer_id}: {compatible:?}");
            }
        }
    }

    #[test]
    fn an_event_names_its_action_its_command_and_the_fields_that_changed() {
        let changes = every_change();
        let updated = changes.iter().find(|change| matches!(change, Change::TaskUpdated { .. })).unwrap();
        let event = decode(&encode(&event(updated.clone()), Format::Avro)).unwrap();
        assert_eq!(event.action_id, Some(Uuid::from_u128(8).to_string()));
        assert_eq!(event.command_id.as_deref(), Some("the client's own key"));
        assert_eq!(event.causes, ["rule 1"]);
        assert_eq!(event.payload.access, AccessState { private: true, version: 3 });
        let fields: Vec<(&str, bool)> =
            event.payload.fields.iter().map(|field| (field.name.as_str(), field.cut)).collect();
        assert_eq!(fields, [("description", true), ("startDate", false)]);
        assert_eq!(event.payload.fields[1].before.as_deref(), Some("2026-05-01"));
        assert_eq!(event.payload.fields[1].after, None);
    }

    #[test]
    fn a_deletion_carries_what_was_deleted_and_nothing_after_it() {
        for change in every_change() {
            let deletion = matches!(change, Change::GroupDeleted { .. } | Change::TaskDeleted { .. });
            let payload = HistoryEvent::from(&event(change)).payload;
            assert_eq!(deletion, payload.deleted_group.is_some() || payload.deleted_task.is_some());
            assert!(!deletion || (payload.group.is_none() && payload.task.is_none()));
        }
    }

    #[test]
    fn bytes_that_are_no_event_are_refused_with_the_reason() {
        let good = encode(&event(every_change().remove(0)), Format::Avro);
        assert!(matches!(decode(b""), Err(DecodeError::Empty)));
        assert!(matches!(decode(&good[..3]), Err(DecodeError::Empty)));
        assert!(matches!(decode(&[0xff, 0xfe]), Err(DecodeError::UnknownFormat(0xff))));
        assert!(matches!(decode(b"{\"eventId\": 1}"), Err(DecodeError::Json(_))));
        assert!(matches!(decode(&good[..good.len() / 2]), Err(DecodeError::Avro(_))));
        let trailing = [good.as_slice(), &[0]].concat();
        assert!(matches!(decode(&trailing), Err(DecodeError::TrailingBytes(1))));
        let mut unknown = good;
        unknown[4] = 99;
        assert!(matches!(decode(&unknown), Err(DecodeError::UnknownSchema(99))));
    }

    #[test]
    fn a_length_that_no_bytes_follow_reserves_no_memory() {
        // The event's id is said to have 500,000,000 bytes.
        for (id, _) in SCHEMAS {
            let frame = [[0].as_slice(), &id.to_be_bytes()].concat();
            let claim = [frame.as_slice(), &[0x80, 0x94, 0xeb, 0xdc, 0x03]].concat();
            let Err(DecodeError::Avro(cause)) = decode(&claim) else { panic!("it was read") };
            assert!(cause.to_string().contains("larger than allowed"), "{cause}");
        }
    }

    /// Every kind of event in both formats and with the first schema, and frames around nothing.
    fn good() -> Vec<Vec<u8>> {
        let events = every_change().into_iter().map(event);
        let written = events.flat_map(|event| {
            let today = [Format::Avro, Format::Json].map(|format| encode(&event, format));
            today.into_iter().chain([written_by_the_first_release(&event)])
        });
        written.chain(SCHEMAS.map(|(id, _)| [[0].as_slice(), &id.to_be_bytes()].concat())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_may_be_told_can_be_read(
            group in strange::group(),
            before in strange::task(),
            after in strange::task(),
            comment in strange::comment(),
            user in strange::user(),
            actor in strange::actor(),
        ) {
            let name = || group.name.as_str().to_owned();
            let after = Task { id: before.id, ..after };
            let changes = [
                Change::GroupUpdated { before: group.clone(), after: group.clone() },
                Change::GroupDeleted { group: group.clone(), version: group.version },
                Change::TaskUpdated { before: before.clone(), after, group_name: name() },
                Change::TaskDeleted { version: before.version, group_name: name(), task: before },
                Change::TaskCommented { comment, task_name: name(), group_name: name(), version: u64::MAX },
                Change::UserRegistered { user },
            ];
            for change in changes {
                let event = Event { actor: actor.clone(), ..event(change) };
                for format in [Format::Avro, Format::Json] {
                    prop_assert_eq!(decode(&encode(&event, format)).unwrap(), HistoryEvent::from(&event));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any_or_damaged(good())) {
            if let Ok(event) = decode(&bytes) {
                let written = serde_json::to_vec(&event).unwrap();
                prop_assert_eq!(decode(&written).unwrap(), event);
            }
        }
    }

    #[test]
    fn events_of_one_group_share_one_partition_key() {
        let group = GroupId::new(2, [9; 8]).to_string();
        let keys: Vec<String> = every_change().iter().map(|change| partition_key(change, &actor())).collect();
        assert!(keys[..10].iter().all(|key| *key == group) && keys[10] != group, "{keys:?}");
    }
}
