//! What failures of stores mean to a caller. Causes are logged here, once; callers do not see them.

use std::error::Error;

use tidemark_api::{Reason, Refusal};
use tidemark_pages::{EditError, Limit, StoreError};
use tidemark_protocol::stored::CorruptEntry;
use tracing::{error, warn};

use crate::{damage, telemetry::WithCauses};

/// What a caller can do who is not told more. Only a request that has a key is safe to repeat.
pub const OUTCOME_UNKNOWN: &str = "whether the change was made is unknown: a request that came with an \
                                   Idempotency-Key may be repeated with it; of any other look first what became \
                                   of it";

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
        EditError::OutcomeUnknown(cause) => unavailable(OUTCOME_UNKNOWN, &cause),
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn only_what_may_pass_is_unavailable_and_what_is_damaged_stays_so() {
        let (damaged, away) = (StoreError::unreadable("a page"), StoreError::new("nobody answers"));
        assert_eq!(of_read(&damaged), Refusal::internal());
        assert_eq!(of_read(&away).reason(), Reason::Unavailable);
        let edit = |fault: EditError<Infallible>| of_edit(fault).reason();
        assert_eq!(edit(EditError::Unavailable(damaged)), Reason::Internal);
        assert_eq!(edit(EditError::Unavailable(away.clone())), Reason::Unavailable);
        assert_eq!(edit(EditError::OutcomeUnknown(away)), Reason::Unavailable);
    }
}
