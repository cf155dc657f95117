//! Responses that come late: what they say of a login that is over is not for the one that the browser
//! has by now. What holds for a login in its session holds here too, so both are played.

use std::future::IntoFuture;

use login_runtime::test::Answer;

use super::*;
use crate::world::{self, Options, World, apply, on_every_store, while_waiting};

/// A browser with a login, something in its session, and the same cookies for who comes late.
async fn two_tabs(
    world: &World,
    remember: bool,
) -> (Browser<'_, world::App>, Browser<'_, world::App>) {
    let browser = match remember {
        true => world.remembered(1).await,
        false => world.logged_in(1).await,
    };
    assert_eq!(browser.post("/write?note=early").await.status(), 200);
    let slow = browser.copy();
    (browser, slow)
}

/// Who is logged in after this browser, too, got a late answer.
async fn who_after(browser: &Browser<'_, world::App>, late: &Answer) -> String {
    apply(browser, late);
    world::who(browser).await
}

#[actix_web::test]
async fn a_late_page_takes_no_login_away_that_was_made_after_one_was_restored() {
    on_every_store(Options::default(), async |world| {
        let (browser, slow) = two_tabs(world, true).await;
        world.wait(60 * 60);
        let gate = world.gates.close("read");
        let (late, ()) = while_waiting(&gate, slow.get("/late-me").into_future(), async {
            assert_eq!(world::who(&browser).await, "ada");
            assert_eq!(browser.post("/logout").await.status(), 200);
            assert_eq!(browser.post("/login/2").await.status(), 200);
        })
        .await;
        assert_eq!(late.text(), "nobody");
        assert_eq!(who_after(&browser, &late).await, "ben", "{late:?}");
    })
    .await;
}

#[actix_web::test]
async fn a_page_in_time_clears_what_is_dead_though_others_did_before() {
    on_every_store(Options::default(), async |world| {
        let (browser, slow) = two_tabs(world, false).await;
        assert_eq!(browser.post("/end-all-of/1").await.text(), "1");
        assert_eq!(world::who(&browser).await, "nobody");
        // The browser never got the answer that cleared it.
        world.wait(61);
        assert_eq!(world::who(&slow).await, "nobody");
        if world.place.login_cookie {
            assert_eq!(slow.cookie(LOGIN), None);
        }
    })
    .await;
}
