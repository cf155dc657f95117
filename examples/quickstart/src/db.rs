//! The SQLite file: users, their logins, and the secret that signs their cookies.

use std::{env, error::Error, path::Path};

use actix_web::{HttpResponse, cookie::Key, error::InternalError, http::header::RETRY_AFTER};
use login_runtime::{password::PasswordVerifier, store::SqliteLoginStore};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

use crate::User;

/// Who is there after the first start, and with which passwords.
pub(crate) const FIRST_USERS: [(&str, &str); 2] = [
    ("ada", "difference engine"),
    ("ben", "correct horse battery staple"),
];

/// Opens the file, and makes it if there is none.
pub(crate) async fn open(file: impl AsRef<Path>) -> Result<SqlitePool, Box<dyn Error>> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::migrate!().run(&pool).await?;
    SqliteLoginStore::new(pool.clone()).migrate().await?;
    Ok(pool)
}

/// Adds the first users to a file without any.
pub(crate) async fn add_first_users(
    pool: &SqlitePool,
    passwords: &PasswordVerifier,
) -> Result<(), Box<dyn Error>> {
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(pool)
        .await?;
    if users > 0 {
        return Ok(());
    }
    // Both or none, or a start that was cut short would leave one out for good.
    let mut transaction = pool.begin().await?;
    for (name, password) in FIRST_USERS {
        sqlx::query("INSERT INTO users (name, password_hash) VALUES (?, ?)")
            .bind(name)
            .bind(passwords.hash(password).await?)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// The secret for the login manager: `QUICKSTART_SECRET`, or one that is made at the first start.
///
/// It has to outlive the process, or each restart would log everybody out. Whoever reads it can log
/// in as anybody, so a real application keeps it apart from its data.
pub(crate) async fn key(pool: &SqlitePool) -> Result<Key, Box<dyn Error>> {
    if let Ok(secret) = env::var("QUICKSTART_SECRET") {
        let key = Key::try_from(secret.as_bytes());
        return key.map_err(|_| "QUICKSTART_SECRET needs 64 random bytes or more".into());
    }
    let made = Key::generate();
    sqlx::query("INSERT INTO secret (id, bytes) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(made.master())
        .execute(pool)
        .await?;
    let kept: Vec<u8> = sqlx::query_scalar("SELECT bytes FROM secret")
        .fetch_one(pool)
        .await?;
    Ok(Key::try_from(kept.as_slice())?)
}

/// The user with this id, for the login manager.
pub(crate) async fn user(pool: SqlitePool, id: i64) -> sqlx::Result<Option<User>> {
    sqlx::query_as("SELECT * FROM users WHERE id = ?")
        .bind(id)
        .fetch_optional(&pool)
        .await
}

/// The user with this name, for the login form.
pub(crate) async fn user_named(pool: &SqlitePool, name: &str) -> actix_web::Result<Option<User>> {
    let user = sqlx::query_as("SELECT * FROM users WHERE name = ?")
        .bind(name)
        .fetch_optional(pool);
    user.await.map_err(|error| {
        // The browser is not told what the database said.
        eprintln!("the database failed: {error}");
        let answer = HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "5"))
            .body("The database does not answer. Try again later.");
        InternalError::from_response(error, answer).into()
    })
}
