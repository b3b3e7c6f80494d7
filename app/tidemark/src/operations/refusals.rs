//! What failures of stores mean to a caller. Causes are logged here, once; callers do not see them.

use std::error::Error;

use tidemark_api::{Reason, Refusal};
use tidemark_pages::{EditError, Limit, StoreError};
use tidemark_protocol::stored::CorruptEntry;
use tracing::{error, warn};

use crate::{damage, telemetry::WithCauses};

/// Logs the cause of an internal error, and makes the refusal that hides it.
pub fn internal(fault: &(dyn Error + 'static)) -> Refusal {
    error!(error = %WithCauses(fault), "request failed");
    Refusal::internal()
}

/// Logs the cause of a passing fault, and makes the refusal that asks to try again.
pub fn unavailable(detail: &'static str, fault: &(dyn Error + 'static)) -> Refusal {
    warn!(error = %WithCauses(fault), detail, "request refused for now");
    Refusal::unavailable(detail)
}

/// The refusal behind every failure but the edit's own rejection, which only its action can word.
pub fn of_edit<R>(fault: EditError<R>) -> Refusal {
    match fault {
        EditError::Rejected(_) => Refusal::internal(),
        EditError::KeyReused => Refusal::new(
            Reason::IdempotencyKeyReused,
            "this Idempotency-Key was used with another request body",
        ),
        EditError::Closed => Refusal::new(Reason::NotFound, "it was deleted"),
        EditError::LimitExceeded(exceeded) => {
            let reason = match exceeded.limit {
                Limit::PageBytes | Limit::AnswerBytes => Reason::PageFull,
                Limit::EntriesPerCollection | Limit::PagesPerCollection => Reason::LimitReached,
            };
            Refusal::new(reason, exceeded.to_string())
        }
        EditError::Backlog { .. } => Refusal::unavailable("too many events wait for the broker"),
        EditError::Overloaded => Refusal::unavailable("too many requests are waiting"),
        EditError::Stopping => Refusal::unavailable("this replica is stopping"),
        EditError::Conflict { .. } => {
            Refusal::new(Reason::Conflict, "others are changing the same entries; try again")
        }
        EditError::Unavailable(cause) => of_read(&cause),
        EditError::OutcomeUnknown(cause) => unavailable(
            "the state store is unavailable; whether the change was made is unknown, so repeat it with its \
             Idempotency-Key",
            &cause,
        ),
    }
}

/// The refusal behind a stored entry that cannot be read and is asked for itself.
pub fn of_damage(fault: &CorruptEntry) -> Refusal {
    damage::report(fault);
    Refusal::internal()
}

/// The refusal behind a failed read. What lies there and cannot be read will not be readable after a pause.
pub fn of_read(fault: &StoreError) -> Refusal {
    if fault.is_unreadable() {
        return internal(fault);
    }
    unavailable("the state store is unavailable", fault)
}
