//! Attacks on a real server by clients that are not ours. The same attacks, in more variants, are in
//! `tests/it`; here curl and Chromium decide which cookies and headers are sent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use actix_web::{
    HttpResponse, get, post,
    web::{Form, Html, ServiceConfig},
};
use integration_tests::{Server, chromium::Chromium, curl};
use login_runtime::{
    Auth, CurrentUser, LoginError, LoginManager, MaybeUser, MemoryLoginStore, Verified,
    config::LoginManagerBuilder, login_required, test::TestClock,
};
use login_tests::{User, Users, key, manager_base};
use serde::Deserialize;

#[path = "cases/limits.rs"]
mod limits;
#[path = "cases/next.rs"]
mod next;
#[path = "cases/passwords.rs"]
mod passwords;
#[path = "cases/planted.rs"]
mod planted;
#[path = "cases/proxies.rs"]
mod proxies;
#[path = "cases/theft.rs"]
mod theft;
#[path = "cases/two_managers.rs"]
mod two_managers;

/// Who is logged in, below every path, so that a cookie for a longer path is sent here.
#[get("/me{rest:.*}")]
async fn me(user: MaybeUser<User>) -> Html {
    let name = user.user().map_or("anonymous", |user| &user.name);
    Html::new(format!("<!doctype html><title>Who</title><p>{name}</p>"))
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> Html {
    Html::new(format!(
        "<!doctype html><title>Account</title><p>account of {}</p>",
        user.name
    ))
}

#[get("/login")]
async fn login_page() -> Html {
    let form = "<form method=post><input name=id value=1><button>Log in</button></form>";
    Html::new(format!("<!doctype html><title>Log in</title>{form}"))
}

#[derive(Deserialize)]
struct Login {
    id: i64,
    #[serde(default)]
    remember: bool,
}

#[post("/login")]
async fn log_in(auth: Auth<User>, form: Form<Login>) -> Result<HttpResponse, LoginError> {
    let user = Users::new().get(form.id).expect("a user of the tests");
    let log_in = auth.log_in(Verified::trust(user, "test"));
    log_in.remember(form.remember).await?;
    Ok(auth.redirect_to_next_or("/account"))
}

fn routes(app: &mut ServiceConfig) {
    app.service((me, account, login_page, log_in));
}

/// A manager with records in memory, and its clock.
fn manager(
    users: &Users,
    settings: impl FnOnce(LoginManagerBuilder) -> LoginManagerBuilder,
) -> (LoginManager, TestClock) {
    let (builder, clock) = manager_base(users);
    let manager = settings(builder.login_store(MemoryLoginStore::new())).build(key());
    (manager.expect("the settings are valid"), clock)
}
