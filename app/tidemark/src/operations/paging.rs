//! Lists by pages: `limit`, and an opaque `cursor` that goes on where the last page ended.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use tidemark_api::Refusal;

pub const DEFAULT_LIMIT: usize = 50;
pub const LARGEST_LIMIT: usize = 200;

/// The position that a cursor stands for; without one, the start of the list.
pub fn position<P: DeserializeOwned + Default>(cursor: Option<&str>) -> Result<P, Refusal> {
    let Some(cursor) = cursor else { return Ok(P::default()) };
    let position = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    position.ok_or_else(refuse_cursor)
}

/// The refusal of a cursor that nobody gave out.
pub fn refuse_cursor() -> Refusal {
    Refusal::invalid_field("/cursor", "cursor must be the `next` of an earlier page")
}

/// The cursor of a position.
pub fn cursor(position: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).expect("a position always makes JSON"))
}

/// The limit asked for, from 1 to `largest`.
pub fn limit(asked: Option<u64>, default: usize, largest: usize) -> Result<usize, Refusal> {
    let Some(asked) = asked else { return Ok(default) };
    usize::try_from(asked).ok().filter(|limit| (1..=largest).contains(limit)).ok_or_else(|| {
        Refusal::invalid_field("/limit", format!("limit must be a whole number from 1 to {largest}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_reads_back_as_its_position() {
        let written = cursor(&(3_u32, 4_u32));
        assert_eq!(position::<(u32, u32)>(Some(&written)).unwrap(), (3, 4));
        assert_eq!(position::<(u32, u32)>(None).unwrap(), (0, 0));
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for wrong in ["x", "", "bm90IGpzb24"] {
            assert!(position::<(u32, u32)>(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_outside_its_bounds_is_refused() {
        assert_eq!(limit(None, 50, 200).unwrap(), 50);
        assert_eq!(limit(Some(200), 50, 200).unwrap(), 200);
        for wrong in [0, 201, u64::MAX] {
            assert!(limit(Some(wrong), 50, 200).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_cursor_is_read_or_refused(text in ".{0,40}", json in r#"[\[\]{}":,a-z0-9.e+-]{0,40}"#) {
            for cursor in [text, URL_SAFE_NO_PAD.encode(json)] {
                match position::<(u32, String)>(Some(&cursor)) {
                    Ok(read) => prop_assert_eq!(position::<(u32, String)>(Some(&self::cursor(&read))).unwrap(), read),
                    Err(refusal) => prop_assert_eq!(refusal, refuse_cursor()),
                }
            }
        }
    }
}
