//! Ranks: where a task stands among its neighbours.
//!
//! A rank is a fraction written in base 36, compared as text. Moving one task changes that task alone: a
//! fresh rank fits between any two. A new task's rank grows with time, so new tasks come last without
//! anybody knowing which was last before. (The published crates for such indices choose the shortest rank
//! after the last one, which would overtake every task created later.)
//!
//! Tasks of a group lie in several pages, and several may be moved into one place at the same moment, none of
//! them knowing of the others. So the rank that a move makes ends with the name of its task: no two are equal,
//! and something fits between any two of them.

use std::{cmp::Ordering, fmt, str::FromStr};

use jiff::Timestamp;

use crate::TaskId;

/// A position that always has room before it, after it, and between it and the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(String);

/// The text is no rank, or no rank can be made for a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRank {
    #[error("not a rank")]
    NotARank,
    #[error("the task before must stand before the task after")]
    NotInOrder,
    #[error("there is no room left at this place: move one of the neighbours first")]
    NoRoom,
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE: u8 = 36;
/// Ends every rank, since it must not end in zero: nothing fits before `x0` and after `x`.
const MIDDLE: char = 'i';

/// Digits of the number that a rank of a creation is: milliseconds and sequence.
const CREATION_DIGITS: usize = 14;
/// What a creation's number stays below.
const NUMBERS: u128 = 36_u128.pow(14);
/// What a place must have room for before a digit is added: fewer moves then need fewer digits.
const ROOM: u128 = 36 * 36;

impl Rank {
    /// The longest rank that is read, in characters.
    pub const LONGEST: usize = 1000;

    /// The longest rank that is made: far below what is read, so that what was written can be read, and short
    /// enough that a page full of them has room for the tasks.
    pub const LONGEST_MADE: usize = 250;

    /// The rank of a task created at `time` as number `sequence` of its group.
    pub fn of_creation(time: Timestamp, sequence: u16) -> Self {
        let mut rank = Self::from_digits(&digits_of(number_of(time, sequence)));
        rank.0.push(MIDDLE);
        rank
    }

    /// The rank of a task that is moved to the place of these digits. The names of entries are of digits too.
    fn of_moved(digits: &[u8], task: TaskId) -> Self {
        let mut rank = Self::from_digits(digits);
        rank.0.push_str(&task.entry());
        rank.0.push(MIDDLE);
        rank
    }

    /// The number of the creation whose rank begins as this one does.
    fn number(&self) -> u128 {
        let digits = self.digits().into_iter().chain(std::iter::repeat(0));
        digits.take(CREATION_DIGITS).fold(0, |number, digit| number * u128::from(BASE) + u128::from(digit))
    }

    /// A rank for `task` after `before`, and before every task created later than `now`. However often tasks are
    /// moved to the end, their ranks become no longer.
    pub fn last(before: Option<&Self>, now: Timestamp, task: TaskId) -> Result<Self, InvalidRank> {
        let now = number_of(now, 0);
        // Another replica's clock may be ahead of ours, and many may be moved in one millisecond.
        let number = before.map_or(now, |before| now.max(before.number() + 1));
        if number < NUMBERS { Ok(Self::of_moved(&digits_of(number), task)) } else { Err(InvalidRank::NoRoom) }
    }

    /// A rank for `task` before `after` and, if given, after `before`.
    ///
    /// Before all others there is no end of room: ranks count down as those of creations count up, and stay as
    /// short. Between two, many moves into one place go towards the same neighbour; the new rank keeps most of
    /// the room on that side, so that thousands of them cost a few digits.
    pub fn between(before: Option<&Self>, after: &Self, task: TaskId) -> Result<Self, InvalidRank> {
        let digits = match before {
            Some(before) if before >= after => return Err(InvalidRank::NotInOrder),
            Some(before) => inside(&before.digits(), &after.digits()),
            None if after.number() > 1 => digits_of(after.number() - 1).to_vec(),
            None => inside(&[], &after.digits()),
        };
        let rank = Self::of_moved(&digits, task);
        if rank.0.len() <= Self::LONGEST_MADE { Ok(rank) } else { Err(InvalidRank::NoRoom) }
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

/// The number of a creation: it grows with time.
fn number_of(time: Timestamp, sequence: u16) -> u128 {
    let milliseconds = u128::from(time.as_millisecond().max(0).unsigned_abs());
    (milliseconds << 16) | u128::from(sequence)
}

fn digits_of(number: u128) -> [u8; CREATION_DIGITS] {
    let mut digits = [0; CREATION_DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(rest % u128::from(BASE)).expect("a remainder of 36 fits a byte");
        rest /= u128::from(BASE);
    }
    digits
}

fn digit_value(character: u8) -> Option<u8> {
    DIGITS.iter().position(|digit| *digit == character).and_then(|value| u8::try_from(value).ok())
}

/// The beginning of all fractions between `low` and `high` that begin so. Neither of the two ends in zero.
fn inside(low: &[u8], high: &[u8]) -> Vec<u8> {
    let digit = |digits: &[u8], place: usize| digits.get(place).copied().unwrap_or(0);
    // Both cut after as many digits as give enough room, counted in units of the last one.
    let (mut digits, mut room) = (Vec::new(), 0);
    while room < ROOM {
        let (from, to) = (digit(low, digits.len()), digit(high, digits.len()));
        room = room * u128::from(BASE) + u128::from(to) - u128::from(from);
        digits.push(from);
    }
    // The longer neighbour is the one that was put there last, and the next will be put beside it again.
    let beside = room.isqrt();
    let mut step = match low.len().cmp(&high.len()) {
        Ordering::Less => room - beside,
        Ordering::Equal => room / 2,
        Ordering::Greater => beside,
    };
    for digit in digits.iter_mut().rev() {
        step += u128::from(*digit);
        *digit = u8::try_from(step % u128::from(BASE)).expect("a remainder of 36 fits a byte");
        step /= u128::from(BASE);
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
    use crate::GroupId;

    fn task(number: u64) -> TaskId {
        TaskId::new(GroupId::INBOX, 0, number.to_be_bytes())
    }

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
            let dragged = Rank::last(Some(&last), at(now), task(1)).unwrap();
            assert!(last < dragged && dragged < Rank::of_creation(at(1_800_000_001_000), 0), "{dragged}");
        }
    }

    #[test]
    fn a_task_dragged_to_the_end_ranks_as_one_created_now() {
        let older = Rank::of_creation(at(1_700_000_000_000), 0);
        let now = at(1_800_000_000_000);
        let dragged = Rank::last(Some(&older), now, task(1)).unwrap();
        assert_eq!(dragged.number(), Rank::of_creation(now, 0).number());
        assert_eq!(Rank::last(None, now, task(1)), Ok(dragged));
    }

    #[test]
    fn tasks_dropped_into_one_place_at_the_same_moment_have_room_between_them() {
        let (low, high) = (Rank::of_creation(at(1_000), 0), Rank::of_creation(at(1_000), 1));
        let places: [&dyn Fn(u64) -> Result<Rank, InvalidRank>; 3] = [
            &|number| Rank::between(Some(&low), &high, task(number)),
            &|number| Rank::between(None, &low, task(number)),
            &|number| Rank::last(Some(&high), at(1_000), task(number)),
        ];
        for place in places {
            let numbers = [0, 1, 2, 1 << 63, u64::MAX - 1, u64::MAX];
            let mut ranks: Vec<Rank> =
                numbers.iter().map(|number| stored(&place(*number).unwrap())).collect();
            ranks.sort();
            for pair in ranks.windows(2) {
                let inside = stored(&Rank::between(Some(&pair[0]), &pair[1], task(7)).unwrap());
                assert!(pair[0] < inside && inside < pair[1], "{pair:?} {inside}");
            }
        }
    }

    #[test]
    fn a_rank_is_read_only_if_a_place_can_have_it() {
        assert!("z".repeat(Rank::LONGEST).parse::<Rank>().is_ok());
        for text in ["", "A", "a-b", "a0", &"z".repeat(Rank::LONGEST + 1)] {
            assert_eq!(text.parse::<Rank>(), Err(InvalidRank::NotARank), "{text:?}");
        }
    }

    #[test]
    fn ranks_in_the_wrong_order_leave_no_room() {
        let (first, second) = (Rank::of_creation(at(1), 0), Rank::of_creation(at(2), 0));
        assert_eq!(Rank::between(Some(&second), &first, task(1)), Err(InvalidRank::NotInOrder));
        assert_eq!(Rank::between(Some(&first), &first, task(1)), Err(InvalidRank::NotInOrder));
    }

    /// Reads back what is written, as a stored task would be.
    fn stored(rank: &Rank) -> Rank {
        rank.as_str().parse().unwrap()
    }

    #[test]
    fn thousands_of_moves_to_the_top_make_no_rank_longer() {
        let created = Rank::of_creation(at(1_800_000_000_000), 0);
        let mut top = created.clone();
        for number in 0..20_000 {
            let next = stored(&Rank::between(None, &top, task(number)).unwrap());
            assert!(next < top);
            top = next;
        }
        assert_eq!(top.as_str().len(), created.as_str().len() + task(1).entry().len());
    }

    #[test]
    fn thousands_of_moves_to_the_end_make_no_rank_longer() {
        let created = Rank::of_creation(at(1_800_000_000_000), 0);
        let mut end = created.clone();
        for number in 0..20_000 {
            let next = stored(&Rank::last(Some(&end), at(1_700_000_000_000), task(number)).unwrap());
            assert!(end < next);
            end = next;
        }
        assert_eq!(end.as_str().len(), created.as_str().len() + task(1).entry().len());
    }

    #[test]
    fn thousands_of_moves_into_one_gap_cost_few_digits() {
        for upwards in [true, false] {
            let low = Rank::of_creation(at(1_800_000_000_000), 0);
            let high = Rank::of_creation(at(1_800_000_000_000), 1);
            let (mut below, mut above) = (low.clone(), high.clone());
            for number in 0..20_000 {
                let next = stored(&Rank::between(Some(&below), &above, task(number)).unwrap());
                assert!(below < next && next < above);
                if upwards { below = next } else { above = next }
            }
            let longest = below.as_str().len().max(above.as_str().len());
            assert!(longest < 100, "{longest} characters");
        }
    }

    #[test]
    fn a_place_that_was_used_up_says_so_before_a_rank_is_too_long() {
        let mut below = Rank::of_creation(at(1), 0);
        let mut above = Rank::of_creation(at(1), 1);
        for number in 0.. {
            // Always between the last two: the worst that can be done to a place.
            match Rank::between(Some(&below), &above, task(number)) {
                Ok(next) if number % 2 == 0 => below = stored(&next),
                Ok(next) => above = stored(&next),
                Err(fault) => {
                    assert_eq!(fault, InvalidRank::NoRoom);
                    assert!(number > 150, "only {number} moves");
                    break;
                }
            }
        }
    }

    #[test]
    fn at_the_ends_of_all_ranks_there_is_no_room_rather_than_a_wrong_place() {
        let highest: Rank = "z".repeat(20).parse().unwrap();
        assert_eq!(Rank::last(Some(&highest), at(1), task(1)), Err(InvalidRank::NoRoom));
        let lowest: Rank = format!("{}1", "0".repeat(Rank::LONGEST_MADE)).parse().unwrap();
        assert_eq!(Rank::between(None, &lowest, task(1)), Err(InvalidRank::NoRoom));
        let low: Rank = "00000000000001".parse().unwrap();
        assert!(Rank::between(None, &low, task(1)).unwrap() < low);
    }

    proptest! {
        #[test]
        fn a_rank_lies_between_any_two_that_leave_room(
            one in "[0-9a-z]{0,30}[1-9a-z]",
            other in "[0-9a-z]{0,30}[1-9a-z]",
            number: u64,
        ) {
            let task = task(number);
            let (one, other): (Rank, Rank) = (one.parse().unwrap(), other.parse().unwrap());
            let (low, high) = if one < other { (&one, &other) } else { (&other, &one) };
            prop_assume!(low != high);
            let between = stored(&Rank::between(Some(low), high, task).unwrap());
            prop_assert!(*low < between && between < *high, "{between}");
            prop_assert!(stored(&Rank::between(None, low, task).unwrap()) < *low);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}|[0-9a-z]{0,80}") {
            if let Ok(rank) = text.parse::<Rank>() {
                prop_assert_eq!(rank.to_string(), text);
            }
        }

        #[test]
        fn there_is_always_room_between_neighbours(moves in prop::collection::vec(0usize..64, 0..300)) {
            let mut ranks = vec![Rank::of_creation(at(1), 0)];
            for (number, place) in (0..).zip(moves) {
                let place = place % (ranks.len() + 1);
                let before = place.checked_sub(1).map(|previous| &ranks[previous]);
                let rank = match ranks.get(place) {
                    Some(after) => Rank::between(before, after, task(number)).unwrap(),
                    None => Rank::last(before, at(1), task(number)).unwrap(),
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
