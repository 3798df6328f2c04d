//! Marks of changes that this handle has seen.
//!
//! A position alone does not tell which change had it: after the loss of commits (a standby took over that had not got
//! them, an older backup was restored) the same positions may be given again. Nobody may go on from there without
//! noticing, so the handle remembers the random marks of what it handed out last.

use std::collections::VecDeque;

use authority::store::Position;

/// Of so many places, newest first: whoever asks goes on from the newest, or from one of a few before it.
const REMEMBERED: usize = 16;

#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    places: VecDeque<(Position, i64)>,
    /// From the first place to the second there is nothing to hand out: changes of kinds that only newer programs know.
    passed: Option<(Position, Position)>,
}

impl Marks {
    /// What was handed out up to this position, whose change has this mark.
    pub(crate) fn note(&mut self, position: Position, mark: i64) {
        self.places.retain(|place| place.0 != position);
        self.places.push_front((position, mark));
        self.places.truncate(REMEMBERED);
    }

    /// Whether a change with this mark may be the one that was handed out for its position. `None`: there is none.
    pub(crate) fn agree(&self, position: Position, mark: Option<i64>) -> bool {
        self.places.iter().find(|place| place.0 == position).is_none_or(|place| Some(place.1) == mark)
    }

    /// There is nothing to hand out between these places, though there are changes.
    pub(crate) fn pass(&mut self, from: Position, to: Position) {
        self.passed = Some((from, to));
    }

    /// From where to go on for whoever has all up to this place.
    pub(crate) fn next(&self, position: Position) -> Position {
        self.passed.filter(|passed| passed.0 == position).map_or(position, |passed| passed.1)
    }

    /// Another history begins.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_passed_is_passed_again_from_the_same_place_only() {
        let mut marks = Marks::default();
        marks.pass(Position(3), Position(9));
        assert_eq!([2, 3, 4].map(|place| marks.next(Position(place)).0), [2, 9, 4]);
        marks.forget();
        assert_eq!(marks.next(Position(3)), Position(3));
    }

    #[test]
    fn a_place_with_another_mark_is_another_one() {
        let mut marks = Marks::default();
        assert!(marks.agree(Position(3), None) && marks.agree(Position(3), Some(7)), "nothing is known");
        marks.note(Position(3), 7);
        assert!(marks.agree(Position(3), Some(7)) && marks.agree(Position(2), Some(7)));
        assert!(!marks.agree(Position(3), Some(8)) && !marks.agree(Position(3), None));
        marks.note(Position(3), 8);
        assert!(marks.agree(Position(3), Some(8)) && !marks.agree(Position(3), Some(7)));
        for position in 4..=3 + REMEMBERED as u64 {
            marks.note(Position(position), 1);
        }
        assert!(marks.agree(Position(3), None), "it is forgotten");
        marks.forget();
        assert!(marks.agree(Position(4), None));
    }
}
