//! Logins in Redis.
//!
//! 1. Each call that must be atomic is one script, and Redis runs one script at a time.
//!    `redis/common.lua` lists the keys.
//! 2. The clock of Redis does not decide which rows are valid. Each row contains the time at which it
//!    expires; its time to live in Redis only deletes rows that expired long ago. A node whose clock is
//!    ahead deletes nothing that is valid by the clock of Redis.
//! 3. A call that may not have reached Redis is sent again, if sending it twice does no harm.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use ::redis::{
    Client, FromRedisValue, RedisError, Script, ToRedisArgs,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
    io::tcp::TcpSettings,
};
use tokio::sync::Semaphore;

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        TokenFamily, throttle::CounterKey,
    },
    error::StoreError,
    store::{login_store::LoginStore, throttle_store::AnyThrottleStore},
};

/// The time limit for connecting, and for each answer.
///
/// Raising it makes requests wait longer if Redis is down; lowering it fails requests if Redis is
/// only slow.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long sent data may remain unacknowledged before a connection is closed.
///
/// Raising it keeps connections through longer network failures; lowering it reconnects sooner after
/// the machine of Redis has disappeared, for instance in a failover.
#[cfg(target_os = "linux")]
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(5);

/// How many seconds Redis keeps a row after it has expired.
///
/// Raising it tolerates larger differences between clocks; lowering it saves memory.
const SLACK: i64 = 24 * 60 * 60;

/// How many seconds Redis keeps the list of a user's revoked sessions, or of the user's clients, after its
/// last change: longer than the manager keeps one of them.
const REVOKED_TTL: i64 = 31 * 24 * 60 * 60;

/// The longest time to live in seconds. Redis cannot add much more to its clock.
const MAX_TTL: i64 = 3_000_000_000;

/// How many accounts can have their tries counted at the same time by this process.
///
/// Raising it counts the tries of many accounts faster; lowering it makes fewer of them compete for the
/// counter of a client that they share.
const LANES: usize = 16;

/// How many rows one script deletes at most, and how many keys one `SCAN` visits.
///
/// Raising it makes large deletions faster; all other calls wait while a script runs.
const BATCH: u32 = 256;

/// Keeps logins in Redis, or in a compatible server that runs its scripts, such as Valkey, and counts failed
/// tries there.
///
/// Use it for any number of nodes. It is the fastest store whose logins survive a restart of the
/// application. All keys start with a prefix, so the application can use the same Redis for its
/// sessions. Each method is one round trip, except ending all logins and purging. It needs Redis 5 or
/// later, and does not support a cluster.
///
/// Connecting may take at most one second, and each answer may take at most one second. While Redis is
/// down, requests soon fail with 503; they succeed again once it is back.
///
/// ```no_run
/// use login_runtime::store::RedisLoginStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisLoginStore::new("redis://127.0.0.1:6379").await?;
/// # Ok(())
/// # }
/// ```
///
/// For `rediss://` addresses, turn on a TLS feature of the `redis` crate in the application's own
/// `Cargo.toml`, such as `tokio-rustls-comp`.
///
/// # Security
///
/// Keys are hashes, and the seeds of remember tokens are useless without the application's key, so a
/// copy of the data cannot be used to log in. It does show which users were logged in, and from
/// where. A person who can write to Redis can log in as any user.
///
/// A log out is only as durable as the data in Redis. If Redis restarts from an older snapshot, or fails
/// over to a replica that lags behind, logins that had ended are valid again. Use an append-only file,
/// or no persistence at all: then a restart ends all logins instead, and forgets all failed tries. Prefer the
/// eviction policy `noeviction`: other policies may end logins and forget tries, but never restore a login.
#[derive(Clone)]
pub struct RedisLoginStore {
    connection: ConnectionManager,
    prefix: String,
    /// Accounts that share one have their tries counted one after the other.
    lanes: Arc<[Semaphore; LANES]>,
}

static INSERT: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/insert.lua")));
static FIND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/find.lua")));
static TOUCH: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/touch.lua")));
static MAKE_STALE: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("redis/make_stale.lua")));
static END: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/end.lua")));
static END_OF: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/end_of.lua")));
static END_FAMILY: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("redis/end_family.lua")));
static LIST: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/list.lua")));
static INSERT_FAMILY: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("redis/insert_family.lua")));
static END_OLDEST_FAMILIES: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("redis/end_oldest_families.lua")));
static UPDATE_FAMILY_IF: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("redis/update_family_if.lua")));
static TOKEN_ARRIVED: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("redis/token_arrived.lua")));
static PURGE: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/purge.lua")));
static REVOKE: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/revoke.lua")));

/// A script that begins with the common part.
fn script(code: &str) -> Script {
    Script::new(&[include_str!("redis/common.lua"), code].join("\n"))
}

/// Whether a call may be sent again if it is unknown whether Redis received it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeatable {
    /// The second call changes nothing, and has the same answer.
    Yes,
    No,
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for RedisLoginStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The connection is left out, because its address contains the password.
        f.debug_struct("RedisLoginStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisLoginStore {
    /// Connects to Redis at an address such as `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    ///
    /// If the address is invalid, or Redis does not answer there.
    pub async fn new(url: &str) -> Result<Self, StoreError> {
        // Small requests that are sent at the same time should not be delayed.
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(ACKNOWLEDGE_WITHIN);
        let config = ConnectionManagerConfig::new()
            .set_tcp_settings(tcp)
            .set_connection_timeout(TIMEOUT)
            .set_response_timeout(TIMEOUT)
            // This request fails soon; the next one tries again.
            .set_number_of_retries(0);
        let client = Client::open(url)?;
        let connection = ConnectionManager::new_with_config(client, config).await?;
        Ok(Self::from_connection(connection))
    }

    /// A store that uses this connection with its time limits.
    ///
    /// If it has none, as [`ConnectionManager::new`] makes it, and Redis is down, a call waits until
    /// the deadline of the login manager.
    pub fn from_connection(connection: ConnectionManager) -> Self {
        Self {
            connection,
            prefix: "login".to_owned(),
            lanes: Arc::new(std::array::from_fn(|_| Semaphore::new(1))),
        }
    }

    /// Sets the text before the first colon of all keys. The default is `login`.
    ///
    /// Applications that share a Redis need different prefixes. Changing the prefix ends all logins.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The lane of an account; the second counter is that of the account.
    pub(crate) fn lane(&self, [_, CounterKey(account), _]: &[CounterKey; 3]) -> &Semaphore {
        // The key is a hash.
        let [.., last] = account;
        &self.lanes[usize::from(*last) % LANES]
    }

    /// Runs a script, whose first argument is the prefix.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        repeatable: Repeatable,
        args: impl ToRedisArgs,
    ) -> Result<T, StoreError> {
        let mut call = script.prepare_invoke();
        call.arg(&self.prefix).arg(args);
        let mut connection = self.connection.clone();
        let answer = match call.invoke_async(&mut connection).await {
            Err(error) if may_repeat(&error, repeatable) => {
                call.invoke_async(&mut connection).await
            }
            answer => answer,
        };
        Ok(answer?)
    }

    async fn find_row(&self, kind: &str, id: String) -> Result<Option<Row>, StoreError> {
        let find = self.run::<Option<Fields>>(&FIND, Repeatable::Yes, (kind, id));
        Ok(find.await?.map(Row))
    }

    /// Ends all logins, or all families, that exist when the call starts.
    async fn end_all(&self, kind: &str, is_id: fn(&str) -> bool) -> Result<u64, StoreError> {
        let start = format!("{}:{kind}:", self.prefix);
        let pattern = format!("{}*", escape(&start));
        let mut connection = self.connection.clone();
        let mut ended = 0;
        let mut cursor: u64 = 0;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(BATCH)
                .query_async(&mut connection)
                .await?;
            // Keys of an application with a longer prefix may start with the same text.
            let ids = keys
                .iter()
                .filter_map(|key| str::from_utf8(key).ok()?.strip_prefix(&start));
            let ids: Vec<_> = ids.filter(|id| is_id(id)).collect();
            if !ids.is_empty() {
                let end = self.run::<u64>(&END, Repeatable::No, (kind, ids));
                ended += end.await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(ended);
            }
        }
    }
}

/// Whether a call that failed with this error may be sent once more.
fn may_repeat(error: &RedisError, repeatable: Repeatable) -> bool {
    // The connection manager returns this error if it had no connection. The first call after an
    // outage fails like this, even if Redis has been back for long.
    let never_sent = error.to_string().starts_with("Reconnecting failed");
    never_sent || (repeatable == Repeatable::Yes && error.is_connection_dropped())
}

/// Escapes a text so that `MATCH` takes each character literally.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The name of a user in keys: a hash, so that its length does not depend on the id.
fn owner_name(owner: LoginOwner<'_>) -> String {
    let name = format!("{}\0{}", owner.user_type, owner.user_id);
    LoginKey::of(name.as_bytes()).to_string()
}

/// How long Redis keeps a row: a little longer than until it expires.
fn ttl(expires_at: i64, now: i64) -> i64 {
    keep_for(expires_at, now, SLACK)
}

/// How many seconds Redis keeps what is over at a time: a little longer.
pub(crate) fn keep_for(over_at: i64, now: i64, slack: i64) -> i64 {
    over_at
        .saturating_sub(now)
        .saturating_add(slack)
        .clamp(1, MAX_TTL)
}

/// How long Redis keeps a family. The present is not known here, but is not before the latest time in
/// the family; so this is rather too long than too short.
fn family_ttl(family: &TokenFamily) -> i64 {
    ttl(family.expires_at, family.latest())
}

fn owner_fields(owner: LoginOwner<'_>) -> impl ToRedisArgs {
    (
        ("owner", owner_name(owner)),
        ("user_type", owner.user_type),
        ("user_id", owner.user_id),
    )
}

/// A field and its value, or no arguments.
fn optional<T: ToRedisArgs>(name: &str, value: Option<T>) -> impl ToRedisArgs {
    value.map(|value| (name, value))
}

fn login_fields(record: &LoginRecord) -> impl ToRedisArgs {
    (
        owner_fields(record.owner()),
        ("created_at", record.created_at),
        ("authenticated_at", record.authenticated_at),
        ("last_seen", record.last_seen),
        ("expires_at", record.expires_at),
        ("fresh", record.fresh),
        ("allow_inactive", record.allow_inactive),
        ("method", &record.method),
        ("client", record.client),
        ("user_agent", &record.user_agent),
        ("address", &record.address),
        (
            optional("hash", record.hash.as_ref()),
            optional("family", record.family.map(|family| family.to_string())),
            optional("unseen_token", record.unseen_token),
        ),
    )
}

fn family_fields(family: &TokenFamily) -> impl ToRedisArgs {
    (
        owner_fields(family.owner()),
        ("version", family.version),
        ("generation", family.generation),
        ("rotated_at", family.rotated_at),
        optional("seen_at", family.seen_at),
        optional("restored_at", family.restored_at),
        ("authenticated_at", family.authenticated_at),
        ("expires_at", family.expires_at),
        ("lifetime", family.lifetime),
        optional("hash", family.hash.as_ref()),
        ("seed", family.seed.as_slice()),
    )
}

type Fields = HashMap<String, Vec<u8>>;

/// A row in Redis, from which each field is taken once.
struct Row(Fields);

impl Row {
    fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, StoreError> {
        let text = self.0.remove(name).map(String::from_utf8).transpose();
        text.map_err(|_| malformed(name))
    }

    fn text(&mut self, name: &'static str) -> Result<String, StoreError> {
        self.optional_text(name)?.ok_or_else(|| malformed(name))
    }

    fn optional_number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, StoreError> {
        let number = self.optional_text(name)?.map(|text| text.parse());
        number.transpose().map_err(|_| malformed(name))
    }

    fn number<T: FromStr>(&mut self, name: &'static str) -> Result<T, StoreError> {
        self.optional_number(name)?.ok_or_else(|| malformed(name))
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, StoreError> {
        Ok(self.number::<u8>(name)? != 0)
    }

    fn login(mut self) -> Result<LoginRecord, StoreError> {
        let read_family = |text: String| FamilyKey::parse(&text).ok_or_else(|| malformed("family"));
        let family = self.optional_text("family")?.map(read_family);
        Ok(LoginRecord {
            user_type: self.text("user_type")?,
            user_id: self.text("user_id")?,
            created_at: self.number("created_at")?,
            authenticated_at: self.number("authenticated_at")?,
            last_seen: self.number("last_seen")?,
            expires_at: self.number("expires_at")?,
            fresh: self.flag("fresh")?,
            allow_inactive: self.flag("allow_inactive")?,
            method: self.text("method")?,
            client: self.number("client")?,
            user_agent: self.text("user_agent")?,
            address: self.text("address")?,
            hash: self.optional_text("hash")?,
            family: family.transpose()?,
            unseen_token: self.optional_number("unseen_token")?,
        })
    }

    fn family(mut self) -> Result<TokenFamily, StoreError> {
        let seed = self.0.remove("seed").and_then(|seed| seed.try_into().ok());
        Ok(TokenFamily {
            user_type: self.text("user_type")?,
            user_id: self.text("user_id")?,
            seed: seed.ok_or_else(|| malformed("seed"))?,
            version: self.number("version")?,
            generation: self.number("generation")?,
            rotated_at: self.number("rotated_at")?,
            seen_at: self.optional_number("seen_at")?,
            restored_at: self.optional_number("restored_at")?,
            authenticated_at: self.number("authenticated_at")?,
            expires_at: self.number("expires_at")?,
            lifetime: self.number("lifetime")?,
            hash: self.optional_text("hash")?,
        })
    }
}

/// The error for a field that is missing or invalid. Something else writes keys with the same prefix.
fn malformed(field: &'static str) -> StoreError {
    StoreError::new(format!(
        "the field `{field}` of a login in Redis cannot be read"
    ))
}

impl LoginStore for RedisLoginStore {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        let family = record.family.map(|family| family.to_string());
        let (at_limit, limit) = match max {
            None => ("", 0),
            Some(MaxLogins::EndOldest(limit)) => ("end oldest", limit.max(1)),
            Some(MaxLogins::Refuse(limit)) => ("refuse", limit),
        };
        let args = (
            key.to_string(),
            owner_name(record.owner()),
            family.unwrap_or_default(),
            now,
            record.created_at,
            record.last_seen,
            record.expires_at,
            ttl(record.expires_at, now),
            at_limit,
            limit,
            login_fields(record),
        );
        let insert = self.run::<i64>(&INSERT, Repeatable::Yes, args);
        let ended = insert.await?;
        Ok(u64::try_from(ended).map_or(Inserted::Refused, |ended| Inserted::Done { ended }))
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let row = self.find_row("login", key.to_string()).await?;
        let record = row.map(Row::login).transpose()?;
        Ok(record.filter(|record| now < record.expires_at))
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        let args = (key.to_string(), last_seen);
        self.run(&TOUCH, Repeatable::Yes, args).await
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        self.run(&MAKE_STALE, Repeatable::Yes, key.to_string())
            .await
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let args = ("login", key.to_string());
        let end = self.run::<u64>(&END, Repeatable::No, args);
        Ok(end.await? > 0)
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        match which {
            LoginSelector::Of {
                owner,
                but,
                but_family,
            } => {
                let but = but.map(|key| key.to_string()).unwrap_or_default();
                let but_family = but_family.map(|key| key.to_string()).unwrap_or_default();
                let args = (owner_name(owner), but, but_family);
                self.run(&END_OF, Repeatable::No, args).await
            }
            LoginSelector::Family(key) => {
                self.run(&END_FAMILY, Repeatable::No, key.to_string()).await
            }
            LoginSelector::All => {
                // Too much for one script. Families end first: if one of them restores a login in the
                // meantime, the login exists when the logins end.
                self.end_all("family", |id| FamilyKey::parse(id).is_some())
                    .await?;
                self.end_all("login", |id| LoginKey::parse(id).is_some())
                    .await
            }
        }
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let rows = self.run::<Vec<(String, Fields)>>(&LIST, Repeatable::Yes, owner_name(owner));
        let rows = rows.await?.into_iter().map(|(id, row)| {
            let key = LoginKey::parse(&id).ok_or_else(|| malformed("id"))?;
            Ok((key, Row(row).login()?))
        });
        let mut logins = rows.collect::<Result<Vec<_>, StoreError>>()?;
        logins.retain(|(_, record)| now < record.expires_at);
        logins.sort_unstable_by_key(|(key, record)| (Reverse(record.created_at), *key));
        Ok(logins)
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        let args = (
            key.to_string(),
            owner_name(family.owner()),
            family.expires_at,
            family_ttl(family),
            family_fields(family),
        );
        self.run(&INSERT_FAMILY, Repeatable::Yes, args).await
    }

    async fn end_oldest_families(
        &self,
        owner: LoginOwner<'_>,
        keep: u32,
    ) -> Result<u64, StoreError> {
        let args = (owner_name(owner), keep);
        self.run(&END_OLDEST_FAMILIES, Repeatable::Yes, args).await
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        let row = self.find_row("family", key.to_string()).await?;
        let family = row.map(Row::family).transpose()?;
        Ok(family.filter(|family| now < family.expires_at))
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        let args = (
            key.to_string(),
            expected,
            family.expires_at,
            family_ttl(family),
            family_fields(family),
        );
        self.run(&UPDATE_FAMILY_IF, Repeatable::No, args).await
    }

    async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
        let args = (login.to_string(), now);
        self.run(&TOKEN_ARRIVED, Repeatable::Yes, args).await
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let idle_since = idle_since.map(|since| since.to_string());
        let idle_since = idle_since.as_deref().unwrap_or_default();
        let mut left = limit;
        while left > 0 {
            let batch = left.min(BATCH);
            let args = (now, idle_since, batch);
            let purge = self.run::<u32>(&PURGE, Repeatable::No, args);
            let purged = purge.await?;
            left = left.saturating_sub(purged);
            if purged < batch {
                break;
            }
        }
        Ok(u64::from(limit - left))
    }

    async fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
        max: u32,
    ) -> Result<(), StoreError> {
        let owner = owner_name(owner);
        let args = (session.to_string(), owner, until, max, REVOKED_TTL);
        self.run(&REVOKE, Repeatable::Yes, args).await
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let mut call = cmd("ZSCORE");
        call.arg(format!("{}:revoked", self.prefix))
            .arg(session.to_string());
        let until: Option<f64> = match call.query_async(&mut connection).await {
            Err(error) if may_repeat(&error, Repeatable::Yes) => {
                call.query_async(&mut connection).await
            }
            answer => answer,
        }?;
        // Scores are floating-point numbers, which are exact for millions of years.
        Ok(until.is_some_and(|until| (now as f64) < until))
    }

    fn throttle_store(&self) -> Option<AnyThrottleStore> {
        Some(AnyThrottleStore::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_matched_literally() {
        assert_eq!(escape(r"a*b?[c]\"), r"a\*b\?\[c\]\\");
        assert_eq!(escape("login:user:"), "login:user:");
    }

    #[test]
    fn redis_keeps_a_row_for_a_day_after_it_has_expired() {
        assert_eq!(ttl(1_000, 900), 100 + SLACK);
        assert_eq!(ttl(1_000, 1_000 + 2 * SLACK), 1);
        assert_eq!(ttl(i64::MAX, i64::MIN), MAX_TTL);
    }
}
