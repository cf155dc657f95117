//! Tries in Redis: in the same one as logins, under the same prefix.
//!
//! 1. The rule is that of [`Attempt`], and not another one in a script. So a call computes the new states and
//!    replaces the old ones in one script, which does nothing if they have changed. Then the call tries again
//!    with what is there now.
//! 2. It begins with the belief that nothing is stored. This is right for most clients; if not, the answer
//!    tells what is there, as a read would.
//! 3. The calls of this process that change the counters of one account do so one after the other, or many
//!    at once would make Redis run a script for each pair of them. A try that is refused usually changes
//!    nothing, and does not wait for them.
//! 4. No call is sent twice if Redis may have received it: it would count twice, or take back twice.
//! 5. Redis deletes each key when it has been over for an hour, so strangers do not fill it.

use std::sync::LazyLock;

use crate::{
    core::throttle::{Attempt, Claimed, Counted, Counter, CounterKey, KnownClient},
    error::StoreError,
    store::{
        redis::{RedisLoginStore, Repeatable, Script, keep_for},
        throttle_store::ThrottleStore,
    },
};

/// How often a call tries again because others were faster.
///
/// Raising it lets more clients try the same account at the same moment; lowering it fails sooner.
const MAX_RACES: usize = 200;

/// How many seconds Redis keeps a counter after it was forgotten.
///
/// Raising it tolerates larger differences between clocks; lowering it saves memory, of which strangers use
/// some.
const SLACK: i64 = 60 * 60;

static COUNT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/count.lua")));

/// What is stored about a try: its counters, and the client at its place for a known one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Tries {
    counters: [Counter; 3],
    known: Option<KnownClient>,
}

/// The same as in Redis. An empty text stands for nothing.
type Texts = [String; 4];

fn write(first: i64, second: i64) -> String {
    format!("{first} {second}")
}

/// The two numbers of a text, or `None` if it is empty.
fn read(text: &str) -> Result<Option<(i64, i64)>, StoreError> {
    if text.is_empty() {
        return Ok(None);
    }
    let numbers = text
        .split_once(' ')
        .and_then(|(first, second)| Some((first.parse().ok()?, second.parse().ok()?)));
    // Something else writes keys with the same prefix.
    let malformed = || StoreError::new("a counter of tries in Redis cannot be read");
    numbers.map(Some).ok_or_else(malformed)
}

impl Tries {
    fn read([first, second, third, known]: &Texts) -> Result<Self, StoreError> {
        let counter = |text| {
            let numbers = read(text)?.unwrap_or_default();
            Ok::<_, StoreError>(Counter {
                empty_at: numbers.0,
                next_at: numbers.1,
            })
        };
        Ok(Self {
            counters: [counter(first)?, counter(second)?, counter(third)?],
            known: read(known)?.map(|(client, until)| KnownClient { client, until }),
        })
    }

    /// What is to be stored at each key in place of what is believed to be there, and for how many seconds.
    fn replace(&self, before: &Self, believed: &Texts, now: i64) -> [(String, i64); 4] {
        let mut replacing = believed.clone().map(|text| (text, 0));
        let counters = self.counters.iter().zip(&before.counters);
        for ((counter, before), replaced) in counters.zip(&mut replacing) {
            let over_at = counter.forgotten_at();
            if counter == before {
                continue;
            }
            // A counter that is empty is not stored.
            *replaced = match over_at > now {
                true => (
                    write(counter.empty_at, counter.next_at),
                    keep_for(over_at, now, SLACK),
                ),
                false => Default::default(),
            };
        }
        if let Some(known) = self.known.filter(|_| self.known != before.known) {
            let text = write(known.client, known.until);
            replacing[3] = (text, keep_for(known.until, now, SLACK));
        }
        replacing
    }
}

fn names(attempt: &Attempt) -> Texts {
    let hex = |CounterKey(key): CounterKey| format!("{:032x}", u128::from_be_bytes(key));
    let [both, account, client] = attempt.counters.map(|key| format!("tries:{}", hex(key)));
    let known = format!("known-client:{}", hex(attempt.known));
    [both, account, client, known]
}

impl RedisLoginStore {
    /// Changes what is stored about a try, in one step. `change` may be called several times.
    async fn change_tries<T>(
        &self,
        attempt: &Attempt,
        now: i64,
        change: impl Fn(Tries) -> (Tries, T),
    ) -> Result<T, StoreError> {
        let names = names(attempt);
        let mut permit = None;
        let mut believed = Texts::default();
        for race in 0..MAX_RACES {
            let before = Tries::read(&believed)?;
            let (after, answer) = change(before);
            if race > 0 {
                if after == before {
                    return Ok(answer);
                }
                if permit.is_none() {
                    let lane = self.lane(&attempt.counters).acquire().await;
                    permit = Some(lane.map_err(StoreError::new)?);
                }
            }
            let replacing = after.replace(&before, &believed, now);
            let args: Vec<_> = names
                .iter()
                .zip(&believed)
                .zip(&replacing)
                .map(|((name, believed), (text, seconds))| (name, believed, text, *seconds))
                .collect();
            let found: Vec<String> = self.run(&COUNT, Repeatable::No, args).await?;
            if found.is_empty() {
                return Ok(answer);
            }
            let malformed = |_| StoreError::new("Redis gave another number of counters");
            believed = found.try_into().map_err(malformed)?;
        }
        Err(StoreError::new(
            "other tries at the same account, or of the same client, were always faster",
        ))
    }
}

impl ThrottleStore for RedisLoginStore {
    async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        let claim = |tries: Tries| {
            let (counters, claimed) = attempt.claim(tries.counters, tries.known, now);
            (Tries { counters, ..tries }, claimed)
        };
        self.change_tries(attempt, now, claim).await
    }

    async fn give_back(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        now: i64,
    ) -> Result<(), StoreError> {
        let give_back = |tries: Tries| {
            let counters = attempt.give_back(tries.counters, counted);
            (Tries { counters, ..tries }, ())
        };
        self.change_tries(attempt, now, give_back).await
    }

    async fn succeed(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let known = Some(KnownClient {
            client: attempt.client,
            until: known_until,
        });
        let succeed = |tries: Tries| {
            let counters = attempt.succeed(tries.counters, counted);
            (Tries { counters, known }, ())
        };
        self.change_tries(attempt, now, succeed).await
    }
}
