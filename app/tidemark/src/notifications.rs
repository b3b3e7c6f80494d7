//! The notifications role: notices, webhooks and background delivery. Its process, sidecar and health exist;
//! it owns no data yet.

use crate::foundation::Offer;

pub fn start() -> Offer {
    Offer::default()
}
