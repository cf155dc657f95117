//! Requests that are under way while their user logs in or out.
//!
//! In each test a request has loaded its session and is held up; something happens to the session
//! meanwhile; then the request comes to its end. Whatever its answer says, and in whatever order a
//! browser takes the answers: who was logged out stays out, and who logged in stays in.

use std::future::IntoFuture;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use login_runtime::test::{Answer, Browser};
use login_tests::{
    User, Users, app, key, manager,
    sessions::{MemorySessions, State},
};

use crate::world::{
    BoxedApp, Call, Options, REMEMBER, SESSION, When, World, apply, name_of, on_every_login_store,
    on_every_store, pages, while_waiting,
};

mod plain;
mod stragglers;

/// Nobody is logged in in a browser that had these cookies and was given any of these answers, in
/// whatever order.
async fn is_out(before: &Browser<'_, BoxedApp>, answers: &[&Answer]) {
    for order in orders(answers) {
        let browser = before.copy();
        order.iter().for_each(|answer| apply(&browser, answer));
        let found = name_of(&browser).await;
        assert_eq!(
            found,
            "nobody",
            "after {} answers of {answers:#?}",
            order.len()
        );
    }
}

/// This user is logged in in a browser that had these cookies and was given the answer to its log in,
/// and any of the others before or after that.
async fn is_in(before: &Browser<'_, BoxedApp>, log_in: &Answer, others: &[&Answer], user: &str) {
    let answers: Vec<_> = std::iter::once(log_in)
        .chain(others.iter().copied())
        .collect();
    for order in orders(&answers) {
        if !order.iter().any(|answer| std::ptr::eq(*answer, log_in)) {
            continue;
        }
        let browser = before.copy();
        order.iter().for_each(|answer| apply(&browser, answer));
        let at = order
            .iter()
            .position(|answer| std::ptr::eq(*answer, log_in));
        let found = name_of(&browser).await;
        assert_eq!(
            found,
            user,
            "as answer {at:?} of {}: {answers:#?}",
            order.len()
        );
    }
}

/// Each choice of some answers, in each order.
fn orders<'a>(answers: &[&'a Answer]) -> Vec<Vec<&'a Answer>> {
    let mut all = vec![Vec::new()];
    for (index, first) in answers.iter().enumerate() {
        let mut others = answers.to_vec();
        others.remove(index);
        all.extend(orders(&others).into_iter().map(|mut order| {
            order.insert(0, *first);
            order
        }));
    }
    all
}

/// The answer to a request whose session ended before it wrote: what it wrote is lost, and it is told
/// so.
#[track_caller]
fn is_refused(late: &Answer) {
    assert_eq!(late.status(), 409, "{}", late.text());
    assert_eq!(late.set_cookies(), [], "{late:?}");
}

/// A browser with a login, with or without a remember cookie.
async fn logged_in(world: &World, remember: bool) -> Browser<'_, BoxedApp> {
    if remember {
        world.remembered(1).await
    } else {
        world.logged_in(1).await
    }
}

// Situation a.

#[actix_web::test]
async fn a_late_write_brings_no_login_back() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, out) = while_waiting(
                &gate,
                slow.post("/cart/late").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!(out.status(), 303);
            is_refused(&late);
            is_out(&browser, &[&out, &late]).await;
            assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_write_brings_no_login_back_that_was_ended_from_elsewhere() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let slow = browser.copy();
            let gate = world.gates.close("write");
            let (late, ended) = while_waiting(
                &gate,
                slow.post("/cart/late").into_future(),
                world.everybody().end_all_of::<User>(&1),
            )
            .await;
            assert_eq!(ended.unwrap(), 1);
            // Its session goes on without a login, so there it may write.
            assert_eq!(late.status(), 200);
            is_out(&browser, &[&late]).await;
        }
    })
    .await;
}

// Situation b.

#[actix_web::test]
async fn a_late_write_of_a_visitor_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        for log_in in ["/login/1", "/login/1?remember=true"] {
            let browser = world.visitor().await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, answer) = while_waiting(
                &gate,
                slow.post("/cart/late").into_future(),
                quick.post(log_in).into_future(),
            )
            .await;
            assert_eq!(answer.status(), 303);
            is_refused(&late);
            is_in(&browser, &answer, &[&late], "ada").await;
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_write_of_a_visitor_who_emptied_the_session_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        let browser = world.visitor().await;
        assert_eq!(browser.post("/refill/x").await.status(), 200);
        let (slow, quick) = (browser.copy(), browser.copy());
        let gate = world.gates.close("write");
        let (late, answer) = while_waiting(
            &gate,
            slow.post("/cart/late").into_future(),
            quick.post("/login/1").into_future(),
        )
        .await;
        is_refused(&late);
        is_in(&browser, &answer, &[&late], "ada").await;
    })
    .await;
}

// Situation c.

#[actix_web::test]
async fn a_late_renewal_brings_no_login_back() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            // There is something to renew where the login is not in the session, too.
            assert_eq!(browser.post("/cart/early").await.status(), 200);
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, out) = while_waiting(
                &gate,
                slow.post("/renew").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!(out.status(), 303);
            is_refused(&late);
            is_out(&browser, &[&out, &late]).await;
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_renewal_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        let browser = world.visitor().await;
        let (slow, quick) = (browser.copy(), browser.copy());
        let gate = world.gates.close("write");
        let (late, answer) = while_waiting(
            &gate,
            slow.post("/renew").into_future(),
            quick.post("/login/1").into_future(),
        )
        .await;
        is_refused(&late);
        is_in(&browser, &answer, &[&late], "ada").await;
    })
    .await;
}

#[actix_web::test]
async fn a_late_confirmation_brings_no_login_back() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, out) = while_waiting(
                &gate,
                slow.post("/confirm/1").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!(out.status(), 303);
            assert_eq!(late.status(), 401, "{}", late.text());
            is_out(&browser, &[&out, &late]).await;
            assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_confirmation_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        let (slow, quick) = (browser.copy(), browser.copy());
        let gate = world.gates.close("write");
        let (late, answer) = while_waiting(
            &gate,
            slow.post("/confirm/1").into_future(),
            quick.post("/login/2").into_future(),
        )
        .await;
        assert_eq!(late.status(), 401, "{}", late.text());
        is_in(&browser, &answer, &[&late], "ben").await;
    })
    .await;
}

#[actix_web::test]
async fn a_late_change_of_credentials_brings_no_login_back() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, out) = while_waiting(
                &gate,
                slow.post("/change/current").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!(out.status(), 303);
            assert_eq!(late.status(), 401, "{}", late.text());
            is_out(&browser, &[&out, &late]).await;
        }
    })
    .await;
}

// Situation d.

#[actix_web::test]
async fn a_middleware_that_logs_out_and_answers_with_an_error_has_logged_out() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let thrown_out = browser.copy().post("/thrown-out").await;
            assert_eq!(thrown_out.status(), 401);
            is_out(&browser, &[&thrown_out]).await;
        }
    })
    .await;
}

// Situation e.

#[actix_web::test]
async fn copies_of_cookies_are_worth_nothing_after_log_out() {
    on_every_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        let stolen = browser.copy();
        assert_eq!(name_of(&stolen).await, "ada");
        let out = browser.post("/logout").await;
        for name in [world.login_cookie(), REMEMBER] {
            assert!(out.set_cookie(name).unwrap().value().is_empty());
            let one = stolen.copy();
            one.drop_cookie(name);
            is_out(&one, &[]).await;
        }
        is_out(&stolen, &[&out]).await;
    })
    .await;
}

// Situation f.

#[actix_web::test]
async fn a_late_page_that_prolongs_the_session_takes_no_login_away() {
    let sliding = Options {
        sliding: true,
        ..Options::default()
    };
    on_every_store(sliding, async |world| {
        let browser = world.visitor().await;
        // What is to be late does set a cookie in time.
        let in_time = browser.copy().get("/read").await;
        assert!(in_time.set_cookie(SESSION).is_some());
        let (slow, quick) = (browser.copy(), browser.copy());
        let gate = world.gates.close("read");
        let (late, answer) = while_waiting(
            &gate,
            slow.get("/read").into_future(),
            quick.post("/login/1").into_future(),
        )
        .await;
        assert_eq!((late.status(), late.text()), (200, "nobody".to_owned()));
        assert_eq!(late.set_cookies(), []);
        is_in(&browser, &answer, &[&late], "ada").await;
    })
    .await;
}

#[actix_web::test]
async fn a_late_page_that_prolongs_the_session_brings_no_login_back() {
    let sliding = Options {
        sliding: true,
        ..Options::default()
    };
    on_every_store(sliding, async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("read");
            let (late, out) = while_waiting(
                &gate,
                slow.get("/read").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!((late.status(), late.text()), (200, "ada".to_owned()));
            assert_eq!(late.set_cookies(), []);
            is_out(&browser, &[&out, &late]).await;
        }
    })
    .await;
}

// Situation g.

#[actix_web::test]
async fn noting_late_that_a_login_is_used_does_not_bring_it_back() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            world.clock.advance(std::time::Duration::from_secs(600));
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.logins.hold(When::Before, Call::Touch);
            let (late, out) = while_waiting(
                &gate,
                slow.get("/read").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!(out.status(), 303);
            assert_eq!((late.status(), late.text()), (200, "ada".to_owned()));
            assert_eq!(late.set_cookies(), []);
            is_out(&browser, &[&out, &late]).await;
            assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
        }
    })
    .await;
}

// Further ones.

#[actix_web::test]
async fn a_late_page_that_asks_after_the_log_out_is_answered_as_to_a_visitor() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let browser = logged_in(world, remember).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("read");
            let (late, out) = while_waiting(
                &gate,
                slow.get("/late-me").into_future(),
                quick.post("/logout").into_future(),
            )
            .await;
            assert_eq!((late.status(), late.text()), (200, "nobody".to_owned()));
            assert_eq!(late.set_cookie(SESSION), None);
            is_out(&browser, &[&out, &late]).await;
        }
    })
    .await;
}

#[actix_web::test]
async fn two_log_ins_under_way_both_succeed() {
    on_every_store(Options::default(), async |world| {
        for second in ["/login/1", "/login/2", "/login/2?remember=true"] {
            let browser = world.visitor().await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, answer) = while_waiting(
                &gate,
                slow.post("/login/1").into_future(),
                quick.post(second).into_future(),
            )
            .await;
            assert_eq!((late.status(), answer.status()), (303, 303));
            for order in [[&late, &answer], [&answer, &late]] {
                let browser = browser.copy();
                order.iter().for_each(|answer| apply(&browser, answer));
                // Whose answer came last.
                assert_eq!(name_of(&browser).await, order[1].text());
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn two_log_outs_under_way_are_no_error() {
    on_every_store(Options::default(), async |world| {
        for (remember, path) in [
            (false, "/logout"),
            (true, "/logout"),
            // Something is left in the session.
            (false, "/logout?cart=bye"),
        ] {
            let browser = logged_in(world, remember).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, out) = while_waiting(
                &gate,
                slow.post(path).into_future(),
                quick.post(path).into_future(),
            )
            .await;
            assert_eq!((late.status(), out.status()), (303, 303), "{path}");
            is_out(&browser, &[&out, &late]).await;
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_log_out_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        for log_in in ["/login/1", "/login/2"] {
            let browser = world.logged_in(1).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.gates.close("write");
            let (late, answer) = while_waiting(
                &gate,
                slow.post("/logout").into_future(),
                quick.post(log_in).into_future(),
            )
            .await;
            assert_eq!((late.status(), answer.status()), (303, 303));
            is_in(&browser, &answer, &[&late], &answer.text()).await;
            is_out(&browser, &[&late]).await;
        }
    })
    .await;
}

/// A browser was closed and opened, and its remember cookie restores the login.
mod restoring {
    use super::*;

    async fn reopened(world: &World) -> Browser<'_, BoxedApp> {
        let browser = world.remembered(1).await;
        browser.restart();
        assert_eq!(browser.cookie_names(), [REMEMBER]);
        browser
    }

    /// Where a request that restores a login can be overtaken.
    const STEPS: [(When, Call); 5] = [
        (When::After, Call::FindFamily),
        (When::After, Call::ClaimFamily),
        (When::After, Call::Find),
        (When::Before, Call::Insert),
        (When::After, Call::Insert),
    ];

    #[actix_web::test]
    async fn a_log_out_meanwhile_is_final() {
        on_every_store(Options::default(), async |world| {
            for (when, call) in STEPS {
                eprintln!("{when:?} {call:?}");
                let browser = reopened(world).await;
                let (slow, quick) = (browser.copy(), browser.copy());
                let gate = world.logins.hold(when, call);
                let (late, out) = while_waiting(
                    &gate,
                    slow.get("/me").into_future(),
                    quick.post("/logout").into_future(),
                )
                .await;
                assert_eq!(out.status(), 303);
                is_out(&browser, &[&out, &late]).await;
                is_out(&browser.copy(), &[&late]).await;
            }
        })
        .await;
    }

    #[actix_web::test]
    async fn ending_all_logins_meanwhile_is_final() {
        on_every_store(Options::default(), async |world| {
            for (when, call) in STEPS {
                eprintln!("{when:?} {call:?}");
                let browser = reopened(world).await;
                let slow = browser.copy();
                let gate = world.logins.hold(when, call);
                let (late, ended) = while_waiting(
                    &gate,
                    slow.get("/me").into_future(),
                    world.everybody().end_all_of::<User>(&1),
                )
                .await;
                ended.unwrap();
                is_out(&browser, &[&late]).await;
                assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
            }
        })
        .await;
    }

    #[actix_web::test]
    async fn a_restored_login_that_was_ended_is_not_restored_by_a_late_request() {
        // Both requests share one login. The first is done and logged out before the second has
        // stored what it found missing.
        on_every_store(Options::default(), async |world| {
            let browser = reopened(world).await;
            let (slow, quick) = (browser.copy(), browser.copy());
            let gate = world.logins.hold(When::Before, Call::Insert);
            let copy = browser.copy();
            let (late, ()) = while_waiting(&gate, slow.get("/me").into_future(), async {
                assert_eq!(name_of(&quick).await, "ada");
                apply_login(&copy, &quick, world.login_cookie());
                assert_eq!(quick.post("/logout").await.status(), 303);
                is_out(&copy, &[]).await;
            })
            .await;
            is_out(&copy, &[&late]).await;
            is_out(&browser, &[&late]).await;
        })
        .await;
    }

    fn apply_login(to: &Browser<'_, BoxedApp>, from: &Browser<'_, BoxedApp>, name: &str) {
        to.set_cookie(name, &from.cookie(name).unwrap());
    }

    #[actix_web::test]
    async fn a_log_in_meanwhile_is_not_lost() {
        on_every_login_store(Options::default(), async |world| {
            for log_in in ["/login/1", "/login/1?remember=true", "/login/2"] {
                let browser = reopened(world).await;
                // It has a session, too, so that the late request can be told from the first.
                assert_eq!(browser.post("/cart/x").await.status(), 200);
                let (slow, quick) = (browser.copy(), browser.copy());
                let gate = world.gates.close("read");
                let (late, answer) = while_waiting(
                    &gate,
                    slow.get("/read").into_future(),
                    quick.post(log_in).into_future(),
                )
                .await;
                assert_eq!((late.status(), late.text()), (200, "ada".to_owned()));
                assert_eq!(answer.status(), 303);
                let then = browser.copy();
                apply(&then, &answer);
                apply(&then, &late);
                assert_eq!(name_of(&then).await, answer.text(), "{log_in}: {late:?}");
            }
        })
        .await;
    }
}

/// Sessions that another version of the application wrote.
#[derive(Clone)]
struct Unreadable(MemorySessions);

impl SessionStore for Unreadable {
    async fn load(&self, _: &SessionKey) -> Result<Option<State>, LoadError> {
        let error = std::io::Error::other("written by another version");
        Err(LoadError::Deserialization(error.into()))
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        self.0.save(state, ttl).await
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.0.update(key, state, ttl).await
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        self.0.update_ttl(key, ttl).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.delete(key).await
    }
}

#[actix_web::test]
async fn a_session_that_cannot_be_read_is_not_one_that_has_ended() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.session_store(Unreadable(MemorySessions::new()));
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
    })
    .await;
    let browser = Browser::new(&app);
    for _ in 0..2 {
        assert_eq!(browser.post("/cart/apples").await.status(), 200);
        assert_eq!(browser.post("/login/1").await.status(), 303);
    }
    assert_eq!(browser.post("/logout").await.status(), 303);
}
