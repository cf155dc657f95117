//! What actix-session does by itself in the first of these situations. That it does so is why sessions
//! are wrapped; should it ever stop, this says so.

use login_runtime::test::strict::{Rule, tolerate};
use std::{future::IntoFuture, sync::Arc};

use actix_session::{Session, SessionMiddleware, storage::SessionStore};
use actix_web::{
    App, get,
    middleware::Compat,
    post,
    test::init_service,
    web::{Data, Path},
};
use login_runtime::test::Browser;
use login_tests::{key, sessions::MemorySessions};

use crate::world::{Gates, while_waiting};

#[post("/login/{id}")]
async fn log_in(session: Session, id: Path<i64>) -> &'static str {
    session.renew();
    session.insert("user", *id).unwrap();
    "in"
}

#[post("/logout")]
async fn log_out(session: Session) -> &'static str {
    session.purge();
    "out"
}

#[post("/write")]
async fn write(session: Session, gates: Data<Gates>) -> &'static str {
    gates.pass("write").await;
    session.insert("note", "late").unwrap();
    "written"
}

#[get("/me")]
async fn me(session: Session) -> String {
    format!("{:?}", session.get::<i64>("user").unwrap())
}

async fn is_brought_back(store: impl SessionStore + Clone + 'static) {
    let _known = tolerate(
        &[
            Rule::Grammar,
            Rule::Secure,
            Rule::Prefix,
            Rule::SameSite,
            Rule::HttpOnly,
            Rule::Lifetime,
            Rule::ClearText,
            Rule::Path,
        ],
        "id",
        "the session cookie of `actix-session` alone",
    );
    let gates = Arc::new(Gates::default());
    let app = init_service(
        App::new()
            .wrap(Compat::new(SessionMiddleware::new(store, key())))
            .app_data(Data::from(Arc::clone(&gates)))
            .service(log_in)
            .service(log_out)
            .service(write)
            .service(me),
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/7").await;
    assert_eq!(browser.get("/me").await.text(), "Some(7)");
    let slow = browser.copy();
    let gate = gates.close("write");
    let (late, _) = while_waiting(
        &gate,
        slow.post("/write").into_future(),
        browser.post("/logout").into_future(),
    )
    .await;
    assert_eq!(browser.get("/me").await.text(), "None");
    assert_eq!(late.status(), 200);
    // The browser that takes the late answer is logged in again.
    assert_eq!(slow.get("/me").await.text(), "Some(7)");
}

#[cfg(feature = "redis")]
#[actix_web::test]
async fn by_itself_a_session_in_redis_brings_a_login_back() {
    let Some(redis) = login_tests::services::redis() else {
        return;
    };
    let store = actix_session::storage::RedisSessionStore::new(redis.url()).await;
    is_brought_back(store.unwrap()).await;
}

/// The store in memory that stands for it where there is no Redis does as it does.
#[actix_web::test]
async fn by_itself_a_session_in_memory_brings_a_login_back() {
    is_brought_back(MemorySessions::new()).await;
}
