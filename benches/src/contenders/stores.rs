//! The program of `README.md` with its login records outside of the memory of the process.

use actix_session::storage::RedisSessionStore;
use login_runtime::{
    CookieSettings, LoginManager,
    config::{LoginManagerBuilder, SharedStore},
    store::{CachedLoginStore, LoginStore, PostgresLoginStore, RedisLoginStore, SqliteLoginStore},
};
use sqlx::{
    PgPool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use super::{
    contender::{Contender, Store},
    readme, sessions,
    setup::Setup,
};
use crate::users::ReadmeUser;

/// The connections of each pool, ours and the floor's. It is the default of sqlx.
const CONNECTIONS: u32 = 10;

pub(super) async fn manager(contender: Contender, setup: &Setup) -> LoginManager {
    let builder = readme::builder::<ReadmeUser>(&setup.users);
    let builder = match contender {
        Contender::ReadmeSqlite | Contender::ReadmePostgres | Contender::ReadmeRedis => builder,
        _ => builder.login_cookie(CookieSettings::new()),
    };
    let is_cached = matches!(
        contender,
        Contender::ReadmeCachedSqlite
            | Contender::ReadmeCachedPostgres
            | Contender::ReadmeCachedRedis
    );
    let builder = match contender.store().expect("it has a store") {
        Store::Sqlite => with_store(builder, sqlite().await, is_cached),
        Store::Postgres => with_store(builder, postgres(setup).await, is_cached),
        Store::Redis => with_store(builder, redis(setup).await, is_cached),
    };
    readme::build(builder, setup)
}

fn with_store(
    builder: LoginManagerBuilder,
    store: impl LoginStore,
    is_cached: bool,
) -> LoginManagerBuilder {
    if is_cached {
        builder.login_store(CachedLoginStore::new(store))
    } else {
        builder.login_store(store)
    }
}

/// With the sessions in the Redis of the records.
pub(super) async fn manager_with_sessions(
    setup: &Setup,
) -> LoginManager<SharedStore<RedisSessionStore>> {
    readme::builder::<ReadmeUser>(&setup.users)
        .login_store(redis(setup).await)
        .session_store(sessions::redis(setup.store()).await)
        .build(setup.key.clone())
        .expect("these settings work")
}

async fn redis(setup: &Setup) -> RedisLoginStore {
    RedisLoginStore::new(setup.store())
        .await
        .expect("Redis answers")
}

/// A database in a temporary file.
async fn sqlite() -> SqliteLoginStore {
    let file = std::env::temp_dir().join(format!("login_benches_{}.db", std::process::id()));
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(options)
        .await
        .expect("SQLite opens");
    let store = SqliteLoginStore::new(pool);
    store.migrate().await.expect("the tables are made");
    store
}

async fn postgres(setup: &Setup) -> PostgresLoginStore {
    let store = PostgresLoginStore::new(pool(setup).await);
    store.migrate().await.expect("the tables are made");
    store
}

pub(super) async fn pool(setup: &Setup) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(setup.store())
        .await
        .expect("PostgreSQL answers")
}
