//! Login records: seen, counted, and ended from elsewhere.

use std::{collections::HashSet, future::IntoFuture, time::Duration};

use futures_util::future::join_all;
use login_runtime::{store::MaxLogins, test::Browser};
use login_tests::{START, User};

use crate::{
    crowd::{CROWD, crowd},
    world::{
        BoxedApp, Call, Options, REMEMBER, When, World, name_of, on_every_login_store,
        on_every_store,
    },
};

/// Three browsers of Ada's, of which the first has a remember cookie, and one of Ben's.
async fn four(world: &World) -> [Browser<'_, BoxedApp>; 4] {
    let browsers = [
        world.remembered(1).await,
        world.logged_in(1).await,
        world.logged_in(1).await,
        world.logged_in(2).await,
    ];
    assert_eq!(found(&browsers).await, ["ada", "ada", "ada", "ben"]);
    browsers
}

/// Who is logged in where.
async fn found<const N: usize>(browsers: &[Browser<'_, BoxedApp>; N]) -> [String; N] {
    let mut found = [const { String::new() }; N];
    for (browser, found) in browsers.iter().zip(&mut found) {
        *found = name_of(browser).await;
    }
    found
}

/// The user's own list: the first word of each line is a key.
async fn list(browser: &Browser<'_, BoxedApp>) -> Vec<String> {
    let answer = browser.get("/logins").await;
    assert_eq!(answer.status(), 200);
    answer.text().lines().map(str::to_owned).collect()
}

/// The status of a change that was made: log-ins and log-outs redirect.
fn done(path: &str) -> u16 {
    let redirects = path.starts_with("/login") || path.starts_with("/logout");
    if redirects { 303 } else { 200 }
}

fn key(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

#[actix_web::test]
async fn the_list_shows_every_login_and_which_one_is_at_hand() {
    on_every_store(Options::default(), async |world| {
        let phone = world.browser();
        phone.set_user_agent("phone/2");
        phone.set_address([192, 0, 2, 7]);
        phone.post("/login/1?remember=true").await;
        world.wait(100);
        let desk = world.logged_in(1).await;
        world.logged_in(2).await;
        world.wait(1_000);
        assert_eq!(name_of(&phone).await, "ada");
        let lines = list(&desk).await;
        let keys: HashSet<_> = lines.iter().map(|line| key(line)).collect();
        assert_eq!(keys.len(), 2);
        assert!(keys.iter().all(|key| key.len() == 64));
        let rest: Vec<_> = lines.iter().map(|line| &line[65..]).collect();
        let (first, then, now) = (START, START + 100, START + 1_100);
        assert_eq!(
            rest,
            [
                // Its list is its use.
                format!("form test/1 127.0.0.1 {then} {now} current"),
                format!("form phone/2 192.0.2.7 {first} {now} remembered"),
            ]
        );
        let lines = list(&phone).await;
        assert!(lines[1].ends_with(" current remembered"), "{lines:?}");
        // Restored, the phone's login says how.
        phone.restart();
        let lines = list(&phone).await;
        assert_eq!(
            &lines[0][65..],
            format!("remember phone/2 192.0.2.7 {now} {now} current remembered")
        );
        // In place of the one before: it is one browser.
        assert_eq!(lines.len(), 2);
    })
    .await;
}

#[actix_web::test]
async fn a_login_that_was_ended_is_over_at_its_next_request() {
    on_every_store(Options::default(), async |world| {
        let [phone, desk, tv, ben] = four(world).await;
        let lines = list(&desk).await;
        let of_phone = lines
            .iter()
            .find(|line| line.ends_with("remembered"))
            .unwrap();
        let end = format!("/end/{}", key(of_phone));
        // Somebody else's key ends nothing.
        assert_eq!(ben.post(&end).await.text(), "false");
        assert_eq!(name_of(&phone).await, "ada");
        assert_eq!(desk.post(&end).await.text(), "true");
        assert_eq!(desk.post(&end).await.text(), "false");
        // Its remember cookie does not restore it either.
        let others = [phone, desk, tv, ben];
        assert_eq!(found(&others).await, ["nobody", "ada", "ada", "ben"]);
        let [phone, desk, ..] = &others;
        assert_eq!(phone.cookie(REMEMBER), None);
        // One's own, too.
        let lines = list(desk).await;
        let own = lines.iter().find(|line| line.ends_with("current")).unwrap();
        assert_eq!(
            desk.post(&format!("/end/{}", key(own))).await.text(),
            "true"
        );
        assert_eq!(name_of(desk).await, "nobody");
        // An administrator ends any.
        let of_ben = world.everybody().of::<User>(&2).await.unwrap();
        assert!(world.everybody().end(of_ben[0].key).await.unwrap());
        assert!(!world.everybody().end(of_ben[0].key).await.unwrap());
        assert_eq!(name_of(&others[3]).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn ending_the_others_leaves_the_one_at_hand() {
    on_every_store(Options::default(), async |world| {
        for keeper in [0, 1] {
            let browsers = four(world).await;
            // A browser that was closed counts too, as long as it is remembered.
            let closed = world.remembered(1).await;
            closed.restart();
            let ended = browsers[keeper].post("/end-others").await;
            assert_eq!(ended.text(), "3");
            let mut expected = ["nobody", "nobody", "nobody", "ben"];
            expected[keeper] = "ada";
            assert_eq!(found(&browsers).await, expected);
            assert_eq!(name_of(&closed).await, "nobody");
            // Its own remember cookie is good still.
            browsers[keeper].restart();
            let restored = ["ada", "nobody"][keeper];
            assert_eq!(name_of(&browsers[keeper]).await, restored);
            world.everybody().end_all().await.unwrap();
        }
    })
    .await;
}

#[actix_web::test]
async fn an_administrator_ends_all_logins_of_a_user_or_of_everybody() {
    on_every_store(Options::default(), async |world| {
        let browsers = four(world).await;
        assert_eq!(world.everybody().end_all_of::<User>(&1).await.unwrap(), 3);
        assert_eq!(
            found(&browsers).await,
            ["nobody", "nobody", "nobody", "ben"]
        );
        let browsers = four(world).await;
        assert_eq!(world.everybody().end_all().await.unwrap(), 5);
        assert_eq!(found(&browsers).await, ["nobody"; 4]);
        assert_eq!(world.everybody().end_all().await.unwrap(), 0);
    })
    .await;
}

#[actix_web::test]
async fn new_credentials_end_all_logins_but_the_one_that_changed_them() {
    on_every_store(Options::default(), async |world| {
        for changer in [0, 1] {
            let browsers = four(world).await;
            let before = browsers[changer].copy();
            let answer = browsers[changer].post("/change/current").await;
            assert_eq!((answer.status(), answer.text()), (200, "2".to_owned()));
            let mut expected = ["nobody", "nobody", "nobody", "ben"];
            expected[changer] = "ada";
            assert_eq!(found(&browsers).await, expected);
            // The cookies from before are worth nothing, not even in that browser.
            assert_eq!(name_of(&before).await, "nobody");
            assert_eq!(browsers[changer].cookie(REMEMBER), None);
            world.everybody().end_all().await.unwrap();
        }
        let browsers = four(world).await;
        let answer = browsers[0].post("/change/none").await;
        assert_eq!((answer.status(), answer.text()), (200, "3".to_owned()));
        assert_eq!(
            found(&browsers).await,
            ["nobody", "nobody", "nobody", "ben"]
        );
    })
    .await;
}

#[actix_web::test]
async fn what_happens_to_a_user_elsewhere_is_known_at_the_next_request() {
    on_every_store(Options::default(), async |world| {
        // Each browser asks once.
        let once = async |change: &dyn Fn()| {
            let browsers = four(world).await;
            // This one will have nothing but its remember cookie.
            browsers[0].restart();
            change();
            for browser in &browsers[..3] {
                assert_eq!(browser.get("/account").await.status(), 303);
            }
            assert_eq!(browsers[0].cookie(REMEMBER), None);
            assert_eq!(browsers[3].get("/account").await.text(), "account of ben");
            browsers
        };
        once(&|| world.users.change(1, |user| user.hash.push('+'))).await;
        once(&|| world.users.change(1, |user| user.is_active = false)).await;
        world.users.change(1, |user| user.is_active = true);
        let ada = world.users.get(1).unwrap();
        let browsers = once(&|| world.users.delete(1)).await;
        // Another user with the id that became free is not logged in by old cookies.
        world.users.put(ada);
        for browser in &browsers[..3] {
            assert_eq!(name_of(browser).await, "nobody");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_page_costs_one_look_at_the_record_and_one_at_the_user_and_writes_nothing() {
    on_every_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        // The first pages note that the remember cookie has arrived.
        browser.get("/account").await;
        world.wait(60);
        world.logins.calls();
        world.users.loads();
        if let Some(sessions) = &world.sessions {
            sessions.written();
        }
        for _ in 0..3 {
            for page in ["/account", "/settings", "/me", "/read", "/poll"] {
                let answer = browser.get(page).await;
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.set_cookies(), [], "{page}");
                assert_eq!(world.logins.calls(), [Call::Find], "{page}");
                assert_eq!(world.users.loads(), 1, "{page}");
            }
        }
        if let Some(sessions) = &world.sessions {
            assert_eq!(sessions.written().len(), 0);
        }
        // A visitor costs nothing at all.
        let visitor = world.browser();
        assert_eq!(name_of(&visitor).await, "nobody");
        assert_eq!(visitor.get("/account").await.status(), 303);
        assert_eq!(world.logins.calls(), []);
        assert_eq!(world.users.loads(), 0);
    })
    .await;
}

#[actix_web::test]
async fn a_login_that_is_over_is_looked_up_once() {
    on_every_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        world.everybody().end_all().await.unwrap();
        let refused = browser.get("/account").await;
        assert_eq!(refused.status(), 303);
        world.logins.calls();
        assert_eq!(browser.get("/account").await.status(), 303);
        assert_eq!(name_of(&browser).await, "nobody");
        assert_eq!(world.logins.calls(), []);
    })
    .await;
}

#[actix_web::test]
async fn every_change_of_authority_changes_the_cookie_and_ends_the_old_one() {
    on_every_store(Options::default(), async |world| {
        for change in [
            "/login/1",
            "/login/1?remember=true",
            "/login/2",
            "/confirm/1",
            "/change/current",
            "/logout",
        ] {
            let browser = world.logged_in(1).await;
            let before = browser.copy();
            assert_eq!(name_of(&before.copy()).await, "ada");
            assert_eq!(
                browser.post(change).await.status(),
                done(change),
                "{change}"
            );
            let carrier = world.login_cookie();
            assert_ne!(browser.cookie(carrier), before.cookie(carrier));
            assert_eq!(name_of(&before).await, "nobody", "{change}");
            let now = match change {
                "/logout" => "nobody",
                "/login/2" => "ben",
                _ => "ada",
            };
            assert_eq!(name_of(&browser).await, now, "{change}");
        }
        // So does logging in where nobody was.
        let visitor = world.visitor().await;
        let planted = visitor.copy();
        visitor.post("/login/1").await;
        assert_eq!(name_of(&planted).await, "nobody");
        // And restoring.
        let browser = world.remembered(1).await;
        browser.restart();
        browser.post("/cart/x").await;
        let planted = browser.copy();
        planted.drop_cookie(REMEMBER);
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(name_of(&planted).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn a_confirmed_login_goes_on_under_another_id() {
    on_every_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        browser.restart();
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(browser.get("/settings").await.status(), 401);
        let before = list(&browser).await;
        let confirmed = browser.post("/confirm/1").await;
        assert_eq!(confirmed.text(), "ada");
        assert_eq!(confirmed.set_cookie(REMEMBER), None);
        assert_eq!(browser.get("/settings").await.text(), "settings of ada");
        let after = list(&browser).await;
        assert_eq!(after.len(), before.len());
        let own = |lines: &[String]| {
            let own = lines.iter().find(|line| line.contains(" current"));
            key(own.unwrap()).to_owned()
        };
        assert_ne!(own(&after), own(&before));
        // The remember cookie is still of that login's family.
        browser.restart();
        assert_eq!(name_of(&browser).await, "ada");
        browser.post("/logout").await;
        // Somebody else's credentials confirm nothing.
        let browser = world.logged_in(1).await;
        assert_eq!(browser.post("/confirm/2").await.status(), 403);
        assert_eq!(name_of(&browser).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn what_one_node_does_the_others_know() {
    on_every_store(Options::default(), async |world| {
        let other = world.node().await;
        let browser = world.logged_in(1).await;
        let there = browser.at(&other);
        assert_eq!(name_of(&there).await, "ada");
        assert_eq!(there.post("/confirm/1").await.status(), 200);
        assert_eq!(name_of(&browser).await, "nobody", "the id from before");
        let back = there.at(world.app());
        assert_eq!(name_of(&back).await, "ada");
        assert_eq!(there.post("/logout").await.status(), 303);
        assert_eq!(name_of(&back).await, "nobody");
        let browser = world.logged_in(1).await;
        let there = browser.at(&other);
        world.everybody().end_all().await.unwrap();
        assert_eq!(name_of(&there).await, "nobody");
    })
    .await;
}

// How many logins a user may have.

fn at_most(max: MaxLogins) -> Options {
    Options {
        max: Some(max),
        // Crowds take their time.
        deadline: Some(Duration::from_secs(60)),
        ..Options::default()
    }
}

#[actix_web::test]
async fn one_login_too_many_ends_the_oldest() {
    on_every_store(at_most(MaxLogins::EndOldest(3)), async |world| {
        let mut browsers = Vec::new();
        for _ in 0..5 {
            world.wait(1);
            browsers.push(world.logged_in(1).await);
        }
        let ben = world.logged_in(2).await;
        for (index, browser) in browsers.iter().enumerate() {
            assert_eq!(
                name_of(browser).await,
                ["nobody", "ada"][usize::from(index >= 2)]
            );
        }
        assert_eq!(name_of(&ben).await, "ben");
        // The same browser again takes the place of its own login.
        for path in ["/login/1", "/confirm/1", "/login/1?remember=true"] {
            world.wait(1);
            assert_eq!(browsers[4].post(path).await.status(), done(path));
        }
        for browser in &browsers[2..] {
            assert_eq!(name_of(browser).await, "ada");
        }
    })
    .await;
}

#[actix_web::test]
async fn one_login_too_many_is_refused() {
    on_every_store(at_most(MaxLogins::Refuse(2)), async |world| {
        let browsers = [world.logged_in(1).await, world.logged_in(1).await];
        let third = world.browser();
        let refused = third.post("/login/1").await;
        assert_eq!((refused.status(), refused.set_cookies()), (403, vec![]));
        assert_eq!(name_of(&third).await, "nobody");
        assert_eq!(browsers[0].post("/login/1").await.status(), 303);
        assert_eq!(found(&browsers).await, ["ada", "ada"]);
        browsers[0].post("/logout").await;
        assert_eq!(third.post("/login/1").await.status(), 303);
        // What is over does not count.
        world.wait(12 * 60 * 60);
        assert_eq!(browsers[0].post("/login/1").await.status(), 303);
    })
    .await;
}

/// Logs in from many browsers at once. The statuses.
async fn all_log_in(world: &World) -> Vec<u16> {
    let log_in = async |browser: Browser<'_, BoxedApp>| browser.post("/login/1").await.status();
    crowd(&world.parts(), log_in).await
}

#[actix_web::test]
async fn no_crowd_gets_past_the_limit() {
    on_every_login_store(at_most(MaxLogins::EndOldest(3)), async |world| {
        let statuses = all_log_in(world).await;
        assert_eq!(statuses, [303; CROWD]);
        let live = world.everybody().of::<User>(&1).await.unwrap();
        assert_eq!(live.len(), 3);
    })
    .await;
    on_every_login_store(at_most(MaxLogins::Refuse(3)), async |world| {
        let statuses = all_log_in(world).await;
        assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 3);
        assert_eq!(
            statuses.iter().filter(|status| **status == 403).count(),
            CROWD - 3
        );
        let live = world.everybody().of::<User>(&1).await.unwrap();
        assert_eq!(live.len(), 3);
    })
    .await;
}

#[actix_web::test]
async fn a_crowd_of_one_browser_does_not_get_past_the_limit() {
    on_every_login_store(at_most(MaxLogins::EndOldest(3)), async |world| {
        world.logged_in(1).await;
        world.wait(1);
        world.logged_in(1).await;
        world.wait(1);
        let browser = world.logged_in(1).await;
        world.wait(1);
        let copies: Vec<_> = (0..16).map(|_| browser.copy()).collect();
        // All of them find the login whose place they take.
        world.logins.meet(16, When::After, Call::Find);
        let log_ins = copies
            .iter()
            .map(|copy| copy.post("/login/1").into_future());
        for answer in join_all(log_ins).await {
            assert_eq!(answer.status(), 303);
        }
        let live = world.everybody().of::<User>(&1).await.unwrap();
        assert!(live.len() <= 3, "{}", live.len());
    })
    .await;
}

#[actix_web::test]
async fn a_manager_without_a_store_says_what_it_cannot_do() {
    let options = Options {
        no_records: true,
        ..Options::default()
    };
    let world = World::open(crate::world::Place::MEMORY, options).await;
    let browser = world.logged_in(1).await;
    let answer = browser.get("/logins").await;
    assert_eq!(answer.status(), 500);
    assert_eq!(
        answer.text(),
        "the login manager has no login store; add `.login_store(..)` to it"
    );
    assert_eq!(browser.post("/end-others").await.status(), 500);
    assert_eq!(name_of(&browser).await, "ada");
}
