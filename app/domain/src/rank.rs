//! Ranks: where a task stands among its neighbours.
//!
//! A rank is a fraction written in base 36, compared as text. Moving one task changes that task alone: a
//! fresh rank fits between any two. A new task's rank grows with time, so new tasks come last without
//! anybody knowing which was last before. (The published crates for such indices choose the shortest rank
//! after the last one, which would overtake every task created later.)

use std::{fmt, str::FromStr};

use jiff::Timestamp;

/// A position that always has room before it, after it, and between it and the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(String);

/// The text is no rank, or there is no room between two ranks because they are not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRank {
    #[error("not a rank")]
    NotARank,
    #[error("the task before must stand before the task after")]
    NotInOrder,
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE: u8 = 36;
/// Ends every rank of a creation, since a rank must not end in zero: nothing fits before `x0` and after `x`.
const MIDDLE: char = 'i';

impl Rank {
    /// The longest rank in characters. Hundreds of moves into one same gap are needed to get there.
    const LONGEST: usize = 1000;

    /// The rank of a task created at `time` as number `sequence` of its commit.
    pub fn of_creation(time: Timestamp, sequence: u16) -> Self {
        let mut digits = vec![0; 14];
        let mut rest = (u128::from(time.as_millisecond().max(0).unsigned_abs()) << 16) | u128::from(sequence);
        for digit in digits.iter_mut().rev() {
            *digit = u8::try_from(rest % u128::from(BASE)).expect("a remainder of 36 fits a byte");
            rest /= u128::from(BASE);
        }
        let mut rank = Self::from_digits(&digits);
        rank.0.push(MIDDLE);
        rank
    }

    /// A rank after `before`, and before every task created later than `now`.
    pub fn last(before: Option<&Self>, now: Timestamp) -> Self {
        let created = Self::of_creation(now, 0);
        match before {
            // Another replica's clock may be ahead of ours.
            Some(before) if *before >= created => Self(format!("{}{MIDDLE}", before.0)),
            _ => created,
        }
    }

    /// A rank before `after` and, if given, after `before`.
    pub fn between(before: Option<&Self>, after: &Self) -> Result<Self, InvalidRank> {
        match before {
            Some(before) if before >= after => Err(InvalidRank::NotInOrder),
            _ => {
                let before = before.map(Self::digits).unwrap_or_default();
                Ok(Self::from_digits(&midpoint(&before, Some(&after.digits()))))
            }
        }
    }

    fn digits(&self) -> Vec<u8> {
        self.0.bytes().filter_map(digit_value).collect()
    }

    fn from_digits(digits: &[u8]) -> Self {
        Self(digits.iter().map(|digit| char::from(DIGITS[usize::from(*digit)])).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn digit_value(character: u8) -> Option<u8> {
    DIGITS.iter().position(|digit| *digit == character).and_then(|value| u8::try_from(value).ok())
}

/// The shortest fraction between `low` and `high`, neither of which ends in zero; no `high` stands for one.
fn midpoint(low: &[u8], high: Option<&[u8]>) -> Vec<u8> {
    let first_low = low.first().copied().unwrap_or(0);
    let first_high = high.map_or(BASE, |high| high.first().copied().unwrap_or(0));
    let rest = low.get(1..).unwrap_or_default();
    let mut digits = vec![first_low];
    match first_high - first_low {
        0 => digits.extend(midpoint(rest, high.and_then(|high| high.get(1..)))),
        1 => match high {
            Some(high) if high.len() > 1 => digits = vec![first_high],
            _ => digits.extend(midpoint(rest, None)),
        },
        gap => digits = vec![first_low + gap / 2],
    }
    digits
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Rank {
    type Err = InvalidRank;

    fn from_str(text: &str) -> Result<Self, InvalidRank> {
        let digits_only = text.bytes().all(|character| digit_value(character).is_some());
        if digits_only && !text.is_empty() && !text.ends_with('0') && text.len() <= Self::LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRank::NotARank)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    #[test]
    fn later_tasks_rank_after_earlier_ones() {
        assert!(Rank::of_creation(at(1_000), 0) < Rank::of_creation(at(1_000), 1));
        assert!(Rank::of_creation(at(1_000), u16::MAX) < Rank::of_creation(at(1_001), 0));
    }

    #[test]
    fn a_task_dragged_to_the_end_stays_before_tasks_created_later() {
        let last = Rank::of_creation(at(1_800_000_000_000), 0);
        for now in [1_700_000_000_000, 1_800_000_000_000, 1_800_000_000_500] {
            let dragged = Rank::last(Some(&last), at(now));
            assert!(last < dragged && dragged < Rank::of_creation(at(1_800_000_001_000), 0), "{dragged}");
        }
    }

    #[test]
    fn ranks_in_the_wrong_order_leave_no_room() {
        let (first, second) = (Rank::of_creation(at(1), 0), Rank::of_creation(at(2), 0));
        assert_eq!(Rank::between(Some(&second), &first), Err(InvalidRank::NotInOrder));
        assert_eq!(Rank::between(Some(&first), &first), Err(InvalidRank::NotInOrder));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}|[0-9a-z]{0,80}") {
            if let Ok(rank) = text.parse::<Rank>() {
                prop_assert_eq!(rank.to_string(), text);
            }
        }

        #[test]
        fn there_is_always_room_between_neighbours(moves in prop::collection::vec(0usize..64, 0..300)) {
            let mut ranks = vec![Rank::of_creation(at(1), 0)];
            for place in moves {
                let place = place % (ranks.len() + 1);
                let before = place.checked_sub(1).map(|previous| &ranks[previous]);
                let rank = match ranks.get(place) {
                    Some(after) => Rank::between(before, after).unwrap(),
                    None => Rank::last(before, at(1)),
                };
                ranks.insert(place, rank);
            }
            prop_assert!(ranks.is_sorted_by(|a, b| a < b));
            for rank in ranks {
                prop_assert_eq!(rank.to_string().parse(), Ok(rank));
            }
        }
    }
}
