//! Responses that come late: what they say of a login that is over is not for the one that the browser
//! has by now. What holds for a login in its session holds here too, so both are played.

use std::future::IntoFuture;

use login_runtime::test::Answer;

use super::*;
use crate::world::{self, Gates, Options, World, apply, on_every_store, while_waiting};

/// A browser with a login, something in its session, and the same cookies for who comes late.
async fn two_tabs(
    world: &World,
    remember: bool,
) -> (Browser<'_, world::BoxedApp>, Browser<'_, world::BoxedApp>) {
    let browser = match remember {
        true => world.remembered(1).await,
        false => world.logged_in(1).await,
    };
    assert_eq!(browser.post("/cart/early").await.status(), 200);
    let slow = browser.copy();
    (browser, slow)
}

/// Who is logged in after this browser, too, got a late answer.
async fn who_after(browser: &Browser<'_, world::BoxedApp>, late: &Answer) -> String {
    apply(browser, late);
    world::name_of(browser).await
}

#[actix_web::test]
async fn a_late_page_takes_no_login_away_that_was_made_after_a_purge() {
    on_every_store(Options::default(), async |world| {
        for remember in [false, true] {
            let (browser, slow) = two_tabs(world, remember).await;
            let gate = world.gates.close("read");
            let (late, ()) = while_waiting(&gate, slow.get("/late-me").into_future(), async {
                assert_eq!(browser.post("/purge").await.status(), 200);
                assert_eq!(browser.post("/login/2").await.status(), 303);
            })
            .await;
            assert_eq!(late.status(), 200);
            assert_eq!(who_after(&browser, &late).await, "ben", "{late:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_purge_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        for with_session in [false, true] {
            let (browser, slow) = match with_session {
                true => two_tabs(world, false).await,
                false => {
                    let browser = world.logged_in(1).await;
                    let slow = browser.copy();
                    (browser, slow)
                }
            };
            let gate = world.gates.close("write");
            let (late, ()) = while_waiting(&gate, slow.post("/purge").into_future(), async {
                assert_eq!(browser.post("/login/2").await.status(), 303);
            })
            .await;
            assert_eq!(late.status(), 200);
            assert_eq!(who_after(&browser, &late).await, "ben", "{late:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_write_brings_nothing_back_that_was_purged() {
    on_every_store(Options::default(), async |world| {
        let (browser, slow) = two_tabs(world, false).await;
        let gate = world.gates.close("write");
        let (late, purged) = while_waiting(
            &gate,
            slow.post("/cart/late").into_future(),
            browser.post("/purge").into_future(),
        )
        .await;
        assert_eq!(purged.status(), 200);
        assert_eq!(late.status(), 409, "{}", late.text());
        assert_no_cookies(&late);
    })
    .await;
}

#[actix_web::test]
async fn a_late_page_takes_no_login_away_that_was_made_after_one_ended() {
    on_every_store(Options::default(), async |world| {
        for with_session in [false, true] {
            let browser = world.logged_in(1).await;
            if with_session {
                assert_eq!(browser.post("/cart/early").await.status(), 200);
            }
            let slow = browser.copy();
            let gate = world.gates.close("read");
            let (late, ()) = while_waiting(&gate, slow.get("/late-me").into_future(), async {
                assert_eq!(browser.post("/end-all-of/1").await.text(), "1");
                // This page clears the cookie, so that the log in comes without.
                assert_eq!(world::name_of(&browser).await, "nobody");
                assert_eq!(browser.post("/login/2").await.status(), 303);
            })
            .await;
            assert_eq!(late.text(), "nobody");
            assert_eq!(who_after(&browser, &late).await, "ben", "{late:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_page_takes_no_login_away_that_was_made_after_one_was_restored() {
    on_every_store(Options::default(), async |world| {
        for with_session in [false, true] {
            let browser = world.remembered(1).await;
            if with_session {
                assert_eq!(browser.post("/cart/early").await.status(), 200);
            }
            let slow = browser.copy();
            world.wait(60 * 60);
            let gate = world.gates.close("read");
            let (late, ()) = while_waiting(&gate, slow.get("/late-me").into_future(), async {
                assert_eq!(world::name_of(&browser).await, "ada");
                assert_eq!(browser.post("/logout").await.status(), 303);
                assert_eq!(browser.post("/login/2").await.status(), 303);
            })
            .await;
            assert_eq!(late.text(), "nobody");
            assert_eq!(who_after(&browser, &late).await, "ben", "{late:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_page_in_time_clears_what_is_dead_though_others_did_before() {
    on_every_store(Options::default(), async |world| {
        let (browser, slow) = two_tabs(world, false).await;
        assert_eq!(browser.post("/end-all-of/1").await.text(), "1");
        assert_eq!(world::name_of(&browser).await, "nobody");
        // The browser never got the answer that cleared it.
        world.wait(181);
        assert_eq!(world::name_of(&slow).await, "nobody");
        if world.place.login_cookie {
            assert_eq!(slow.cookie(LOGIN), None);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_late_write_brings_nothing_back_after_all_types_were_logged_out() {
    let users = Users::new();
    let gates = Gates::default();
    let (builder, _) = builder(&users, true);
    let manager = builder.user_loader(load_admin).build(key());
    let app = app(manager.unwrap(), |routes| {
        more_pages(routes, users.clone());
        routes.app_data(Data::new(gates.clone()));
    })
    .await;
    for log_ins in [
        &["/login/1"][..],
        &["/admin/login/root"],
        &["/login/1", "/admin/login/root"],
    ] {
        let browser = Browser::new(&app);
        for log_in in log_ins {
            assert!(browser.post(log_in).await.status() < 400);
        }
        browser.post("/cart/secret").await;
        let tab = browser.copy();
        let gate = gates.close("write");
        let (late, out) = while_waiting(
            &gate,
            tab.post("/cart/late").into_future(),
            browser.post("/both-out").into_future(),
        )
        .await;
        assert_eq!(out.status(), 200);
        assert_eq!(late.status(), 409, "{log_ins:?}");
        assert_no_cookies(&late);
    }
}
