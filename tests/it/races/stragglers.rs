//! Requests that a browser sent before it got the answer to a log in, and that come to the server
//! after it: nothing of theirs takes the place of what the browser has by then.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::*;
use crate::world::Place;

/// For how long a request with the cookie of an ended session counts as late, in seconds.
const LATE_FOR: u64 = 180;

#[actix_web::test]
async fn a_write_that_arrives_after_the_log_in_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        for before in [world.visitor().await, world.logged_in(2).await] {
            let slow = before.copy();
            let answer = before.copy().post("/login/1").await;
            assert_eq!(answer.status(), 303);
            world.wait(LATE_FOR - 1);
            let late = slow.post("/cart/late").await;
            is_refused(&late);
            is_in(&before, &answer, &[&late], "ada").await;
            // A browser that never got the answer is not refused for ever.
            world.wait(1);
            let lost = slow.post("/cart/late").await;
            assert_eq!(lost.status(), 200);
            assert!(lost.set_cookie(SESSION).is_some());
            assert_eq!(name_of(&slow).await, "nobody");
            // Nor does it have to wait to log in.
            let again = before.copy().post("/login/1").await;
            let lost = before.copy().post("/login/1").await;
            is_in(&before, &lost, &[&again], "ada").await;
        }
    })
    .await;
}

#[actix_web::test]
async fn a_page_that_arrives_after_the_log_out_is_answered_as_to_a_visitor() {
    on_every_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        let slow = browser.copy();
        let out = browser.copy().post("/logout").await;
        let late = slow.get("/me").await;
        assert_eq!((late.status(), late.text()), (200, "nobody".to_owned()));
        assert_eq!(late.set_cookies(), []);
        is_refused(&slow.post("/cart/late").await);
        assert_eq!(slow.post("/thrown-out").await.status(), 401);
        is_out(&browser, &[&out, &late]).await;
    })
    .await;
}

#[actix_web::test]
async fn a_write_from_before_two_renewals_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        let browser = world.visitor().await;
        let (slow, quick) = (browser.copy(), browser.copy());
        let gate = world.gates.close("write");
        let (late, answer) = while_waiting(&gate, slow.post("/cart/late").into_future(), async {
            quick.post("/renew").await;
            quick.post("/login/1").await
        })
        .await;
        is_refused(&late);
        is_in(&browser, &answer, &[&late], "ada").await;
    })
    .await;
}

#[actix_web::test]
async fn a_late_page_takes_no_remember_cookie_away() {
    on_every_store(Options::default(), async |world| {
        for (reopened, log_in) in [
            (false, "/login/1?remember=true"),
            (false, "/login/2?remember=true"),
            (true, "/login/1?remember=true"),
            (true, "/login/2?remember=true"),
        ] {
            let browser = world.remembered(1).await;
            if reopened {
                browser.restart();
                assert_eq!(browser.post("/cart/early").await.status(), 200);
            }
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("read");
            let (late, answer) = while_waiting(
                &gate,
                slow.get("/late-me").into_future(),
                quick.post(log_in).into_future(),
            )
            .await;
            assert_eq!((late.status(), late.text()), (200, "nobody".to_owned()));
            is_remembered(&browser, &answer, &late).await;
            // One that was not even there yet.
            is_remembered(&browser, &answer, &slow.copy().get("/me").await).await;
        }
    })
    .await;
}

/// Whoever logged in is remembered, though another answer came after that of the log in.
async fn is_remembered(before: &Browser<'_, BoxedApp>, log_in: &Answer, late: &Answer) {
    let browser = before.copy();
    apply(&browser, log_in);
    apply(&browser, late);
    assert_eq!(name_of(&browser).await, log_in.text(), "{late:?}");
    // Its session is over.
    browser.drop_cookie(SESSION);
    assert_eq!(name_of(&browser).await, log_in.text(), "{late:?}");
}

/// Where a page of a remembered user can be overtaken.
const STEPS: [(When, Call); 6] = [
    (When::Before, Call::Find),
    (When::After, Call::Find),
    (When::Before, Call::FindFamily),
    (When::Before, Call::ClaimFamily),
    (When::Before, Call::Insert),
    (When::After, Call::Insert),
];

/// The login is fresh and remembered in a browser that was given these answers.
async fn is_fresh(before: &Browser<'_, BoxedApp>, answers: &[&Answer]) {
    let browser = before.copy();
    answers.iter().for_each(|answer| apply(&browser, answer));
    assert_eq!(browser.get("/settings").await.status(), 200, "{answers:#?}");
    browser.restart();
    assert_eq!(name_of(&browser).await, "ada", "{answers:#?}");
}

#[actix_web::test]
async fn a_poll_under_way_leaves_a_confirmed_login_fresh() {
    on_every_store(Options::default(), async |world| {
        for (when, call) in STEPS {
            eprintln!("{when:?} {call:?}");
            let browser = world.remembered(1).await;
            browser.restart();
            let restores = call != Call::Find;
            if !restores {
                assert_eq!(name_of(&browser).await, "ada");
            }
            let other = browser.copy();
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.logins.hold(when, call);
            let (late, answer) = while_waiting(&gate, slow.get("/me").into_future(), async {
                quick.post("/confirm/1").await
            })
            .await;
            assert_eq!((late.status(), late.text()), (200, "ada".to_owned()));
            assert_eq!(answer.status(), 200, "{}", answer.text());
            if !restores {
                is_fresh(&other, &[&answer, &late]).await;
                is_fresh(&other, &[&late, &answer]).await;
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn a_poll_in_between_leaves_a_confirmed_login_fresh() {
    on_every_store(Options::default(), async |world| {
        for (when, call) in [
            (When::Before, Call::Insert),
            (When::Before, Call::End),
            (When::After, Call::End),
        ] {
            eprintln!("{when:?} {call:?}");
            let browser = world.remembered(1).await;
            browser.restart();
            assert_eq!(name_of(&browser).await, "ada");
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.logins.hold(when, call);
            let (answer, poll) = while_waiting(
                &gate,
                slow.post("/confirm/1").into_future(),
                quick.get("/me").into_future(),
            )
            .await;
            assert_eq!((poll.status(), poll.text()), (200, "ada".to_owned()));
            assert_eq!(answer.status(), 200, "{}", answer.text());
            is_fresh(&browser, &[&poll, &answer]).await;
        }
    })
    .await;
}

#[actix_web::test]
async fn visitors_leave_nothing_in_the_login_store() {
    on_every_store(Options::default(), async |world| {
        let visitor = world.visitor().await;
        for (path, status) in [("/renew", 200), ("/refill/x", 200), ("/logout", 303)] {
            assert_eq!(visitor.post(path).await.status(), status, "{path}");
        }
        assert_eq!(world.logins.calls(), []);
        let browser = world.logged_in(1).await;
        assert_eq!(browser.post("/logout").await.status(), 303);
        assert!(world.logins.calls().contains(&Call::BurySession));
    })
    .await;
}

#[actix_web::test]
async fn requests_of_one_browser_wait_for_a_frozen_store_at_the_same_time() {
    const DEADLINE: Duration = Duration::from_millis(200);
    let hasty = Options {
        deadline: Some(DEADLINE),
        ..Options::default()
    };
    let world = World::open(Place::COOKIE, hasty).await;
    let browser = world.visitor().await;
    world.logins.on(|moment| async move {
        if moment.call == Call::IsBuried {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let started = Instant::now();
    let browsers: Vec<_> = (0..20).map(|_| browser.copy()).collect();
    let writes = browsers
        .iter()
        .map(|browser| browser.post("/cart/x").into_future());
    for answer in join_all(writes).await {
        assert_eq!(answer.status(), 503);
    }
    // When the request comes, and when it writes; but not one after the other.
    assert!(started.elapsed() < 10 * DEADLINE, "{:?}", started.elapsed());
}

#[actix_web::test]
async fn a_log_out_that_overtakes_a_confirmation_ends_the_confirmed_login_too() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        let tab = browser.copy();
        // The log out has found the login, and does not yet end it.
        let gate = world.logins.hold(When::After, Call::Find);
        let (out, confirmed) = while_waiting(
            &gate,
            tab.post("/logout").into_future(),
            browser.post("/confirm/1").into_future(),
        )
        .await;
        assert_eq!((out.status(), confirmed.status()), (303, 200));
        assert_eq!(name_of(&browser).await, "nobody");
        assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
    })
    .await;
}
