//! One process of an application with several: says its address, and serves until its input ends.
//!
//! `LOGIN_STORE` is the address of the Redis or PostgreSQL that the processes share, and `LOGIN_REALM` the
//! realm of this one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support"
)]

use std::{
    convert::Infallible,
    env,
    io::{self, Read, Write},
    thread,
};

use actix_web::{
    App, HttpServer, Responder, get, post,
    web::{Data, Path},
};
use login_runtime::{
    Auth, CurrentUser, LoginError, LoginManager, Verified, config::LoginManagerBuilder,
    fresh_login_required, guards::FreshUser, login_required, logins::Logins,
};
use login_tests::{User, Users, key};

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> impl Responder {
    format!("{} in {}", user.name, std::process::id())
}

#[post("/login/{id}")]
async fn log_in(
    auth: Auth<User>,
    id: Path<i64>,
    users: Data<Users>,
) -> Result<impl Responder, LoginError> {
    let user = users.get(*id).expect("a user of the tests");
    auth.log_in(Verified::trust(user, "test"))
        .remember(true)
        .await?;
    Ok("in")
}

#[post("/logout")]
async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    Ok("out")
}

#[fresh_login_required]
#[post("/end-others")]
async fn end_others(auth: Auth<User>, user: FreshUser<User>) -> Result<impl Responder, LoginError> {
    Ok(auth.end_other_logins(&user).await?.to_string())
}

/// What an administrator does.
#[post("/end-all")]
async fn end_all(logins: Data<Logins>) -> impl Responder {
    logins.end_all().await.unwrap().to_string()
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let users = Users::new();
    let found = users.clone();
    let builder = LoginManager::builder(move |id: i64| {
        let users = found.clone();
        async move { Ok::<_, Infallible>(users.get(id)) }
    });
    let address = env::var("LOGIN_STORE").expect("LOGIN_STORE is an address");
    let realm = env::var("LOGIN_REALM").expect("LOGIN_REALM is a name");
    let builder = with_store(builder.realm(realm), &address).await;
    let manager = builder.build(key()).unwrap();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(manager.clone())
            .app_data(Data::new(users.clone()))
            .app_data(Data::new(manager.logins().expect("a login store")))
            .service((account, log_in, log_out, end_others, end_all))
    });
    let server = server.workers(2).bind(("127.0.0.1", 0))?;
    let mut out = io::stdout();
    writeln!(out, "{}", server.addrs()[0])?;
    out.flush()?;
    let server = server.run();
    let handle = server.handle();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        actix_web::rt::System::new().block_on(handle.stop(false));
    });
    server.await
}

async fn with_store(builder: LoginManagerBuilder, address: &str) -> LoginManagerBuilder {
    #[cfg(feature = "redis")]
    if address.starts_with("redis:") {
        let store = login_runtime::store::RedisLoginStore::new(address)
            .await
            .unwrap();
        return builder.login_store(store);
    }
    #[cfg(feature = "postgres")]
    if address.starts_with("postgres:") {
        let pool = sqlx::PgPool::connect(address).await.unwrap();
        let store = login_runtime::store::PostgresLoginStore::new(pool);
        store.migrate().await.unwrap();
        return builder.login_store(store);
    }
    drop(builder);
    panic!("this was built without the store at {address}");
}
