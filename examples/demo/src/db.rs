//! The database, which is in memory: users, posts, and the logins of the toolkit.

use std::error::Error;

use actix_web::{HttpResponse, error::InternalError, http::header::RETRY_AFTER};
use login_runtime::{password::PasswordVerifier, store::SqliteLoginStore};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

use crate::User;

/// Who is there at the start: name, role and password.
pub(crate) const FIRST_USERS: [(&str, Option<&str>, &str); 3] = [
    ("ada", Some("admin"), "difference engine"),
    ("ben", None, "correct horse battery staple"),
    ("cleo", None, "library of alexandria"),
];

/// A row of the table `posts`, with the name of its author.
#[derive(sqlx::FromRow)]
pub(crate) struct Post {
    pub(crate) id: i64,
    pub(crate) author: i64,
    pub(crate) name: String,
    pub(crate) text: String,
}

pub(crate) async fn open(passwords: &PasswordVerifier) -> Result<SqlitePool, Box<dyn Error>> {
    // What is in memory goes with its last connection, so one has to stay.
    let options = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None);
    let pool = options.connect("sqlite::memory:").await?;
    sqlx::migrate!().run(&pool).await?;
    SqliteLoginStore::new(pool.clone()).migrate().await?;
    for (name, role, password) in FIRST_USERS {
        let user = "INSERT INTO users (name, role, password_hash) VALUES (?, ?, ?)";
        let user = sqlx::query(user).bind(name).bind(role);
        let user = user.bind(passwords.hash(password).await?);
        let id = user.execute(&pool).await?.last_insert_rowid();
        let post = sqlx::query("INSERT INTO posts (author, text) VALUES (?, ?)");
        let post = post.bind(id).bind(format!("{name} was here."));
        post.execute(&pool).await?;
    }
    Ok(pool)
}

/// The user with this id, for the login manager.
pub(crate) async fn user(pool: SqlitePool, id: i64) -> sqlx::Result<Option<User>> {
    let user = sqlx::query_as("SELECT * FROM users WHERE id = ?").bind(id);
    user.fetch_optional(&pool).await
}

/// The user with this name, for the login form.
pub(crate) async fn user_named(pool: &SqlitePool, name: &str) -> sqlx::Result<Option<User>> {
    let user = sqlx::query_as("SELECT * FROM users WHERE name = ?").bind(name);
    user.fetch_optional(pool).await
}

pub(crate) async fn users(pool: &SqlitePool) -> sqlx::Result<Vec<User>> {
    let users = sqlx::query_as("SELECT * FROM users");
    users.fetch_all(pool).await
}

pub(crate) async fn deactivate(pool: &SqlitePool, id: i64) -> sqlx::Result<()> {
    let change = sqlx::query("UPDATE users SET is_active = FALSE WHERE id = ?");
    change.bind(id).execute(pool).await.map(drop)
}

pub(crate) async fn save_password(pool: &SqlitePool, user: &User) -> sqlx::Result<()> {
    let change = sqlx::query("UPDATE users SET password_hash = ? WHERE id = ?");
    let change = change.bind(&user.password_hash).bind(user.id);
    change.execute(pool).await.map(drop)
}

pub(crate) async fn posts(pool: &SqlitePool) -> sqlx::Result<Vec<Post>> {
    let posts = "SELECT posts.*, name FROM posts JOIN users ON users.id = author";
    sqlx::query_as(posts).fetch_all(pool).await
}

/// The id of the user who wrote a post.
pub(crate) async fn author(pool: &SqlitePool, post: i64) -> sqlx::Result<Option<i64>> {
    let author = sqlx::query_scalar("SELECT author FROM posts WHERE id = ?");
    author.bind(post).fetch_optional(pool).await
}

pub(crate) async fn save_post(pool: &SqlitePool, id: i64, text: &str) -> sqlx::Result<()> {
    let change = sqlx::query("UPDATE posts SET text = ? WHERE id = ?");
    change.bind(text).bind(id).execute(pool).await.map(drop)
}

/// The answer when a query failed; the browser is not told what the database said.
pub(crate) fn failed(error: sqlx::Error) -> actix_web::Error {
    eprintln!("the database failed: {error}");
    let answer = HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, "5"))
        .body("The database does not answer. Try again later.");
    InternalError::from_response(error, answer).into()
}
