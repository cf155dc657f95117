//! Logging in and out.

use actix_web::{Responder, get, post, web};
use login_runtime::{
    Auth, CurrentUser, LoginError, MaybeUser, Verified, login_required, test::Browser,
};
use login_tests::{User, Users, app, key, manager};

#[get("/")]
async fn home(user: MaybeUser<User>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> String {
    format!("account of {}", user.name)
}

#[post("/login/{id}")]
async fn log_in(
    auth: Auth<User>,
    id: web::Path<i64>,
    users: web::Data<Users>,
) -> Result<impl Responder, LoginError> {
    let user = users.get(*id).unwrap();
    let user = auth.log_in(Verified::trust(user, "test")).await?;
    assert_eq!(user.id, *id);
    Ok(auth.redirect_to_next_or("/"))
}

#[post("/logout")]
async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    Ok(web::Redirect::to("/").see_other())
}

#[actix_web::test]
async fn a_whole_round() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.app_data(web::Data::new(users.clone()));
        routes
            .service(home)
            .service(account)
            .service(log_in)
            .service(log_out);
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/").await.text(), "nobody");
    browser
        .get("/account?a=b")
        .await
        .assert_redirects_to_login("/login", "/account?a=b");
    let answer = browser.post("/login/1?next=%2Faccount%3Fa=b").await;
    assert_eq!(
        (answer.status(), answer.location()),
        (303, Some("/account?a=b"))
    );
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert_eq!(browser.get("/").await.text(), "ada");
    browser.post("/logout").await;
    assert_eq!(browser.get("/").await.text(), "nobody");
    assert_eq!(browser.get("/account").await.status(), 303);
    assert_eq!(browser.cookie_names(), [""; 0]);
}
