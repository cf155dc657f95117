//! The list of what is compared, with the names that `results.json` and the tables use.

use crate::scenario::{COMMON, Headers, Scenario};

/// A login layer, or one of our own settings of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// actix-web without sessions and logins.
    Bare,
    /// The floor: actix-session with private cookies and a hand-written check.
    Floor,
    /// The floor, asked by a client that sends three headers.
    FloorFew,
    /// The floor with sessions in the memory of the server.
    FloorMemory,
    /// The floor with sessions in Redis.
    FloorRedis,
    /// The floor with logins in a table of PostgreSQL: one prepared `SELECT` for each protected page.
    FloorPostgres,
    /// The program of `README.md`.
    Readme,
    /// The same, asked by a client that sends three headers.
    ReadmeFew,
    /// The program of `README.md`, with users that have a UUID.
    ReadmeUuid,
    /// The program of `README.md` with `login_cookie`.
    ReadmeCookie,
    /// The program of `README.md` with login records in SQLite.
    ReadmeSqlite,
    /// The same with `login_cookie`.
    ReadmeSqliteCookie,
    /// The program of `README.md` with login records in PostgreSQL.
    ReadmePostgres,
    /// The same with `login_cookie`.
    ReadmePostgresCookie,
    /// The program of `README.md` with login records in Redis, and sessions in cookies.
    ReadmeRedis,
    /// The same with `login_cookie`.
    ReadmeRedisCookie,
    /// The program of `README.md` with login records and sessions in Redis.
    ReadmeAllRedis,
    /// The program of `README.md` with `login_cookie`, and a cache over login records in SQLite.
    ReadmeCachedSqlite,
    /// The same over login records in PostgreSQL.
    ReadmeCachedPostgres,
    /// The same over login records in Redis.
    ReadmeCachedRedis,
    /// Ours with the login in the session and no login records.
    Ours,
    /// Like `Ours`, and logins end when the password changes.
    OursHashed,
    /// Like `Ours`, with `deny_by_default` and a declaration on every route.
    OursDenying,
    /// The same, asked by a client that sends three headers.
    OursDenyingFew,
    /// Ours with the login in a cookie apart from the session.
    OursCookie,
    /// Like `OursCookie`, with login records in memory.
    OursCookieMemory,
    /// Ours with login records in memory.
    OursMemory,
    /// actix-identity, on actix-session with private cookies.
    Identity,
    /// axum-login, on tower-sessions in memory.
    Axum,
}

/// In the order of the tables.
pub const ALL: [Contender; 29] = [
    Contender::Readme,
    Contender::ReadmeCookie,
    Contender::ReadmeUuid,
    Contender::ReadmeFew,
    Contender::Bare,
    Contender::Floor,
    Contender::FloorFew,
    Contender::FloorMemory,
    Contender::FloorRedis,
    Contender::FloorPostgres,
    Contender::ReadmeSqlite,
    Contender::ReadmeSqliteCookie,
    Contender::ReadmePostgres,
    Contender::ReadmePostgresCookie,
    Contender::ReadmeRedis,
    Contender::ReadmeRedisCookie,
    Contender::ReadmeAllRedis,
    Contender::ReadmeCachedSqlite,
    Contender::ReadmeCachedPostgres,
    Contender::ReadmeCachedRedis,
    Contender::Ours,
    Contender::OursHashed,
    Contender::OursDenying,
    Contender::OursDenyingFew,
    Contender::OursCookie,
    Contender::OursCookieMemory,
    Contender::OursMemory,
    Contender::Identity,
    Contender::Axum,
];

/// Where records are, outside of the memory of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a file, which the process itself reads.
    Sqlite,
    Postgres,
    Redis,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Floor => "floor",
            Self::FloorFew => "floor_few",
            Self::FloorMemory => "floor_memory",
            Self::FloorRedis => "floor_redis",
            Self::FloorPostgres => "floor_postgres",
            Self::ReadmeSqlite => "readme_sqlite",
            Self::ReadmeSqliteCookie => "readme_sqlite_cookie",
            Self::ReadmePostgres => "readme_postgres",
            Self::ReadmePostgresCookie => "readme_postgres_cookie",
            Self::ReadmeRedis => "readme_redis",
            Self::ReadmeRedisCookie => "readme_redis_cookie",
            Self::ReadmeAllRedis => "readme_all_redis",
            Self::ReadmeCachedSqlite => "readme_cached_sqlite",
            Self::ReadmeCachedPostgres => "readme_cached_postgres",
            Self::ReadmeCachedRedis => "readme_cached_redis",
            Self::Readme => "readme",
            Self::ReadmeFew => "readme_few",
            Self::ReadmeUuid => "readme_uuid",
            Self::ReadmeCookie => "readme_cookie",
            Self::Ours => "ours",
            Self::OursHashed => "ours_hashed",
            Self::OursDenying => "ours_denying",
            Self::OursDenyingFew => "ours_denying_few",
            Self::OursCookie => "ours_cookie",
            Self::OursCookieMemory => "ours_cookie_memory",
            Self::OursMemory => "ours_memory",
            Self::Identity => "identity",
            Self::Axum => "axum",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Bare => "actix-web alone",
            Self::Floor => "floor: actix-session, private cookie, hand-written check",
            Self::FloorFew => "floor, asked with three headers",
            Self::FloorMemory => "floor, sessions in memory",
            Self::FloorRedis => "floor, sessions in Redis",
            Self::FloorPostgres => "floor, one prepared `SELECT` in PostgreSQL",
            Self::ReadmeSqlite => "README's program, records in SQLite",
            Self::ReadmeSqliteCookie => "README's program, login cookie, records in SQLite",
            Self::ReadmePostgres => "README's program, records in PostgreSQL",
            Self::ReadmePostgresCookie => "README's program, login cookie, records in PostgreSQL",
            Self::ReadmeRedis => "README's program, records in Redis",
            Self::ReadmeRedisCookie => "README's program, login cookie, records in Redis",
            Self::ReadmeAllRedis => "README's program, records and sessions in Redis",
            Self::ReadmeCachedSqlite => {
                "README's program, login cookie, records in SQLite, cached for 1 s"
            }
            Self::ReadmeCachedPostgres => {
                "README's program, login cookie, records in PostgreSQL, cached for 1 s"
            }
            Self::ReadmeCachedRedis => {
                "README's program, login cookie, records in Redis, cached for 1 s"
            }
            Self::Readme => {
                "**README's program**: records in memory, deny by default, password hash"
            }
            Self::ReadmeFew => "README's program, asked with three headers",
            Self::ReadmeUuid => "README's program, UUIDs as ids",
            Self::ReadmeCookie => "**README's program with a login cookie**",
            Self::Ours => "ours, session only",
            Self::OursHashed => "ours, session only, with a session hash",
            Self::OursDenying => "ours, session only, deny by default",
            Self::OursDenyingFew => "ours, session only, deny by default, asked with three headers",
            Self::OursCookie => "ours, login cookie",
            Self::OursCookieMemory => "ours, login cookie, records in memory",
            Self::OursMemory => "ours, records in memory",
            Self::Identity => "actix-identity",
            Self::Axum => "axum-login, sessions in memory",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|contender| contender.name() == name)
    }

    pub fn is_ours(self) -> bool {
        let name = self.name();
        name.starts_with("ours") || name.starts_with("readme")
    }

    /// The headers of the requests that are measured.
    pub fn headers(self) -> Headers {
        match self {
            Self::FloorFew | Self::ReadmeFew | Self::OursDenyingFew => Headers::Few,
            _ => Headers::Browser,
        }
    }

    /// The floor that is asked with the same headers.
    pub fn floor(self) -> Self {
        match self.headers() {
            Headers::Few => Self::FloorFew,
            Headers::Browser => Self::Floor,
        }
    }

    pub fn scenarios(self) -> Vec<Scenario> {
        let more = if self.has_modes() {
            &[Scenario::Thrice, Scenario::Restored][..]
        } else {
            &[]
        };
        COMMON.iter().chain(more).copied().collect()
    }

    /// Whether the scenarios that only ours can have are measured, too.
    pub fn has_modes(self) -> bool {
        matches!(self, Self::Readme | Self::ReadmeCookie | Self::Ours)
            || matches!(
                self,
                Self::OursCookie | Self::OursCookieMemory | Self::OursMemory
            )
    }

    /// The store that requests wait for; `None` if all is in the memory of this process.
    pub fn store(self) -> Option<Store> {
        match self {
            Self::ReadmeSqlite | Self::ReadmeSqliteCookie | Self::ReadmeCachedSqlite => {
                Some(Store::Sqlite)
            }
            Self::FloorPostgres
            | Self::ReadmePostgres
            | Self::ReadmePostgresCookie
            | Self::ReadmeCachedPostgres => Some(Store::Postgres),
            Self::FloorRedis
            | Self::ReadmeRedis
            | Self::ReadmeRedisCookie
            | Self::ReadmeAllRedis
            | Self::ReadmeCachedRedis => Some(Store::Redis),
            _ => None,
        }
    }

    /// Whether a request runs on one thread only, so that its instructions can be counted.
    pub fn is_counted(self) -> bool {
        self.store().is_none()
    }
}
