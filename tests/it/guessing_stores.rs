//! Guessing, wherever tries are counted: in memory, in SQLite, in PostgreSQL and in Redis.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::StatusCode, web};
use futures_util::future::join_all;
#[cfg(any(feature = "postgres", feature = "redis"))]
use login_runtime::store::LoginStore;
use login_runtime::{
    Auth, AuthUser, LoginManager,
    config::LoginManagerBuilder,
    password::{PasswordError, PasswordVerifier},
    store::StoreError,
    test::{Answer, Browser, TestClock},
    throttle::{Attempt, Claimed, Counted, MemoryThrottleStore, Throttle, ThrottleStore},
};
use login_tests::{START, app, key};

#[cfg(any(feature = "postgres", feature = "redis"))]
use crate::events::Log;
use crate::{
    guessing::{OWNER, RIGHT, Site, THIEF, site_of},
    world::{App, LoginPlace, MINUTE, Probe, SECOND},
};

/// The stores of an application: logins, and tries where the login store does not count them.
#[derive(Clone)]
struct Stores {
    logins: Probe,
    memory: Option<Arc<MemoryThrottleStore>>,
    clock: TestClock,
}

impl Stores {
    async fn open(place: LoginPlace) -> Self {
        // Shown if the test fails.
        eprintln!("on {place:?}");
        let is_memory = place == LoginPlace::Memory;
        Self {
            logins: Probe::new(place.open().await),
            memory: is_memory.then(Arc::default),
            clock: TestClock::at(START),
        }
    }

    /// Finishes a manager. No answer of a store is late here, however slow the machine is.
    fn finish(self, manager: LoginManagerBuilder) -> LoginManagerBuilder {
        let manager = manager.login_store(self.logins).store_deadline(10 * MINUTE);
        match self.memory {
            Some(memory) => manager.throttle(Throttle::new().store(memory)),
            None => manager,
        }
    }

    /// A process of the application, which checks one password at a time.
    async fn site(&self) -> Site<impl App + use<>> {
        let patient = |passwords: PasswordVerifier| passwords.at_most(1, 10 * MINUTE);
        let stores = self.clone();
        site_of(self.clock.clone(), patient, |manager| {
            stores.finish(manager)
        })
        .await
    }
}

#[actix_web::test]
async fn on_every_store_two_hundred_wrong_log_ins_at_once_check_five_passwords() {
    for place in LoginPlace::all() {
        let site = Stores::open(place).await.site().await;
        let flood = (0..200).map(|_| site.log_in(THIEF, "ada", "wrong"));
        let (statuses, owner) = tokio::join!(join_all(flood), site.log_in(OWNER, "ada", RIGHT));
        assert_eq!(owner, 200, "the owner gets in meanwhile");
        let of = |status| statuses.iter().filter(|it| **it == status).count();
        assert_eq!((of(401), of(429)), (5, 195));
        // The five, and the owner's.
        assert_eq!(site.checks(), 6);
    }
}

#[actix_web::test]
async fn on_every_store_processes_count_together() {
    for place in LoginPlace::all() {
        let stores = Stores::open(place).await;
        let [first, second] = [stores.site().await, stores.site().await];
        let flood = (0..200).map(|n| match n % 2 {
            0 => first.log_in(THIEF, "ada", "wrong"),
            _ => second.log_in(THIEF, "ada", "wrong"),
        });
        let statuses = join_all(flood).await;
        assert_eq!(statuses.iter().filter(|it| **it == 401).count(), 5);
        assert_eq!(first.checks() + second.checks(), 5);
        // A client at many accounts, on both.
        let mut tried = 0;
        for n in 0..40 {
            let name = format!("user{n}");
            tried += usize::from(first.log_in([192, 0, 2, 1], &name, "wrong").await == 401);
            tried += usize::from(second.log_in([192, 0, 2, 1], &name, "wrong").await == 401);
        }
        assert_eq!(tried, 30);
        // A delay that began on one is over on the other.
        first.clock.advance(SECOND);
        assert_eq!(second.log_in(THIEF, "ada", RIGHT).await, 200);
        assert_eq!(first.exhaust(THIEF, "ada").await, 5);
    }
}

#[actix_web::test]
async fn on_every_store_the_owner_who_logged_in_before_is_not_locked_out_by_the_world() {
    for place in LoginPlace::all() {
        let site = Stores::open(place).await.site().await;
        assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
        let world = (0..200).map(|n| site.log_in([203, 0, 113, n], "ada", "wrong"));
        let (statuses, owner) = tokio::join!(join_all(world), site.log_in(OWNER, "ada", RIGHT));
        assert_eq!(owner, 200);
        assert_eq!(statuses.iter().filter(|it| **it == 401).count(), 100);
        assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
        let new_device = [192, 0, 2, 99];
        assert_eq!(site.log_in(new_device, "ada", RIGHT).await, 429);
        site.clock.advance(SECOND);
        assert_eq!(site.log_in(new_device, "ada", RIGHT).await, 200);
    }
}

#[actix_web::test]
async fn on_every_store_tries_are_forgotten_with_time_and_by_a_right_password() {
    for place in LoginPlace::all() {
        let site = Stores::open(place).await.site().await;
        assert_eq!(site.exhaust(THIEF, "ada").await, 5);
        site.clock.advance(15 * MINUTE);
        assert_eq!(site.exhaust(THIEF, "ada").await, 1);
        site.clock.advance(6 * 15 * MINUTE);
        assert_eq!(site.exhaust(THIEF, "ada").await, 5);
        site.clock.advance(SECOND);
        assert_eq!(site.log_in(THIEF, "ada", RIGHT).await, 200);
        assert_eq!(site.exhaust(THIEF, "ada").await, 5);
        // What the thief may do at an account of the thief's own frees nothing else.
        site.clock.advance(15 * MINUTE);
        assert_eq!(site.log_in(THIEF, "mallory", RIGHT).await, 200);
        assert_eq!(site.exhaust(THIEF, "ada").await, 1);
    }
}

/// A store that is asked first whether it works.
#[derive(Clone, Default)]
struct Failing {
    store: Arc<MemoryThrottleStore>,
    /// Whether what is said after the check fails.
    fails_after: Arc<AtomicBool>,
}

impl Failing {
    fn after(&self) -> Result<(), StoreError> {
        match self.fails_after.load(Ordering::SeqCst) {
            true => Err(StoreError::new("the connection broke")),
            false => Ok(()),
        }
    }
}

impl ThrottleStore for Failing {
    async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        self.store.claim(attempt, now).await
    }

    async fn give_back(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        now: i64,
    ) -> Result<(), StoreError> {
        self.after()?;
        self.store.give_back(attempt, counted, now).await
    }

    async fn succeed(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.after()?;
        let store = &self.store;
        store.succeed(attempt, counted, known_until, now).await
    }
}

#[actix_web::test]
async fn a_store_that_fails_after_a_right_password_lets_the_owner_in_and_resets_no_guesser() {
    let store = Failing::default();
    let throttle = Throttle::new().store(store.clone());
    let finish = |manager: LoginManagerBuilder| manager.session_only().throttle(throttle);
    let site = site_of(TestClock::at(START), |passwords| passwords, finish).await;
    store.fails_after.store(true, Ordering::SeqCst);
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    // What succeeded is still counted, and no more than that: the owner waits for a second.
    for _ in 0..4 {
        assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    }
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 429);
    site.clock.advance(SECOND);
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    // A guesser has five tries, and not one more for a right one in between.
    for password in ["wrong", "wrong", RIGHT, "wrong", "wrong"] {
        assert_ne!(site.log_in(THIEF, "ben", password).await, 429);
    }
    assert_eq!(site.log_in(THIEF, "ben", "wrong").await, 429);
    // And as soon as it works again, all is as it was.
    store.fails_after.store(false, Ordering::SeqCst);
    site.clock.advance(SECOND);
    assert_eq!(site.log_in(THIEF, "ben", RIGHT).await, 200);
    assert_eq!(site.exhaust(THIEF, "ben").await, 5);
}

/// What every request gets while the store that counts is away: an answer soon, and no check.
#[cfg(any(feature = "postgres", feature = "redis"))]
async fn is_unavailable(site: &Site<impl App>, log: &Log) {
    site.checks();
    log.take_ours();
    for _ in 0..3 {
        // Not how soon it is, but that it is.
        let answer = site.send(OWNER, "/login/ada", RIGHT);
        let answer = tokio::time::timeout(2 * MINUTE, answer).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert_eq!(site.checks(), 0);
        let lines = log.take_ours();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("event=store_failed"), "{lines:?}");
        assert!(lines[0].contains("call=claim"), "{lines:?}");
    }
}

/// An application whose stores may answer within a short time only.
#[cfg(any(feature = "postgres", feature = "redis"))]
async fn impatient(store: impl LoginStore) -> Site<impl App> {
    let finish = |manager: LoginManagerBuilder| {
        let manager = manager.login_store(store);
        manager.store_deadline(Duration::from_millis(700))
    };
    let site = site_of(TestClock::at(START), |passwords| passwords, finish).await;
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    site
}

#[cfg(feature = "redis")]
#[actix_web::test]
async fn while_redis_is_away_nothing_is_checked_and_the_owner_gets_in_when_it_is_back() {
    let Some(mut redis) = login_tests::services::Redis::start() else {
        return;
    };
    let (log, _guard) = Log::start();
    let store = login_runtime::store::RedisLoginStore::new(&redis.url()).await;
    let site = impatient(store.unwrap()).await;
    redis.pause();
    is_unavailable(&site, &log).await;
    redis.resume();
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    redis.kill();
    is_unavailable(&site, &log).await;
    redis.restart();
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
}

#[cfg(feature = "postgres")]
#[actix_web::test]
async fn while_postgres_is_away_nothing_is_checked_and_the_owner_gets_in_when_it_is_back() {
    let Some(mut postgres) = login_tests::services::Postgres::start() else {
        return;
    };
    let (log, _guard) = Log::start();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(8);
    let pool = pool.connect(&postgres.database()).await.unwrap();
    let store = login_runtime::store::PostgresLoginStore::new(pool);
    store.migrate().await.unwrap();
    let site = impatient(store).await;
    postgres.pause();
    is_unavailable(&site, &log).await;
    postgres.resume();
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    postgres.kill();
    is_unavailable(&site, &log).await;
    postgres.restart();
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
}

/// Everybody who can be refused, by what is stored about them.
const KINDS: [&str; 6] = ["current", "nobody", "inactive", "none", "cheaper", "dearer"];

#[derive(AuthUser, Clone)]
struct Person {
    #[auth(id)]
    name: String,
    is_active: bool,
    #[auth(password_hash)]
    hash: Option<String>,
}

type People = HashMap<&'static str, Person>;

/// Costs of new hashes, of an older, cheaper one and of a dearer one.
type Costs = [(u32, u32); 3];

fn with_costs((memory, passes): (u32, u32)) -> PasswordVerifier {
    PasswordVerifier::new().costs(memory, passes, 1).unwrap()
}

fn verifier([current, _, (memory, passes)]: Costs) -> PasswordVerifier {
    let passwords = with_costs(current).dearest_stored(memory, passes, 1);
    passwords.unwrap()
}

async fn people(costs: Costs) -> People {
    let mut hashes = Vec::new();
    for costs in costs {
        hashes.push(with_costs(costs).hash(RIGHT).await.unwrap());
    }
    let person = |name: &str, hash: Option<&String>| Person {
        name: name.to_owned(),
        is_active: name != "inactive",
        hash: hash.cloned(),
    };
    HashMap::from([
        ("current", person("current", Some(&hashes[0]))),
        ("inactive", person("inactive", Some(&hashes[0]))),
        ("none", person("none", None)),
        ("cheaper", person("cheaper", Some(&hashes[1]))),
        ("dearer", person("dearer", Some(&hashes[2]))),
    ])
}

/// One page for all who do not get in.
async fn log_in(
    auth: Auth<Person>,
    name: web::Path<String>,
    password: String,
    people: web::Data<People>,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse, actix_web::Error> {
    let found = people.get(name.as_str()).cloned();
    let (status, wait) = match passwords.verify(&auth, &name, found, &password).await {
        Ok(None) => (StatusCode::UNAUTHORIZED, None),
        Err(PasswordError::Throttled { retry_after }) => {
            (StatusCode::TOO_MANY_REQUESTS, Some(retry_after))
        }
        Ok(Some(user)) => {
            auth.log_in(user).await?;
            return Ok(HttpResponse::Ok().body("welcome"));
        }
        Err(error) => return Err(error.into()),
    };
    let mut response = HttpResponse::build(status);
    if let Some(wait) = wait {
        response.insert_header(("retry-after", wait.to_string()));
    }
    Ok(response.body("wrong name or password"))
}

async fn kinds(stores: &Stores, people: &People, passwords: &PasswordVerifier) -> impl App + use<> {
    let find = {
        let people = people.clone();
        move |name: String| {
            let person = people.get(name.as_str()).cloned();
            async move { Ok::<_, String>(person) }
        }
    };
    let builder = LoginManager::builder(find).clock(stores.clock.clone());
    let manager = stores.clone().finish(builder).build(key()).unwrap();
    let people = web::Data::new(people.clone());
    let passwords = web::Data::new(passwords.clone());
    app(manager, move |routes| {
        routes
            .app_data(people)
            .app_data(passwords)
            .route("/login/{name}", web::post().to(log_in));
    })
    .await
}

async fn refuse(app: &impl App, from: [u8; 4], name: &str) -> Answer {
    let browser = Browser::new(app);
    browser.set_address(from);
    let password = match name {
        // Who would be let in by the right one.
        "current" | "cheaper" | "dearer" => "wrong",
        _ => RIGHT,
    };
    let post = browser.post(&format!("/login/{name}"));
    post.body(password.to_owned()).await
}

/// The answer in all that a client sees of it, but for what belongs to its status.
fn seen(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| !["retry-after", "www-authenticate"].contains(&name.as_str()))
        .map(|header| format!("{header:?}"))
        .collect();
    headers.sort();
    format!("{headers:?} {:?}", answer.body())
}

/// How much the work of two checks may differ, in KiB.
const TOLERANCE: u64 = 16;

#[actix_web::test]
async fn on_every_store_all_who_are_refused_get_the_same_answer_for_the_same_work() {
    let costs = [(128, 2), (32, 1), (512, 3)];
    let people = people(costs).await;
    for place in LoginPlace::all() {
        let stores = Stores::open(place).await;
        let passwords = verifier(costs);
        let app = kinds(&stores, &people, &passwords).await;
        let mut pages = Vec::new();
        for (n, name) in (0..).zip(KINDS) {
            for tries in 0..8 {
                let before = passwords.work();
                let answer = refuse(&app, [198, 51, 100, n], name).await;
                let work = passwords.work() - before;
                let (status, expected, wait) = match tries {
                    0..5 => (401, 512 * 3, None),
                    // No work, whoever it is.
                    _ => (429, 0, Some("1")),
                };
                assert_eq!(answer.status(), status, "{name}");
                assert_eq!(answer.header("retry-after"), wait, "{name}");
                assert!(work.abs_diff(expected) <= TOLERANCE, "{name}: {work}");
                pages.push(seen(&answer));
            }
        }
        pages.dedup();
        assert_eq!(pages.len(), 1, "{pages:#?}");
    }
}

/// The time of one answer, and how much of it a processor worked for this process. The latter is the same on
/// a machine that has other things to do.
#[derive(Clone, Copy)]
struct Took {
    passed: Duration,
    worked: Duration,
}

impl Took {
    async fn of<T>(what: impl Future<Output = T>) -> (T, Self) {
        let (started, worked) = (Instant::now(), worked());
        let done = what.await;
        let took = Self {
            passed: started.elapsed(),
            worked: self::worked().saturating_sub(worked),
        };
        (done, took)
    }

    /// The middle of all, each on its own.
    fn median(times: &[Self]) -> Self {
        let middle = |part: fn(&Self) -> Duration| {
            let mut times: Vec<_> = times.iter().map(part).collect();
            times.sort();
            times[times.len() / 2]
        };
        Self {
            passed: middle(|it| it.passed),
            worked: middle(|it| it.worked),
        }
    }
}

/// How long processors have worked for the threads of this process, as Linux counts it; zero elsewhere.
fn worked() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Prints how long each refusal takes, as the median of 30, and its ratio to that of a wrong password.
///
/// On a machine that has nothing else to do, both times have to agree within a tenth; on another one, only
/// that of the processor. A hash of other costs fits better or worse into the caches of a processor, so run it
/// on one like that of the application:
///
/// `cargo test -p login-tests --features sqlite,postgres,redis --test it -- --ignored --nocapture
/// refusals_take_the_same_time`
#[actix_web::test]
#[ignore = "measures time"]
async fn on_every_store_refusals_take_the_same_time_within_a_tenth() {
    // The default, one of some years ago, and twice the default.
    let costs = [(19 * 1024, 2), (9 * 1024, 2), (38 * 1024, 2)];
    let people = people(costs).await;
    let mut worst: f64 = 1.0;
    for place in LoginPlace::all() {
        let stores = Stores::open(place).await;
        let app = kinds(&stores, &people, &verifier(costs)).await;
        let mut times = KINDS.map(|_| Vec::new());
        let mut throttled = KINDS.map(|_| Vec::new());
        // The first rounds warm up.
        for round in 0..35 {
            for (times, name) in times.iter_mut().zip(KINDS) {
                let (answer, took) = Took::of(refuse(&app, [198, 51, 100, round], name)).await;
                assert_eq!(answer.status(), 401);
                times.push(took);
            }
        }
        for (n, name) in (0..).zip(KINDS) {
            while refuse(&app, [192, 0, 2, n], name).await.status() == 401 {}
        }
        for _ in 0..35 {
            for ((n, times), name) in (0..).zip(&mut throttled).zip(KINDS) {
                let (answer, took) = Took::of(refuse(&app, [192, 0, 2, n], name)).await;
                assert_eq!(answer.status(), 429);
                times.push(took);
            }
        }
        for (what, times) in [("refused", times), ("throttled", throttled)] {
            let medians = times.map(|times| Took::median(&times[5..]));
            for (name, took) in KINDS.iter().zip(medians) {
                let ratio = |part: fn(&Took) -> Duration| {
                    part(&took).as_secs_f64() / part(&medians[0]).as_secs_f64()
                };
                let passed = ratio(|it| it.passed);
                print!(
                    "{place:?} {what} {name}: {:?} passed ({passed:.3})",
                    took.passed
                );
                // Linux counts so little time not at once.
                if what == "refused" && took.worked > Duration::ZERO {
                    let worked = ratio(|it| it.worked);
                    print!(", {:?} worked ({worked:.3})", took.worked);
                    worst = worst.max(worked).max(1.0 / worked);
                }
                println!();
            }
        }
    }
    assert!(worst <= 1.1, "{worst}");
}
