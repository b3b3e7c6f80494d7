//! Tidemark's wire formats, and the conversions between them and the domain's values.
//!
//! - [`stored`]: how entries rest in pages of the state store (Protocol Buffers).
//! - [`ledger`]: the event on the topic `todo-history-events` (Avro in the schema registry's framing).
//! - [`accounts`]: the gRPC service that the accounts role offers to the other roles.

#[cfg(test)]
mod damage;
pub mod ledger;
pub mod stored;
#[cfg(test)]
mod strange;

pub mod accounts {
    //! What the accounts role does for the other roles.
    #![expect(
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    tonic::include_proto!("tidemark.accounts.v1");
}

pub mod health {
    //! What every process tells the others of its own health.
    #![expect(
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    tonic::include_proto!("tidemark.health.v1");
}
