//! A cache over a login store: what has ended does not come back, and what another process ends is over
//! within the stated time.

use std::{
    future::{IntoFuture as _, pending},
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::rt::{self, task::JoinHandle};
use login_runtime::{
    CookieSettings, MemoryLoginStore,
    logins::Logins,
    store::{
        CachedLoginStore, FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector,
        LoginStore, MaxLogins, StoreError, TokenFamily,
    },
    test::{Browser, TestClock, store},
};
use login_tests::{User, Users, key, manager_base};
use tokio::{sync::Barrier, task::yield_now, time};

use crate::{
    schedule::{REQUEST, Random, Turns},
    world::{
        App, Call, LOGIN, LoginPlace, LoginsThere, MINUTE, Probe, SECOND, When, account_status,
        site, while_waiting,
    },
};

const NOW: i64 = 1_700_000_000;

const MILLISECOND: Duration = Duration::from_millis(1);

fn record(user_id: &str) -> LoginRecord {
    LoginRecord {
        user_type: "user".to_owned(),
        user_id: user_id.to_owned(),
        created_at: NOW,
        authenticated_at: NOW,
        last_seen: NOW,
        expires_at: NOW + 86_400,
        fresh: true,
        allow_inactive: false,
        method: "form".to_owned(),
        client: 7,
        user_agent: "browser".to_owned(),
        address: "192.0.2.1".to_owned(),
        hash: Some("hash".to_owned()),
        family: None,
        unseen_token: None,
    }
}

fn login_key(number: usize) -> LoginKey {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        // Keys are random bytes in an application.
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (place % 8 * 8);
        *byte = u8::try_from(mixed & 255).unwrap() ^ u8::try_from(place).unwrap();
    }
    LoginKey::from_bytes(bytes)
}

fn family_key(number: usize) -> FamilyKey {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&login_key(number).as_bytes()[..16]);
    FamilyKey(bytes)
}

fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

/// A store whose logins are found as a request finds them: through a cache that has just been asked.
struct FoundByRequests {
    cached: CachedLoginStore<Probe>,
    behind: Probe,
}

impl FoundByRequests {
    fn new(behind: Probe) -> Self {
        // The suite takes longer than a second, and still no change may be missed.
        let cached = CachedLoginStore::new(behind.clone()).max_age(MINUTE);
        Self { cached, behind }
    }
}

impl LoginStore for FoundByRequests {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        self.cached.insert(key, record, max, now).await
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        self.cached.find_for_auth(key, now).await?;
        let found = self.cached.find_for_auth(key, now).await?;
        let shown = match &found {
            Some(_) => self.behind.find(key, now).await?,
            None => None,
        };
        // What is only shown to people need not be found for authentication.
        Ok(found.map(|found| match shown {
            Some(shown) => LoginRecord {
                method: shown.method,
                user_agent: shown.user_agent,
                address: shown.address,
                ..found
            },
            None => found,
        }))
    }

    async fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        self.cached.find_for_auth(key, now).await
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        self.cached.touch(key, last_seen).await
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        self.cached.make_stale(key).await
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        self.cached.end(key).await
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        self.cached.end_many(which).await
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        self.cached.list(owner, now).await
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        self.cached.insert_family(key, family).await
    }

    async fn end_oldest_families(
        &self,
        owner: LoginOwner<'_>,
        keep: u32,
    ) -> Result<u64, StoreError> {
        self.cached.end_oldest_families(owner, keep).await
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        self.cached.find_family(key, now).await
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        self.cached.update_family_if(key, expected, family).await
    }

    async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
        self.cached.token_arrived(login, now).await
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.cached.purge(now, idle_since, limit).await
    }

    async fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
        max: u32,
    ) -> Result<(), StoreError> {
        self.cached.revoke_session(session, owner, until, max).await
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        self.cached.is_session_revoked(session, now).await
    }
}

#[test]
fn a_cached_store_keeps_the_promises_of_every_store() {
    for place in LoginPlace::all() {
        eprintln!("on {place:?}");
        on_threads(async move {
            let behind = Probe::new(place.open().await);
            let cached = Arc::new(CachedLoginStore::new(behind));
            store::run(Arc::clone(&cached)).await;
            store::run_alone(cached).await;
        });
    }
}

#[test]
fn what_requests_find_keeps_the_promises_of_every_store() {
    for place in LoginPlace::all() {
        eprintln!("on {place:?}");
        on_threads(async move {
            let behind = Probe::new(place.open().await);
            let found = Arc::new(FoundByRequests::new(behind));
            store::run(Arc::clone(&found)).await;
            store::run_alone(found).await;
        });
    }
}

/// The ways in which a login ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Login,
    User,
    Family,
    All,
    /// Another login of the user takes its place.
    Limit,
}

impl End {
    const ALL: [Self; 5] = [
        Self::Login,
        Self::User,
        Self::Family,
        Self::All,
        Self::Limit,
    ];

    /// Ends the login with this number.
    async fn carry_out(self, store: &impl LoginStore, number: usize) -> Result<(), StoreError> {
        let record = numbered(number);
        let owner = record.owner();
        match self {
            Self::Login => store.end(login_key(number)).await.map(|_| ()),
            Self::User => {
                let which = LoginSelector::Of {
                    owner,
                    but: None,
                    but_family: None,
                };
                store.end_many(which).await.map(|_| ())
            }
            Self::Family => {
                let which = LoginSelector::Family(family_key(number));
                store.end_many(which).await.map(|_| ())
            }
            Self::All => store.end_many(LoginSelector::All).await.map(|_| ()),
            Self::Limit => {
                let newer = LoginRecord {
                    created_at: NOW + 1,
                    family: None,
                    ..record.clone()
                };
                let max = Some(MaxLogins::EndOldest(1));
                let key = login_key(number + 500_000);
                store.insert(key, &newer, max, NOW + 1).await.map(|_| ())
            }
        }
    }
}

/// The login with this number, of a user who has no other.
fn numbered(number: usize) -> LoginRecord {
    LoginRecord {
        family: Some(family_key(number)),
        unseen_token: Some(3),
        ..record(&number.to_string())
    }
}

/// Ends logins while 64 readers look them up in the process that ends them, and 16 in another.
async fn are_over_for_64_readers(place: LoginPlace, rounds: usize) {
    const AGE: Duration = Duration::from_millis(50);
    let behind = Probe::new(place.open().await);
    let turn = Arc::new(AtomicUsize::new(0));
    // Calls take different times before the store is asked, and before the answer is there.
    behind.on(move |_| {
        let turns = turn.fetch_add(7, Ordering::Relaxed) % 11;
        async move {
            for _ in 0..turns {
                yield_now().await;
            }
            Ok(())
        }
    });
    let process = || Arc::new(CachedLoginStore::new(behind.clone()).max_age(AGE));
    let (own, other) = (process(), process());
    let mut served = 0;
    for (number, end) in (0..rounds).flat_map(|_| End::ALL).enumerate() {
        let key = login_key(number);
        own.insert(key, &numbered(number), None, NOW).await.unwrap();
        let ended = Arc::new(OnceLock::new());
        let start = Arc::new(Barrier::new(64 + 16 + 1));
        let readers: Vec<_> = (0..64 + 16)
            .map(|reader| {
                let is_own = reader < 64;
                let cached = Arc::clone(if is_own { &own } else { &other });
                let (ended, start) = (Arc::clone(&ended), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    let (mut left, mut served) = (20, 0);
                    while left > 0 {
                        let over: Option<Instant> = ended.get().copied();
                        let began = Instant::now();
                        let found = cached.find_for_auth(key, NOW).await.unwrap();
                        let may_be_found = over.is_none_or(|at| !is_own && began < at + AGE);
                        assert!(
                            found.is_none() || may_be_found,
                            "{end:?}: found {:?} after the end",
                            over.map(|at| began - at)
                        );
                        served += usize::from(found.is_some());
                        // Looks again when it must be over.
                        left -= usize::from(over.is_some_and(|at| is_own || began >= at + AGE));
                        yield_now().await;
                    }
                    served
                })
            })
            .collect();
        start.wait().await;
        for _ in 0..number % 7 * 3 {
            yield_now().await;
        }
        end.carry_out(&*own, number).await.unwrap();
        ended.set(Instant::now()).unwrap();
        for reader in readers {
            served += reader.await.unwrap();
        }
    }
    assert!(served > rounds * 64, "they found little: {served}");
}

#[test]
fn no_login_comes_back_for_64_readers_while_it_is_ended() {
    on_threads(are_over_for_64_readers(LoginPlace::Memory, 12));
}

#[test]
fn nor_does_one_over_any_other_store() {
    for place in LoginPlace::all().filter(|place| *place != LoginPlace::Memory) {
        eprintln!("on {place:?}");
        on_threads(are_over_for_64_readers(place, 2));
    }
}

/// Orders in which the calls of two processes can come between each other, and in which time passes.
mod schedules {
    use super::*;

    /// How old the answers of both caches may be.
    const AGE: Duration = Duration::from_secs(1);

    const LOGIN: usize = 1;

    /// What becomes true of a login and stays true: that it is gone, stale, was used, and that its token has
    /// arrived.
    fn facts(found: Option<&LoginRecord>) -> [bool; 4] {
        match found {
            None => [true; 4],
            Some(found) => [
                false,
                !found.fresh,
                found.last_seen > NOW,
                found.unseen_token.is_none(),
            ],
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Op {
        Find,
        End(End),
        MakeStale,
        Touch,
        TokenArrived,
        Purge,
    }

    impl Op {
        /// Which fact holds once it is done, if any.
        fn fact(self) -> Option<usize> {
            match self {
                Self::Find | Self::Purge => None,
                Self::End(_) => Some(0),
                Self::MakeStale => Some(1),
                Self::Touch => Some(2),
                Self::TokenArrived => Some(3),
            }
        }

        async fn carry_out(
            self,
            store: &impl LoginStore,
        ) -> Result<Option<LoginRecord>, StoreError> {
            let key = login_key(LOGIN);
            match self {
                Self::Find => return store.find_for_auth(key, NOW).await,
                Self::End(end) => end.carry_out(store, LOGIN).await?,
                Self::MakeStale => store.make_stale(key).await?,
                Self::Touch => store.touch(key, NOW + 5).await?,
                Self::TokenArrived => store.token_arrived(key, NOW).await?,
                Self::Purge => store.purge(NOW, None, 100).await.map(|_| ())?,
            }
            Ok(None)
        }
    }

    /// What the schedules look for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Rule {
        /// What a process has changed, it does not find unchanged; another one does for the stated time.
        Stated,
        /// That the two processes were one, which is false.
        OneProcess,
        /// That half the time is enough, which is false.
        HalfTheTime,
    }

    #[derive(Debug, Default)]
    struct Found {
        finds: usize,
        /// Answers that were older than a change, and allowed.
        old: usize,
        /// Look-ups for which the store was not asked.
        kept: usize,
        wrong: usize,
        first: Option<String>,
    }

    impl Found {
        fn add(&mut self, other: Self) {
            self.finds += other.finds;
            self.old += other.old;
            self.kept += other.kept;
            self.wrong += other.wrong;
            self.first = self.first.take().or(other.first);
        }
    }

    /// A call under way.
    struct Running {
        process: usize,
        op: Op,
        started: time::Instant,
        /// What its process knew when it started.
        known: [bool; 4],
        task: JoinHandle<Option<Option<LoginRecord>>>,
        is_done: bool,
    }

    struct Run {
        turns: Turns,
        probe: Probe,
        processes: [Arc<CachedLoginStore<Probe>>; 2],
        random: Random,
        rule: Rule,
        /// The next call of the store that goes on fails.
        fails: Arc<AtomicBool>,
        running: Vec<Running>,
        /// When each fact became true in the store.
        since: [Option<time::Instant>; 4],
        /// Which facts each process has brought about.
        known: [[bool; 4]; 2],
        story: Vec<String>,
        found: Found,
    }

    impl Run {
        async fn new(seed: u64, rule: Rule) -> Self {
            let probe = Probe::new(LoginsThere::Memory(Box::default()));
            probe
                .insert(login_key(LOGIN), &numbered(LOGIN), None, NOW)
                .await
                .unwrap();
            let turns = Turns::default();
            let fails = Arc::new(AtomicBool::new(false));
            let (waiting, failing) = (turns.clone(), Arc::clone(&fails));
            probe.on(move |_| {
                let (turns, fails) = (waiting.clone(), Arc::clone(&failing));
                async move {
                    turns.wait().await;
                    match fails.swap(false, Ordering::SeqCst) {
                        true => Err(StoreError::new("no answer")),
                        false => Ok(()),
                    }
                }
            });
            let process = || Arc::new(CachedLoginStore::new(probe.clone()).max_age(AGE));
            Self {
                processes: [process(), process()],
                turns,
                probe,
                random: Random::new(seed),
                rule,
                fails,
                running: Vec::new(),
                since: [None; 4],
                known: [[false; 4]; 2],
                story: Vec::new(),
                found: Found::default(),
            }
        }

        fn start(&mut self) {
            const OPS: [Op; 6] = [
                Op::MakeStale,
                Op::Touch,
                Op::TokenArrived,
                Op::Purge,
                Op::Find,
                Op::Find,
            ];
            let process = self.random.below(2);
            let op = match self.random.below(9) {
                0 => Op::End(End::ALL[self.random.below(End::ALL.len())]),
                1 | 2 => OPS[self.random.below(OPS.len())],
                _ => Op::Find,
            };
            let number = self.running.len();
            self.story
                .push(format!("{number}: process {process} starts {op:?}"));
            let store = Arc::clone(&self.processes[process]);
            let work = async move { op.carry_out(&*store).await.ok() };
            self.running.push(Running {
                process,
                op,
                started: time::Instant::now(),
                known: self.known[process],
                task: rt::spawn(REQUEST.scope(number, work)),
                is_done: false,
            });
        }

        /// Lets everybody who has a turn come to the next stop, and looks at what was done.
        async fn settle(&mut self) {
            loop {
                let waiting = self.turns.waiting();
                let is_at_a_stop = |(number, running): (usize, &Running)| {
                    running.is_done || running.task.is_finished() || waiting.contains(&number)
                };
                if self.running.iter().enumerate().all(is_at_a_stop) {
                    break;
                }
                yield_now().await;
            }
            let LoginsThere::Memory(behind) = self.probe.store() else {
                panic!("the store is in memory");
            };
            let truth = facts(behind.find(login_key(LOGIN), NOW).await.unwrap().as_ref());
            for (since, is_true) in self.since.iter_mut().zip(truth) {
                if is_true {
                    since.get_or_insert_with(time::Instant::now);
                }
            }
            for number in 0..self.running.len() {
                let running = &mut self.running[number];
                if running.is_done || !running.task.is_finished() {
                    continue;
                }
                running.is_done = true;
                // `None` if it was cancelled, or the store failed.
                let answer = (&mut running.task).await.ok().flatten();
                self.story.push(format!("{number}: is done"));
                let (process, op) = (running.process, running.op);
                if op == Op::Find {
                    if let Some(found) = answer {
                        self.check(number, found.as_ref());
                    }
                } else if let Some(fact) = op.fact() {
                    // However it was done, it is known from now on if it had an effect.
                    self.known[process][fact] |= truth[fact];
                    if self.rule == Rule::OneProcess {
                        self.known[1 - process][fact] |= truth[fact];
                    }
                }
            }
        }

        fn check(&mut self, number: usize, found: Option<&LoginRecord>) {
            let age = match self.rule {
                Rule::HalfTheTime => AGE / 2,
                _ => AGE,
            };
            let running = &self.running[number];
            self.found.finds += 1;
            let seen = facts(found);
            for (fact, is_seen) in seen.into_iter().enumerate() {
                let before = self.since[fact].filter(|since| *since <= running.started);
                let Some(since) = before.filter(|_| !is_seen) else {
                    continue;
                };
                self.found.old += 1;
                if running.known[fact] || running.started >= since + age {
                    self.found.wrong += 1;
                    let story = &self.story;
                    let first = || format!("fact {fact} is not seen by {number}: {story:#?}");
                    self.found.first.get_or_insert_with(first);
                }
            }
        }

        async fn run(mut self) -> Found {
            let mut left = 6 + self.random.below(14);
            loop {
                self.settle().await;
                let waiting = self.turns.waiting();
                if waiting.is_empty() && left == 0 {
                    break;
                }
                match self.random.below(12) {
                    0 => {
                        let by = self.random.below(8);
                        self.story.push(format!("{by} tenths of a second pass"));
                        time::advance(AGE / 10 * u32::try_from(by).unwrap()).await;
                    }
                    1 if !waiting.is_empty() => {
                        let index = self.random.below(waiting.len());
                        let number = waiting[index];
                        self.story.push(format!("{number}: is cancelled"));
                        self.running[number].task.abort();
                        while !self.running[number].task.is_finished() {
                            yield_now().await;
                        }
                        self.turns.give(index);
                    }
                    2..=6 if left > 0 => {
                        left -= 1;
                        self.start();
                    }
                    _ if !waiting.is_empty() => {
                        let index = self.random.below(waiting.len());
                        let fails = self.random.below(10) == 0;
                        let how = if fails { "fails" } else { "goes on" };
                        self.story.push(format!("{}: {how}", waiting[index]));
                        self.fails.store(fails, Ordering::SeqCst);
                        self.turns.give(index);
                    }
                    _ => {}
                }
            }
            let asked = self.probe.calls();
            let asked = asked.iter().filter(|call| **call == Call::Find).count();
            let finds = self.running.iter().filter(|it| it.op == Op::Find).count();
            self.found.kept = finds.saturating_sub(asked);
            self.found
        }
    }

    async fn run(seeds: Range<u64>, rule: Rule) -> Found {
        time::pause();
        let mut found = Found::default();
        for seed in seeds {
            let mut one = Run::new(seed, rule).await.run().await;
            one.first = one.first.map(|first| format!("seed {seed}: {first}"));
            found.add(one);
        }
        found
    }

    async fn nothing_comes_back(seeds: Range<u64>) {
        let count = usize::try_from(seeds.end - seeds.start).unwrap();
        let found = run(seeds, Rule::Stated).await;
        assert_eq!(found.wrong, 0, "{}", found.first.unwrap_or_default());
        assert!(found.finds > count * 4, "{found:?}");
        assert!(found.kept > count, "the cache was not used: {found:?}");
        assert!(found.old > count / 10, "nothing was old: {found:?}");
    }

    // Ten thousand, on two threads.

    #[actix_web::test]
    async fn in_no_order_does_a_login_come_back() {
        nothing_comes_back(0..5_000).await;
    }

    #[actix_web::test]
    async fn nor_does_it_in_another_order() {
        nothing_comes_back(5_000..10_000).await;
    }

    // That they find what a false rule forbids shows that they look.

    #[actix_web::test]
    async fn another_process_still_finds_what_has_ended_for_a_while() {
        let found = run(0..500, Rule::OneProcess).await;
        assert!(found.wrong > 0, "{found:?}");
    }

    #[actix_web::test]
    async fn that_while_is_not_shorter_than_stated() {
        let found = run(0..1_000, Rule::HalfTheTime).await;
        assert!(found.wrong > 0, "{found:?}");
    }
}

/// A process of the application, with login cookies.
struct Process<S> {
    app: S,
    everybody: Logins,
}

/// What several processes have in common.
struct Common {
    users: Users,
    clock: TestClock,
    behind: Probe,
}

impl Common {
    fn new() -> Self {
        time::pause();
        let users = Users::new();
        let (_, clock) = manager_base(&users);
        let behind = Probe::new(LoginsThere::Memory(Box::default()));
        Self {
            users,
            clock,
            behind,
        }
    }

    async fn process(&self) -> Process<impl App + use<>> {
        let manager = manager_base(&self.users)
            .0
            .clock(self.clock.clone())
            .login_cookie(CookieSettings::new())
            .login_store(CachedLoginStore::new(self.behind.clone()))
            .store_deadline(Duration::from_secs(600))
            .build(key())
            .unwrap();
        let everybody = manager.logins().unwrap();
        let app = site(manager, &self.users).await;
        Process { app, everybody }
    }

    /// The calls of the store that a page takes.
    async fn calls_for<S: App>(&self, browser: &Browser<'_, S>) -> (u16, Vec<Call>) {
        self.behind.calls();
        (account_status(browser).await, self.behind.calls())
    }

    fn fail(&self, fails: impl Fn(When, Call) -> bool + Send + Sync + 'static) {
        self.behind.on(move |moment| {
            let fails = fails(moment.when, moment.call);
            async move {
                match fails {
                    true => Err(StoreError::new("the store is away")),
                    false => Ok(()),
                }
            }
        });
    }
}

async fn logged_in<S: App>(process: &Process<S>, id: i64) -> Browser<'_, S> {
    let browser = Browser::new(&process.app);
    assert_eq!(browser.post(&format!("/login/{id}")).await.status(), 303);
    assert_eq!(account_status(&browser).await, 200);
    browser
}

/// The same browser, whose requests go to another process.
fn at<'a, S: App, T: App>(process: &'a Process<T>, browser: &Browser<'_, S>) -> Browser<'a, T> {
    let there = Browser::new(&process.app);
    there.set_cookie(LOGIN, &browser.cookie(LOGIN).unwrap());
    there
}

#[actix_web::test]
async fn the_pages_of_one_second_ask_the_store_once() {
    let common = Common::new();
    let process = common.process().await;
    let browser = logged_in(&process, 1).await;
    for _ in 0..3 {
        time::advance(SECOND).await;
        assert_eq!(common.calls_for(&browser).await, (200, vec![Call::Find]));
        time::advance(SECOND - MILLISECOND).await;
        for _ in 0..10 {
            assert_eq!(common.calls_for(&browser).await, (200, vec![]));
        }
        time::advance(MILLISECOND).await;
        assert_eq!(common.calls_for(&browser).await, (200, vec![Call::Find]));
    }
    // Another user's login is another one.
    let other = logged_in(&process, 2).await;
    assert!(other.get("/account").await.text().contains("ben"));
    assert!(browser.get("/account").await.text().contains("ada"));
}

#[actix_web::test]
async fn who_logs_out_is_out_at_the_next_request_of_the_process() {
    let common = Common::new();
    let process = common.process().await;
    let browser = logged_in(&process, 1).await;
    let copy = browser.copy();
    assert_eq!(common.calls_for(&copy).await, (200, vec![]));
    assert_eq!(browser.post("/logout").await.status(), 303);
    assert_eq!(account_status(&copy).await, 303);
    assert_eq!(account_status(&copy).await, 303);
}

#[actix_web::test]
async fn a_look_up_that_began_before_a_log_out_does_not_bring_the_login_back() {
    let common = Common::new();
    let process = common.process().await;
    for call in [When::Before, When::After] {
        let browser = logged_in(&process, 1).await;
        let copy = browser.copy();
        time::advance(SECOND).await;
        let gate = common.behind.hold(call, Call::Find);
        let late = async { account_status(&copy).await };
        let (late, out) = while_waiting(&gate, late, browser.post("/logout").into_future()).await;
        assert_eq!(out.status(), 303);
        // The answer of the store was right when it was given.
        let expected = if call == When::After { 200 } else { 303 };
        assert_eq!(late, expected);
        assert_eq!(account_status(&copy).await, 303);
    }
}

#[actix_web::test]
async fn a_log_out_in_another_process_takes_effect_within_a_second() {
    let common = Common::new();
    let (here, there) = (common.process().await, common.process().await);
    for age in [0, 300, 999] {
        let browser = logged_in(&here, 1).await;
        let elsewhere = at(&there, &browser);
        assert_eq!(account_status(&elsewhere).await, 200);
        time::advance(age * MILLISECOND).await;
        assert_eq!(browser.post("/logout").await.status(), 303);
        assert_eq!(account_status(&browser).await, 303);
        time::advance((999 - age) * MILLISECOND).await;
        assert_eq!(account_status(&elsewhere).await, 200, "{age}");
        time::advance(MILLISECOND).await;
        assert_eq!(account_status(&elsewhere).await, 303, "{age}");
    }
}

#[actix_web::test]
async fn what_administrators_end_is_over_at_the_next_request_of_the_process() {
    let common = Common::new();
    let process = common.process().await;
    for all in [false, true] {
        let browsers = [logged_in(&process, 1).await, logged_in(&process, 1).await];
        let other = logged_in(&process, 2).await;
        if all {
            process.everybody.end_all().await.unwrap();
        } else {
            process.everybody.end_all_of::<User>(&1).await.unwrap();
        }
        for browser in &browsers {
            assert_eq!(account_status(browser).await, 303);
        }
        let expected = if all { 303 } else { 200 };
        assert_eq!(account_status(&other).await, expected);
    }
}

#[actix_web::test]
async fn while_the_store_is_away_a_login_counts_for_a_second_and_then_pages_are_503() {
    let common = Common::new();
    let process = common.process().await;
    let browser = logged_in(&process, 1).await;
    common.fail(|_, _| true);
    assert_eq!(account_status(&browser).await, 200);
    time::advance(SECOND - MILLISECOND).await;
    assert_eq!(account_status(&browser).await, 200);
    time::advance(MILLISECOND).await;
    for _ in 0..3 {
        assert_eq!(account_status(&browser).await, 503);
    }
    common.behind.off();
    assert_eq!(account_status(&browser).await, 200);
}

#[actix_web::test]
async fn a_log_out_whose_answer_is_lost_leaves_nothing_in_the_cache() {
    let common = Common::new();
    let process = common.process().await;
    for lost in [When::Before, When::After] {
        let browser = logged_in(&process, 1).await;
        let copy = browser.copy();
        common.fail(move |when, call| when == lost && matches!(call, Call::End | Call::EndMany));
        assert_eq!(browser.post("/logout").await.status(), 503);
        common.behind.off();
        let (status, calls) = common.calls_for(&copy).await;
        assert_eq!(calls[0], Call::Find, "nothing is kept");
        // If the store did it, it is done.
        let expected = if lost == When::After { 303 } else { 200 };
        assert_eq!(status, expected);
    }
}

#[actix_web::test]
async fn a_log_out_that_is_never_answered_ends_what_is_kept() {
    let common = Common::new();
    let process = common.process().await;
    let browser = logged_in(&process, 1).await;
    let copy = browser.copy();
    common.behind.on(|moment| async move {
        if (moment.when, moment.call) == (When::After, Call::End) {
            pending::<()>().await;
        }
        Ok(())
    });
    // Its deadline passes at once, because nothing else is to be done.
    assert_eq!(browser.post("/logout").await.status(), 503);
    common.behind.off();
    assert_eq!(account_status(&copy).await, 303);
}

#[actix_web::test]
async fn a_page_that_is_cancelled_leaves_nothing_behind() {
    let common = Common::new();
    let process = common.process().await;
    let browser = logged_in(&process, 1).await;
    time::advance(SECOND).await;
    let gate = common.behind.hold(When::After, Call::Find);
    {
        let cancelled = browser.get("/account").into_future();
        tokio::select! {
            _ = cancelled => panic!("it waits"),
            () = async { for _ in 0..10 { yield_now().await } } => {}
        }
    }
    drop(gate);
    common.behind.off();
    assert_eq!(common.calls_for(&browser).await, (200, vec![Call::Find]));
    assert_eq!(common.calls_for(&browser).await, (200, vec![]));
}

#[actix_web::test]
async fn a_login_that_another_process_keeps_in_use_does_not_end_as_unused() {
    let common = Common::new();
    let (here, there) = (common.process().await, common.process().await);
    let browser = logged_in(&here, 1).await;
    let elsewhere = at(&there, &browser);
    common.clock.advance(30 * MINUTE - SECOND);
    time::advance(SECOND).await;
    // Not a use of the login.
    assert_eq!(browser.get("/poll").await.status(), 200);
    assert_eq!(account_status(&elsewhere).await, 200);
    common.clock.advance(2 * SECOND);
    assert_eq!(account_status(&browser).await, 200);
    assert_eq!(account_status(&elsewhere).await, 200);
    // One that nobody uses does.
    common.clock.advance(31 * MINUTE);
    assert_eq!(account_status(&browser).await, 303);
}

#[actix_web::test]
async fn a_password_changed_in_another_process_does_not_end_the_login_that_goes_on() {
    let common = Common::new();
    let (here, there) = (common.process().await, common.process().await);
    for remember in ["", "?remember=true"] {
        let browser = Browser::new(&there.app);
        let log_in = browser.post(&format!("/login/1{remember}")).await;
        assert_eq!(log_in.status(), 303);
        let before = at(&here, &browser);
        assert_eq!(account_status(&before).await, 200);
        assert_eq!(browser.post("/change/current").await.status(), 200);
        // A request that was sent before the answer came.
        assert_eq!(account_status(&before).await, 303);
        assert_eq!(account_status(&browser).await, 200, "{remember}");
    }
}

#[actix_web::test]
async fn a_user_who_is_disabled_or_deleted_is_out_at_once() {
    let common = Common::new();
    let process = common.process().await;
    let browsers = [logged_in(&process, 1).await, logged_in(&process, 2).await];
    common.users.change(1, |user| user.is_active = false);
    common.users.delete(2);
    for browser in &browsers {
        assert_ne!(account_status(browser).await, 200);
        assert_eq!(account_status(browser).await, 303);
    }
    common.users.change(1, |user| user.is_active = true);
    assert_eq!(account_status(&browsers[0]).await, 303);
}

#[actix_web::test]
async fn a_login_that_becomes_stale_elsewhere_is_fresh_here_for_a_second_at_most() {
    time::pause();
    let behind = Probe::new(LoginsThere::Memory(Box::default()));
    let process = || CachedLoginStore::new(behind.clone());
    let (here, there) = (process(), process());
    let login = login_key(1);
    here.insert(login, &record("1"), None, NOW).await.unwrap();
    let is_fresh = async |store: &CachedLoginStore<Probe>| {
        store
            .find_for_auth(login, NOW)
            .await
            .unwrap()
            .unwrap()
            .fresh
    };
    assert!(is_fresh(&here).await && is_fresh(&there).await);
    here.make_stale(login).await.unwrap();
    assert!(!is_fresh(&here).await);
    assert!(is_fresh(&there).await);
    time::advance(SECOND).await;
    assert!(!is_fresh(&there).await);
}

#[actix_web::test]
async fn a_login_that_a_process_has_seen_to_be_over_is_over_there() {
    let behind = Probe::new(LoginsThere::Memory(Box::default()));
    let process = || CachedLoginStore::new(behind.clone()).max_age(MINUTE);
    let (here, there) = (process(), process());
    for number in 0..2 {
        let login = login_key(number);
        here.insert(login, &record("1"), None, NOW).await.unwrap();
        let found = there.find_for_auth(login, NOW).await.unwrap();
        assert!(found.is_some());
        here.end(login).await.unwrap();
        let found = match number {
            0 => there.find(login, NOW).await,
            // It asks the store, because the login would have expired.
            _ => there.find_for_auth(login, NOW + 86_400).await,
        };
        assert_eq!(found.unwrap(), None);
        let found = there.find_for_auth(login, NOW).await.unwrap();
        assert_eq!(found, None, "{number}");
    }
}

#[actix_web::test]
async fn a_million_unknown_logins_displace_none_that_is_kept() {
    let behind = Probe::new(LoginsThere::Memory(Box::default()));
    let cached = CachedLoginStore::new(behind.clone())
        .capacity(64)
        .max_age(MINUTE);
    let login = login_key(1);
    cached.insert(login, &record("1"), None, NOW).await.unwrap();
    assert!(cached.find_for_auth(login, NOW).await.unwrap().is_some());
    for number in 2..1_000_000 {
        let found = cached.find_for_auth(login_key(number), NOW).await.unwrap();
        assert!(found.is_none());
        if number % 1000 == 0 {
            behind.calls();
        }
    }
    behind.calls();
    assert!(cached.find_for_auth(login, NOW).await.unwrap().is_some());
    assert_eq!(behind.calls(), []);
}

#[actix_web::test]
async fn a_login_is_not_found_from_the_second_it_expires() {
    time::pause();
    let cached = CachedLoginStore::new(MemoryLoginStore::new());
    let (login, record) = (login_key(1), record("1"));
    cached.insert(login, &record, None, NOW).await.unwrap();
    let last = record.expires_at - 1;
    for (now, is_found) in [(NOW, true), (last, true), (last + 1, false), (last, true)] {
        let found = cached.find_for_auth(login, now).await.unwrap();
        assert_eq!(found.is_some(), is_found, "{now}");
    }
}

#[test]
fn the_policy_says_how_long_a_log_out_elsewhere_takes() {
    let said = |store: CachedLoginStore<Arc<MemoryLoginStore>>| {
        let builder = manager_base(&Users::new()).0.login_store(Arc::new(store));
        let manager = builder.build(key()).unwrap();
        let check = manager.check_deploy();
        let is_long = check
            .findings()
            .any(|finding| finding.code == "long-cached-logins");
        (manager.policy().to_string(), is_long)
    };
    let cached = || CachedLoginStore::new(Arc::<MemoryLoginStore>::default());
    for (store, seconds, expected) in [
        (cached(), "1", false),
        (cached().max_age(250 * MILLISECOND), "0.25", false),
        (cached().max_age(5 * SECOND), "5", false),
        (cached().max_age(5 * SECOND + MILLISECOND), "5.001", true),
        (cached().max_age(2 * MINUTE), "60", true),
    ] {
        let (policy, is_long) = said(store);
        let sentence =
            format!("one in another process takes effect in this one up to {seconds} s later.");
        assert!(policy.contains(&sentence), "{policy}");
        assert_eq!(is_long, expected, "{seconds}");
    }
    let (policy, is_long) = said(cached().max_age(Duration::ZERO));
    assert!(!policy.contains("used again for up to"), "{policy}");
    assert!(!is_long);
}
