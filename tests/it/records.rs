//! Logins that can be ended.

use actix_web::{HttpResponse, get, post, web};
use login_runtime::{
    Auth, CurrentUser, LoginError, MaybeUser, MemoryLoginStore, login_required, test::Browser,
};
use login_tests::{User, Users, app, key, manager};

#[get("/who")]
async fn who(user: MaybeUser<User>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> String {
    format!("account of {}", user.name)
}

#[post("/logout")]
async fn log_out(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(HttpResponse::NoContent().finish())
}

fn routes(routes: &mut web::ServiceConfig) {
    routes.service(who).service(account).service(log_out);
}

#[actix_web::test]
async fn a_copied_remember_token_is_worthless_after_log_out() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(
        builder
            .login_store(MemoryLoginStore::new())
            .build(key())
            .unwrap(),
        routes,
    )
    .await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).remember().await;
    let thief = browser.copy();
    thief.drop_cookie("__Host-session");
    browser.post("/logout").await.assert_logged_in();
    assert_eq!(thief.get("/who").await.text(), "nobody");
}
