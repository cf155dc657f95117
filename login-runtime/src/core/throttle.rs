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
    pub fn name(self) -> &'static str {
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
