//! Logging in and out, confirming, a new password, and the list of one's logins.

use actix_web::{HttpResponse, Responder, Result, get, http::StatusCode, post, web};
use login_runtime::{
    Auth, CurrentUser, guards::FreshUser, login_required, logins::Keep, password::PasswordVerifier,
    public, store::LoginKey,
};
use serde::Deserialize;
use sqlx::SqlitePool;

use crate::{
    User, db,
    pages::{self, CONFIRM, LOGIN, PASSWORD},
};

#[public]
#[get("/login")]
pub(crate) async fn login_page() -> impl Responder {
    pages::form(LOGIN)
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
    /// Browsers leave out a box that is not ticked.
    #[serde(default)]
    remember: bool,
}

#[public]
#[post("/login")]
pub(crate) async fn log_in(
    auth: Auth<User>,
    form: web::Form<Credentials>,
    pool: web::Data<SqlitePool>,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse> {
    let found = db::user_named(&pool, &form.name).await;
    let found = found.map_err(db::failed)?;
    let checked = passwords.verify(&auth, &form.name, found, &form.password);
    let Some(user) = checked.await? else {
        // Which of the two is wrong stays untold, and so does who has an account or a closed one.
        let problem = "There is no user with this name and this password.";
        return Ok(pages::again(StatusCode::UNAUTHORIZED, LOGIN, problem));
    };
    auth.log_in(user).remember(form.remember).await?;
    Ok(auth.redirect_to_next_or("/"))
}

#[public]
#[post("/logout")]
pub(crate) async fn log_out(auth: Auth<User>) -> Result<impl Responder> {
    auth.log_out().await?;
    Ok(pages::see_other("/"))
}

/// Where those are sent whose login is not fresh enough for what they asked for.
#[login_required]
#[get("/confirm")]
pub(crate) async fn confirm_page() -> impl Responder {
    pages::form(CONFIRM)
}

#[derive(Deserialize)]
struct Password {
    password: String,
}

#[login_required]
#[post("/confirm")]
pub(crate) async fn confirm(
    auth: Auth<User>,
    user: CurrentUser<User>,
    form: web::Form<Password>,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse> {
    let found = Some(User::clone(&user));
    let checked = passwords.verify(&auth, &user.name, found, &form.password);
    let Some(verified) = checked.await? else {
        let problem = "That is not your password.";
        return Ok(pages::again(StatusCode::UNAUTHORIZED, CONFIRM, problem));
    };
    auth.confirm_login(verified).await?;
    Ok(auth.redirect_to_next_or("/"))
}

#[login_required(fresh = "10m")]
#[get("/password")]
pub(crate) async fn password_page() -> impl Responder {
    pages::form(PASSWORD)
}

#[login_required(fresh = "10m")]
#[post("/password")]
pub(crate) async fn change_password(
    auth: Auth<User>,
    proof: FreshUser<User>,
    form: web::Form<Password>,
    pool: web::Data<SqlitePool>,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse> {
    if form.password.chars().count() < 12 {
        let problem = "Take twelve characters or more.";
        return Ok(pages::again(StatusCode::BAD_REQUEST, PASSWORD, problem));
    }
    let mut user = User::clone(&proof);
    user.password_hash = passwords.hash(&form.password).await?;
    db::save_password(&pool, &user).await.map_err(db::failed)?;
    auth.credentials_changed(&proof, user, Keep::Current)
        .await?;
    Ok(pages::see_other("/logins"))
}

#[login_required(fresh = "10m")]
#[get("/logins")]
pub(crate) async fn logins(auth: Auth<User>) -> Result<impl Responder> {
    Ok(pages::logins(&auth.logins().await?))
}

#[derive(Deserialize)]
struct LoginSelector {
    key: LoginKey,
}

/// Ends one of the user's own logins; the key of somebody else's ends nothing.
#[login_required(fresh = "10m")]
#[post("/logins/end")]
pub(crate) async fn end_login(
    auth: Auth<User>,
    user: FreshUser<User>,
    form: web::Form<LoginSelector>,
) -> Result<impl Responder> {
    auth.end_login(&user, form.key).await?;
    Ok(pages::see_other("/logins"))
}

#[login_required(fresh = "10m")]
#[post("/logins/end-others")]
pub(crate) async fn end_others(auth: Auth<User>, user: FreshUser<User>) -> Result<impl Responder> {
    auth.end_other_logins(&user).await?;
    Ok(pages::see_other("/logins"))
}
