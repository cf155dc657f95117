//! Copies of a remember token: a thief is noticed however carefully the copy is used, and an honest
//! browser is never taken for a thief, whatever gets lost and whatever its tabs send at once.

use std::time::Duration;

use login_runtime::{
    Limits,
    store::StoreError,
    test::{Answer, Browser, TestClock},
};
use login_tests::User;

use crate::world::{
    BoxedApp, Call, Options, Place, REMEMBER, When, World, assert_leaves, name_of,
    on_every_login_store, on_every_store,
};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// The event that tells of a stolen token.
pub(crate) const ALARM: &str = "remember_token_reused";

/// Limits that no test here reaches.
pub(crate) fn lasting() -> Options {
    Options {
        limits: Some(Limits::new().absolute(Duration::from_secs(20 * HOUR))),
        ..Options::default()
    }
}

/// Closes and opens a browser so much later that its token, if it restores a login, is replaced.
fn reopen(world: &World, browser: &Browser<'_, BoxedApp>) {
    world.wait(12 * HOUR);
    browser.restart();
    assert_eq!(browser.cookie_names(), [REMEMBER]);
}

/// A browser of Ada's that has nothing but its first remember token, which is due to be replaced.
async fn reopened(world: &World) -> Browser<'_, BoxedApp> {
    let browser = world.remembered(1).await;
    assert_eq!(name_of(&browser).await, "ada");
    reopen(world, &browser);
    browser
}

/// A client that restores a login with a copy of a browser's token, and then drops the token that it
/// was sent.
async fn careful_thief<'a>(browser: &Browser<'a, BoxedApp>) -> Browser<'a, BoxedApp> {
    let thief = browser.copy();
    assert_eq!(name_of(&thief).await, "ada");
    thief.drop_cookie(REMEMBER);
    thief
}

async fn assert_both_are_out(
    world: &World,
    owner: &Browser<'_, BoxedApp>,
    thief: &Browser<'_, BoxedApp>,
) {
    assert_eq!(world.events.count(ALARM), 1);
    for browser in [owner, thief] {
        assert_eq!(name_of(browser).await, "nobody");
        browser.restart();
        assert_eq!(name_of(browser).await, "nobody");
    }
    assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
}

#[actix_web::test]
async fn a_thief_who_never_shows_the_new_token_is_noticed_when_the_owner_comes_back() {
    on_every_store(lasting(), async |world| {
        let owner = reopened(world).await;
        let thief = careful_thief(&owner).await;
        assert_eq!(thief.get("/account").await.status(), 200);
        // After all requests with the old token have arrived.
        world.wait(4 * 60);
        world.events.take();
        assert_eq!(owner.get("/account").await.status(), 303);
        assert_both_are_out(world, &owner, &thief).await;
    })
    .await;
}

#[actix_web::test]
async fn an_old_token_beside_a_live_login_is_not_exchanged_for_the_current_one() {
    let options = Options {
        refresh_remember: true,
        ..lasting()
    };
    on_every_login_store(options, async |world| {
        let owner = reopened(world).await;
        let old = owner.cookie(REMEMBER).unwrap();
        assert_eq!(name_of(&owner).await, "ada");
        let current = owner.cookie(REMEMBER).unwrap();
        assert_ne!(current, old);
        // First the refusal: the same login, with the token from before.
        let copy = owner.copy();
        copy.set_cookie(REMEMBER, &old);
        let answer = copy.get("/account").await;
        answer.assert_page_shown();
        assert_leaves(&answer, REMEMBER);
        // The current token is prolonged.
        let answer = owner.get("/account").await;
        assert!(answer.set_cookie(REMEMBER).is_some());
    })
    .await;
}

#[actix_web::test]
async fn a_thief_who_keeps_showing_the_old_token_is_noticed_when_the_owner_comes_back() {
    on_every_login_store(lasting(), async |world| {
        let owner = reopened(world).await;
        let old = owner.cookie(REMEMBER).unwrap();
        let thief = careful_thief(&owner).await;
        thief.set_cookie(REMEMBER, &old);
        assert_eq!(thief.get("/account").await.status(), 200);
        world.wait(4 * 60);
        world.events.take();
        assert_eq!(owner.get("/account").await.status(), 303);
        assert_both_are_out(world, &owner, &thief).await;
    })
    .await;
}

#[actix_web::test]
async fn a_thief_who_only_polls_a_passive_page_is_noticed_when_the_owner_comes_back() {
    on_every_login_store(lasting(), async |world| {
        let owner = reopened(world).await;
        let thief = careful_thief(&owner).await;
        assert_eq!(thief.get("/poll").await.status(), 200);
        world.wait(4 * 60);
        world.events.take();
        assert_eq!(owner.get("/account").await.status(), 303);
        assert_both_are_out(world, &owner, &thief).await;
    })
    .await;
}

#[actix_web::test]
async fn the_owner_may_come_back_twice_before_the_thief_uses_the_login() {
    on_every_login_store(lasting(), async |world| {
        let owner = reopened(world).await;
        let thief = careful_thief(&owner).await;
        // As after a lost answer: the owner is sent the token that the thief has, too.
        world.wait(20);
        assert_eq!(name_of(&owner).await, "ada");
        assert_eq!(thief.get("/account").await.status(), 200);
        assert_eq!(name_of(&owner).await, "ada");
        assert_eq!(world.events.count(ALARM), 0);
        // From now on each has the same token, and the first to restore a login gives the other away.
        let token = owner.cookie(REMEMBER).unwrap();
        reopen(world, &owner);
        let thief = world.browser();
        thief.set_cookie(REMEMBER, &token);
        assert_eq!(name_of(&thief).await, "ada");
        thief.drop_cookie(REMEMBER);
        assert_eq!(thief.get("/account").await.status(), 200);
        world.wait(4 * 60);
        world.events.take();
        assert_eq!(owner.get("/account").await.status(), 303);
        assert_both_are_out(world, &owner, &thief).await;
    })
    .await;
}

#[actix_web::test]
async fn a_thief_who_comes_every_day_is_out_after_the_first_day() {
    on_every_login_store(lasting(), async |world| {
        let owner = world.remembered(1).await;
        assert_eq!(name_of(&owner).await, "ada");
        owner.restart();
        let thief = owner.copy();
        let (mut stolen, mut token) = (0, owner.cookie(REMEMBER).unwrap());
        for _ in 0..27 {
            world.wait(12 * HOUR);
            thief.restart();
            thief.set_cookie(REMEMBER, &token);
            stolen += usize::from(thief.get("/account").await.status() == 200);
            // The thief keeps the token that it was sent for the next day, and does not show it before.
            token = thief.cookie(REMEMBER).unwrap_or(token);
            thief.drop_cookie(REMEMBER);
            for _ in 0..19 {
                stolen += usize::from(thief.get("/account").await.status() == 200);
            }
            world.wait(12 * HOUR);
            owner.restart();
            for _ in 0..20 {
                owner.get("/account").await;
            }
        }
        assert_eq!(world.events.count(ALARM), 1);
        assert!(stolen <= 20, "the thief saw {stolen} pages");
    })
    .await;
}

#[actix_web::test]
async fn the_first_request_of_a_login_costs_one_write_and_the_next_ones_none() {
    on_every_login_store(lasting(), async |world| {
        for restored in [false, true] {
            let browser = if restored {
                let browser = reopened(world).await;
                assert_eq!(name_of(&browser).await, "ada");
                browser
            } else {
                world.remembered(1).await
            };
            world.logins.calls();
            assert_eq!(browser.get("/account").await.status(), 200);
            assert_eq!(world.logins.calls(), [Call::Find, Call::TokenArrived]);
            for _ in 0..3 {
                world.wait(1);
                assert_eq!(browser.get("/account").await.status(), 200);
                assert_eq!(world.logins.calls(), [Call::Find]);
            }
        }
        // A login that no token was sent with writes nothing.
        let browser = world.logged_in(2).await;
        world.logins.calls();
        assert_eq!(browser.get("/account").await.status(), 200);
        assert_eq!(world.logins.calls(), [Call::Find]);
    })
    .await;
}

#[actix_web::test]
async fn a_store_that_fails_at_the_first_request_learns_of_the_token_at_the_next() {
    on_every_login_store(lasting(), async |world| {
        let owner = reopened(world).await;
        let thief = careful_thief(&owner).await;
        world.logins.on(|moment| async move {
            match (moment.call, moment.when) {
                (Call::TokenArrived, When::Before) => Err(StoreError::new("down")),
                _ => Ok(()),
            }
        });
        assert_eq!(thief.get("/account").await.status(), 200);
        world.logins.off();
        assert_eq!(thief.get("/account").await.status(), 200);
        world.wait(4 * 60);
        world.events.take();
        assert_eq!(owner.get("/account").await.status(), 303);
        assert_both_are_out(world, &owner, &thief).await;
    })
    .await;
}

#[actix_web::test]
async fn of_two_tabs_the_one_whose_answer_was_lost_may_have_replaced_the_token() {
    on_every_login_store(lasting(), async |world| {
        let browser = reopened(world).await;
        let before = browser.cookie(REMEMBER);
        let lost = browser.copy();
        assert_eq!(name_of(&lost).await, "ada");
        world.wait(1);
        assert_eq!(name_of(&browser).await, "ada");
        assert_ne!(browser.cookie(REMEMBER), before, "the answer has the token");
        // The login is used, and still the browser comes back.
        assert_eq!(name_of(&browser).await, "ada");
        for _ in 0..3 {
            reopen(world, &browser);
            assert_eq!(name_of(&browser).await, "ada");
        }
        assert_eq!(world.events.count(ALARM), 0);
    })
    .await;
}

#[actix_web::test]
async fn a_slow_tab_with_the_old_token_gets_in_after_the_new_one_was_used() {
    on_every_login_store(lasting(), async |world| {
        let browser = reopened(world).await;
        let [slow, slower] = [browser.copy(), browser.copy()];
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(name_of(&browser).await, "ada");
        world.wait(5);
        assert_eq!(name_of(&slow).await, "ada");
        world.wait(55);
        assert_eq!(name_of(&slower).await, "ada");
        assert_eq!(world.events.count(ALARM), 0);
        // What they were sent takes nothing away.
        let token = browser.cookie(REMEMBER).unwrap();
        let late = slower;
        late.set_cookie(REMEMBER, &token);
        for browser in [&browser, &late] {
            assert_eq!(name_of(browser).await, "ada");
        }
        assert_eq!(world.events.count(ALARM), 0);
    })
    .await;
}

#[actix_web::test]
async fn answers_that_never_arrive_log_nobody_out() {
    on_every_login_store(lasting(), async |world| {
        let browser = reopened(world).await;
        for pause in [1, 9, 10, 11, 59, 61, 299, 301, HOUR, DAY, 5 * DAY] {
            let lost = browser.copy();
            world.wait(pause);
            assert_eq!(name_of(&lost).await, "ada", "after {pause} s");
        }
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(world.events.count(ALARM), 0);
    })
    .await;
}

/// Random numbers that are the same each time: xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn take<T>(&mut self, from: &mut Vec<T>) -> T {
        let index = self.below(from.len() as u64);
        from.swap_remove(usize::try_from(index).unwrap())
    }
}

/// An application on several nodes, whose clocks differ by this many seconds from that of the world.
pub(crate) struct Fleet<'a> {
    world: &'a World,
    nodes: Vec<(BoxedApp, TestClock)>,
}

impl<'a> Fleet<'a> {
    pub(crate) async fn of(world: &'a World, offsets: &[i64]) -> Self {
        let mut nodes = Vec::new();
        for offset in offsets {
            let clock = TestClock::at(login_tests::START + offset);
            let mut parts = world.parts();
            parts.clock = clock.clone();
            nodes.push((parts.node().await, clock));
        }
        Self { world, nodes }
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.world.wait(seconds);
        for (_, clock) in &self.nodes {
            clock.advance(Duration::from_secs(seconds));
        }
    }

    pub(crate) fn node(&self, index: usize) -> &BoxedApp {
        &self.nodes[index % self.nodes.len()].0
    }

    fn any(&self, random: &mut Random) -> &BoxedApp {
        self.node(usize::try_from(random.below(self.nodes.len() as u64)).unwrap())
    }
}

/// The cookies of a client, as names and values.
type Jar = Vec<(String, String)>;

fn browser_with<'b>(app: &'b BoxedApp, jar: &Jar) -> Browser<'b, BoxedApp> {
    let browser = Browser::new(app);
    for (name, value) in jar {
        browser.set_cookie(name, value);
    }
    browser
}

/// Changes a jar as an answer says.
fn apply(jar: &mut Jar, answer: &Answer) {
    for cookie in answer.set_cookies() {
        jar.retain(|(name, _)| name != cookie.name());
        if cookie.max_age().is_none_or(|age| !age.is_zero()) {
            jar.push((cookie.name().to_owned(), cookie.value().to_owned()));
        }
    }
}

async fn log_in(app: &BoxedApp) -> Jar {
    let mut jar = Jar::new();
    let answer = Browser::new(app).post("/login/1?remember=true").await;
    assert_eq!(answer.status(), 303);
    apply(&mut jar, &answer);
    jar
}

/// One browser with many tabs, whose requests are slow and whose answers arrive in any order or not at
/// all. Returns how often its token was replaced.
async fn honest_browser(fleet: &Fleet<'_>, seed: u64) -> usize {
    let random = &mut Random::new(seed);
    let mut jar = log_in(fleet.any(random)).await;
    // Cookies as they were when each request was sent.
    let mut sent: Vec<Jar> = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    // How long the oldest request or answer has been on its way.
    let mut on_its_way = 0;
    let (mut day, mut tokens) = (0, 0);
    let mut story = Vec::new();
    while day < 25 * DAY {
        match random.below(6) {
            0 | 1 if sent.len() + answers.len() < 5 && on_its_way < 40 => {
                story.push("send".to_owned());
                sent.push(jar.clone());
            }
            2 | 3 if !sent.is_empty() => {
                let request = random.take(&mut sent);
                let browser = browser_with(fleet.any(random), &request);
                let answer = browser.get("/account").await;
                story.push(format!("served with {}", answer.status()));
                assert_eq!(answer.status(), 200, "seed {seed}: {story:#?}");
                answers.push(answer);
            }
            0 | 1 | 4 if !answers.is_empty() => {
                let answer = random.take(&mut answers);
                if random.one_in(3) {
                    story.push("lost".to_owned());
                } else {
                    tokens += usize::from(answer.set_cookie(REMEMBER).is_some());
                    story.push("arrived".to_owned());
                    apply(&mut jar, &answer);
                }
            }
            _ => {
                let pauses = [0, 1, 7, 12, 30, 5 * 60, HOUR, 12 * HOUR, 2 * DAY];
                let pause = pauses[usize::try_from(random.below(pauses.len() as u64)).unwrap()];
                let is_quiet = sent.is_empty() && answers.is_empty();
                if !is_quiet && on_its_way + pause > 50 {
                    continue;
                }
                on_its_way = if is_quiet { 0 } else { on_its_way + pause };
                story.push(format!("{pause} s later"));
                fleet.wait(pause);
                day += pause;
                if is_quiet && random.one_in(2) {
                    story.push("restart".to_owned());
                    jar.retain(|(name, _)| name == REMEMBER);
                }
            }
        }
    }
    assert_eq!(
        fleet.world.events.count(ALARM),
        0,
        "seed {seed}: {story:#?}"
    );
    tokens
}

/// A thief and an owner who take turns in any order. Returns after how many turns there was an alarm.
async fn thief_and_owner(fleet: &Fleet<'_>, seed: u64) -> usize {
    let random = &mut Random::new(seed);
    let mut owner = log_in(fleet.any(random)).await;
    let first = browser_with(fleet.any(random), &owner)
        .get("/account")
        .await;
    apply(&mut owner, &first);
    fleet.wait(12 * HOUR);
    owner.retain(|(name, _)| name == REMEMBER);
    let mut jars = [owner.clone(), owner];
    fleet.world.events.take();
    for turn in 0..6 {
        // After the first two turns, anybody may come several times.
        let who = if turn < 2 {
            turn ^ seed & 1
        } else {
            random.below(2)
        };
        let is_thief = who == 1;
        let jar = &mut jars[usize::try_from(who).unwrap()];
        let mut answer = browser_with(fleet.any(random), jar).get("/account").await;
        apply(jar, &answer);
        let token: Jar = jar
            .iter()
            .filter(|(name, _)| name == REMEMBER)
            .cloned()
            .collect();
        if is_thief {
            jar.retain(|(name, _)| name != REMEMBER);
        }
        for _ in 0..=random.below(3) {
            fleet.wait(1 + random.below(100));
            answer = browser_with(fleet.any(random), jar).get("/account").await;
            apply(jar, &answer);
        }
        *jar = token;
        if fleet.world.events.count(ALARM) > 0 {
            return usize::try_from(turn).unwrap();
        }
        fleet.wait([10 * 60, HOUR, 12 * HOUR][usize::try_from(random.below(3)).unwrap()]);
    }
    panic!("seed {seed}: no alarm, status {:?}", jars);
}

/// Plays honest browsers and thieves on nodes with these clocks. A thief is noticed after so many turns.
pub(crate) async fn look_for_thieves(world: &World, offsets: &[i64], browsers: u64, turns: usize) {
    let fleet = Fleet::of(world, offsets).await;
    let mut replaced = 0;
    for seed in 0..browsers {
        replaced += honest_browser(&fleet, seed).await;
        world.everybody().end_all().await.unwrap();
        world.events.take();
    }
    let expected = usize::try_from(browsers).unwrap() * 3;
    assert!(replaced > expected, "only {replaced} tokens were replaced");
    for seed in 0..browsers * 5 {
        let turn = thief_and_owner(&fleet, seed).await;
        assert!(turn < turns, "seed {seed}: {turn} turns");
        world.everybody().end_all().await.unwrap();
        world.events.take();
    }
}

#[actix_web::test]
async fn in_no_order_of_requests_and_answers_is_a_browser_taken_for_a_thief_or_a_thief_overlooked()
{
    look_for_thieves(&World::open(Place::COOKIE, lasting()).await, &[0], 30, 2).await;
    let place = Place {
        login_cookie: true,
        ..Place::COOKIE
    };
    look_for_thieves(&World::open(place, lasting()).await, &[0], 30, 2).await;
}
