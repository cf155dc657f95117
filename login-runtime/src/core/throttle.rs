//! How many tries a client has to prove something, such as a password, and how long it waits after that.
//!
//! 1. A try is counted in three counters before it is made: one of the account and the client together, one
//!    of the account, and one of the client. Each of them has to allow it.
//! 2. A counter forgets one try at a time, at a steady rate. So it needs two numbers only, and a counter that
//!    is empty need not be kept.
//! 3. Once its free tries are used up, a counter asks for a delay after each further try, which doubles.
//! 4. A try that succeeds, or was not made, is taken back from the counters. Nothing else lowers them, so that
//!    a client with one valid account cannot reset the counters of others, or of its address.
//! 5. The counter of an account does not refuse a client from which the account was logged in before: clients
//!    all over the world cannot lock the owner out.

use std::{net::IpAddr, time::Duration};

/// The longest account name that is told apart, in characters. Names that begin alike share counters.
///
/// Raising it makes a try with a long name more expensive; lowering it lets accounts share counters.
const MAX_ACCOUNT: usize = 256;

/// For how many clients of one account it is known that the account was logged in from there.
///
/// Raising it keeps more of an owner's devices free of what happens elsewhere; lowering it bounds the store.
pub(crate) const KNOWN_CLIENTS: u8 = 8;

/// The longest time that a limit can name, in seconds: ten years. So no sum of times overflows.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;

/// The most free tries of a limit.
const MAX_TRIES: u32 = 1_000_000;

/// How many tries are free, and how long a client waits after that.
///
/// The first delay is one second, and each further try doubles it up to the longest delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryLimit {
    pub(crate) tries: i64,
    pub(crate) max_delay: i64,
    pub(crate) forget: i64,
}

impl TryLimit {
    /// A limit with this many free tries (at least one), a longest delay of 15 minutes, and a try forgotten
    /// every 15 minutes.
    pub const fn new(tries: u32) -> Self {
        let tries = match tries {
            0 => 1,
            MAX_TRIES.. => MAX_TRIES,
            tries => tries,
        };
        Self {
            tries: tries as i64,
            max_delay: 15 * 60,
            forget: 15 * 60,
        }
    }

    /// The longest delay between two tries, in whole seconds, at least one.
    #[must_use]
    pub const fn max_delay(self, delay: Duration) -> Self {
        Self {
            max_delay: seconds(delay),
            ..self
        }
    }

    /// The time after which one try is forgotten, in whole seconds, at least one.
    #[must_use]
    pub const fn forget_one_every(self, time: Duration) -> Self {
        Self {
            forget: seconds(time),
            ..self
        }
    }

    /// The free tries, the longest delay, and the time after which one try is forgotten, both in seconds.
    ///
    /// For stores that count in a script.
    pub const fn parts(self) -> (i64, i64, i64) {
        (self.tries, self.max_delay, self.forget)
    }

    /// The delay after a try that is the `count`th in the counter.
    fn delay(self, count: i64) -> i64 {
        match count - self.tries {
            ..0 => 0,
            doublings @ 0..31 => (1 << doublings).min(self.max_delay),
            _ => self.max_delay,
        }
    }

    /// The number of tries from which the delay is the longest. A counter does not count further.
    fn most(self) -> i64 {
        self.tries + i64::from(64 - self.max_delay.leading_zeros())
    }
}

const fn seconds(time: Duration) -> i64 {
    match time.as_secs() {
        0 => 1,
        MAX_SECONDS.. => MAX_SECONDS as i64,
        seconds => seconds as i64,
    }
}

/// The name of a counter in a store: a keyed hash, so that a store contains neither names nor addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey(pub [u8; 16]);

/// The state of a counter; the default is an empty one. Times are in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// When all tries are forgotten.
    pub empty_at: i64,
    /// Before this time, the counter allows no try.
    pub next_at: i64,
}

impl Counter {
    /// When the counter is as if it had never been used, and need not be stored any more.
    pub fn forgotten_at(self) -> i64 {
        self.empty_at.max(self.next_at)
    }

    /// Corrects what a node whose clock was ahead has written.
    fn plausible(self, limit: TryLimit, now: i64) -> Self {
        Self {
            empty_at: self.empty_at.min(now + limit.most() * limit.forget),
            next_at: self.next_at.min(now + limit.max_delay),
        }
    }

    /// Counts a try, whether the counter allows it or not.
    fn count(self, limit: TryLimit, now: i64) -> (Self, Counted) {
        let before = self.empty_at.max(now);
        let most = now + limit.most() * limit.forget;
        let empty_at = (before + limit.forget).min(most).max(before);
        let tries = (empty_at - now + limit.forget - 1) / limit.forget;
        let (next_at, begun) = match limit.delay(tries) {
            0 => (self.next_at, 0),
            delay => (now + delay, now + delay),
        };
        let counted = Counted {
            added: empty_at - before,
            next_at: begun,
        };
        (Self { empty_at, next_at }, counted)
    }

    /// Takes a counted try back.
    ///
    /// The delay ends too, unless a later try has begun another one.
    #[must_use]
    pub fn give_back(self, counted: Counted) -> Self {
        Self {
            empty_at: self.empty_at - counted.added,
            next_at: match counted.next_at != 0 && self.next_at == counted.next_at {
                true => 0,
                false => self.next_at,
            },
        }
    }
}

/// What a try has added to a counter, to take it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// By how many seconds the try has moved [`Counter::empty_at`].
    pub added: i64,
    /// The [`Counter::next_at`] that it has set, or zero if it has set none.
    pub next_at: i64,
}

/// A client from which an account was logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownClient {
    /// A keyed hash of the client.
    pub client: i64,
    /// When the store forgets it, in seconds since the Unix epoch.
    pub until: i64,
}

/// What a try is counted under: the names of its counters, and their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The counters of account and client together, of the account, and of the client.
    pub counters: [CounterKey; 3],
    /// Their limits.
    pub limits: [TryLimit; 3],
    /// Where the store keeps a client from which the account was logged in. An account has few such places,
    /// so that the store stays small; clients that share one replace each other.
    pub known: CounterKey,
    /// A keyed hash of the client.
    pub client: i64,
}

/// Which counter refuses a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThrottledBy {
    /// That of the account and the client together.
    AccountAndClient,
    /// That of the account, for a client from which the account was not logged in before.
    Account,
    /// That of the client, with all accounts it has tried.
    Client,
}

impl ThrottledBy {
    /// That of the counter at this position of [`Attempt::counters`].
    pub fn at(position: usize) -> Self {
        match position {
            0 => Self::AccountAndClient,
            1 => Self::Account,
            _ => Self::Client,
        }
    }

    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountAndClient => "account and client",
            Self::Account => "account",
            Self::Client => "client",
        }
    }
}

/// The answer to a claim of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The try is counted, and may be made.
    Allowed([Counted; 3]),
    /// The try is not counted, and must not be made.
    Refused {
        /// The counter that asks for the longest delay.
        by: ThrottledBy,
        /// In how many seconds it allows a try, at least one.
        retry_after: i64,
    },
}

impl Attempt {
    /// Decides about a try: the states of the counters after it, and the answer.
    ///
    /// A store calls this with the states that it has read, and stores those that have changed, atomically.
    pub fn claim(
        &self,
        counters: [Counter; 3],
        known: Option<KnownClient>,
        now: i64,
    ) -> ([Counter; 3], Claimed) {
        let is_known = known.is_some_and(|it| it.client == self.client && now < it.until);
        let decides = |position| !(is_known && ThrottledBy::at(position) == ThrottledBy::Account);
        let mut states = counters;
        let mut refused: Option<(usize, i64)> = None;
        for (position, (state, limit)) in states.iter_mut().zip(self.limits).enumerate() {
            *state = state.plausible(limit, now);
            let wait = state.next_at - now;
            if decides(position) && wait > refused.map_or(0, |(_, longest)| longest) {
                refused = Some((position, wait));
            }
        }
        if let Some((position, retry_after)) = refused {
            let by = ThrottledBy::at(position);
            return (states, Claimed::Refused { by, retry_after });
        }
        let counted = std::array::from_fn(|position| {
            if !decides(position) {
                return Counted::default();
            }
            let (state, counted) = states[position].count(self.limits[position], now);
            states[position] = state;
            counted
        });
        (states, Claimed::Allowed(counted))
    }

    /// The states of the counters after a try that was not made.
    pub fn give_back(&self, counters: [Counter; 3], counted: &[Counted; 3]) -> [Counter; 3] {
        std::array::from_fn(|position| counters[position].give_back(counted[position]))
    }

    /// The states of the counters after a try that succeeded. The tries of this client at this account are
    /// forgotten, and those of others are not.
    pub fn succeed(&self, counters: [Counter; 3], counted: &[Counted; 3]) -> [Counter; 3] {
        let [_, account, client] = self.give_back(counters, counted);
        [Counter::default(), account, client]
    }
}

/// A client as tries are counted: an IPv4 address, or an IPv6 network of 64 bits, which one site has for
/// itself. All clients without an address are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ClientNetwork([u8; 9]);

impl ClientNetwork {
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        let mut bytes = [0; 9];
        match address.map(|address| address.to_canonical()) {
            None => {}
            Some(IpAddr::V4(address)) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&address.octets());
            }
            Some(IpAddr::V6(address)) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&address.octets()[..8]);
            }
        }
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 9] {
        &self.0
    }
}

/// An account name as it is counted. Names that a database may take for the same one are equal: it may
/// ignore case, accents, width and spaces, and each spelling would otherwise have its own free tries.
///
/// `decompose` is the compatibility decomposition of Unicode (NFKD).
pub(crate) fn fold_account(name: &str, decompose: impl Fn(&str) -> String) -> String {
    let start: String = name.chars().take(MAX_ACCOUNT).collect();
    // First to upper case, which also makes `SS` of `ß`.
    let folded = decompose(&start).to_uppercase().to_lowercase();
    let folded = decompose(&folded);
    let counts = |character: &char| character.is_alphanumeric() || character.is_ascii_graphic();
    folded.chars().filter(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn attempt(limit: TryLimit) -> Attempt {
        let loose = TryLimit::new(MAX_TRIES);
        Attempt {
            counters: [1, 2, 3].map(|number| CounterKey([number; 16])),
            limits: [limit, loose, loose],
            known: CounterKey([4; 16]),
            client: 5,
        }
    }

    /// A client that keeps trying: the states of its counters, and the time.
    struct Trier {
        attempt: Attempt,
        states: [Counter; 3],
        known: Option<KnownClient>,
        now: i64,
    }

    impl Trier {
        fn new(attempt: Attempt) -> Self {
            Self {
                attempt,
                states: Default::default(),
                known: None,
                now: NOW,
            }
        }

        fn claim(&mut self) -> Claimed {
            let (states, claimed) = self.attempt.claim(self.states, self.known, self.now);
            self.states = states;
            claimed
        }

        /// How long it has to wait; zero if the try is counted.
        fn wait(&mut self) -> i64 {
            match self.claim() {
                Claimed::Allowed(_) => 0,
                Claimed::Refused { retry_after, .. } => retry_after,
            }
        }

        fn counted(&mut self) -> [Counted; 3] {
            match self.claim() {
                Claimed::Allowed(counted) => counted,
                refused => panic!("{refused:?}"),
            }
        }

        fn exhaust(&mut self, tries: u32) {
            for number in 0..tries {
                assert_eq!(self.wait(), 0, "{number}");
            }
        }
    }

    #[test]
    fn each_try_after_the_free_ones_doubles_the_delay() {
        for (max, delays) in [
            (1, [1, 1, 1, 1, 1]),
            (3, [1, 2, 3, 3, 3]),
            (4, [1, 2, 4, 4, 4]),
            (900, [1, 2, 4, 8, 16]),
        ] {
            let limit = TryLimit::new(5).max_delay(Duration::from_secs(max));
            let mut trier = Trier::new(attempt(limit));
            trier.exhaust(5);
            for delay in delays {
                assert_eq!(trier.wait(), delay, "at most {max}");
                trier.now += delay - 1;
                assert_eq!(trier.wait(), 1, "one second before {delay}");
                trier.now += 1;
                assert_eq!(trier.wait(), 0, "after {delay}");
            }
        }
    }

    #[test]
    fn one_try_is_forgotten_at_a_time() {
        let limit = TryLimit::new(3).forget_one_every(Duration::from_secs(10));
        let mut trier = Trier::new(attempt(limit));
        trier.exhaust(3);
        assert_eq!(trier.wait(), 1);
        trier.now += 10;
        // Two are left of three, so the next one is the third again.
        trier.exhaust(1);
        assert_eq!(trier.wait(), 1);
        trier.now += 30;
        trier.exhaust(3);
        assert_eq!(trier.wait(), 1);
    }

    #[test]
    fn a_counter_that_has_reached_the_longest_delay_counts_no_further() {
        let limit = TryLimit::new(2)
            .max_delay(Duration::from_secs(4))
            .forget_one_every(Duration::from_secs(100));
        let mut trier = Trier::new(attempt(limit));
        for _ in 0..50 {
            assert_eq!(trier.wait(), 0);
            trier.now += 4;
        }
        // Two free tries and three doublings.
        assert!(trier.states[0].empty_at <= trier.now + 5 * 100);
        trier.now += 5 * 100;
        trier.exhaust(2);
    }

    #[test]
    fn a_clock_that_was_ahead_locks_nobody_out_for_longer_than_the_longest_delay() {
        let limit = TryLimit::new(5).max_delay(Duration::from_secs(60));
        let mut trier = Trier::new(attempt(limit));
        trier.now += 1_000_000;
        trier.exhaust(5);
        trier.now = NOW;
        assert_eq!(trier.wait(), 60);
        // As long as after so many failures that the delay grows no further: five and six doublings.
        assert_eq!(trier.states[0].empty_at, NOW + 11 * 15 * 60);
        trier.now += 60;
        assert_eq!(trier.wait(), 0);
    }

    #[test]
    fn a_counter_is_kept_until_its_tries_are_forgotten_and_its_delay_is_over() {
        for (empty_at, next_at, expected) in [(7, 5, 7), (5, 7, 7), (0, 0, 0)] {
            let counter = Counter { empty_at, next_at };
            assert_eq!(counter.forgotten_at(), expected, "{counter:?}");
        }
    }

    #[test]
    fn each_counter_has_its_place_and_its_name() {
        let names = [0, 1, 2].map(|position| ThrottledBy::at(position).name());
        assert_eq!(names, ["account and client", "account", "client"]);
    }

    #[test]
    fn a_try_that_was_not_made_leaves_the_counters_as_they_were() {
        let mut trier = Trier::new(attempt(TryLimit::new(2)));
        trier.exhaust(1);
        let before = trier.states;
        let counted = trier.counted();
        assert_ne!(trier.states, before);
        let after = trier.attempt.give_back(trier.states, &counted);
        assert_eq!(after.map(|it| it.empty_at), before.map(|it| it.empty_at));
        trier.states = after;
        assert_eq!(trier.wait(), 0);
    }

    #[test]
    fn a_try_that_is_given_back_does_not_end_the_delay_of_a_later_one() {
        let mut trier = Trier::new(attempt(TryLimit::new(1)));
        let early = trier.counted();
        trier.now += 1;
        let _late = trier.counted();
        trier.states = trier.attempt.give_back(trier.states, &early);
        assert_eq!(trier.wait(), 2);
    }

    #[test]
    fn a_success_forgets_only_the_tries_of_this_client_at_this_account() {
        let limit = TryLimit::new(5);
        let mut trier = Trier::new(Attempt {
            limits: [limit; 3],
            ..attempt(limit)
        });
        trier.exhaust(3);
        let before = trier.states;
        let counted = trier.counted();
        let [pair, account, client] = trier.attempt.succeed(trier.states, &counted);
        assert_eq!(pair, Counter::default());
        assert_eq!([account, client], [before[1], before[2]]);
    }

    #[test]
    fn only_a_known_client_is_free_of_the_counter_of_its_account_and_only_for_a_time() {
        let known = |client, until| Some(KnownClient { client, until });
        for (known, wait) in [
            (None, 1),
            (known(5, NOW + 1), 0),
            (known(5, NOW), 1),
            (known(6, NOW + 1), 1),
        ] {
            for position in 0..3 {
                let mut limits = attempt(TryLimit::new(MAX_TRIES)).limits;
                limits[position] = TryLimit::new(1);
                let mut trier = Trier::new(Attempt {
                    limits,
                    ..attempt(TryLimit::new(1))
                });
                trier.exhaust(1);
                trier.known = known;
                // The other two counters refuse known clients as well.
                let expected = if position == 1 { wait } else { 1 };
                assert_eq!(trier.wait(), expected, "{known:?} {position}");
            }
        }
    }

    #[test]
    fn the_counter_with_the_longest_delay_names_itself() {
        let one = TryLimit::new(1);
        let mut trier = Trier::new(Attempt {
            limits: [one; 3],
            ..attempt(one)
        });
        trier.exhaust(1);
        trier.states[2].next_at += 5;
        let refused = Claimed::Refused {
            by: ThrottledBy::Client,
            retry_after: 6,
        };
        assert_eq!(trier.claim(), refused);
        // A refused try is not counted.
        let before = trier.states;
        assert_eq!(trier.claim(), refused);
        assert_eq!(trier.states, before);
    }

    #[test]
    fn limits_stay_within_what_can_be_counted() {
        assert_eq!(TryLimit::new(0).parts().0, 1);
        assert_eq!(TryLimit::new(u32::MAX).parts().0, i64::from(MAX_TRIES));
        let longest = TryLimit::new(1)
            .max_delay(Duration::MAX)
            .forget_one_every(Duration::MAX);
        let ten_years = 316_224_000;
        assert_eq!(longest.parts(), (1, ten_years, ten_years));
        let shortest = TryLimit::new(1)
            .max_delay(Duration::ZERO)
            .forget_one_every(Duration::from_millis(999));
        assert_eq!(shortest.parts(), (1, 1, 1));
        let mut trier = Trier::new(attempt(longest));
        for _ in 0..60 {
            trier.now += trier.wait();
        }
    }

    #[test]
    fn clients_are_an_ipv4_address_or_an_ipv6_network() {
        let of = |text: &str| ClientNetwork::of(text.parse().ok());
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("::"), ClientNetwork::of(None));
        assert_ne!(of("0.0.0.0"), ClientNetwork::of(None));
        assert_eq!(of("192.0.2.1").bytes(), &[4, 192, 0, 2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn names_that_differ_only_in_what_databases_ignore_are_one() {
        let same = |text: &str| text.to_owned();
        for other in ["ADA", " ada ", "a\u{200b}da", "a da"] {
            assert_eq!(fold_account(other, same), "ada", "{other:?}");
        }
        assert_eq!(fold_account("Straße", same), fold_account("STRASSE", same));
        for other in ["ada+", "+ada", "adaé", "ada9"] {
            assert_ne!(fold_account(other, same), "ada", "{other:?}");
        }
        let long = "x".repeat(MAX_ACCOUNT);
        assert_eq!(fold_account(&format!("{long}y"), same), long);
    }
}
