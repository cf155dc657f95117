//! Logins that can be ended: records, limits, devices, and remembered browsers.

use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use login_runtime::{
    Limits, LoginManager, MemoryLoginStore,
    config::LoginManagerBuilder,
    store::MaxLogins,
    test::{Browser, TestClock},
};
use login_tests::{START, User, Users, key, manager, manager_base};
use tokio::sync::Notify;

use crate::world::{
    App, DAY, Events, HOUR, MINUTE, REMEMBER, SECOND, SESSION, account_status,
    account_status_with_retry, assert_no_cookies, cart_of, site, who,
};

fn with_records(users: &Users) -> (LoginManagerBuilder, TestClock) {
    let (builder, clock) = manager_base(users);
    (builder.login_store(MemoryLoginStore::new()), clock)
}

async fn remembered<S: App>(browser: &Browser<'_, S>) {
    assert_eq!(browser.post("/login/1?remember=true").await.status(), 303);
}

#[actix_web::test]
async fn no_copy_of_a_cookie_outlives_the_log_out() {
    let users = Users::new();
    let (builder, _) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    remembered(&browser).await;
    let thief = browser.copy();
    assert_eq!(account_status(&thief).await, 200);
    browser.post("/logout").await;
    assert_eq!(account_status(&thief).await, 303);
    assert_eq!(who(&thief).await.id, None);
}

#[actix_web::test]
async fn a_log_out_ends_a_login_that_another_tab_is_just_restoring() {
    let users = Users::new();
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (loader, gates) = (
        users.clone(),
        (Arc::clone(&entered), Arc::clone(&go), Arc::clone(&slow)),
    );
    let builder = LoginManager::builder(move |id: i64| {
        let (users, (entered, go, slow)) = (loader.clone(), gates.clone());
        async move {
            if slow.swap(false, std::sync::atomic::Ordering::SeqCst) {
                entered.notify_one();
                go.notified().await;
            }
            users.load(id).await
        }
    });
    let clock = TestClock::at(login_tests::START);
    let builder = builder.login_view("/login").clock(clock.clone());
    let builder = builder.login_store(MemoryLoginStore::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    remembered(&browser).await;
    browser.restart();
    let tab = browser.copy();
    assert_eq!(account_status(&browser).await, 200);
    clock.advance(MINUTE);
    slow.store(true, std::sync::atomic::Ordering::SeqCst);
    join(tab.get("/account").into_future(), async {
        entered.notified().await;
        browser.post("/logout").await;
        go.notify_one();
    })
    .await;
    assert_eq!(account_status(&tab).await, 303);
}

#[actix_web::test]
async fn a_login_ends_one_second_after_its_idle_limit() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    for (idle, expected) in [(30 * MINUTE + SECOND, 303), (30 * MINUTE, 200)] {
        let browser = Browser::new(&app);
        browser.log_in(User::new(1, "ada")).await;
        clock.advance(idle);
        assert_eq!(account_status(&browser).await, expected, "{idle:?}");
    }
}

#[actix_web::test]
async fn a_page_that_polls_is_logged_out_after_twelve_hours() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).await;
    for _ in 1..72 {
        clock.advance(10 * MINUTE);
        assert_eq!(account_status(&browser).await, 200);
    }
    clock.advance(10 * MINUTE - SECOND);
    assert_eq!(account_status(&browser).await, 200);
    clock.advance(SECOND);
    assert_eq!(account_status(&browser).await, 303);
}

#[actix_web::test]
async fn a_passive_page_keeps_nobody_logged_in() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).await;
    for _ in 0..3 {
        clock.advance(10 * MINUTE);
        assert_eq!(browser.get("/poll").await.status(), 200);
    }
    clock.advance(SECOND);
    assert_eq!(browser.get("/poll").await.status(), 303);
}

#[actix_web::test]
async fn reading_a_page_writes_no_session_and_sets_no_cookie() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    remembered(&browser).await;
    for _ in 0..5 {
        clock.advance(10 * MINUTE);
        assert_no_cookies(&browser.get("/account").await);
    }
    users.loads();
    browser.get("/account").await;
    assert_eq!(users.loads(), 1);
}

#[actix_web::test]
async fn users_see_their_logins_and_end_their_own_only() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let (laptop, phone, stranger) = (Browser::new(&app), Browser::new(&app), Browser::new(&app));
    phone.set_user_agent("phone/1");
    phone.log_in(User::new(1, "ada")).await;
    clock.advance(SECOND);
    laptop.log_in(User::new(1, "ada")).await;
    stranger.log_in(User::new(2, "ben")).await;

    assert_eq!(Browser::new(&app).get("/logins").await.status(), 401);
    let seen = laptop.get("/logins").await.text();
    let seen: Vec<_> = seen
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let (first, then) = (START, START + 1);
    assert_eq!(
        [seen[0].1, seen[1].1],
        [
            format!("test test/1 127.0.0.1 {then} {then} current"),
            format!("test phone/1 127.0.0.1 {first} {first}"),
        ]
    );
    assert_eq!(seen.len(), 2);

    let end_phone = format!("/end/{}", seen[1].0);
    assert_eq!(stranger.post(&end_phone).await.text(), "false");
    assert_eq!(account_status(&phone).await, 200);
    assert_eq!(laptop.post(&end_phone).await.text(), "true");
    assert_eq!(account_status(&phone).await, 303);
    assert_eq!(laptop.post(&end_phone).await.text(), "false");

    phone.log_in(User::new(1, "ada")).await;
    assert_eq!(laptop.post("/end-others").await.text(), "1");
    assert_eq!(
        (
            account_status(&phone).await,
            account_status(&laptop).await,
            account_status(&stranger).await
        ),
        (303, 200, 200)
    );
}

#[actix_web::test]
async fn a_change_of_password_ends_all_other_logins() {
    for (keep, changer) in [("none", 303), ("current", 200)] {
        let users = Users::new();
        let (builder, _) = with_records(&users);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let (laptop, phone, tablet) = (Browser::new(&app), Browser::new(&app), Browser::new(&app));
        for browser in [&laptop, &phone, &tablet] {
            remembered(browser).await;
        }
        let copy = laptop.copy();
        let changed = laptop.post(&format!("/change/{keep}")).await;
        assert_eq!(changed.status(), 200);
        assert_eq!(account_status(&laptop).await, changer, "{keep}");
        for browser in [&phone, &tablet, &copy] {
            assert_eq!(account_status(browser).await, 303, "{keep}");
        }
    }
}

#[actix_web::test]
async fn an_administrator_ends_logins_from_outside() {
    let users = Users::new();
    let (builder, _) = with_records(&users);
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    let (ada, ben) = (Browser::new(&app), Browser::new(&app));
    remembered(&ada).await;
    ben.log_in(User::new(2, "ben")).await;
    let of_ada = logins.of::<User>(&1).await.unwrap();
    assert_eq!(of_ada.len(), 1);
    assert!(of_ada[0].is_remembered && !of_ada[0].is_current);
    assert_eq!(logins.end_all_of::<User>(&1).await.unwrap(), 1);
    assert_eq!(
        (account_status(&ada).await, account_status(&ben).await),
        (303, 200)
    );
    assert_eq!(logins.end_all().await.unwrap(), 1);
    assert_eq!(account_status(&ben).await, 303);
    assert!(!logins.end(of_ada[0].key).await.unwrap());
}

#[actix_web::test]
async fn what_is_over_is_purged() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    for _ in 0..5 {
        Browser::new(&app).log_in(User::new(1, "ada")).await;
    }
    assert_eq!(logins.purge(10).await.unwrap(), 0);
    // Not before it is over by the clock of every node.
    clock.advance(30 * MINUTE + SECOND);
    assert_eq!(logins.purge(10).await.unwrap(), 0);
    clock.advance(HOUR);
    let browser = Browser::new(&app);
    browser.log_in(User::new(2, "ben")).await;
    assert_eq!(logins.purge(10).await.unwrap(), 5);
    assert_eq!(account_status(&browser).await, 200);
}

#[actix_web::test]
async fn one_login_too_many_ends_the_oldest_or_is_refused() {
    for (max, oldest, newest) in [
        (MaxLogins::Refuse(2), 200, 303),
        (MaxLogins::EndOldest(2), 303, 200),
    ] {
        let users = Users::new();
        let (builder, clock) = with_records(&users);
        let app = site(builder.max_logins(max).build(key()).unwrap(), &users).await;
        let browsers: Vec<_> = (0..3).map(|_| Browser::new(&app)).collect();
        for browser in &browsers {
            browser.post("/login/1").await;
            clock.advance(SECOND);
        }
        let statuses = (
            account_status(&browsers[0]).await,
            account_status(&browsers[1]).await,
            account_status(&browsers[2]).await,
        );
        assert_eq!(statuses, (oldest, 200, newest), "{max:?}");
        // Once more in the same browser is not one more.
        assert_eq!(browsers[1].post("/login/1").await.status(), 303);
        assert_eq!(account_status(&browsers[1]).await, 200);
    }
}

#[actix_web::test]
async fn logins_that_nobody_uses_any_more_take_nobodys_place() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(
        builder
            .max_logins(MaxLogins::Refuse(1))
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    remembered(&browser).await;
    browser.restart();
    clock.advance(8 * HOUR);
    assert_eq!(account_status(&browser).await, 200, "remembered");
    let other = Browser::new(&app);
    assert_eq!(other.post("/login/1").await.status(), 403);
    // Another user's login in this browser lends no place.
    assert_eq!(other.post("/login/2").await.status(), 303);
    assert_eq!(other.post("/login/1").await.status(), 403);
    clock.advance(HOUR);
    assert_eq!(
        other.post("/login/1").await.status(),
        303,
        "the other one is idle"
    );
}

#[actix_web::test]
async fn a_restarted_browser_does_not_cost_another_device_its_login() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(
        builder
            .max_logins(MaxLogins::EndOldest(2))
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let (phone, laptop) = (Browser::new(&app), Browser::new(&app));
    phone.post("/login/1").await;
    clock.advance(MINUTE);
    remembered(&laptop).await;
    for _ in 0..3 {
        clock.advance(2 * MINUTE);
        laptop.restart();
        assert_eq!(
            (account_status(&laptop).await, account_status(&phone).await),
            (200, 200)
        );
    }
}

#[actix_web::test]
async fn a_login_that_had_to_make_room_is_not_restored() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(
        builder
            .max_logins(MaxLogins::EndOldest(1))
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let (old, new) = (Browser::new(&app), Browser::new(&app));
    remembered(&old).await;
    clock.advance(MINUTE);
    new.post("/login/1").await;
    assert_eq!(
        (account_status(&old).await, account_status(&new).await),
        (303, 200)
    );
}

#[actix_web::test]
async fn a_token_that_was_used_by_two_is_noticed() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let owner = Browser::new(&app);
    let device = Browser::new(&app);
    remembered(&owner).await;
    remembered(&device).await;
    // The owner's browser shows that it has its token.
    assert_eq!(account_status(&owner).await, 200);
    let thief = owner.copy();
    for browser in [&thief, &owner] {
        clock.advance(12 * HOUR);
        browser.restart();
        events.take();
        browser.get("/account").await;
        browser.get("/account").await;
    }
    assert!(events.take().contains(&"remember_token_reused".to_owned()));
    // Neither of the two is in any longer; who knows which is which. Other devices are.
    assert_eq!(
        (account_status(&thief).await, account_status(&owner).await),
        (303, 303)
    );
    device.restart();
    assert_eq!(account_status(&device).await, 200);
}

#[actix_web::test]
async fn an_old_token_at_a_log_in_is_an_alarm_too() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let owner = Browser::new(&app);
    remembered(&owner).await;
    let old = owner.cookie(REMEMBER).unwrap();
    for _ in 0..4 {
        owner.restart();
        clock.advance(HOUR);
        assert_eq!(account_status(&owner).await, 200);
    }
    let thief = Browser::new(&app);
    thief.set_cookie(REMEMBER, &old);
    thief.post("/login/2").await;
    assert!(events.take().contains(&"remember_token_reused".to_owned()));
}

#[actix_web::test]
async fn a_lost_answer_logs_nobody_out() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    for later in [SECOND, 10 * DAY] {
        let browser = Browser::new(&app);
        remembered(&browser).await;
        assert_eq!(account_status(&browser).await, 200);
        clock.advance(12 * HOUR);
        browser.restart();
        // The answer with the successor reaches nobody.
        let lost = browser.copy();
        assert_eq!(account_status(&lost).await, 200);
        assert_ne!(lost.cookie(REMEMBER), browser.cookie(REMEMBER));
        clock.advance(later);
        assert_eq!(account_status(&browser).await, 200, "{later:?}");
        browser.restart();
        clock.advance(12 * HOUR);
        assert_eq!(account_status(&browser).await, 200, "{later:?}");
        // The very same successor was sent again.
        assert_eq!(
            lost.cookie(REMEMBER).is_some(),
            browser.cookie(REMEMBER).is_some()
        );
    }
    assert!(!events.take().contains(&"remember_token_reused".to_owned()));
}

#[actix_web::test]
async fn a_remembered_browser_moves_to_the_new_key() {
    let users = Users::new();
    let store = Arc::new(MemoryLoginStore::new());
    let clock = TestClock::at(login_tests::START);
    let secret = login_tests::key_of;
    let build = |secret, old: Vec<_>| {
        let (builder, _) = manager_base(&users);
        let builder = builder.login_store(Arc::clone(&store)).clock(clock.clone());
        builder.fallback_keys(old).build(secret).unwrap()
    };
    let before = site(build(secret(1), Vec::new()), &users).await;
    let between = site(build(secret(2), vec![secret(1)]), &users).await;
    let after = site(build(secret(2), Vec::new()), &users).await;
    let browser = Browser::new(&before);
    remembered(&browser).await;
    clock.advance(DAY);
    browser.restart();
    let browser = browser.at(&between);
    assert_eq!(account_status(&browser).await, 200);
    clock.advance(DAY);
    browser.restart();
    assert_eq!(account_status(&browser.at(&after)).await, 200);
}

#[actix_web::test]
async fn use_prolongs_ones_own_remembering_only() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let remember = login_runtime::RememberCookie::new().refresh_each_request();
    let app = site(
        builder.remember_cookie(remember).build(key()).unwrap(),
        &users,
    )
    .await;
    let (victim, thief) = (Browser::new(&app), Browser::new(&app));
    remembered(&victim).await;
    thief.post("/login/2").await;
    thief.set_cookie(REMEMBER, &victim.cookie(REMEMBER).unwrap());
    for _ in 0..31 {
        clock.advance(DAY);
        thief.get("/").await;
    }
    thief.drop_cookie(SESSION);
    assert_eq!(who(&thief).await.id, None);
}

#[actix_web::test]
async fn what_an_ended_login_leaves_in_the_session_is_not_for_the_next_user() {
    let users = Users::new();
    let (builder, clock) = with_records(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/cart/secret").await;
    clock.advance(HOUR);
    assert_eq!(account_status(&browser).await, 303);
    browser.post("/login/2").await;
    assert_eq!(cart_of(&browser).await, None);
}

#[actix_web::test]
async fn a_login_store_that_is_down_is_503_and_logs_nobody_out() {
    let users = Users::new();
    let (builder, _) = manager_base(&users);
    let store = Arc::new(failing::Failing::default());
    let builder = builder.login_store(Arc::clone(&store));
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    remembered(&browser).await;
    store.set_down(true);
    for (path, status) in [("/account", 503), ("/who", 503), ("/", 200)] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_no_cookies(&answer);
    }
    assert_eq!(browser.post("/login/2").await.status(), 503);
    assert_eq!(browser.post("/logout").await.status(), 503);
    store.set_down(false);
    assert_eq!(who(&browser).await.id, Some(1));
    browser.post("/logout").await;
    assert_eq!(account_status(&browser).await, 303);
}

#[actix_web::test]
async fn a_store_that_fails_at_any_call_lets_nobody_in_who_should_not_be() {
    for call in 0.. {
        let users = Users::new();
        let (builder, clock) = manager_base(&users);
        let store = Arc::new(failing::Failing::default());
        let app = site(
            builder
                .login_store(Arc::clone(&store))
                .build(key())
                .unwrap(),
            &users,
        )
        .await;
        let browser = Browser::new(&app);
        store.fail_at(call);
        let logged_in = browser.post("/login/1?remember=true").await.status();
        assert!(matches!(logged_in, 303 | 503), "call {call}: {logged_in}");
        if logged_in == 503 {
            assert_eq!(
                account_status_with_retry(&browser).await,
                303,
                "call {call}"
            );
            assert_eq!(browser.post("/login/1?remember=true").await.status(), 303);
        }
        assert_eq!(
            account_status_with_retry(&browser).await,
            200,
            "call {call}: logged out by an outage"
        );
        clock.advance(12 * HOUR);
        browser.restart();
        assert_eq!(
            account_status_with_retry(&browser).await,
            200,
            "call {call}: not restored"
        );
        let copy = browser.copy();
        let logged_out = browser.post("/logout").await.status();
        assert!(matches!(logged_out, 303 | 503), "call {call}: {logged_out}");
        if logged_out == 503 {
            assert_eq!(browser.post("/logout").await.status(), 303, "call {call}");
        }
        assert_eq!(
            account_status_with_retry(&browser).await,
            303,
            "call {call}"
        );
        // Refused, or told that its session ended if the store failed to say so at first.
        let copied = account_status_with_retry(&copy).await;
        assert!(matches!(copied, 303 | 409), "call {call}: {copied}");
        if !store.has_failed() {
            assert!(call > 10, "{call} calls are too few");
            return;
        }
    }
}

#[test]
fn idle_limits_and_caps_without_a_login_store_do_not_build() {
    let users = Users::new();
    let error = |builder: LoginManagerBuilder| builder.build(key()).unwrap_err().to_string();
    assert_eq!(
        error(manager(&users).0.limits(Limits::aal2())),
        "`limits` has an idle limit, which needs a login store; add `.login_store(..)`, \
         or `danger_no_idle_limit()` to the limits"
    );
    let cap = manager(&users).0.max_logins(MaxLogins::Refuse(1));
    assert_eq!(
        error(cap),
        "`max_logins` needs a login store, where logins are counted; add `.login_store(..)`"
    );
    let limits = Limits::new().idle(Duration::from_secs(90_000));
    let error = error(with_records(&users).0.limits(limits));
    assert!(
        error.contains("idle limit above the absolute limit"),
        "{error}"
    );
}

mod failing {
    //! A store that fails when a test wants it to.

    use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    };

    use login_runtime::{
        MemoryLoginStore,
        store::{
            FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore,
            MaxLogins, StoreError, TokenFamily,
        },
    };

    #[derive(Default)]
    pub(super) struct Failing {
        store: MemoryLoginStore,
        down: AtomicBool,
        calls: AtomicUsize,
        fails_at: Mutex<Option<usize>>,
        has_failed: AtomicBool,
    }

    impl Failing {
        pub(super) fn set_down(&self, down: bool) {
            self.down.store(down, SeqCst);
        }

        pub(super) fn fail_at(&self, call: usize) {
            *self.fails_at.lock().unwrap() = Some(call);
        }

        pub(super) fn has_failed(&self) -> bool {
            self.has_failed.load(SeqCst)
        }

        fn step(&self) -> Result<(), StoreError> {
            let call = self.calls.fetch_add(1, SeqCst);
            if *self.fails_at.lock().unwrap() == Some(call) {
                self.has_failed.store(true, SeqCst);
                return Err(StoreError::new("this call fails"));
            }
            if self.down.load(SeqCst) {
                return Err(StoreError::new("down"));
            }
            Ok(())
        }
    }

    impl LoginStore for Failing {
        async fn insert(
            &self,
            key: LoginKey,
            record: &LoginRecord,
            max: Option<MaxLogins>,
            now: i64,
        ) -> Result<Inserted, StoreError> {
            self.step()?;
            self.store.insert(key, record, max, now).await
        }

        async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
            self.step()?;
            self.store.find(key, now).await
        }

        async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
            self.step()?;
            self.store.touch(key, last_seen).await
        }

        async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
            self.step()?;
            self.store.make_stale(key).await
        }

        async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
            self.step()?;
            self.store.end(key).await
        }

        async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
            self.step()?;
            self.store.end_many(which).await
        }

        async fn list(
            &self,
            owner: LoginOwner<'_>,
            now: i64,
        ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
            self.step()?;
            self.store.list(owner, now).await
        }

        async fn insert_family(
            &self,
            key: FamilyKey,
            family: &TokenFamily,
        ) -> Result<(), StoreError> {
            self.step()?;
            self.store.insert_family(key, family).await
        }

        async fn end_oldest_families(
            &self,
            owner: LoginOwner<'_>,
            keep: u32,
        ) -> Result<u64, StoreError> {
            self.step()?;
            self.store.end_oldest_families(owner, keep).await
        }

        async fn find_family(
            &self,
            key: FamilyKey,
            now: i64,
        ) -> Result<Option<TokenFamily>, StoreError> {
            self.step()?;
            self.store.find_family(key, now).await
        }

        async fn update_family_if(
            &self,
            key: FamilyKey,
            expected: i64,
            family: &TokenFamily,
        ) -> Result<bool, StoreError> {
            self.step()?;
            self.store.update_family_if(key, expected, family).await
        }

        async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
            self.step()?;
            self.store.token_arrived(login, now).await
        }

        async fn purge(
            &self,
            now: i64,
            idle_since: Option<i64>,
            limit: u32,
        ) -> Result<u64, StoreError> {
            self.step()?;
            self.store.purge(now, idle_since, limit).await
        }

        async fn revoke_session(
            &self,
            session: LoginKey,
            owner: LoginOwner<'_>,
            until: i64,
            max: u32,
        ) -> Result<(), StoreError> {
            self.step()?;
            self.store.revoke_session(session, owner, until, max).await
        }

        async fn is_session_revoked(
            &self,
            session: LoginKey,
            now: i64,
        ) -> Result<bool, StoreError> {
            self.step()?;
            self.store.is_session_revoked(session, now).await
        }
    }
}
