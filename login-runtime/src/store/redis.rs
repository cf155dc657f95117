//! Logins in Redis.
//!
//! What must be one step is one script; Redis runs one at a time. See `redis/common.lua` for what is
//! kept under which key. Redis' clock decides nothing: each row says when it is over, and its time to
//! live in Redis only clears away what has been over for long.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc, time::Duration};

use ::redis::{
    Client, FromRedisValue, RedisError, Script, ScriptInvocation, ToRedisArgs,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
    io::tcp::TcpSettings,
};
use sha2::{Digest, Sha256};

use super::{
    FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore, MaxLogins,
    StoreError, TokenFamily,
};

/// How long connecting may take, and how long an answer.
///
/// Raising it lets requests wait longer for a Redis that is down; lowering it takes one that is only
/// slow for one that is down.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may go without a sign from the other side before it is given up.
///
/// Raising it rides out longer breaks of the network; lowering it moves on sooner when the machine of
/// Redis has gone without a word, as in a failover.
#[cfg(target_os = "linux")]
const GIVE_UP: Duration = Duration::from_secs(5);

/// For how many seconds Redis keeps what is over.
///
/// Raising it allows for clocks that differ more; lowering it saves memory.
const SLACK: i64 = 24 * 60 * 60;

/// The longest time to live in seconds, about what Redis can add to its clock.
const MAX_TTL: i64 = 3_000_000_000;

/// How many rows one script deletes at most, and how many keys one `SCAN` looks at.
///
/// Raising it makes deleting many quicker; everybody else waits while a script runs.
const BATCH: u32 = 256;

/// Keeps logins in Redis, or in what speaks its protocol and runs its scripts, such as Valkey.
///
/// For any number of nodes, and the quickest that outlives a restart of the application. All keys
/// start with a prefix, so the application can use the same Redis for its sessions. Each method is
/// one round trip, but for ending everything and purging. Needs Redis 5 or later, and not a cluster.
///
/// Connecting and each answer may take a second. A Redis that is away fails requests with 503, soon,
/// and they go through again once it is back.
///
/// ```no_run
/// use login_runtime::RedisLoginStore;
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
/// Keys are hashes and the seeds of remember tokens need the application's key, so a copy of the data
/// logs nobody in. It does say who was logged in from where, and who can write to it can write
/// themselves a login.
///
/// A log out is as durable as Redis makes it. A Redis that restarts from an older snapshot, or fails
/// over to a replica that lags, brings back logins that had ended; use an append-only file, or no
/// persistence at all, which ends all logins instead. Prefer the eviction policy `noeviction`: others
/// may end logins, though they do not bring any back.
#[derive(Clone)]
pub struct RedisLoginStore {
    connection: ConnectionManager,
    prefix: String,
    scripts: Arc<Scripts>,
}

struct Scripts {
    insert: Script,
    find: Script,
    touch: Script,
    make_stale: Script,
    end: Script,
    end_of: Script,
    end_family: Script,
    list: Script,
    insert_family: Script,
    update_family_if: Script,
    purge: Script,
    revoke: Script,
}

/// Whether a call may be sent again when it is not known if Redis got it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It changes nothing, or nothing more, and answers the same.
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
        // Not the connection: its address has the password.
        f.debug_struct("RedisLoginStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisLoginStore {
    /// Connects to the Redis at an address such as `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    ///
    /// If the address cannot be read, or no Redis answers there.
    pub async fn new(url: &str) -> Result<Self, StoreError> {
        // Small requests of many at once should not wait for each other.
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(GIVE_UP);
        let config = ConnectionManagerConfig::new()
            .set_tcp_settings(tcp)
            .set_connection_timeout(TIMEOUT)
            .set_response_timeout(TIMEOUT)
            // The next request tries again; this one need not wait for more attempts.
            .set_number_of_retries(0);
        let client = Client::open(url)?;
        let connection = ConnectionManager::new_with_config(client, config).await?;
        Ok(Self::from_connection(connection))
    }

    /// A store that uses this connection, with the time limits that it has.
    ///
    /// Without any, as [`ConnectionManager::new`] leaves it, a call waits for a Redis that is away
    /// until the deadline of the login manager.
    pub fn from_connection(connection: ConnectionManager) -> Self {
        let script = |code: &str| Script::new(&[include_str!("redis/common.lua"), code].join("\n"));
        Self {
            connection,
            prefix: "login".to_owned(),
            scripts: Arc::new(Scripts {
                insert: script(include_str!("redis/insert.lua")),
                find: Script::new(include_str!("redis/find.lua")),
                touch: script(include_str!("redis/touch.lua")),
                make_stale: script(include_str!("redis/make_stale.lua")),
                end: script(include_str!("redis/end.lua")),
                end_of: script(include_str!("redis/end_of.lua")),
                end_family: script(include_str!("redis/end_family.lua")),
                list: script(include_str!("redis/list.lua")),
                insert_family: script(include_str!("redis/insert_family.lua")),
                update_family_if: script(include_str!("redis/update_family_if.lua")),
                purge: script(include_str!("redis/purge.lua")),
                revoke: script(include_str!("redis/revoke.lua")),
            }),
        }
    }

    /// What all keys start with, before a colon; `login` unless told otherwise.
    ///
    /// Applications that share a Redis need one each. Changing it ends all logins.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Runs a script, whose first argument is the prefix.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        again: Again,
        args: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, StoreError> {
        let mut call = script.prepare_invoke();
        call.arg(&self.prefix);
        args(&mut call);
        let mut connection = self.connection.clone();
        let answer = match call.invoke_async(&mut connection).await {
            Err(error) if may_repeat(&error, again) => call.invoke_async(&mut connection).await,
            answer => answer,
        };
        Ok(answer?)
    }

    async fn find_row(
        &self,
        kind: &str,
        id: String,
    ) -> Result<Option<HashMap<String, Vec<u8>>>, StoreError> {
        let find = &self.scripts.find;
        self.run(find, Again::Yes, |call| {
            call.arg(kind).arg(id);
        })
        .await
    }

    /// Ends everything of a kind that is there when it starts.
    async fn end_kind(&self, kind: &str, is_id: fn(&str) -> bool) -> Result<u64, StoreError> {
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
            // A longer prefix may go on the same way, and then with something else than an id.
            let ids = keys
                .iter()
                .filter_map(|key| str::from_utf8(key).ok()?.strip_prefix(&start));
            let ids: Vec<_> = ids.filter(|id| is_id(id)).collect();
            if !ids.is_empty() {
                ended += self
                    .run::<u64>(&self.scripts.end, Again::No, |call| {
                        call.arg(kind).arg(ids);
                    })
                    .await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(ended);
            }
        }
    }
}

/// Whether what failed so may be tried once more.
fn may_repeat(error: &RedisError, again: Again) -> bool {
    // So says the connection manager when it had no connection to send anything on. That is how the
    // first call fails after an outage, however long Redis has been back.
    let never_sent = error.to_string().starts_with("Reconnecting failed");
    never_sent || (again == Again::Yes && error.is_connection_dropped())
}

/// A text of which `MATCH` takes every character literally.
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

/// The name of what belongs to a user. A hash, so that it is short whatever the id is.
fn owner_name(owner: LoginOwner<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(owner.user_type);
    hash.update([0]);
    hash.update(owner.user_id);
    LoginKey::from_bytes(hash.finalize().into()).to_string()
}

/// How long Redis keeps a row: a little longer than it is good for.
fn ttl(expires_at: i64, now: i64) -> i64 {
    expires_at
        .saturating_sub(now)
        .saturating_add(SLACK)
        .clamp(1, MAX_TTL)
}

/// The same for a family. It is no earlier than the latest time in it, so that is too long rather than
/// too short.
fn family_ttl(family: &TokenFamily) -> i64 {
    ttl(family.expires_at, family.latest())
}

/// Adds a field and its value.
fn field(call: &mut ScriptInvocation<'_>, name: &str, value: impl ToRedisArgs) {
    call.arg(name).arg(value);
}

/// Adds a field and its value, or nothing.
fn optional(call: &mut ScriptInvocation<'_>, name: &str, value: Option<impl ToRedisArgs>) {
    if let Some(value) = value {
        field(call, name, value);
    }
}

fn family_fields(call: &mut ScriptInvocation<'_>, family: &TokenFamily) {
    field(call, "owner", owner_name(family.owner()));
    field(call, "user_type", &family.user_type);
    field(call, "user_id", &family.user_id);
    field(call, "version", family.version);
    field(call, "generation", family.generation);
    field(call, "rotated_at", family.rotated_at);
    optional(call, "seen_at", family.seen_at);
    optional(call, "restored_at", family.restored_at);
    field(call, "authenticated_at", family.authenticated_at);
    field(call, "expires_at", family.expires_at);
    field(call, "lifetime", family.lifetime);
    optional(call, "hash", family.hash.as_ref());
    field(call, "seed", family.seed.as_slice());
}

/// A row as Redis has it.
struct Row(HashMap<String, Vec<u8>>);

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
        let family = self.optional_text("family")?;
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
            family: match family {
                Some(text) => Some(FamilyKey::parse(&text).ok_or_else(|| malformed("family"))?),
                None => None,
            },
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

/// A field is missing or cannot be read: something else writes under the prefix.
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
        let owner = owner_name(record.owner());
        let family = record.family.map(|family| family.to_string());
        let (at_limit, limit) = match max {
            None => ("", 0),
            Some(MaxLogins::EndOldest(limit)) => ("end oldest", limit.max(1)),
            Some(MaxLogins::Refuse(limit)) => ("refuse", limit),
        };
        let ended: i64 = self
            .run(&self.scripts.insert, Again::Yes, |call| {
                call.arg(key.to_string())
                    .arg(&owner)
                    .arg(family.as_deref().unwrap_or_default())
                    .arg(now)
                    .arg(record.created_at)
                    .arg(record.last_seen)
                    .arg(record.expires_at)
                    .arg(ttl(record.expires_at, now))
                    .arg(at_limit)
                    .arg(limit);
                field(call, "owner", &owner);
                field(call, "user_type", &record.user_type);
                field(call, "user_id", &record.user_id);
                field(call, "created_at", record.created_at);
                field(call, "authenticated_at", record.authenticated_at);
                field(call, "last_seen", record.last_seen);
                field(call, "expires_at", record.expires_at);
                field(call, "fresh", u8::from(record.fresh));
                field(call, "allow_inactive", u8::from(record.allow_inactive));
                field(call, "method", &record.method);
                field(call, "client", record.client);
                field(call, "user_agent", &record.user_agent);
                field(call, "address", &record.address);
                optional(call, "hash", record.hash.as_ref());
                optional(call, "family", family.as_ref());
            })
            .await?;
        Ok(u64::try_from(ended).map_or(Inserted::Refused, |ended| Inserted::Done { ended }))
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let row = self.find_row("login", key.to_string()).await?;
        let record = row.map(|row| Row(row).login()).transpose()?;
        Ok(record.filter(|record| now < record.expires_at))
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        self.run(&self.scripts.touch, Again::Yes, |call| {
            call.arg(key.to_string()).arg(last_seen);
        })
        .await
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        self.run(&self.scripts.make_stale, Again::Yes, |call| {
            call.arg(key.to_string());
        })
        .await
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let ended: u64 = self
            .run(&self.scripts.end, Again::No, |call| {
                call.arg("login").arg(key.to_string());
            })
            .await?;
        Ok(ended > 0)
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        match which {
            LoginSelector::Of {
                owner,
                but,
                but_family,
            } => {
                self.run(&self.scripts.end_of, Again::No, |call| {
                    call.arg(owner_name(owner))
                        .arg(but.map(|key| key.to_string()).unwrap_or_default())
                        .arg(but_family.map(|key| key.to_string()).unwrap_or_default());
                })
                .await
            }
            LoginSelector::Family(key) => {
                self.run(&self.scripts.end_family, Again::No, |call| {
                    call.arg(key.to_string());
                })
                .await
            }
            LoginSelector::All => {
                // Too much for one script. Families first: a login that one of them still restores
                // in the meantime is there when logins are looked for.
                self.end_kind("family", |id| FamilyKey::parse(id).is_some())
                    .await?;
                self.end_kind("login", |id| LoginKey::parse(id).is_some())
                    .await
            }
        }
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let rows: Vec<(String, HashMap<String, Vec<u8>>)> = self
            .run(&self.scripts.list, Again::Yes, |call| {
                call.arg(owner_name(owner));
            })
            .await?;
        let mut logins = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let key = LoginKey::parse(&id).ok_or_else(|| malformed("id"))?;
            logins.push((key, Row(row).login()?));
        }
        logins.retain(|(_, record)| now < record.expires_at);
        logins.sort_unstable_by_key(|(key, record)| (std::cmp::Reverse(record.created_at), *key));
        Ok(logins)
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        self.run(&self.scripts.insert_family, Again::Yes, |call| {
            call.arg(key.to_string())
                .arg(owner_name(family.owner()))
                .arg(family.expires_at)
                .arg(family_ttl(family));
            family_fields(call, family);
        })
        .await
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        let row = self.find_row("family", key.to_string()).await?;
        let family = row.map(|row| Row(row).family()).transpose()?;
        Ok(family.filter(|family| now < family.expires_at))
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        self.run(&self.scripts.update_family_if, Again::No, |call| {
            call.arg(key.to_string())
                .arg(expected)
                .arg(family.expires_at)
                .arg(family_ttl(family));
            family_fields(call, family);
        })
        .await
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut left = limit;
        while left > 0 {
            let batch = left.min(BATCH);
            let purged: u32 = self
                .run(&self.scripts.purge, Again::No, |call| {
                    let idle_since = idle_since.map(|since| since.to_string());
                    call.arg(now).arg(idle_since.unwrap_or_default()).arg(batch);
                })
                .await?;
            left = left.saturating_sub(purged);
            if purged < batch {
                break;
            }
        }
        Ok(u64::from(limit - left))
    }

    async fn revoke_session(&self, session: LoginKey, until: i64) -> Result<(), StoreError> {
        self.run(&self.scripts.revoke, Again::Yes, |call| {
            call.arg(session.to_string()).arg(until);
        })
        .await
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let mut call = cmd("ZSCORE");
        call.arg(format!("{}:revoked", self.prefix))
            .arg(session.to_string());
        let until: Option<f64> = match call.query_async(&mut connection).await {
            Err(error) if may_repeat(&error, Again::Yes) => call.query_async(&mut connection).await,
            answer => answer,
        }?;
        // Scores are floating-point numbers, exact for some million years.
        Ok(until.is_some_and(|until| (now as f64) < until))
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
    fn a_row_lives_a_day_longer_than_it_is_good_and_not_for_ever() {
        assert_eq!(ttl(1_000, 900), 100 + SLACK);
        assert_eq!(ttl(1_000, 1_000 + 2 * SLACK), 1);
        assert_eq!(ttl(i64::MAX, i64::MIN), MAX_TTL);
    }
}
