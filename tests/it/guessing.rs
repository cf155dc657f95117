//! Guessing: failed tries are counted before they are made, and the owner still gets in.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpResponse, ResponseError as _, web};
use futures_util::future::join_all;
use login_runtime::{
    Auth, AuthUser, LoginManager,
    config::LoginManagerBuilder,
    events::LoginEvent,
    password::{PasswordError, PasswordVerifier},
    proxies::{ForwardedHeaders, TrustedProxies},
    store::StoreError,
    test::{Answer, Browser, TestClock},
    throttle::{
        Attempt, Claimed, Counted, Throttle, ThrottleError, ThrottleStore, TryLimit, attempt,
    },
};
use login_tests::{START, app, key};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    proxies::{PROXY, SPOOFED, inner, with_headers},
    world::{App, MINUTE, SECOND},
};

pub(crate) const RIGHT: &str = "difference engine";

pub(crate) const OWNER: [u8; 4] = [192, 0, 2, 7];
pub(crate) const THIEF: [u8; 4] = [198, 51, 100, 9];

#[derive(AuthUser, Clone)]
struct Person {
    #[auth(id)]
    name: String,
    is_active: bool,
    #[auth(password_hash)]
    hash: Option<String>,
}

/// An application, with all that a test watches.
pub(crate) struct Site<A> {
    app: A,
    pub(crate) clock: TestClock,
    checks: Arc<AtomicUsize>,
    events: Arc<Mutex<Vec<String>>>,
}

async fn log_in(
    auth: Auth<Person>,
    name: web::Path<String>,
    password: String,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse, actix_web::Error> {
    let user = person(&name);
    let checked = passwords.verify(&auth, &name, user, &password).await;
    let (status, wait) = match checked {
        Ok(Some(user)) => {
            auth.log_in(user).await?;
            return Ok(HttpResponse::Ok().body("welcome"));
        }
        Ok(None) => (401, None),
        Err(PasswordError::Throttled { retry_after }) => (429, Some(retry_after)),
        Err(error) => return Err(error.into()),
    };
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    let mut response = HttpResponse::build(status);
    if let Some(wait) = wait {
        response.insert_header(("retry-after", wait.to_string()));
    }
    Ok(response.body("wrong name or password"))
}

async fn code(
    auth: Auth<Person>,
    account: web::Path<String>,
    typed: String,
) -> Result<HttpResponse, actix_web::Error> {
    let check = async || Ok::<_, actix_web::Error>((typed == "123456").then_some(()));
    let right = attempt(&auth, "one-time code", &account, check).await?;
    Ok(match right {
        Some(()) => HttpResponse::Ok().body("right"),
        None => HttpResponse::Forbidden().body("wrong"),
    })
}

/// Ada, Ben and Mallory have the right password, Cy is inactive, and Dora has none.
fn person(name: &str) -> Option<Person> {
    let name = name.trim().to_lowercase();
    let has_password = ["ada", "ben", "mallory", "cy"].contains(&&*name);
    let hash = has_password.then(|| format!("$plain${RIGHT}"));
    (has_password || name == "dora").then(|| Person {
        is_active: name != "cy",
        name,
        hash,
    })
}

async fn site(throttle: Throttle) -> Site<impl App + use<>> {
    site_with(throttle, |passwords| passwords, |manager| manager).await
}

async fn site_behind(proxies: Option<TrustedProxies>) -> Site<impl App + use<>> {
    let change = |manager: LoginManagerBuilder| match proxies {
        Some(proxies) => manager.trusted_proxies(proxies),
        None => manager,
    };
    site_with(Throttle::new(), |passwords| passwords, change).await
}

async fn site_with<C>(
    throttle: Throttle,
    change: fn(PasswordVerifier) -> PasswordVerifier,
    change_manager: C,
) -> Site<impl App + use<C>>
where
    C: FnOnce(LoginManagerBuilder) -> LoginManagerBuilder,
{
    let finish = |manager: LoginManagerBuilder| {
        let manager = manager.session_only().throttle(throttle);
        change_manager(manager)
    };
    site_of(TestClock::at(START), change, finish).await
}

/// An application whose manager is finished by a function: it says where logins are recorded.
pub(crate) async fn site_of<C>(
    clock: TestClock,
    change: fn(PasswordVerifier) -> PasswordVerifier,
    finish: C,
) -> Site<impl App + use<C>>
where
    C: FnOnce(LoginManagerBuilder) -> LoginManagerBuilder,
{
    let checks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&checks);
    let check = move |password: &str, stored: &str| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok::<_, String>(stored.strip_prefix("$plain$") == Some(password))
    };
    let passwords = PasswordVerifier::new().costs(8, 1, 1).unwrap();
    let passwords = passwords.foreign_hashes(|it| it.starts_with("$plain$"), "$plain$", check);
    let passwords = change(passwords.unwrap());
    checks.store(0, Ordering::SeqCst);
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let find = async |name: String| Ok::<_, String>(person(&name));
    let builder = LoginManager::builder(find)
        .clock(clock.clone())
        .on_event(move |event, _| {
            let text = match event {
                LoginEvent::PasswordRefused {
                    account,
                    reason,
                    user,
                    ..
                } => {
                    let user = user.map(|user| user.id()).unwrap_or_default();
                    format!("refused {account} {user} {}", reason.name())
                }
                LoginEvent::Throttled {
                    purpose,
                    account,
                    by,
                    retry_after,
                } => {
                    format!("throttled {account} {purpose} {} {retry_after}", by.name())
                }
                _ => return,
            };
            seen.lock().unwrap().push(text);
        });
    let manager = finish(builder).build(key()).unwrap();
    let data = web::Data::new(passwords);
    let app = app(manager, move |routes| {
        routes
            .app_data(data)
            .route("/login/{name}", web::post().to(log_in))
            .route("/code/{account}", web::post().to(code));
    })
    .await;
    Site {
        app,
        clock,
        checks,
        events,
    }
}

impl<A: App> Site<A> {
    pub(crate) async fn send(
        &self,
        from: impl Into<std::net::IpAddr>,
        path: &str,
        body: &str,
    ) -> Answer {
        self.send_with(from, &[], path, body).await
    }

    async fn send_with(
        &self,
        from: impl Into<std::net::IpAddr>,
        headers: &[(&str, &str)],
        path: &str,
        body: &str,
    ) -> Answer {
        let browser = Browser::new(&self.app);
        browser.set_address(from);
        with_headers(browser.post(path), headers)
            .body(body.to_owned())
            .await
    }

    pub(crate) async fn log_in(
        &self,
        from: impl Into<std::net::IpAddr>,
        name: &str,
        password: &str,
    ) -> u16 {
        let path = format!("/login/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        self.send(from, &path, password).await.status()
    }

    /// The statuses of wrong log ins to Ada's account, one with each list of headers.
    async fn wrong_with<'a>(
        &self,
        from: [u8; 4],
        headers: impl IntoIterator<Item = &'a [(&'a str, &'a str)]>,
    ) -> Vec<u16> {
        let mut statuses = Vec::new();
        for headers in headers {
            let answer = self.send_with(from, headers, "/login/ada", "wrong").await;
            statuses.push(answer.status());
        }
        statuses
    }

    pub(crate) fn checks(&self) -> usize {
        self.checks.swap(0, Ordering::SeqCst)
    }

    /// Fails until the client is throttled. Returns how many tries it had.
    pub(crate) async fn exhaust(&self, from: [u8; 4], name: &str) -> usize {
        let mut tries = 0;
        while self.log_in(from, name, "wrong").await == 401 {
            tries += 1;
        }
        tries
    }
}

/// What a client sees besides the status, and the headers that belong to a status: the challenge of each 401,
/// and `Retry-After` of each 429.
fn seen(answer: &Answer) -> String {
    let challenge = answer.header("www-authenticate");
    let expected = (answer.status() == 401).then_some("Cookie realm=\"login\"");
    assert_eq!(challenge, expected);
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| !["retry-after", "www-authenticate"].contains(&name.as_str()))
        .map(|it| format!("{it:?}"))
        .collect();
    headers.sort();
    format!("{headers:?} {:?}", answer.body())
}

#[actix_web::test]
async fn two_hundred_wrong_log_ins_at_once_check_five_passwords_and_the_owner_gets_in() {
    let patient = |passwords: PasswordVerifier| passwords.at_most(1, 60 * SECOND);
    let site = site_with(Throttle::new(), patient, |manager| manager).await;
    let flood = (0..200).map(|_| site.log_in(THIEF, "ada", "wrong"));
    let (statuses, owner) = tokio::join!(join_all(flood), site.log_in(OWNER, "ada", RIGHT));
    assert_eq!(owner, 200);
    let checked = statuses.iter().filter(|status| **status == 401).count();
    assert_eq!(checked, 5);
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
    // The five, and the owner's.
    assert_eq!(site.checks(), 6);
}

#[actix_web::test]
async fn a_client_that_tries_many_accounts_at_once_is_stopped_too() {
    let site = site(Throttle::new()).await;
    let names: Vec<_> = (0..200).map(|n| format!("user{n}")).collect();
    let flood = names.iter().map(|name| site.log_in(THIEF, name, "wrong"));
    let statuses = join_all(flood).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 30);
    assert_eq!(site.checks(), 30);
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
}

#[actix_web::test]
async fn the_delay_doubles_up_to_fifteen_minutes_and_retry_after_says_so() {
    let site = site(Throttle::new()).await;
    assert_eq!(site.exhaust(THIEF, "ada").await, 5);
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        let answer = site.send(THIEF, "/login/ada", RIGHT).await;
        assert_eq!(answer.status(), 429);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(
            wait <= expected && wait * 2 >= expected,
            "{wait} of {expected}"
        );
        site.clock.advance(Duration::from_secs(wait) - SECOND);
        assert_eq!(site.log_in(THIEF, "ada", RIGHT).await, 429);
        site.clock.advance(SECOND);
        assert_eq!(site.log_in(THIEF, "ada", "wrong").await, 401, "{expected}");
    }
    // The right password gets in as soon as the delay is over, and forgets this client's failures.
    site.clock.advance(15 * MINUTE);
    assert_eq!(site.log_in(THIEF, "ada", RIGHT).await, 200);
    assert_eq!(site.exhaust(THIEF, "ada").await, 5);
}

#[actix_web::test]
async fn answers_of_all_kinds_of_accounts_are_equal_before_and_after_they_are_throttled() {
    let mut pages = Vec::new();
    for (name, password) in [
        ("ada", "wrong"),
        ("nobody", RIGHT),
        ("cy", RIGHT),
        ("dora", RIGHT),
    ] {
        let site = site(Throttle::new()).await;
        for _ in 0..5 {
            let answer = site.send(THIEF, &format!("/login/{name}"), password).await;
            assert_eq!(answer.status(), 401, "{name}");
            pages.push(seen(&answer));
        }
        assert_eq!(site.checks(), 5, "{name}");
        let answer = site.send(THIEF, &format!("/login/{name}"), password).await;
        assert_eq!(answer.status(), 429, "{name}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{name}");
        pages.push(seen(&answer));
        assert_eq!(site.checks(), 0, "{name}");
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:#?}");
}

#[actix_web::test]
async fn a_thief_with_a_valid_account_resets_no_other_counter() {
    let site = site(Throttle::new()).await;
    let mut failed = 0;
    for n in 0..100 {
        assert_ne!(site.log_in(THIEF, "mallory", RIGHT).await, 401);
        failed += usize::from(site.log_in(THIEF, &format!("user{n}"), "wrong").await == 401);
        let _ = site.log_in(THIEF, "ada", "wrong").await;
    }
    // Of 30 tries, five were Ada's.
    assert_eq!(failed, 25);
    assert_eq!(site.log_in(THIEF, "ada", "wrong").await, 429);
}

#[actix_web::test]
async fn spellings_of_one_name_share_their_tries() {
    for other in [
        "ADA",
        " ada",
        "a\u{301}da",
        "\u{ff41}da",
        "ad\u{200b}a",
        "\u{e1}d\u{e4}",
    ] {
        let site = site(Throttle::new()).await;
        site.exhaust(THIEF, "ada").await;
        assert_eq!(site.log_in(THIEF, other, "wrong").await, 429, "{other:?}");
        assert_eq!(site.log_in(THIEF, "adam", "wrong").await, 401);
    }
}

#[actix_web::test]
async fn addresses_of_one_ipv6_network_are_one_client() {
    let site = site(Throttle::new()).await;
    let address = |network: u16, host: u16| {
        std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, network, host, 0, 0, host)
    };
    for host in 0..5 {
        assert_eq!(site.log_in(address(1, host), "ada", "wrong").await, 401);
    }
    assert_eq!(site.log_in(address(1, 77), "ada", "wrong").await, 429);
    assert_eq!(site.log_in(address(2, 77), "ada", RIGHT).await, 200);
    // An IPv4 address is the same client, however it is written.
    site.exhaust(THIEF, "ben").await;
    let mapped = std::net::Ipv4Addr::from(THIEF).to_ipv6_mapped();
    assert_eq!(site.log_in(mapped, "ben", "wrong").await, 429);
}

/// The statuses of `n` log ins of a client that has five tries.
fn five_of(n: usize) -> Vec<u16> {
    (0..n)
        .map(|index| if index < 5 { 401 } else { 429 })
        .collect()
}

#[actix_web::test]
async fn a_client_that_names_other_addresses_has_no_more_tries_and_uses_up_none_of_others() {
    for proxies in [
        None,
        Some(inner(ForwardedHeaders::x_forwarded())),
        Some(inner(ForwardedHeaders::forwarded())),
    ] {
        let what = format!("{proxies:?}");
        let site = site_behind(proxies).await;
        let sent = SPOOFED.iter().map(std::slice::from_ref);
        let statuses = site.wrong_with(THIEF, sent).await;
        assert_eq!(statuses, five_of(SPOOFED.len()), "{what}");
        // The first three were named.
        for named in [[198, 51, 100, 7], [10, 0, 0, 9], [127, 0, 0, 1], OWNER] {
            let statuses = site.wrong_with(named, [&[][..]; 6]).await;
            assert_eq!(statuses, five_of(6), "{what} {named:?}");
        }
    }
}

#[actix_web::test]
async fn each_client_behind_a_named_proxy_has_its_own_tries() {
    let x_forwarded = ForwardedHeaders::x_forwarded();
    for (proxies, name, of) in [
        (inner(x_forwarded), "x-forwarded-for", ""),
        (TrustedProxies::hops(1, x_forwarded), "x-forwarded-for", ""),
        (inner(ForwardedHeaders::forwarded()), "forwarded", "for="),
    ] {
        let what = format!("{proxies:?}");
        let site = site_behind(Some(proxies)).await;
        let [thief, owner] = ["203.0.113.5", "203.0.113.6"].map(|client| format!("{of}{client}"));
        // The proxy appends a line to what the client sends.
        let sent: Vec<_> = SPOOFED
            .iter()
            .map(|spoofed| [*spoofed, (name, &*thief)])
            .collect();
        let sent = sent.iter().map(|both| &both[..]);
        let statuses = site.wrong_with(PROXY, sent).await;
        assert_eq!(statuses, five_of(SPOOFED.len()), "{what}");
        let owners = [(name, &*owner)];
        let statuses = site.wrong_with(PROXY, [&owners[..]; 4]).await;
        assert_eq!(statuses, five_of(4), "{what}");
        let answer = site.send_with(PROXY, &owners, "/login/ada", RIGHT).await;
        assert_eq!(answer.status(), 200, "{what}");
        // The proxy itself, too.
        let statuses = site.wrong_with(PROXY, [&[][..]; 6]).await;
        assert_eq!(statuses, five_of(6), "{what}");
    }
}

#[actix_web::test]
async fn clients_all_over_the_world_do_not_lock_the_owner_out_where_the_owner_was_before() {
    let site = site(Throttle::new()).await;
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    let mut checked = 0;
    for n in 0..200 {
        checked += usize::from(site.log_in([203, 0, 113, n], "ada", "wrong").await == 401);
    }
    assert_eq!(checked, 100);
    assert_eq!(site.log_in(OWNER, "ada", RIGHT).await, 200);
    // Elsewhere, the owner waits for seconds.
    assert_eq!(site.log_in([192, 0, 2, 99], "ada", RIGHT).await, 429);
    site.clock.advance(SECOND);
    assert_eq!(site.log_in([192, 0, 2, 99], "ada", RIGHT).await, 200);
}

#[actix_web::test]
async fn one_event_tells_each_refusal_and_shows_no_name() {
    let site = site(Throttle::new()).await;
    for _ in 0..6 {
        site.log_in(THIEF, "nobody", "wrong").await;
    }
    site.log_in(OWNER, "cy", RIGHT).await;
    site.log_in(OWNER, "ada", RIGHT).await;
    let events = site.events.lock().unwrap();
    assert_eq!(events.len(), 7, "{events:#?}");
    assert!(events[0].starts_with("refused "));
    assert!(events[0].ends_with("  unknown user"), "{events:#?}");
    assert!(
        events[5].ends_with(" password account and client 1"),
        "{events:#?}"
    );
    assert_eq!(events[0].split(' ').nth(1), events[5].split(' ').nth(1));
    assert!(events[6].ends_with(" \"cy\" inactive"), "{events:#?}");
    assert!(!events.concat().contains("nobody"));
}

#[actix_web::test]
async fn a_code_has_counters_of_its_own_and_answers_429_by_itself() {
    let site = site(Throttle::new()).await;
    for _ in 0..5 {
        assert_eq!(site.send(THIEF, "/code/ada", "000000").await.status(), 403);
    }
    let answer = site.send(THIEF, "/code/ada", "123456").await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(site.log_in(THIEF, "ada", RIGHT).await, 200);
    site.clock.advance(SECOND);
    assert_eq!(site.send(THIEF, "/code/ada", "123456").await.status(), 200);
}

/// A store that is down.
struct Down;

impl ThrottleStore for Down {
    async fn claim(&self, _: &Attempt, _: i64) -> Result<Claimed, StoreError> {
        Err(StoreError::new("down"))
    }

    async fn give_back(&self, _: &Attempt, _: &[Counted; 3], _: i64) -> Result<(), StoreError> {
        Err(StoreError::new("down"))
    }

    async fn succeed(
        &self,
        _: &Attempt,
        _: &[Counted; 3],
        _: i64,
        _: i64,
    ) -> Result<(), StoreError> {
        Err(StoreError::new("down"))
    }
}

#[actix_web::test]
async fn nothing_is_checked_while_the_store_that_counts_is_down() {
    let site = site(Throttle::new().store(Down)).await;
    let answer = site.send(OWNER, "/login/ada", RIGHT).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(site.send(OWNER, "/code/ada", "123456").await.status(), 503);
    assert_eq!(site.checks(), 0);
    assert_eq!(ThrottleError::Unavailable.status_code(), 503);
}

#[actix_web::test]
async fn the_limits_are_the_applications() {
    let limit = TryLimit::new(2).max_delay(3 * SECOND);
    let site = site(Throttle::new().per_account_and_client(limit)).await;
    assert_eq!(site.exhaust(THIEF, "ada").await, 2);
    for _ in 0..4 {
        site.clock.advance(3 * SECOND);
        assert_eq!(site.exhaust(THIEF, "ada").await, 1);
    }
}
