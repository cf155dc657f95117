//! Users in a database whose rows others change, by plain SQL.

use std::time::Duration;

use actix_web::{
    Responder, get, post,
    web::{Data, Path, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser, LoginManager, Verified, login_required, store::PostgresLoginStore,
    test::Browser,
};
use login_tests::{User, app, key, services};
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};

use crate::world::App;

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

#[post("/login/{id}")]
async fn log_in(
    auth: Auth<User>,
    id: Path<i64>,
    pool: Data<PgPool>,
) -> actix_web::Result<impl Responder> {
    let user = find(&pool, *id).await.unwrap().unwrap();
    auth.log_in(Verified::trust(user, "test"))
        .remember(true)
        .await?;
    Ok("in")
}

async fn find(pool: &PgPool, id: i64) -> sqlx::Result<Option<User>> {
    let user = sqlx::query("SELECT name, is_active, hash FROM people WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await?;
    Ok(user.map(|row| User {
        id,
        name: row.get(0),
        is_active: row.get(1),
        hash: row.get(2),
    }))
}

/// An application whose users and logins are in one database.
async fn site(pool: &PgPool) -> impl App {
    let store = PostgresLoginStore::new(pool.clone());
    store.migrate().await.unwrap();
    let people = pool.clone();
    let manager = LoginManager::builder(move |id| {
        let pool = people.clone();
        async move { find(&pool, id).await }
    });
    let manager = manager.login_view("/login").login_store(store);
    let pool = Data::new(pool.clone());
    app(
        manager.build(key()).unwrap(),
        |config: &mut ServiceConfig| {
            config.app_data(pool).service(account).service(log_in);
        },
    )
    .await
}

#[actix_web::test]
async fn who_is_changed_by_plain_sql_is_out_at_the_next_request() {
    let Some(postgres) = services::postgres() else {
        return;
    };
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(30));
    let pool = pool.connect(&postgres.database()).await.unwrap();
    let sql = async |text: &'static str| sqlx::raw_sql(text).execute(&pool).await.unwrap();
    sql(
        "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT NOT NULL, \
         is_active BOOLEAN NOT NULL DEFAULT TRUE, hash TEXT NOT NULL)",
    )
    .await;
    let app = site(&pool).await;
    for change in [
        "UPDATE people SET hash = 'another' WHERE id = 1",
        "UPDATE people SET is_active = FALSE WHERE id = 1",
        "DELETE FROM people WHERE id = 1",
    ] {
        sql("DELETE FROM people; INSERT INTO people (id, name, hash) \
             VALUES (1, 'ada', 'one'), (2, 'ben', 'two')")
        .await;
        let clients = [1, 1, 1, 2].map(|id| (Browser::new(&app), id));
        for (client, id) in &clients {
            assert_eq!(client.get("/account").await.status(), 303);
            assert_eq!(client.post(&format!("/login/{id}")).await.status(), 200);
            assert_eq!(client.get("/account").await.status(), 200);
        }
        // The third has nothing but its remember cookie.
        clients[2].0.restart();
        sql(change).await;
        for (client, id) in &clients {
            let expected = if *id == 1 { 303 } else { 200 };
            assert_eq!(client.get("/account").await.status(), expected, "{change}");
        }
    }
}
