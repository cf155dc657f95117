//! The list of what is compared, with the names that `results.json` and the tables use.

use crate::scenario::{COMMON, Scenario};

/// A login layer, or one of our own settings of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// actix-web without sessions and logins.
    Bare,
    /// The floor: actix-session with private cookies and a hand-written check.
    Floor,
    /// The floor with sessions in the memory of the server.
    FloorMemory,
    /// The floor with sessions in Redis.
    FloorRedis,
    /// Ours with the login in the session and no login records.
    Ours,
    /// Like `Ours`, and logins end when the password changes.
    OursHashed,
    /// Like `Ours`, with `deny_by_default` and a declaration on every route.
    OursDenying,
    /// Ours with the login in a cookie apart from the session.
    OursCookie,
    /// Like `OursCookie`, with login records in memory.
    OursCookieMemory,
    /// Like `OursCookie`, with login records in Redis.
    OursCookieRedis,
    /// Ours with login records in memory.
    OursMemory,
    /// Ours with login records in SQLite.
    OursSqlite,
    /// Ours with login records in Redis and sessions in cookies.
    OursRedis,
    /// Ours with login records and sessions in Redis.
    OursAllRedis,
    /// actix-identity, on actix-session with private cookies.
    Identity,
    /// axum-login, on tower-sessions in memory.
    Axum,
}

pub const ALL: [Contender; 16] = [
    Contender::Bare,
    Contender::Floor,
    Contender::FloorMemory,
    Contender::FloorRedis,
    Contender::Ours,
    Contender::OursHashed,
    Contender::OursDenying,
    Contender::OursCookie,
    Contender::OursCookieMemory,
    Contender::OursCookieRedis,
    Contender::OursMemory,
    Contender::OursSqlite,
    Contender::OursRedis,
    Contender::OursAllRedis,
    Contender::Identity,
    Contender::Axum,
];

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Floor => "floor",
            Self::FloorMemory => "floor_memory",
            Self::FloorRedis => "floor_redis",
            Self::Ours => "ours",
            Self::OursHashed => "ours_hashed",
            Self::OursDenying => "ours_denying",
            Self::OursCookie => "ours_cookie",
            Self::OursCookieMemory => "ours_cookie_memory",
            Self::OursCookieRedis => "ours_cookie_redis",
            Self::OursMemory => "ours_memory",
            Self::OursSqlite => "ours_sqlite",
            Self::OursRedis => "ours_redis",
            Self::OursAllRedis => "ours_all_redis",
            Self::Identity => "identity",
            Self::Axum => "axum",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Bare => "actix-web alone",
            Self::Floor => "floor: actix-session, private cookie, hand-written check",
            Self::FloorMemory => "floor, sessions in memory",
            Self::FloorRedis => "floor, sessions in Redis",
            Self::Ours => "ours, session only",
            Self::OursHashed => "ours, session only, with a session hash",
            Self::OursDenying => "ours, session only, deny by default",
            Self::OursCookie => "ours, login cookie",
            Self::OursCookieMemory => "ours, login cookie, records in memory",
            Self::OursCookieRedis => "ours, login cookie, records in Redis",
            Self::OursMemory => "ours, records in memory",
            Self::OursSqlite => "ours, records in SQLite",
            Self::OursRedis => "ours, records in Redis",
            Self::OursAllRedis => "ours, records and sessions in Redis",
            Self::Identity => "actix-identity",
            Self::Axum => "axum-login, sessions in memory",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|contender| contender.name() == name)
    }

    pub fn is_ours(self) -> bool {
        self.name().starts_with("ours")
    }

    pub fn scenarios(self) -> Vec<Scenario> {
        let more = if self.is_ours() {
            &[Scenario::Thrice, Scenario::Restored][..]
        } else {
            &[]
        };
        COMMON.iter().chain(more).copied().collect()
    }

    /// Whether a request runs on one thread only, so that its instructions can be counted.
    pub fn is_counted(self) -> bool {
        !matches!(
            self,
            Self::FloorRedis
                | Self::OursCookieRedis
                | Self::OursSqlite
                | Self::OursRedis
                | Self::OursAllRedis
        )
    }
}
