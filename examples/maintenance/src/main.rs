//! Looks after the logins that an application keeps in a SQLite database: lists them, ends them, and
//! deletes what is over.
//!
//! ```text
//! maintenance FILE purge [BATCH]     delete what is over, so many rows at a time
//! maintenance FILE list USER         the logins of a user, by id
//! maintenance FILE end KEY           end one login, by the key that `list` shows
//! maintenance FILE end-user USER     end all logins of a user
//! maintenance FILE end-all           end all logins of everybody
//! ```
//!
//! Run `purge` every now and then, from cron for instance. Whatever is ended here is over at its next
//! request, on every node.

use std::{convert::Infallible, env, error::Error, str::FromStr};

use actix_web::cookie::Key;
use login_runtime::{
    AuthUser, LoginManager,
    logins::Logins,
    store::{LoginKey, SqliteLoginStore},
};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

const USAGE: &str =
    "usage: maintenance FILE purge [BATCH] | list USER | end KEY | end-user USER | end-all";

/// How many rows are deleted at a time: few enough that a log in does not have to wait.
const BATCH: u32 = 1000;

/// The application's user type, as far as its logins are concerned.
#[derive(AuthUser)]
struct User {
    id: i64,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (file, command) = words.split_first().ok_or(USAGE)?;
    let logins = open(file).await?;
    println!("{}", run(&logins, command).await?);
    Ok(())
}

/// The logins in a database.
async fn open(file: &str) -> Result<Logins, Box<dyn Error>> {
    let options = SqliteConnectOptions::from_str(file)?.create_if_missing(false);
    let store = SqliteLoginStore::new(SqlitePool::connect_with(options).await?);
    store.migrate().await?;
    // Nobody logs in here, so there are no users to load, and nothing to sign.
    let nobody = async |_: i64| Ok::<_, Infallible>(None::<User>);
    let login_manager = LoginManager::builder(nobody)
        .login_store(store)
        .build(Key::generate())?;
    Ok(login_manager.logins().ok_or("the manager has a store")?)
}

/// Does what the command says, and reports it.
async fn run(logins: &Logins, command: &[&str]) -> Result<String, Box<dyn Error>> {
    match command {
        ["purge"] => purge(logins, BATCH).await,
        ["purge", batch] => purge(logins, batch.parse()?).await,
        ["list", user] => list(logins, user.parse()?).await,
        ["end", key] => {
            let key = LoginKey::parse(key).ok_or("that is no key; take one from `list`")?;
            let ended = logins.end(key).await?;
            Ok(if ended {
                "ended".to_owned()
            } else {
                "there is no such login".to_owned()
            })
        }
        ["end-user", user] => Ok(format!(
            "{} ended",
            logins.end_all_of::<User>(&user.parse()?).await?
        )),
        ["end-all"] => Ok(format!("{} ended", logins.end_all().await?)),
        _ => Err(USAGE.into()),
    }
}

async fn purge(logins: &Logins, batch: u32) -> Result<String, Box<dyn Error>> {
    let mut purged = 0;
    loop {
        let rows = logins.purge(batch).await?;
        purged += rows;
        if rows < u64::from(batch) {
            return Ok(format!("{purged} rows deleted"));
        }
    }
}

async fn list(logins: &Logins, user: i64) -> Result<String, Box<dyn Error>> {
    let mut lines = Vec::new();
    for login in logins.of::<User>(&user).await? {
        let seen = login.last_seen.elapsed().unwrap_or_default().as_secs() / 60;
        // `escape_debug`: what a client calls itself may contain control characters.
        let agent = login.user_agent.escape_debug();
        lines.push(format!(
            "{}  seen {seen} min ago  {}  {}  {agent}",
            login.key, login.address, login.method
        ));
    }
    if lines.is_empty() {
        lines.push("no logins".to_owned());
    }
    Ok(lines.join("\n"))
}
