//! Who exists, and who is calling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Method, Reason, Repeats, Role, Success,
    declaration::operation,
    values::{Id, Moment, Secret},
};

/// A new user.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["username", "password"]))]
pub struct Register {
    /// 1 to 100 characters; unique whatever its case, and not to be taken for another one.
    #[schemars(length(min = 1, max = 100), extend("format" = "username"))]
    pub username: String,
    /// At least 8 characters and at most 256 bytes; neither a common password nor the user's own name.
    #[schemars(length(min = 8, max = 256), extend("format" = "password"))]
    pub password: Secret,
    /// How others see the user, at most 100 characters.
    #[schemars(length(max = 100))]
    pub display_name: Option<String>,
}

operation!(Register -> UserAnswer {
    role: Role::Accounts,
    summary: "Registers a user, who may then log in and is a member of the shared board.",
    method: Method::Post,
    paths: &["/api/auth/register", "/auth/register"],
    access: Access::Anyone,
    repeats: Repeats::WithKey,
    success: Success::Created { at: None },
    refusals: &[Reason::RegistrationClosed, Reason::UsernameTaken],
    secrets: &["password"],
});

/// A name and a password.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["username", "password"]))]
pub struct LogIn {
    /// The user's name, in any case.
    #[schemars(length(min = 1, max = 100), extend("format" = "username"))]
    pub username: String,
    /// The user's password.
    #[schemars(length(min = 1), extend("format" = "password"))]
    pub password: Secret,
}

operation!(LogIn -> LoggedIn {
    role: Role::Accounts,
    summary: "Gives a token for a name and a password, and does not tell which of the two is wrong.",
    method: Method::Post,
    paths: &["/api/auth/login", "/auth/login"],
    access: Access::Anyone,
    repeats: Repeats::Anew,
    refusals: &[Reason::BadCredentials],
    secrets: &["password"],
});

/// Everybody.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListUsers {
    /// How many at most; 50 if not given.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(ListUsers -> UserList {
    role: Role::Accounts,
    summary: "Lists the users by pages, in an order that is fixed but has no meaning.",
    method: Method::Get,
    paths: &["/api/auth/users"],
});

/// The caller.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ShowProfile {}

operation!(ShowProfile -> UserAnswer {
    role: Role::Accounts,
    summary: "Shows the user who is calling.",
    method: Method::Get,
    paths: &["/api/users/me"],
    refusals: &[Reason::NotFound],
});

/// The public keys of tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ListSigningKeys {}

operation!(ListSigningKeys -> SigningKeys {
    role: Role::Accounts,
    summary: "Lists the public keys that tokens are signed with, as RFC 7517 and RFC 8037 write them.",
    method: Method::Get,
    paths: &["/.well-known/jwks.json"],
    access: Access::Anyone,
});

/// A user as others see them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(rename = "_id")]
    pub id: Id,
    pub username: String,
    pub display_name: String,
    pub created_at: Moment,
    pub updated_at: Moment,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserAnswer {
    pub user: User,
}

/// The token stands twice: clients of either older API find it where they look.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LoggedIn {
    pub success: bool,
    pub data: Session,
    pub token: Secret,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The user's id.
    #[serde(rename = "_id")]
    pub id: Id,
    pub username: String,
    pub token: Secret,
    pub expires_at: Moment,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserList {
    pub users: Vec<ListedUser>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListedUser {
    #[serde(rename = "_id")]
    pub id: Id,
    pub username: String,
}

/// A JSON Web Key Set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SigningKeys {
    pub keys: Vec<SigningKey>,
}

/// An Ed25519 public key, RFC 8037.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SigningKey {
    pub kty: String,
    pub crv: String,
    pub alg: String,
    #[serde(rename = "use")]
    pub purpose: String,
    pub kid: String,
    /// The 32 bytes of the key, in base64url.
    pub x: String,
}
