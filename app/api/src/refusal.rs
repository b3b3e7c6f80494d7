//! Why something is not done: the same over every interface.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason of a refusal. Its code is for programs, and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Members of the input break rules; each is named.
    InvalidInput,
    /// The body is not the JSON that was expected.
    MalformedBody,
    /// What surrounds the body breaks the rules of its protocol.
    MalformedRequest,
    TokenMissing,
    TokenExpired,
    /// User name and password do not belong together.
    BadCredentials,
    /// The token is forged, or meant for somebody else.
    TokenInvalid,
    /// Users are created by whoever runs the installation.
    RegistrationClosed,
    /// There is nothing of that id, or nothing that the caller may know of.
    NotFound,
    NoSuchPath,
    MethodNotAllowed,
    /// There is no answer in a form that the caller takes.
    NotAcceptable,
    /// The body did not arrive in time.
    BodyTooSlow,
    UsernameTaken,
    /// A stated limit would be passed.
    LimitReached,
    /// The Inbox cannot be deleted.
    InboxStays,
    /// Others keep changing the same entries.
    Conflict,
    /// The entity has changed since the version that the caller named.
    StaleVersion,
    BodyTooLarge,
    /// The entries that lie together have grown too large.
    PageFull,
    UnsupportedMediaType,
    /// The body is compressed in a way that is not read.
    UnsupportedEncoding,
    /// The idempotency key was used before with other input.
    IdempotencyKeyReused,
    /// A fault of the program; its cause is in its log.
    Internal,
    /// A passing fault: the same call may succeed after a pause.
    Unavailable,
}

impl Reason {
    /// Kept short where declarations list reasons.
    #[expect(non_upper_case_globals, reason = "a second name of a variant is written like a variant")]
    pub const KeyReused: Self = Self::IdempotencyKeyReused;

    /// The HTTP status, which other interfaces read as the kind of the reason.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidInput | Self::MalformedBody | Self::MalformedRequest => 400,
            Self::TokenMissing | Self::TokenExpired | Self::BadCredentials => 401,
            Self::TokenInvalid | Self::RegistrationClosed => 403,
            Self::NotFound | Self::NoSuchPath => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::BodyTooSlow => 408,
            Self::UsernameTaken | Self::LimitReached | Self::InboxStays | Self::Conflict => 409,
            Self::StaleVersion => 412,
            Self::BodyTooLarge | Self::PageFull => 413,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => 415,
            Self::IdempotencyKeyReused => 422,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// As clients read it, such as `invalid-input`.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::MalformedBody => "malformed-body",
            Self::MalformedRequest => "malformed-request",
            Self::TokenMissing => "token-missing",
            Self::TokenExpired => "token-expired",
            Self::BadCredentials => "bad-credentials",
            Self::TokenInvalid => "token-invalid",
            Self::RegistrationClosed => "registration-closed",
            Self::NotFound => "not-found",
            Self::NoSuchPath => "no-such-path",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotAcceptable => "not-acceptable",
            Self::BodyTooSlow => "body-too-slow",
            Self::UsernameTaken => "username-taken",
            Self::LimitReached => "limit-reached",
            Self::InboxStays => "inbox-stays",
            Self::Conflict => "conflict",
            Self::StaleVersion => "stale-version",
            Self::BodyTooLarge => "body-too-large",
            Self::PageFull => "page-full",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One member of the input that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// A JSON pointer into the input, such as `/name`. An interface may write it in its own way.
    pub pointer: String,
    pub message: String,
}

/// An answer that says what went wrong. Boxed, because results carry one everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal(Box<Content>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    reason: Reason,
    detail: String,
    faults: Vec<FieldFault>,
    current_version: Option<u64>,
}

/// Characters of an id at most.
const LONGEST_ID: usize = 100;

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self(Box::new(Content { reason, detail: detail.into(), faults: Vec::new(), current_version: None }))
    }

    /// Input that breaks rules, member by member. There must be at least one.
    pub fn invalid(faults: Vec<FieldFault>) -> Self {
        let detail = faults.first().map(|fault| fault.message.clone()).unwrap_or_default();
        let mut refusal = Self::new(Reason::InvalidInput, detail);
        refusal.0.faults = faults;
        refusal
    }

    pub fn invalid_field(pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::invalid(vec![FieldFault { pointer: pointer.into(), message: message.to_string() }])
    }

    pub fn not_found(kind: &str, id: impl fmt::Display) -> Self {
        // What is longer is no id.
        let id: String = id.to_string().chars().take(LONGEST_ID).collect();
        Self::new(Reason::NotFound, format!("{kind} {id} not found"))
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Reason::Unavailable, detail)
    }

    pub fn internal() -> Self {
        Self::new(Reason::Internal, "an internal error occurred")
    }

    pub fn stale(kind: &str, current_version: u64) -> Self {
        let detail = format!("the {kind} has changed; it is at version {current_version} now");
        let mut refusal = Self::new(Reason::StaleVersion, detail);
        refusal.0.current_version = Some(current_version);
        refusal
    }

    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn faults(&self) -> &[FieldFault] {
        &self.0.faults
    }

    /// Of a stale version: the one that the entity has now.
    pub fn current_version(&self) -> Option<u64> {
        self.0.current_version
    }

    /// The same refusal with every pointer written anew.
    #[must_use]
    pub fn with_pointers(mut self, write: impl Fn(&str) -> String) -> Self {
        for fault in &mut self.0.faults {
            fault.pointer = write(&fault.pointer);
        }
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason.code(), self.0.detail)
    }
}

impl std::error::Error for Refusal {}
