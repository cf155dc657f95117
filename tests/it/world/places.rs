//! The stores that tests run on: login stores, session stores, and their combinations.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

#[cfg(feature = "redis")]
use actix_session::storage::RedisSessionStore;
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use login_runtime::{MemoryLoginStore, store::LoginStore, throttle::AnyThrottleStore};
use login_tests::sessions::MemorySessions;

/// Where login records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginPlace {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "redis")]
    Redis,
}

impl LoginPlace {
    const ALL: &[Self] = &[
        Self::Memory,
        #[cfg(feature = "sqlite")]
        Self::Sqlite,
        #[cfg(feature = "postgres")]
        Self::Postgres,
        #[cfg(feature = "redis")]
        Self::Redis,
    ];

    /// Whether its server is installed. If not, the test is noted as skipped in part.
    fn is_here(self) -> bool {
        match self {
            Self::Memory => true,
            #[cfg(feature = "sqlite")]
            Self::Sqlite => true,
            #[cfg(feature = "postgres")]
            Self::Postgres => login_tests::services::has_postgres(),
            #[cfg(feature = "redis")]
            Self::Redis => login_tests::services::has_redis(),
        }
    }

    /// Those whose servers are installed.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|place| place.is_here())
    }

    pub(crate) async fn open(self) -> LoginsThere {
        match self {
            Self::Memory => LoginsThere::Memory(Box::default()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                let file = databases::File::new();
                let store = file.open().await;
                LoginsThere::Sqlite(store, file)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                let (store, schema) = databases::Schema::open().await;
                LoginsThere::Postgres(store, schema)
            }
            #[cfg(feature = "redis")]
            Self::Redis => {
                let url = login_tests::services::redis().unwrap().url();
                let prefix = login_tests::services::unique("logins");
                let store = login_runtime::store::RedisLoginStore::new(&url)
                    .await
                    .unwrap();
                LoginsThere::Redis(store.key_prefix(&*prefix), prefix)
            }
        }
    }
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionPlace {
    Cookie,
    Memory,
    #[cfg(feature = "redis")]
    Redis,
}

impl SessionPlace {
    const ALL: &[Self] = &[
        Self::Cookie,
        Self::Memory,
        #[cfg(feature = "redis")]
        Self::Redis,
    ];

    fn is_here(self) -> bool {
        match self {
            Self::Cookie | Self::Memory => true,
            #[cfg(feature = "redis")]
            Self::Redis => login_tests::services::has_redis(),
        }
    }
}

/// A combination of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) logins: LoginPlace,
    pub(crate) sessions: SessionPlace,
    /// Whether a login is kept in a login cookie; otherwise it is kept in the session.
    pub(crate) login_cookie: bool,
}

/// An open login store.
#[derive(Debug)]
pub(crate) enum LoginsThere {
    Memory(Box<MemoryLoginStore>),
    /// With its file.
    #[cfg(feature = "sqlite")]
    Sqlite(login_runtime::store::SqliteLoginStore, databases::File),
    /// With its tables.
    #[cfg(feature = "postgres")]
    Postgres(login_runtime::store::PostgresLoginStore, databases::Schema),
    /// With the prefix of its keys.
    #[cfg(feature = "redis")]
    Redis(login_runtime::store::RedisLoginStore, String),
}

impl LoginsThere {
    /// Where tries are counted by default.
    pub(crate) fn throttle_store(&self) -> Option<AnyThrottleStore> {
        match self {
            Self::Memory(store) => store.throttle_store(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => store.throttle_store(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store, _) => store.throttle_store(),
            #[cfg(feature = "redis")]
            Self::Redis(store, _) => store.throttle_store(),
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod databases {
    #[cfg(feature = "sqlite")]
    use std::{fs, path::PathBuf, time::Duration};

    #[cfg(feature = "sqlite")]
    use login_tests::services::unique;

    /// A SQLite database that is deleted after the test.
    #[cfg(feature = "sqlite")]
    #[derive(Debug)]
    pub(crate) struct File(PathBuf);

    #[cfg(feature = "sqlite")]
    impl File {
        pub(super) fn new() -> Self {
            let dir = std::env::temp_dir().join(unique("login_tests_world"));
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        pub(super) async fn open(&self) -> login_runtime::store::SqliteLoginStore {
            use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

            let database = SqliteConnectOptions::new()
                .filename(self.0.join("test.db"))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .busy_timeout(Duration::from_secs(30));
            let pool = SqlitePoolOptions::new().max_connections(4);
            let pool = pool.connect_with(database).await.unwrap();
            let store = login_runtime::store::SqliteLoginStore::new(pool);
            store.migrate().await.unwrap();
            store
        }

        /// Everything that is in it, and in what belongs to it.
        pub(crate) fn bytes(&self) -> Vec<u8> {
            let files = fs::read_dir(&self.0).unwrap();
            files
                .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
                .collect()
        }
    }

    #[cfg(feature = "sqlite")]
    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A schema of its own in a database that all worlds share: creating a database takes longer than
    /// most tests.
    #[cfg(feature = "postgres")]
    #[derive(Debug)]
    pub(crate) struct Schema {
        pub(crate) pool: sqlx::PgPool,
    }

    #[cfg(feature = "postgres")]
    impl Schema {
        pub(super) async fn open() -> (login_runtime::store::PostgresLoginStore, Self) {
            use std::sync::OnceLock;

            use sqlx::{
                Executor,
                postgres::{PgConnectOptions, PgPoolOptions},
            };

            static DATABASE: OnceLock<String> = OnceLock::new();
            let postgres = login_tests::services::postgres().unwrap();
            let url = DATABASE.get_or_init(|| postgres.database());
            let name = login_tests::services::unique("world");
            let there: PgConnectOptions = url.parse().unwrap();
            let there = there.options([("search_path", &name)]);
            let pool = PgPoolOptions::new().max_connections(8);
            let pool = pool.connect_with(there).await.unwrap();
            let create = format!("CREATE SCHEMA {name}");
            pool.execute(create.as_str()).await.unwrap();
            let store = login_runtime::store::PostgresLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            (store, Self { pool })
        }
    }
}

impl Place {
    /// Login records and sessions in memory.
    pub(crate) const MEMORY: Self = Self {
        logins: LoginPlace::Memory,
        sessions: SessionPlace::Memory,
        login_cookie: false,
    };

    /// Login records in memory, and sessions in cookies.
    pub(crate) const COOKIE: Self = Self {
        sessions: SessionPlace::Cookie,
        ..Self::MEMORY
    };

    /// Every combination of which the servers are installed.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for logins in LoginPlace::all() {
            for sessions in SessionPlace::ALL
                .iter()
                .copied()
                .filter(|place| place.is_here())
            {
                all.extend([false, true].map(|login_cookie| Self {
                    logins,
                    sessions,
                    login_cookie,
                }));
            }
        }
        all
    }

    pub(crate) fn has_cookie_sessions(&self) -> bool {
        self.sessions == SessionPlace::Cookie
    }

    pub(crate) async fn open(self) -> (LoginsThere, Option<ServerSessions>) {
        let logins = self.logins.open().await;
        let sessions = match self.sessions {
            SessionPlace::Cookie => None,
            SessionPlace::Memory => Some(SessionsThere::Memory(MemorySessions::new())),
            #[cfg(feature = "redis")]
            SessionPlace::Redis => {
                let url = login_tests::services::redis().unwrap().url();
                let prefix = login_tests::services::unique("sessions");
                let store = RedisSessionStore::builder(url)
                    .cache_keygen(move |key| format!("{prefix}:{key}"))
                    .build()
                    .await;
                Some(SessionsThere::Redis(store.unwrap()))
            }
        };
        (logins, sessions.map(ServerSessions::new))
    }
}

type State = HashMap<String, String>;

/// A call of a session store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionCall {
    Load,
    Save,
    Update,
    UpdateTtl,
    Delete,
}

type Hook = Arc<dyn Fn(SessionCall) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

/// Sessions on a server; clones share them.
#[derive(Clone)]
pub(crate) struct ServerSessions {
    sessions: SessionsThere,
    before: Arc<Mutex<Option<Hook>>>,
    /// The session states that were written.
    written: Arc<Mutex<Vec<State>>>,
}

#[derive(Clone)]
enum SessionsThere {
    Memory(MemorySessions),
    #[cfg(feature = "redis")]
    Redis(RedisSessionStore),
}

impl fmt::Debug for ServerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSessions").finish_non_exhaustive()
    }
}

impl ServerSessions {
    fn new(sessions: SessionsThere) -> Self {
        Self {
            sessions,
            before: Arc::default(),
            written: Arc::default(),
        }
    }

    /// Calls `hook` before each call from now on.
    pub(crate) fn before<F>(&self, hook: impl Fn(SessionCall) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        *self.before.lock().unwrap() = Some(Arc::new(move |call| Box::pin(hook(call))));
    }

    /// Takes the session states that were written since the last call.
    pub(crate) fn written(&self) -> Vec<State> {
        std::mem::take(&mut self.written.lock().unwrap())
    }

    async fn at(&self, call: SessionCall) {
        let hook = self.before.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(call).await;
        }
    }

    fn note(&self, state: &State) {
        self.written.lock().unwrap().push(state.clone());
    }
}

/// Calls a method of the store behind, of whatever type.
macro_rules! each {
    ($self:ident.$method:ident($($arg:expr),*)) => {
        match &$self.sessions {
            SessionsThere::Memory(sessions) => sessions.$method($($arg),*).await,
            #[cfg(feature = "redis")]
            SessionsThere::Redis(sessions) => sessions.$method($($arg),*).await,
        }
    };
}

impl SessionStore for ServerSessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        self.at(SessionCall::Load).await;
        each!(self.load(key))
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        self.at(SessionCall::Save).await;
        self.note(&state);
        each!(self.save(state, ttl))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.at(SessionCall::Update).await;
        self.note(&state);
        each!(self.update(key, state, ttl))
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        self.at(SessionCall::UpdateTtl).await;
        each!(self.update_ttl(key, ttl))
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.at(SessionCall::Delete).await;
        each!(self.delete(key))
    }
}
