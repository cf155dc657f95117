//! A small blog that shows in one place what the toolkit does. Read [`routes`] first, then
//! [`login_manager`], then the handlers: [`account`] logs in, out and confirms, [`blog`] lets authors
//! edit their own posts, [`admin`] is for one role.
//!
//! Whatever changes something is a POST. The cookies are `SameSite=Lax`, so no browser sends them along
//! with a form of another site; an application that shares its site with others adds CSRF tokens.

mod account;
mod admin;
mod blog;
mod db;
mod pages;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use actix_files::Files;
use actix_web::{App, HttpRequest, HttpServer, cookie::Key, web};
use login_runtime::{
    AuthUser, BuildError, CookieSettings, LoginManager, config::LoginManagerBuilder,
    events::LoginEvent, guards::Strict, password::PasswordVerifier, public,
    store::SqliteLoginStore, strict,
};
use sqlx::SqlitePool;

const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static");

/// A row of the table `users`.
#[derive(AuthUser, Clone, sqlx::FromRow)]
struct User {
    id: i64,
    name: String,
    #[auth(roles)]
    role: Option<String>,
    /// Whoever is set inactive is out at the next request.
    is_active: bool,
    /// When it changes, every login made with the old password ends.
    #[auth(password_hash)]
    password_hash: String,
}

/// Every handler in here says who may reach it, or this does not compile.
fn routes(routes: &mut Strict<'_>) {
    routes
        .service((blog::home, blog::edit))
        .service((account::login_page, account::log_in, account::log_out))
        .service((account::confirm_page, account::confirm))
        .service((account::password_page, account::change_password))
        .service((account::logins, account::end_login, account::end_others))
        .service((admin::users_page, admin::users_json, admin::deactivate))
        .declared_scope("/static", public(), |files| {
            files.service(Files::new("", STATIC));
        })
        .app_data(pages::form_errors());
}

fn login_manager(pool: &SqlitePool, key: Key) -> Result<LoginManager, BuildError> {
    builder(pool).build(key)
}

/// The login manager without its key; a test gives it a clock.
fn builder(pool: &SqlitePool) -> LoginManagerBuilder {
    let users = pool.clone();
    LoginManager::builder(move |id| db::user(users.clone(), id))
        .login_view("/login")
        .refresh_view("/confirm")
        .login_store(SqliteLoginStore::new(pool.clone()))
        // The session holds nothing else here, so files cost the same whoever asks for them.
        .login_cookie(CookieSettings::new())
        .on_event(report)
        .deny_by_default()
}

/// Prints what happens to logins. The toolkit tells the same to `tracing`, for those who collect logs.
fn report(event: &LoginEvent<'_>, request: &HttpRequest) {
    if matches!(event, LoginEvent::Accessed) {
        return; // Every request that asks who the user is.
    }
    let user = event.user().map_or("-".to_owned(), |user| user.id());
    let (name, method, path) = (event.name(), request.method(), request.path());
    println!("{name} user={user} {method} {path}");
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let passwords = PasswordVerifier::new();
    let pool = db::open(&passwords).await?;
    // The database is gone when the server ends, and so may be the key. Keep yours, like your data.
    let login_manager = login_manager(&pool, Key::generate())?;

    let server = HttpServer::new(move || {
        App::new()
            .wrap(login_manager.clone())
            .app_data(web::Data::new(pool.clone()))
            .app_data(web::Data::new(passwords.clone()))
            .configure(strict(routes))
    })
    .bind(env::var("DEMO_ADDR").unwrap_or_else(|_| "127.0.0.1:8080".to_owned()))?;

    for address in server.addrs() {
        println!("open http://{address}/");
    }
    for (name, role, password) in db::FIRST_USERS {
        let role = role.unwrap_or("author");
        println!("log in as `{name}` ({role}) with the password `{password}`");
    }
    Ok(server.run().await?)
}
