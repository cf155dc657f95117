//! Remember tokens that rotate: on every login store, whoever comes at once, whatever gets lost, and
//! whoever else has one.

use std::{future::IntoFuture, time::Duration};

use login_runtime::test::Browser;
use login_tests::User;

use crate::{
    crowd::{CROWD, crowd},
    world::{
        BoxedApp, Call, Options, REMEMBER, When, World, name_of, on_every_login_store,
        while_waiting,
    },
};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// What the theft of a token is called among the events.
const ALARM: &str = "remember_token_reused";

/// A crowd takes its time.
fn patient() -> Options {
    Options {
        deadline: Some(Duration::from_secs(60)),
        ..Options::default()
    }
}

/// Closes and opens a browser after so long that its token, if it restores the login, is replaced.
fn reopen(world: &World, browser: &Browser<'_, BoxedApp>) {
    world.wait(12 * HOUR);
    browser.restart();
    assert_eq!(browser.cookie_names(), [REMEMBER]);
}

/// A browser of Ada's that has nothing but its first remember token, which is due to be replaced.
async fn reopened(world: &World) -> Browser<'_, BoxedApp> {
    let browser = world.remembered(1).await;
    // Shows that the token has arrived.
    assert_eq!(name_of(&browser).await, "ada");
    reopen(world, &browser);
    browser
}

fn token(browser: &Browser<'_, BoxedApp>) -> String {
    browser.cookie(REMEMBER).unwrap()
}

/// Forgets what happened so far.
fn look_away(world: &World) {
    world.logins.calls();
    world.logins.claimed();
    world.events.take();
}

#[actix_web::test]
async fn a_crowd_with_one_token_gets_in_and_replaces_it_once() {
    on_every_login_store(patient(), async |world| {
        let browser = reopened(world).await;
        let first = token(&browser);
        look_away(world);
        // Each has read the same row before any writes it.
        world.logins.meet(CROWD, When::After, Call::FindFamily);
        let shared = first.clone();
        let answers = crowd(&world.parts(), async move |browser| {
            browser.set_cookie(REMEMBER, &shared);
            let answer = browser.get("/account").await;
            let sent = answer.set_cookie(REMEMBER);
            let sent = sent.map(|cookie| cookie.value().to_owned());
            (answer.status(), answer.text(), sent)
        })
        .await;
        world.logins.off();

        assert_eq!(answers.len(), CROWD);
        for (status, text, _) in &answers {
            assert_eq!((*status, text.as_str()), (200, "account of ada"));
        }
        // Each is sent the new token, because any of the answers may get lost.
        let mut sent: Vec<_> = answers.into_iter().filter_map(|(.., sent)| sent).collect();
        assert_eq!(sent.len(), CROWD);
        sent.dedup();
        assert_eq!(sent.len(), 1, "{} tokens were sent", sent.len());
        assert_ne!(sent[0], first);
        let claimed: Vec<_> = world.logins.claimed();
        let claimed: Vec<_> = claimed.iter().map(|family| family.generation).collect();
        assert_eq!(claimed, [2]);
        assert_eq!(world.events.count(ALARM), 0);
        // Together they made one login.
        let logins = world.everybody().of::<User>(&1).await.unwrap();
        let restored = logins.iter().filter(|login| login.method == "remember");
        assert_eq!(restored.count(), 1);

        world.wait(12 * HOUR);
        browser.set_cookie(REMEMBER, &sent[0]);
        assert_eq!(name_of(&browser).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn an_answer_that_was_lost_is_given_again_after_a_second_and_after_ten_days() {
    on_every_login_store(Options::default(), async |world| {
        for later in [1, 10 * DAY] {
            let browser = reopened(world).await;
            let lost = browser.copy();
            assert_eq!(name_of(&lost).await, "ada");
            assert_ne!(token(&lost), token(&browser));
            world.wait(later);
            let retried = browser.get("/account").await;
            assert_eq!(
                (retried.status(), retried.text()),
                (200, "account of ada".to_owned())
            );
            assert!(retried.set_cookie(REMEMBER).is_some());
            assert_eq!(token(&browser), token(&lost), "the same successor");
            reopen(world, &browser);
            assert_eq!(name_of(&browser).await, "ada");
        }
        assert_eq!(world.events.count(ALARM), 0);
    })
    .await;
}

#[actix_web::test]
async fn a_token_two_generations_old_ends_its_family_and_the_logins_restored_with_it() {
    on_every_login_store(Options::default(), async |world| {
        let owner = reopened(world).await;
        let thief = owner.copy();
        for _ in 0..2 {
            let before = token(&owner);
            assert_eq!(name_of(&owner).await, "ada");
            assert_ne!(token(&owner), before);
            // The next page shows that the new token has arrived.
            assert_eq!(name_of(&owner).await, "ada");
            reopen(world, &owner);
        }
        assert_eq!(name_of(&owner).await, "ada");
        let (device, ben) = (world.remembered(1).await, world.remembered(2).await);
        look_away(world);

        let refused = thief.get("/account").await;
        assert_eq!(refused.status(), 303);
        assert_eq!(thief.cookie(REMEMBER), None);
        assert_eq!(world.events.count(ALARM), 1);
        // Neither the owner's session goes on, nor does any token bring it back.
        assert_eq!(name_of(&owner).await, "nobody");
        assert_eq!(owner.cookie(REMEMBER), None);
        for other in [&device, &ben] {
            other.restart();
        }
        assert_eq!(name_of(&device).await, "ada");
        assert_eq!(name_of(&ben).await, "ben");
        assert_eq!(world.events.count(ALARM), 0);
    })
    .await;
}

#[actix_web::test]
async fn a_family_that_ends_between_a_look_and_a_claim_stays_ended() {
    on_every_login_store(Options::default(), async |world| {
        for (when, call) in [
            (When::After, Call::FindFamily),
            (When::Before, Call::ClaimFamily),
        ] {
            let browser = reopened(world).await;
            let other = browser.copy();
            look_away(world);
            let gate = world.logins.hold(when, call);
            let (late, ended) = while_waiting(
                &gate,
                browser.get("/me").into_future(),
                world.everybody().end_all_of::<User>(&1),
            )
            .await;
            ended.unwrap();
            assert_eq!(late.text(), "nobody", "{when:?} {call:?}");
            assert_eq!(world.logins.claimed(), [], "{when:?} {call:?}");
            assert_eq!(browser.cookie(REMEMBER), None);
            assert_eq!(name_of(&other).await, "nobody");
            assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
        }
    })
    .await;
}

/// A token with another digit at each place, for each digit; every change of a digit is a change of
/// what the token says. One in `step` of them.
fn forgeries(token: &str, step: usize) -> impl Iterator<Item = String> + '_ {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (version, digits) = token.split_once('.').unwrap();
    assert_eq!(digits.len() % 4, 0, "the last digit has no bits to spare");
    let all = (0..digits.len()).flat_map(move |place| {
        DIGITS.iter().filter_map(move |digit| {
            let mut forged = digits.as_bytes().to_vec();
            forged[place] = *digit;
            let forged = String::from_utf8(forged).unwrap();
            (forged != digits).then(|| format!("{version}.{forged}"))
        })
    });
    all.step_by(step)
}

/// A million is tried where tokens are read, in `cookies.rs`. This shows what follows from it: what is
/// not read as a token is refused before the store hears of it, and a store that hears nothing ends
/// nothing.
#[actix_web::test]
async fn forged_tokens_end_nothing_and_never_get_as_far_as_the_store() {
    on_every_login_store(Options::default(), async |world| {
        let owner = reopened(world).await;
        look_away(world);
        // All 6048 on the store that is quickest.
        let step = if world.place == crate::world::Place::COOKIE {
            1
        } else {
            10
        };
        let mut tried = 0;
        for forged in forgeries(&token(&owner), step) {
            let forger = world.browser();
            forger.set_cookie(REMEMBER, &forged);
            assert_eq!(forger.get("/account").await.status(), 303, "{forged}");
            assert_eq!(forger.cookie(REMEMBER), None, "{forged}");
            tried += 1;
        }
        assert!(tried > 600, "{tried}");
        assert_eq!(world.logins.calls(), []);
        assert_eq!(world.events.count(ALARM), 0);
        assert_eq!(name_of(&owner).await, "ada");
    })
    .await;
}
