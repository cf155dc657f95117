//! A public page, a login page, and a page for those who are logged in; users and logins are rows of
//! a SQLite file. Read [`main`] first, then the handlers above it.

mod db;
mod pages;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use actix_web::{
    App, HttpResponse, HttpServer, Responder, cookie::Key, get, http::StatusCode, post, web,
};
use login_runtime::{
    Auth, AuthUser, BuildError, CurrentUser, LoginError, LoginManager, MaybeUser, login_required,
    password::PasswordVerifier, public, store::SqliteLoginStore,
};
use serde::Deserialize;
use sqlx::SqlitePool;

/// A row of the table `users`.
#[derive(AuthUser, sqlx::FromRow)]
struct User {
    id: i64,
    name: String,
    /// Whoever is set inactive is out at the next request.
    is_active: bool,
    /// When it changes, every login made with the old password ends.
    #[auth(password_hash)]
    password_hash: String,
}

#[public]
#[get("/")]
async fn home(user: MaybeUser<User>) -> web::Html {
    pages::home(user.user().map(|user| user.name.as_str()))
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> web::Html {
    pages::account(&user.name, CurrentUser::is_fresh(&user))
}

#[public]
#[get("/login")]
async fn login_page() -> HttpResponse {
    pages::login(StatusCode::OK, "", None)
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
async fn log_in(
    auth: Auth<User>,
    form: web::Form<Credentials>,
    pool: web::Data<SqlitePool>,
    passwords: web::Data<PasswordVerifier>,
) -> actix_web::Result<HttpResponse> {
    let user = db::user_named(&pool, &form.name).await?;
    let Some(user) = passwords
        .verify(&auth, &form.name, user, &form.password)
        .await?
    else {
        // Which of the two is wrong stays untold, and so does who has an account.
        let problem = Some("There is no user with this name and this password.");
        return Ok(pages::login(StatusCode::UNAUTHORIZED, &form.name, problem));
    };
    auth.log_in(user).remember(form.remember).await?;
    Ok(auth.redirect_to_next_or("/account"))
}

#[public]
#[post("/logout")]
async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    Ok(web::Redirect::to("/").see_other())
}

fn login_manager(pool: SqlitePool, key: Key) -> Result<LoginManager, BuildError> {
    // A log out ends the row of its login, and with it every copy of the cookie.
    let logins = SqliteLoginStore::new(pool.clone());
    LoginManager::builder(move |id| db::user(pool.clone(), id))
        .login_store(logins)
        .login_view("/login")
        .deny_by_default()
        .build(key)
}

fn routes(app: &mut web::ServiceConfig) {
    app.service((home, account, login_page, log_in, log_out))
        .app_data(pages::form_errors());
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let pool = db::open(setting("QUICKSTART_DB", "quickstart.db")).await?;
    let passwords = PasswordVerifier::new();
    db::add_first_users(&pool, &passwords).await?;
    let login_manager = login_manager(pool.clone(), db::key(&pool).await?)?;

    let server = HttpServer::new(move || {
        App::new()
            .wrap(login_manager.clone())
            .app_data(web::Data::new(pool.clone()))
            .app_data(web::Data::new(passwords.clone()))
            .configure(routes)
    })
    .bind(setting("QUICKSTART_ADDR", "127.0.0.1:8080"))?;

    for address in server.addrs() {
        println!("open http://{address}/");
    }
    for (name, password) in db::FIRST_USERS {
        println!("log in as `{name}` with the password `{password}`");
    }
    Ok(server.run().await?)
}
