//! What is said of an operation.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::Reason;

/// Something that a role can do. The type that implements it is what the operation takes.
pub trait Operation: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What it gives.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    const DECLARATION: Declaration;
}

/// Everything about an operation that is no type.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// A verb and its object, such as `CreateTask`: unique, and for ever.
    pub name: &'static str,
    /// Who does it.
    pub role: Role,
    /// One sentence for the documentation.
    pub summary: &'static str,
    pub method: Method,
    /// The canonical path, then those of older clients. `{name}` stands for that member of the input.
    pub paths: &'static [&'static str],
    pub access: Access,
    pub repeats: Repeats,
    pub shape: Shape,
    pub success: Success,
    /// Whether an answer may be one that the role has kept for a while. It says how old it is, and whoever
    /// demands a fresh one gets it.
    pub kept: bool,
    /// What it may be refused for, beside what every operation of its kind may be ([`Declaration::reasons`]).
    pub refusals: &'static [Reason],
    /// Members of the input that must not be kept, not even as a digest.
    pub secrets: &'static [&'static str],
}

/// The parts of the program that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Accounts,
    Tasks,
    History,
    Notifications,
    Gateway,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Anyone,
    /// Whoever shows a valid token.
    SignedIn,
}

/// What happens if a call comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// Nothing: it changes nothing.
    Safe,
    /// With an idempotency key the repeat gets the first answer.
    WithKey,
    /// As `WithKey`; and with the version that the caller has seen, a change made meanwhile is not overwritten.
    WithKeyAndVersion,
    /// It happens twice, and that does no harm.
    Anew,
}

/// How input and output travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One message each way: offered over every interface.
    Unary,
}

/// What a success is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// The output.
    Done,
    /// The output is something new, to be found at this path; `{id}` stands for its id.
    Created { at: Option<&'static str> },
    /// There is nothing to say.
    Gone,
}

impl Role {
    pub const ALL: [Self; 5] =
        [Self::Accounts, Self::Tasks, Self::History, Self::Notifications, Self::Gateway];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Tasks => "tasks",
            Self::History => "history",
            Self::Notifications => "notifications",
            Self::Gateway => "gateway",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl Success {
    pub fn status(self) -> u16 {
        match self {
            Self::Done => 200,
            Self::Created { .. } => 201,
            Self::Gone => 204,
        }
    }
}

impl Declaration {
    /// Whether the input travels as a body. Otherwise it is in the path and the query.
    pub fn has_body(&self) -> bool {
        matches!(self.method, Method::Post | Method::Put)
    }

    pub fn takes_key(&self) -> bool {
        matches!(self.repeats, Repeats::WithKey | Repeats::WithKeyAndVersion)
    }

    pub fn takes_version(&self) -> bool {
        self.repeats == Repeats::WithKeyAndVersion
    }

    /// The path of the call between roles: one an operation, so that a policy can name it.
    pub fn call_path(&self) -> String {
        format!("/tidemark.{}/{}", self.role, self.name)
    }

    /// Everything that it may be refused for.
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons =
            vec![Reason::InvalidInput, Reason::MalformedRequest, Reason::Internal, Reason::Unavailable];
        if self.success != Success::Gone {
            reasons.push(Reason::NotAcceptable);
        }
        if self.access == Access::SignedIn {
            reasons.extend([Reason::TokenMissing, Reason::TokenExpired, Reason::TokenInvalid]);
        }
        if self.has_body() {
            reasons.extend([Reason::MalformedBody, Reason::BodyTooSlow, Reason::BodyTooLarge]);
            reasons.extend([Reason::UnsupportedMediaType, Reason::UnsupportedEncoding]);
        }
        if self.takes_key() {
            reasons.extend([Reason::KeyReused, Reason::Conflict, Reason::LimitReached, Reason::PageFull]);
        }
        if self.takes_version() {
            reasons.push(Reason::StaleVersion);
        }
        reasons.extend(self.refusals);
        reasons
    }
}

/// The names in a path, in their order.
pub fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// An operation with its types written out.
#[derive(Debug, Clone)]
pub struct Described {
    pub declaration: Declaration,
    pub input: Schema,
    pub output: Schema,
}

/// A JSON Schema, 2020-12, whose references lead into its own `$defs`.
#[derive(Debug, Clone)]
pub struct Schema(Value);

impl Described {
    /// Whether anything of the input is left for a body: all of it may be in the path.
    pub fn wants_body(&self) -> bool {
        let in_path: Vec<&str> =
            self.declaration.paths.first().map(|path| path_parameters(path).collect()).unwrap_or_default();
        self.declaration.has_body() && self.input.properties().any(|(name, _)| !in_path.contains(&name))
    }

    pub fn of<O: Operation>() -> Self {
        Self {
            declaration: O::DECLARATION,
            input: Schema::of::<O>(),
            output: Schema::of_output::<O::Output>(),
        }
    }
}

impl Schema {
    /// What is read as a `T`.
    pub fn of<T: JsonSchema>() -> Self {
        let generator = SchemaSettings::draft2020_12().into_generator();
        Self(generator.into_root_schema_for::<T>().to_value())
    }

    /// What a `T` is written as: every member that is not left out is there, if only as null.
    pub fn of_output<T: JsonSchema>() -> Self {
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        Self(generator.into_root_schema_for::<T>().to_value())
    }

    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The members, with what is said of each.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        let properties = self.0.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(Map::iter).map(|(name, property)| (name.as_str(), property))
    }

    pub fn property(&self, name: &str) -> Option<&Value> {
        self.0.get("properties")?.get(name)
    }

    /// What a `$ref` stands for; anything else stands for itself.
    pub fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference = schema.get("$ref").and_then(Value::as_str);
        reference.and_then(|reference| self.0.pointer(reference.strip_prefix('#')?)).unwrap_or(schema)
    }
}

/// Declares that a type is what an operation takes.
macro_rules! operation {
    ($input:ident -> $output:ty { $($field:ident: $value:expr),* $(,)? }) => {
        impl $crate::Operation for $input {
            type Output = $output;

            const DECLARATION: $crate::Declaration = $crate::Declaration {
                name: stringify!($input),
                $($field: $value,)*
                ..$crate::declaration::DEFAULTS
            };
        }
    };
}
pub(crate) use operation;

/// What an operation need not say of itself.
pub(crate) const DEFAULTS: Declaration = Declaration {
    name: "",
    role: Role::Gateway,
    summary: "",
    method: Method::Get,
    paths: &[],
    access: Access::SignedIn,
    repeats: Repeats::Safe,
    shape: Shape::Unary,
    success: Success::Done,
    kept: false,
    refusals: &[],
    secrets: &[],
};
