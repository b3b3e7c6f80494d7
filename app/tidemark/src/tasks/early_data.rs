//! Data of before the first release is refused in whole: its comments lie where nobody looks any more, and its user
//! names go by another form.

use std::time::Duration;

use tidemark_domain::Workspace;
use tidemark_pages::{PageView, Pages};
use tokio::time::sleep;

use super::board::groups_of;

/// The store holds data that this program would misread.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state store holds data of an early development version, which this one does not read; remove it, for a \
     local stack with `make dev-reset`"
)]
pub struct EarlyData;

/// How often a store that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Ends if the store holds such data, and never if it does not. Looks at the page that every installation has in
/// use first.
pub async fn found(pages: &Pages) -> EarlyData {
    let first = groups_of(&Workspace::shared()).page(0);
    loop {
        match pages.read(&first).await {
            Ok(view) if is_early(&view) => return EarlyData,
            Ok(_) => std::future::pending().await,
            // Health says so; whoever asks for something is told.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn is_early(view: &PageView) -> bool {
    view.format() == Some(0)
}
