//! What an argon2 hash costs, and how much of that is left to do.

/// The greatest memory of a stored hash that is checked: 1 GiB.
///
/// Raising it lets one stored hash take more of the server's memory; lowering it keeps users out whose
/// hashes were made with more.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;

/// The greatest work of a stored hash that is checked: four passes over 1 GiB, which take seconds.
const MAX_WORK: u64 = 4 * 1024 * 1024;

/// The smallest memory that argon2 allows, for each lane.
const MIN_MEMORY_KIB: u32 = 8;

/// The costs of an argon2 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Costs {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Costs {
    /// How many KiB all passes write together. The time of a check is proportional to it.
    pub(crate) fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }

    /// The one that takes more work.
    pub(crate) fn or_dearer(self, other: Self) -> Self {
        if other.work() > self.work() {
            other
        } else {
            self
        }
    }

    /// Whether a stored hash with these costs is checked, where hashes cost up to `dearest`.
    pub(crate) fn is_affordable(self, dearest: Self) -> bool {
        let is_usual = self.memory_kib <= MAX_MEMORY_KIB && self.work() <= MAX_WORK;
        is_usual || self.work() <= dearest.work() && self.memory_kib <= dearest.memory_kib
    }

    /// The costs of what is left to do after `done`, until as much was done as these costs take. `None` if
    /// that is less than the least that argon2 can do.
    ///
    /// It has as many passes, so that the two together also fill as much memory: new memory costs time
    /// besides.
    pub(crate) fn rest(self, done: u64) -> Option<Self> {
        let left = self.work().checked_sub(done)?;
        let least = u64::from(MIN_MEMORY_KIB);
        if left < least {
            return None;
        }
        let passes = u64::from(self.passes).min(left / least).max(1);
        let memory_kib = u32::try_from(left / passes).unwrap_or(u32::MAX);
        Some(Self {
            memory_kib,
            passes: u32::try_from(passes).unwrap_or(self.passes),
            lanes: self.lanes.min(memory_kib / MIN_MEMORY_KIB).max(1),
        })
    }

    /// The hash that is made in place of a stored one before [`rest`](Self::rest), if nothing was `done` and
    /// new hashes cost `usual`.
    ///
    /// It takes the steps of a check whose hash costs `usual`: one large memory takes longer than two smaller
    /// ones, and would tell who has an account.
    pub(crate) fn stand_in(self, usual: Self, done: u64) -> Option<Self> {
        (done == 0 && usual.work() < self.work()).then_some(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(memory_kib: u32, passes: u32, lanes: u32) -> Costs {
        Costs {
            memory_kib,
            passes,
            lanes,
        }
    }

    #[test]
    fn a_cheaper_hash_and_the_rest_are_as_much_work_as_a_whole_check() {
        let configured = costs(19_456, 2, 1);
        for stored in [
            costs(8, 1, 1),
            costs(4_096, 3, 1),
            costs(9_216, 4, 1),
            costs(12_288, 3, 1),
            costs(19_455, 2, 4),
        ] {
            let rest = configured.rest(stored.work()).map_or(0, Costs::work);
            let missing = configured.work() - stored.work() - rest;
            assert!(missing < 16, "{stored:?}: {missing} KiB are missing");
        }
        assert_eq!(configured.rest(0), Some(configured));
    }

    #[test]
    fn the_dearer_of_two_is_the_one_with_more_work_and_of_equals_the_first() {
        let (cheap, dear) = (costs(19_456, 2, 1), costs(19_456, 3, 1));
        assert_eq!(cheap.or_dearer(dear), dear);
        assert_eq!(dear.or_dearer(cheap), dear);
        let equal = costs(38_912, 1, 1);
        assert_eq!(cheap.or_dearer(equal), cheap);
        assert_eq!(equal.or_dearer(cheap), equal);
    }

    #[test]
    fn who_has_no_hash_takes_the_steps_of_who_has_a_usual_one() {
        let usual = costs(19_456, 2, 1);
        for dearest in [
            costs(40_960, 2, 1),
            costs(19_456, 3, 1),
            costs(65_536, 4, 2),
        ] {
            assert_eq!(dearest.stand_in(usual, 0), Some(usual), "{dearest:?}");
            assert_eq!(dearest.stand_in(usual, usual.work()), None);
        }
        // Then the rest is a whole check already.
        assert_eq!(usual.stand_in(usual, 0), None);
    }

    #[test]
    fn nothing_is_left_after_as_much_or_more() {
        let configured = costs(64, 2, 1);
        assert_eq!(configured.rest(128), None);
        assert_eq!(configured.rest(129), None);
        assert_eq!(configured.rest(121), None);
        assert_eq!(configured.rest(120), Some(costs(8, 1, 1)));
        assert_eq!(configured.rest(100), Some(costs(14, 2, 1)));
        assert_eq!(configured.rest(110), Some(costs(9, 2, 1)));
    }

    #[test]
    fn a_rest_has_no_more_lanes_than_its_memory_allows() {
        assert_eq!(costs(64, 1, 8).rest(0), Some(costs(64, 1, 8)));
        assert_eq!(costs(64, 1, 8).rest(40), Some(costs(24, 1, 3)));
    }

    #[test]
    fn a_hash_that_would_exhaust_the_server_is_not_checked() {
        let usual = costs(19_456, 2, 1);
        for (stored, expected) in [
            (usual, true),
            (costs(MAX_MEMORY_KIB, 4, 4), true),
            (costs(MAX_MEMORY_KIB, 5, 4), false),
            (costs(MAX_MEMORY_KIB + 1, 1, 1), false),
            (costs(8, u32::MAX, 1), false),
            (costs(u32::MAX, u32::MAX, 1), false),
        ] {
            assert_eq!(stored.is_affordable(usual), expected, "{stored:?}");
        }
        let great = costs(2 * MAX_MEMORY_KIB, 4, 4);
        assert!(great.is_affordable(great));
        assert!(!costs(2 * MAX_MEMORY_KIB, 5, 4).is_affordable(great));
    }
}
