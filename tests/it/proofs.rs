//! Remember tokens that carry the tag of a genuine token, and not the proof that only the seed of their
//! family gives.
//!
//! Whoever has a copy of the application's key can make the tag. The seed is in the store.

use login_runtime::store::{
    FamilyKey, LoginKey, LoginRecord, LoginSelector, LoginStore as _, TokenFamily,
};
use login_tests::START;

use crate::world::{
    Options, REMEMBER, World, assert_clears, assert_leaves, assert_sets, name_of,
    on_every_login_store,
};

/// What the theft of a token is called among the events.
const ALARM: &str = "remember_token_reused";

/// The login that was made last, and its family.
struct Remembered {
    login: (LoginKey, LoginRecord),
    key: FamilyKey,
    row: TokenFamily,
}

impl Remembered {
    async fn last(world: &World) -> Self {
        let login = world.logins.inserted();
        let key = login.1.family.unwrap();
        let row = world.logins.find_family(key, START).await.unwrap().unwrap();
        Self { login, key, row }
    }

    /// Puts this row in place of the family, and keeps the login.
    async fn replace(&self, world: &World, row: &TokenFamily) {
        let store = &world.logins;
        let family = LoginSelector::Family(self.key);
        store.end_many(family).await.unwrap();
        store.insert_family(self.key, row).await.unwrap();
        let (key, record) = &self.login;
        store.insert(*key, record, None, START).await.unwrap();
    }

    /// The family under another seed, so that the tokens made before have the tag and not the proof.
    fn reseeded(&self) -> TokenFamily {
        TokenFamily {
            seed: self.row.seed.map(|byte| byte ^ 1),
            ..self.row.clone()
        }
    }

    async fn found(&self, world: &World) -> Option<TokenFamily> {
        world.logins.find_family(self.key, START).await.unwrap()
    }
}

/// The rows under which the token of the first generation is current, previous, or stolen.
fn generations(row: &TokenFamily) -> [TokenFamily; 3] {
    [1, 2, 5].map(|generation| TokenFamily {
        generation,
        ..row.clone()
    })
}

#[actix_web::test]
async fn a_token_without_its_proof_restores_nobody_and_raises_no_alarm() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        let token = browser.cookie(REMEMBER).unwrap();
        let remembered = Remembered::last(world).await;
        for row in generations(&remembered.reseeded()) {
            remembered.replace(world, &row).await;
            browser.restart();
            browser.set_cookie(REMEMBER, &token);
            world.events.take();
            let answer = browser.get("/account").await;
            assert_eq!(answer.status(), 303, "{row:?}");
            assert_clears(&answer, REMEMBER);
            assert_eq!(world.events.count(ALARM), 0, "{row:?}");
            assert_eq!(remembered.found(world).await, Some(row));
        }
        // With the proof it does.
        remembered.replace(world, &remembered.row).await;
        browser.restart();
        browser.set_cookie(REMEMBER, &token);
        assert_eq!(name_of(&browser).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn a_token_without_its_proof_is_not_prolonged() {
    let options = Options {
        refresh_remember: true,
        ..Options::default()
    };
    on_every_login_store(options, async |world| {
        let browser = world.remembered(1).await;
        let remembered = Remembered::last(world).await;
        remembered.replace(world, &remembered.reseeded()).await;
        world.wait(600);
        let answer = browser.get("/account").await;
        assert_eq!(answer.text(), "account of ada");
        assert_leaves(&answer, REMEMBER);
        let found = remembered.found(world).await.unwrap();
        assert_eq!(found.expires_at, remembered.row.expires_at);

        remembered.replace(world, &remembered.row).await;
        let answer = browser.get("/account").await;
        assert_sets(&answer, REMEMBER, Some(30 * crate::world::DAY));
        let found = remembered.found(world).await.unwrap();
        assert_eq!(found.expires_at, remembered.row.expires_at + 600);
    })
    .await;
}

#[actix_web::test]
async fn a_log_in_or_log_out_with_a_token_without_its_proof_ends_no_family() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        let token = browser.cookie(REMEMBER).unwrap();
        let remembered = Remembered::last(world).await;
        for row in generations(&remembered.reseeded()) {
            for path in ["/login/1", "/login/2", "/logout"] {
                remembered.replace(world, &row).await;
                browser.restart();
                browser.set_cookie(REMEMBER, &token);
                world.events.take();
                // The family of another browser could be named like this.
                let answer = browser.post(path).await;
                assert_eq!(answer.status(), 303, "{path}");
                assert_clears(&answer, REMEMBER);
                assert_eq!(world.events.count(ALARM), 0, "{path}");
                assert_eq!(remembered.found(world).await.as_ref(), Some(&row), "{path}");
            }
        }
        // With the proof, a log out ends it.
        remembered.replace(world, &remembered.row).await;
        browser.restart();
        browser.set_cookie(REMEMBER, &token);
        browser.post("/logout").await;
        assert_eq!(remembered.found(world).await, None);
    })
    .await;
}
