//! What tells one request from another, so that a repeat gets the first answer instead of acting twice.

use std::sync::Arc;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidemark_api::{Operation, Refusal};
use tidemark_domain::UserId;
use tidemark_pages::{Entry, Once};
use tidemark_protocol::stored::CorruptEntry;

use super::refusals;

/// Short enough to be kept with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestIdentity {
    /// Who asked for what kind of thing under which key.
    pub key: [u8; 16],
    /// What exactly was asked, but for secrets.
    pub fingerprint: [u8; 16],
}

const LONGEST_KEY: usize = 255;

/// The key, if it may be one.
pub fn parse(key: &str) -> Result<String, Refusal> {
    if (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        Ok(key.to_owned())
    } else {
        let message = "Idempotency-Key must be 1 to 255 ASCII characters";
        Err(Refusal::invalid_field("Idempotency-Key", message))
    }
}

/// Makes the fingerprints of requests. They stay in the store when what was asked is long gone, so they are
/// keyed: who can read the store cannot try guesses against them.
#[derive(Clone)]
pub struct Fingerprints(Arc<hmac::Key>);

impl Fingerprints {
    /// The same for all replicas, which know the same secret. Under another secret a repeated request is taken
    /// for another one and refused. That it came under the same key is still known, so nothing is done twice.
    pub fn new(secret: Option<&SecretString>) -> Self {
        let secret = secret.map(ExposeSecret::expose_secret).unwrap_or_default();
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
    }

    /// The identity of a call by `caller` about `subject`, under `key`.
    pub fn identity<O: Operation>(
        &self,
        caller: Option<UserId>,
        subject: &str,
        key: &str,
        input: &O,
    ) -> RequestIdentity {
        let caller = caller.map(|caller| caller.to_string()).unwrap_or_default();
        let parts = [caller.as_str(), O::DECLARATION.name, subject, key];
        RequestIdentity { key: digest(&parts.map(str::as_bytes)), fingerprint: self.fingerprint(input) }
    }

    /// Of the input as it is compared, whichever interface it came through.
    fn fingerprint<O: Operation>(&self, input: &O) -> [u8; 16] {
        let mut input = serde_json::to_value(input).expect("an input always makes JSON");
        if let Value::Object(members) = &mut input {
            for secret in O::DECLARATION.secrets {
                // Not even keyed: whoever learns the key could try lists of passwords.
                members.remove(*secret);
            }
        }
        // The secret serves elsewhere too; the first word keeps the uses apart.
        let text = format!("fingerprint {input}");
        beginning(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self::new(None)
    }
}

/// What was made, now or by the first call with the same key, and whether that was so: `read` reads it as the first call
/// left it in the page of that number.
pub fn made<T>(
    made: Once<T>,
    read: impl FnOnce(u32, &Entry) -> Result<T, CorruptEntry>,
) -> Result<(T, bool), Refusal> {
    match made {
        Once::First(made) => Ok((made, false)),
        Once::Again(first) => {
            let entry = first.entry.ok_or_else(Refusal::internal)?;
            let made = read(first.page.number(), &entry).map_err(|fault| refusals::of_damage(&fault))?;
            Ok((made, true))
        }
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    beginning(&hash.finalize())
}

fn beginning(digest: &[u8]) -> [u8; 16] {
    let mut beginning = [0; 16];
    beginning.copy_from_slice(&digest[..16]);
    beginning
}

impl From<RequestIdentity> for tidemark_pages::IdempotencyKey {
    fn from(identity: RequestIdentity) -> Self {
        Self { key: identity.key, fingerprint: identity.fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemark_api::{accounts::Register, groups::CreateGroup, tasks::DeleteTask};

    use super::*;

    fn group(name: &str) -> CreateGroup {
        CreateGroup { name: name.to_owned(), discussion: None }
    }

    fn identity<O: Operation>(
        caller: Option<UserId>,
        subject: &str,
        key: &str,
        input: &O,
    ) -> RequestIdentity {
        Fingerprints::default().identity(caller, subject, key, input)
    }

    #[test]
    fn a_fingerprint_tells_nothing_to_who_does_not_know_the_secret() {
        let under =
            |secret: &str| Fingerprints::new(Some(&secret.into())).identity(None, "", "a", &group("one"));
        let (one, same, other) = (under("secret"), under("secret"), under("another"));
        assert_eq!(one, same);
        assert_ne!(one.fingerprint, other.fingerprint);
        // A repeat is known all the same, and refused rather than done twice.
        assert_eq!(one.key, other.key);
    }

    #[test]
    fn keys_of_other_callers_operations_subjects_and_values_differ() {
        let (ada, ben) = (Some(UserId::new(0, [1; 8])), Some(UserId::new(0, [2; 8])));
        let first = identity(ada, "x", "a", &group("one"));
        assert_eq!(identity(ada, "x", "a", &group("one")), first);
        for other in [
            identity(ben, "x", "a", &group("one")),
            identity(None, "x", "a", &group("one")),
            identity(ada, "y", "a", &group("one")),
            identity(ada, "x", "b", &group("one")),
            identity(ada, "x", "a", &DeleteTask { id: "one".to_owned() }),
        ] {
            assert_ne!(other.key, first.key);
        }
        let other_input = identity(ada, "x", "a", &group("two"));
        assert!(other_input.key == first.key && other_input.fingerprint != first.fingerprint);
    }

    #[test]
    fn a_secret_is_no_part_of_a_fingerprint() {
        let registration = |password: &str| Register {
            username: "Ada".to_owned(),
            password: password.into(),
            ..Register::default()
        };
        let one = identity(None, "Ada", "a", &registration("correct horse 1"));
        assert_eq!(identity(None, "Ada", "a", &registration("other horse 2")), one);
    }

    #[test]
    fn a_key_is_printable_ascii_of_a_bounded_length() {
        assert!(parse("a key").is_ok() && parse(&"x".repeat(255)).is_ok());
        for wrong in ["", "\u{e4}", "a\tb", &"x".repeat(256)] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_key_is_read_or_refused(text in prop_oneof![any::<String>(), "[ -~]{0,260}"]) {
            let is_one = (1..=255).contains(&text.len()) && text.chars().all(|letter| (' '..='~').contains(&letter));
            prop_assert_eq!(parse(&text).ok(), is_one.then_some(text));
        }
    }
}
