//! What differs between an entity before a change and after it.

use crate::{Group, Task};

/// A member of an entity that a change can touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    Name,
    Discussion,
    Description,
    StartDate,
    EndDate,
    Status,
    Rank,
}

impl Field {
    pub const ALL: [Self; 7] = [
        Self::Name,
        Self::Discussion,
        Self::Description,
        Self::StartDate,
        Self::EndDate,
        Self::Status,
        Self::Rank,
    ];

    /// The name that the API has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Discussion => "discussion",
            Self::Description => "description",
            Self::StartDate => "startDate",
            Self::EndDate => "endDate",
            Self::Status => "status",
            Self::Rank => "rank",
        }
    }
}

/// One member, before and after. `None` is an empty text or a day that is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    pub field: Field,
    pub before: Option<String>,
    pub after: Option<String>,
    /// Whether one of the two texts was cut: such a text is to be read, not to be put back.
    pub cut: bool,
}

/// Characters of a text that an event repeats. The whole of it stands in the entity.
pub const LONGEST_VALUE: usize = 500;

impl FieldChange {
    fn new(field: Field, before: String, after: String) -> Option<Self> {
        let present = |text: String| Some(text).filter(|text| !text.is_empty());
        let differs = before != after;
        differs.then(|| Self { field, before: present(before), after: present(after), cut: false })
    }

    /// The same with texts of at most [`LONGEST_VALUE`] characters. One that was cut ends in an ellipsis.
    pub(super) fn bounded(self) -> Self {
        let long = |text: &Option<String>| text.as_deref().is_some_and(is_long);
        Self {
            cut: long(&self.before) || long(&self.after),
            field: self.field,
            before: self.before.map(bound),
            after: self.after.map(bound),
        }
    }

    /// The change as part of a sentence that begins with the entity.
    pub(super) fn clause(&self) -> String {
        let (before, after) = (self.before.as_deref(), self.after.as_deref());
        match self.field {
            Field::Name => format!("was renamed to '{}'", after.unwrap_or_default()),
            Field::Discussion => "discussion changed".to_owned(),
            Field::Description => "description changed".to_owned(),
            Field::StartDate => day_clause("start date", before, after),
            Field::EndDate => day_clause("end date", before, after),
            Field::Status => {
                let (from, to) = (before.unwrap_or_default(), after.unwrap_or_default());
                format!("status changed from '{from}' to '{to}'")
            }
            // A rank says nothing to people.
            Field::Rank => "was moved".to_owned(),
        }
    }
}

fn is_long(text: &str) -> bool {
    text.chars().nth(LONGEST_VALUE).is_some()
}

fn bound(text: String) -> String {
    if is_long(&text) { text.chars().take(LONGEST_VALUE - 1).chain(['…']).collect() } else { text }
}

fn day_clause(day: &str, before: Option<&str>, after: Option<&str>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{day} changed from {before} to {after}"),
        (None, Some(after)) => format!("{day} set to {after}"),
        (_, None) => format!("{day} cleared"),
    }
}

pub(super) fn of_group(before: &Group, after: &Group) -> Vec<FieldChange> {
    let name = |group: &Group| group.name.as_str().to_owned();
    let discussion = |group: &Group| group.discussion.as_str().to_owned();
    let changes = [
        FieldChange::new(Field::Name, name(before), name(after)),
        FieldChange::new(Field::Discussion, discussion(before), discussion(after)),
    ];
    changes.into_iter().flatten().collect()
}

pub(super) fn of_task(before: &Task, after: &Task) -> Vec<FieldChange> {
    let value = |task: &Task, field| match field {
        Field::Name => task.name.as_str().to_owned(),
        Field::Description => task.description.as_str().to_owned(),
        Field::StartDate => task.schedule.start().map(|day| day.to_string()).unwrap_or_default(),
        Field::EndDate => task.schedule.end().map(|day| day.to_string()).unwrap_or_default(),
        Field::Status => task.status.to_string(),
        Field::Rank => task.rank.to_string(),
        Field::Discussion => String::new(),
    };
    let changes = Field::ALL.map(|field| FieldChange::new(field, value(before, field), value(after, field)));
    changes.into_iter().flatten().collect()
}
