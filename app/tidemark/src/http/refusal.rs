//! What a failed edit of a page means to a client.

use http::StatusCode;
use tidemark_pages::{EditError, Limit, StoreError};

use super::{idempotency, problem::Problem, request};

/// The problem behind every failure but the edit's own rejection, which only its action can word.
pub fn of_edit<R>(fault: EditError<R>) -> Problem {
    match fault {
        EditError::Rejected(_) => Problem::internal(),
        EditError::KeyReused => idempotency::key_reused(),
        EditError::Closed => Problem::new(StatusCode::NOT_FOUND, "not-found", "it was deleted"),
        EditError::LimitExceeded(exceeded) => {
            let detail = exceeded.to_string();
            match exceeded.limit {
                Limit::PageBytes | Limit::AnswerBytes => {
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "page-full", detail)
                }
                Limit::EntriesPerCollection | Limit::PagesPerCollection => {
                    Problem::new(StatusCode::CONFLICT, "limit-reached", detail)
                }
            }
        }
        EditError::Backlog { .. } => Problem::unavailable("too many events wait for the broker"),
        EditError::Overloaded => Problem::unavailable("too many requests are waiting"),
        EditError::Stopping => Problem::unavailable("this replica is stopping"),
        EditError::Conflict { .. } => {
            Problem::new(StatusCode::CONFLICT, "conflict", "others are changing the same entries; try again")
        }
        EditError::Unavailable(cause) => request::unavailable("the state store is unavailable", &cause),
        EditError::OutcomeUnknown(cause) => request::unavailable(
            "the state store is unavailable; whether the change was made is unknown, so repeat it with its \
             Idempotency-Key",
            &cause,
        ),
    }
}

/// The problem behind a failed read.
pub fn of_read(fault: &StoreError) -> Problem {
    request::unavailable("the state store is unavailable", fault)
}
