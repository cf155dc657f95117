//! Counters of tries, compared with buckets that leak once a second.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::config;
use crate::core::throttle::{
    Attempt, Claimed, Counted, Counter, CounterKey, KnownClient, ThrottledBy, TryLimit,
};

const NOW: i64 = 1_700_000_000;
const CLIENT: i64 = 5;

/// A limit in plain numbers; times are in seconds.
#[derive(Clone, Copy, Debug)]
struct Rule {
    tries: i64,
    max_delay: i64,
    forget: i64,
}

impl Rule {
    fn limit(self) -> TryLimit {
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        TryLimit::new(u32::try_from(self.tries).unwrap())
            .max_delay(seconds(self.max_delay))
            .forget_one_every(seconds(self.forget))
    }

    /// How often a delay of one second is doubled until it is longer than the longest.
    fn doublings(self) -> i64 {
        let (mut delay, mut doublings) = (1, 0);
        while delay <= self.max_delay {
            delay *= 2;
            doublings += 1;
        }
        doublings
    }
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (1_i64..5, 1_i64..40, 1_i64..30).prop_map(|(tries, max_delay, forget)| Rule {
        tries,
        max_delay,
        forget,
    })
}

fn attempt(rules: [Rule; 3]) -> Attempt {
    Attempt {
        counters: [1, 2, 3].map(|number| CounterKey([number; 16])),
        limits: rules.map(Rule::limit),
        known: CounterKey([4; 16]),
        client: CLIENT,
    }
}

/// Each try pours `forget` seconds into a bucket, which leaks one second per second.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rule: Rule,
    level: i64,
    /// For so many seconds, no try is allowed.
    blocked: i64,
}

/// What a try did to a bucket: how much it poured in, and when the delay ends that it began.
#[derive(Clone, Copy, Debug, Default)]
struct Poured {
    amount: i64,
    delay_ends: Option<i64>,
}

impl Bucket {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            level: 0,
            blocked: 0,
        }
    }

    fn leak(&mut self) {
        self.level = (self.level - 1).max(0);
        self.blocked = (self.blocked - 1).max(0);
    }

    fn pour(&mut self, now: i64) -> Poured {
        let Rule {
            tries,
            max_delay,
            forget,
        } = self.rule;
        let full = (tries + self.rule.doublings()) * forget;
        let before = self.level;
        self.level = (before + forget).min(full);
        // A try that is partly forgotten still counts.
        let (mut count, mut rest) = (0, self.level);
        while rest > 0 {
            rest -= forget;
            count += 1;
        }
        let mut poured = Poured {
            amount: self.level - before,
            delay_ends: None,
        };
        if count >= tries {
            let mut delay = 1;
            for _ in tries..count {
                delay = (delay * 2).min(max_delay);
            }
            self.blocked = delay;
            poured.delay_ends = Some(now + delay);
        }
        poured
    }

    fn take_back(&mut self, poured: Poured, now: i64) {
        self.level = (self.level - poured.amount).max(0);
        if poured.delay_ends == Some(now + self.blocked) {
            self.blocked = 0;
        }
    }
}

/// What happens to the counters.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(i64),
    /// A client tries, from which the account was logged in before, or not.
    Try {
        is_known: bool,
    },
    /// One of the tries that have no result yet was not made.
    GiveBack(usize),
    /// One of them succeeds.
    Succeed(usize),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1_i64..40).prop_map(Step::Wait),
        4 => any::<bool>().prop_map(|is_known| Step::Try { is_known }),
        1 => (0_usize..4).prop_map(Step::GiveBack),
        1 => (0_usize..4).prop_map(Step::Succeed),
    ];
    vec(step, 0..60)
}

fn known(is_known: bool, now: i64) -> Option<KnownClient> {
    // A client that the store does not know, and one that was known, are equal.
    match is_known {
        true => Some(KnownClient {
            client: CLIENT,
            until: now + 1,
        }),
        false if now % 2 == 0 => None,
        false => Some(KnownClient {
            client: CLIENT,
            until: now,
        }),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn counters_answer_like_leaking_buckets(
        rules in [any_rule(), any_rule(), any_rule()],
        steps in any_steps(),
    ) {
        let attempt = attempt(rules);
        let mut states = [Counter::default(); 3];
        let mut buckets = rules.map(Bucket::new);
        let mut open: Vec<([Counted; 3], [Poured; 3])> = Vec::new();
        let mut now = NOW;
        for step in steps {
            match step {
                Step::Wait(seconds) => {
                    now += seconds;
                    for _ in 0..seconds {
                        buckets.iter_mut().for_each(Bucket::leak);
                    }
                }
                Step::Try { is_known } => {
                    let asked: &[usize] = if is_known { &[0, 2] } else { &[0, 1, 2] };
                    // The first of those that ask for the longest delay.
                    let longest = asked.iter().rev().max_by_key(|at| buckets[**at].blocked).copied().unwrap();
                    let (after, claimed) = attempt.claim(states, known(is_known, now), now);
                    states = after;
                    let retry_after = buckets[longest].blocked;
                    if retry_after > 0 {
                        let by = ThrottledBy::at(longest);
                        assert_eq!(claimed, Claimed::Refused { by, retry_after });
                        continue;
                    }
                    let mut poured = [Poured::default(); 3];
                    for at in asked {
                        poured[*at] = buckets[*at].pour(now);
                    }
                    match claimed {
                        Claimed::Allowed(counted) => open.push((counted, poured)),
                        Claimed::Refused { .. } => panic!("{claimed:?}, but no bucket is blocked"),
                    }
                }
                Step::GiveBack(at) | Step::Succeed(at) => {
                    if at >= open.len() {
                        continue;
                    }
                    let (counted, poured) = open.swap_remove(at);
                    for (bucket, poured) in buckets.iter_mut().zip(poured) {
                        bucket.take_back(poured, now);
                    }
                    states = if let Step::Succeed(_) = step {
                        buckets[0] = Bucket::new(rules[0]);
                        attempt.succeed(states, &counted)
                    } else {
                        attempt.give_back(states, &counted)
                    };
                }
            }
            for (state, bucket) in states.iter().zip(&buckets) {
                assert_eq!((state.empty_at - now).max(0), bucket.level, "{state:?} {bucket:?}");
                assert_eq!((state.next_at - now).max(0), bucket.blocked, "{state:?} {bucket:?}");
            }
        }
    }

    #[test]
    fn whoever_tries_each_second_gets_few_tries(rule in any_rule(), seconds in 1_i64..2_000) {
        let attempt = attempt([rule; 3]);
        let mut states = [Counter::default(); 3];
        let mut allowed = 0;
        for now in NOW..NOW + seconds {
            let (after, claimed) = attempt.claim(states, None, now);
            states = after;
            allowed += i64::from(matches!(claimed, Claimed::Allowed(_)));
        }
        // The free ones, those that are forgotten meanwhile, one for each doubling, and one for each of the
        // longest delays.
        let most = rule.tries + seconds / rule.forget + rule.doublings() + seconds / rule.max_delay;
        assert!(allowed <= most + 1, "{allowed} of at most {most}");
    }

    #[test]
    fn nobody_waits_longer_than_the_longest_delay_whatever_the_clocks_of_the_nodes_say(
        rule in any_rule(),
        times in vec(-3_000_000_000_i64..3_000_000_000, 1..40),
    ) {
        let attempt = attempt([rule; 3]);
        let mut states = [Counter::default(); 3];
        for time in times {
            let now = NOW + time;
            let (after, claimed) = attempt.claim(states, None, now);
            states = after;
            if let Claimed::Refused { retry_after, .. } = claimed {
                assert!((1..=rule.max_delay).contains(&retry_after), "{retry_after}");
            }
            for state in states {
                let full = (rule.tries + rule.doublings()) * rule.forget;
                assert!(state.forgotten_at() <= now + full.max(rule.max_delay), "{state:?}");
            }
        }
    }
}
