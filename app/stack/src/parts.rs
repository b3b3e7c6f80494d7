//! The real parts: how each is configured, started and asked for its health.

pub(crate) mod application;
pub(crate) mod edge;
pub(crate) mod kafka;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod sidecar;

/// Stop order: what uses others goes first.
pub(crate) mod stop_order {
    pub(crate) const EDGE: u8 = 0;
    pub(crate) const APPLICATION: u8 = 1;
    pub(crate) const BARE_SIDECAR: u8 = 2;
    pub(crate) const INFRASTRUCTURE: u8 = 3;
}
