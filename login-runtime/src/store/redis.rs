//! Logins in Redis.
//!
//! 1. Each call that must be atomic is one script, and Redis runs one script at a time.
//!    `redis/common.lua` lists the keys.
//! 2. The clock of Redis does not decide which rows are valid. Each row contains the time at which it
//!    expires; its time to live in Redis only deletes rows that expired long ago. A node whose clock is
//!    ahead deletes nothing that is valid by the clock of Redis.
//! 3. A call that may not have reached Redis is sent again, if sending it twice does no harm.
//! 4. A login is one [packed](packed) value, so a look-up returns one text. Redis decides in the same script
//!    whether the login is over: eviction may have taken what its end would have found it by.
//! 5. What the version before stored, a field for each part, is read and changed as it is.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use ::redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisWrite, ToRedisArgs, Value,
    aio::ConnectionManager, cmd,
};
use tokio::sync::Semaphore;

use self::{
    connection::{Connections, Failed},
    packed::Shown,
};

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        SessionCheck, TokenFamily, throttle::CounterKey,
    },
    error::StoreError,
    store::{login_store::LoginStore, throttle_store::AnyThrottleStore},
};

mod connection;
mod packed;

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

/// How many arguments a short call has, and how long they are. Longer calls need another allocation.
const ARGUMENTS: usize = 8;
const LENGTH: usize = 256;

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
/// Each worker of actix-web opens a connection of its own when it first needs one: each runtime of Tokio
/// does. Connecting may take at most one second, and each answer a little longer than that. While Redis is
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
/// # Updates
///
/// Logins that were stored field by field, by a version before packed records, are found, changed and ended
/// like all others. A process of such a version cannot read a packed login: while both versions run, it
/// answers its user with 503, and does not end the login. So start the new processes and stop the old ones soon
/// after.
///
/// # Security
///
/// Keys are hashes, or are only accepted inside an encrypted cookie, and the seeds of remember tokens are
/// useless without the application's key, so a copy of the data cannot be used to log in. It does show which
/// users were logged in, and from where. A person who can write to Redis can log in as any user.
///
/// A log out is only as durable as the data in Redis. If Redis restarts from an older snapshot, or fails
/// over to a replica that lags behind, logins that had ended are valid again. Use an append-only file,
/// or no persistence at all: then a restart ends all logins instead, and forgets all failed tries. Prefer the
/// eviction policy `noeviction`: other policies may end logins and forget tries, but never restore a login.
#[derive(Clone)]
pub struct RedisLoginStore {
    connections: Connections,
    prefix: String,
    /// Accounts that share one have their tries counted one after the other.
    lanes: Arc<[Semaphore; LANES]>,
}

static INSERT: LazyLock<Script> = LazyLock::new(|| script(include_str!("redis/insert.lua")));
static FIND_LOGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("redis/find_login.lua")));
static FIND_FAMILY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("redis/find_family.lua")));
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
    Script::new([include_str!("redis/common.lua"), code].join("\n"))
}

/// A script, and the name by which Redis knows it.
pub(crate) struct Script {
    code: String,
    hash: String,
}

impl Script {
    pub(crate) fn new(code: impl Into<String>) -> Self {
        let code = code.into();
        let hash = ::redis::Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }
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
        let connections = Connections::to(Client::open(url)?);
        let store = Self::over(connections);
        store.connections.open().await?;
        Ok(store)
    }

    /// A store that uses this connection with its time limits.
    ///
    /// If it has none, as [`ConnectionManager::new`] makes it, and Redis is down, a call waits until
    /// the deadline of the login manager. All workers share it, and its answers arrive on the runtime that
    /// made it, so [`new`](Self::new) is faster.
    pub fn from_connection(connection: ConnectionManager) -> Self {
        Self::over(Connections::Given(connection))
    }

    fn over(connections: Connections) -> Self {
        Self {
            connections,
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

    /// Sends a command, and once more if that does no harm and may help.
    async fn ask(&self, command: &Cmd, repeatable: Repeatable) -> Result<Value, Failed> {
        match self.connections.ask(command).await {
            Err(failed)
                if failed.was_never_sent()
                    || (repeatable == Repeatable::Yes && failed.was_dropped()) =>
            {
                self.connections.ask(command).await
            }
            answer => answer,
        }
    }

    /// Runs a script, whose first argument is the prefix.
    async fn answer_of(
        &self,
        script: &Script,
        repeatable: Repeatable,
        args: impl ToRedisArgs,
    ) -> Result<Value, Failed> {
        let mut call = Cmd::with_capacity(ARGUMENTS, LENGTH);
        call.arg("EVALSHA").arg(&script.hash).arg(0_u8);
        call.arg(&self.prefix).arg(args);
        let answer = self.ask(&call, repeatable).await;
        let is_unknown = |failed: &Failed| match failed {
            Failed::Sent(error) => error.kind() == ErrorKind::NoScriptError,
            _ => false,
        };
        if !answer.as_ref().is_err_and(is_unknown) {
            return answer;
        }
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(&script.code);
        self.ask(&load, Repeatable::Yes).await?;
        self.ask(&call, repeatable).await
    }

    /// Runs a script, whose first argument is the prefix.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        repeatable: Repeatable,
        args: impl ToRedisArgs,
    ) -> Result<T, StoreError> {
        let answer = self.answer_of(script, repeatable, args).await?;
        Ok(T::from_owned_redis_value(answer)?)
    }

    /// Finds a login, and whether a session is recorded as ended if the arguments contain one.
    async fn find_login(
        &self,
        args: impl ToRedisArgs,
        now: i64,
        shown: Shown,
    ) -> Result<SessionCheck, StoreError> {
        let answer = self.answer_of(&FIND_LOGIN, Repeatable::Yes, args);
        let record = match answer.await? {
            Value::Int(_) => return Ok(SessionCheck::Revoked),
            Value::Nil => None,
            answer => Some(read_login(answer, shown)?),
        };
        let record = record.filter(|record| now < record.expires_at);
        Ok(SessionCheck::ValidWithLogin(record))
    }

    /// Ends all logins, or all families, that exist when the call starts.
    async fn end_all(&self, kind: &str, is_id: fn(&str) -> bool) -> Result<u64, StoreError> {
        let start = format!("{}:{kind}:", self.prefix);
        let pattern = format!("{}*", escape(&start));
        let mut ended = 0;
        let mut cursor: u64 = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern);
            scan.arg("COUNT").arg(BATCH);
            let found = self.ask(&scan, Repeatable::Yes).await?;
            let (next, keys): (u64, Vec<Vec<u8>>) = FromRedisValue::from_owned_redis_value(found)?;
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

/// Digits of a key, as an argument of their own.
#[derive(Clone, Copy)]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> ToRedisArgs for Hex<N> {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        out.write_arg(&self.0);
    }
}

fn login_id(key: LoginKey) -> Hex<64> {
    Hex(key.digits())
}

fn family_id(key: FamilyKey) -> Hex<32> {
    Hex(key.digits())
}

/// An argument that may be an empty text.
fn or_empty<const N: usize>(id: Option<Hex<N>>) -> Vec<u8> {
    id.map(|Hex(digits)| digits.to_vec()).unwrap_or_default()
}

/// The name of a user in keys: a hash, so that its length does not depend on the id.
fn owner_name(owner: LoginOwner<'_>) -> Hex<64> {
    let name = [owner.user_type, "\0", owner.user_id].concat();
    login_id(LoginKey::of(name.as_bytes()))
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

/// A field and its value, or no arguments.
fn optional<T: ToRedisArgs>(name: &str, value: Option<T>) -> impl ToRedisArgs {
    value.map(|value| (name, value))
}

fn login_fields(record: &LoginRecord, owner: Hex<64>) -> impl ToRedisArgs + use<> {
    (
        ("owner", owner),
        ("last_seen", record.last_seen),
        ("expires_at", record.expires_at),
        optional("family", record.family.map(family_id)),
        optional("unseen_token", record.unseen_token),
        ("packed", packed::write(record, &owner.0)),
    )
}

fn family_fields(family: &TokenFamily, owner: Hex<64>) -> impl ToRedisArgs + use<'_> {
    (
        ("owner", owner),
        (
            ("user_type", &family.user_type),
            ("user_id", &family.user_id),
        ),
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

/// Reads a login that is packed, or that the version before stored.
fn read_login(stored: Value, shown: Shown) -> Result<LoginRecord, StoreError> {
    match stored {
        Value::BulkString(packed) => {
            packed::read(&packed, shown).ok_or_else(|| malformed("packed"))
        }
        fields => Row(Fields::from_owned_redis_value(fields)?).login(),
    }
}

/// The login that was found, where no session was asked about.
fn login_of(found: SessionCheck) -> Option<LoginRecord> {
    match found {
        SessionCheck::ValidWithLogin(record) => record,
        _ => None,
    }
}

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
        let family = or_empty(record.family.map(family_id));
        let owner = owner_name(record.owner());
        let (at_limit, limit) = match max {
            None => ("", 0),
            Some(MaxLogins::EndOldest(limit)) => ("end oldest", limit.max(1)),
            Some(MaxLogins::Refuse(limit)) => ("refuse", limit),
        };
        let args = (
            login_id(key),
            owner,
            family,
            now,
            record.created_at,
            record.last_seen,
            record.expires_at,
            ttl(record.expires_at, now),
            at_limit,
            limit,
            login_fields(record, owner),
        );
        let insert = self.run::<i64>(&INSERT, Repeatable::Yes, args);
        let ended = insert.await?;
        Ok(u64::try_from(ended).map_or(Inserted::Refused, |ended| Inserted::Done { ended }))
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let found = self.find_login(login_id(key), now, Shown::Yes);
        Ok(login_of(found.await?))
    }

    async fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        let found = self.find_login(login_id(key), now, Shown::No);
        Ok(login_of(found.await?))
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        let packed = packed::time(last_seen);
        let args = (login_id(key), last_seen, packed.as_slice());
        self.run(&TOUCH, Repeatable::Yes, args).await
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        self.run(&MAKE_STALE, Repeatable::Yes, login_id(key)).await
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let args = ("login", login_id(key));
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
                let but = or_empty(but.map(login_id));
                let but_family = or_empty(but_family.map(family_id));
                let args = (owner_name(owner), but, but_family);
                self.run(&END_OF, Repeatable::No, args).await
            }
            LoginSelector::Family(key) => {
                self.run(&END_FAMILY, Repeatable::No, family_id(key)).await
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
        let rows = self.run::<Vec<(String, Value)>>(&LIST, Repeatable::Yes, owner_name(owner));
        let rows = rows.await?.into_iter().map(|(id, row)| {
            let key = LoginKey::parse(&id).ok_or_else(|| malformed("id"))?;
            Ok((key, read_login(row, Shown::Yes)?))
        });
        let mut logins = rows.collect::<Result<Vec<_>, StoreError>>()?;
        logins.retain(|(_, record)| now < record.expires_at);
        logins.sort_unstable_by_key(|(key, record)| (Reverse(record.created_at), *key));
        Ok(logins)
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        let owner = owner_name(family.owner());
        let args = (
            family_id(key),
            owner,
            family.expires_at,
            family_ttl(family),
            family_fields(family, owner),
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
        let row = self.run::<Option<Fields>>(&FIND_FAMILY, Repeatable::Yes, family_id(key));
        let family = row.await?.map(|row| Row(row).family()).transpose()?;
        Ok(family.filter(|family| now < family.expires_at))
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        let owner = owner_name(family.owner());
        let args = (
            family_id(key),
            expected,
            family.expires_at,
            family_ttl(family),
            family_fields(family, owner),
        );
        self.run(&UPDATE_FAMILY_IF, Repeatable::No, args).await
    }

    async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
        let args = (login_id(login), now);
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
        let args = (
            login_id(session),
            owner_name(owner),
            until,
            max,
            REVOKED_TTL,
        );
        self.run(&REVOKE, Repeatable::Yes, args).await
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        let mut call = Cmd::with_capacity(ARGUMENTS, LENGTH);
        call.arg("ZSCORE").arg([&self.prefix, ":revoked"].concat());
        call.arg(login_id(session));
        let until = self.ask(&call, Repeatable::Yes).await?;
        let until: Option<f64> = FromRedisValue::from_owned_redis_value(until)?;
        // Scores are floating-point numbers, which are exact for millions of years.
        Ok(until.is_some_and(|until| (now as f64) < until))
    }

    async fn check_session(
        &self,
        session: LoginKey,
        login: LoginKey,
        now: i64,
    ) -> Result<SessionCheck, StoreError> {
        let args = (login_id(login), login_id(session), now);
        self.find_login(args, now, Shown::No).await
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
