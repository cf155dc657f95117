//! The login layers, and how to ask them without a network.

#[cfg(feature = "peers")]
mod axum;
mod bare;
mod floor;
#[cfg(feature = "peers")]
mod identity;
mod ours;
mod sessions;

use std::any::Any;

use actix_http::Request;
use actix_service::Service;
use actix_web::{
    Error,
    body::{MessageBody, to_bytes},
    cookie::Key,
    dev::ServiceResponse,
    http::header::{LOCATION, SET_COOKIE},
    test::{TestRequest, init_service},
    web,
};
use futures_util::future::LocalBoxFuture;

#[cfg(feature = "peers")]
pub use self::axum::{TowerClient, serve as serve_axum};
use crate::{
    scenario::{Answer, Ask, COMMON, HEADERS, Scenario},
    users::{HashedUser, User, Users},
};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// actix-web without sessions and logins.
    Bare,
    /// actix-session with private cookies, and a check written by hand: the floor.
    Floor,
    /// The same with sessions in memory on the server.
    FloorMemory,
    /// The same with sessions in Redis.
    FloorRedis,
    /// Ours, on the session alone.
    Ours,
    /// And logins end when the password changes.
    OursHashed,
    /// And refuses by default, where every route says who may reach it.
    OursDenying,
    /// Ours, with logins in a cookie of their own.
    OursCookie,
    /// And records of them in memory.
    OursCookieMemory,
    /// And records of them in Redis.
    OursCookieRedis,
    /// Ours with login records in memory.
    OursMemory,
    OursSqlite,
    /// Records in Redis, sessions in their cookies.
    OursRedis,
    /// Records and sessions in Redis.
    OursAllRedis,
    Identity,
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

    /// Whether all of a request happens on one thread, so that its instructions can be counted.
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

/// What applications are made of.
#[derive(Clone)]
pub struct Set {
    pub users: Users,
    pub key: Key,
    /// Where Redis is, for those who need one.
    pub redis: Option<String>,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            users: Users::default(),
            // Fixed, so that two runs do the same.
            key: Key::from(&[7; 64]),
            redis: None,
        }
    }
}

impl Set {
    #[cfg(feature = "stores")]
    fn redis(&self) -> &str {
        self.redis.as_deref().expect("there is a Redis")
    }
}

/// Makes the application of a contender on actix-web, and does something with what makes it.
macro_rules! with_app {
    ($contender:expr, $set:expr, $app:ident => $then:expr) => {{
        let set: &$crate::contenders::Set = $set;
        match $contender {
            Contender::Bare => {
                let set = set.clone();
                let $app = move || bare::app(&set);
                $then
            }
            Contender::Floor => {
                let set = set.clone();
                let store = sessions::in_cookies;
                let $app = move || floor::app(&set, store());
                $then
            }
            Contender::FloorMemory => {
                let (set, store) = (set.clone(), sessions::Memory::default());
                let $app = move || floor::app(&set, store.clone());
                $then
            }
            #[cfg(feature = "stores")]
            Contender::FloorRedis => {
                let (set, store) = (set.clone(), sessions::redis(set.redis()).await);
                let $app = move || floor::app(&set, store.clone());
                $then
            }
            Contender::Ours
            | Contender::OursCookie
            | Contender::OursCookieMemory
            | Contender::OursCookieRedis
            | Contender::OursMemory
            | Contender::OursSqlite
            | Contender::OursRedis => {
                let (set, login) = (set.clone(), ours::manager($contender, set).await);
                let $app = move || ours::app::<User, _>(&set, login.clone());
                $then
            }
            Contender::OursDenying => {
                let (set, login) = (set.clone(), ours::manager($contender, set).await);
                let $app = move || ours::denying_app(&set, login.clone());
                $then
            }
            Contender::OursHashed => {
                let (set, login) = (set.clone(), ours::manager_of_hashed(set));
                let $app = move || ours::app::<HashedUser, _>(&set, login.clone());
                $then
            }
            #[cfg(feature = "stores")]
            Contender::OursAllRedis => {
                let (set, login) = (set.clone(), ours::manager_with_redis(set).await);
                let $app = move || ours::app::<User, _>(&set, login.clone());
                $then
            }
            #[cfg(feature = "peers")]
            Contender::Identity => {
                let set = set.clone();
                let $app = move || identity::app(&set);
                $then
            }
            other => panic!("{other:?} is not on actix-web, or left out"),
        }
    }};
}

/// An application that can be asked, in this thread.
pub trait Client {
    type Request: 'static;
    type Response;

    fn request(&self, ask: &Ask) -> Self::Request;
    fn call(&self, request: Self::Request) -> impl Future<Output = Self::Response>;
    fn read(response: Self::Response) -> impl Future<Output = Answer>;
}

/// A [`Client`] of any kind.
pub trait AnyClient {
    fn ask<'a>(&'a self, ask: &'a Ask) -> LocalBoxFuture<'a, Answer>;
    /// Makes requests, to be answered by [`answer`](Self::answer).
    fn requests(&self, asks: &[Ask]) -> Box<dyn Any>;
    fn answer(&self, requests: Box<dyn Any>) -> LocalBoxFuture<'_, ()>;
}

impl<C: Client> AnyClient for C {
    fn ask<'a>(&'a self, ask: &'a Ask) -> LocalBoxFuture<'a, Answer> {
        Box::pin(async { C::read(self.call(self.request(ask)).await).await })
    }

    fn requests(&self, asks: &[Ask]) -> Box<dyn Any> {
        let requests: Vec<_> = asks.iter().map(|ask| self.request(ask)).collect();
        Box::new(requests)
    }

    fn answer(&self, requests: Box<dyn Any>) -> LocalBoxFuture<'_, ()> {
        let requests: Box<Vec<C::Request>> = requests.downcast().expect("these are its own");
        Box::pin(async {
            for request in *requests {
                drop(self.call(request).await);
            }
        })
    }
}

struct ActixClient<S>(S);

impl<S, B> Client for ActixClient<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Request = Request;
    type Response = ServiceResponse<B>;

    fn request(&self, ask: &Ask) -> Request {
        let mut request = if ask.post {
            TestRequest::post()
        } else {
            TestRequest::get()
        };
        request = request
            .uri(ask.path)
            .peer_addr(([127, 0, 0, 1], 40_000).into());
        for header in HEADERS {
            request = request.insert_header(header);
        }
        if let Some(cookie) = &ask.cookie {
            request = request.insert_header(("cookie", &**cookie));
        }
        request.to_request()
    }

    async fn call(&self, request: Request) -> Self::Response {
        self.0.call(request).await.expect("an answer")
    }

    async fn read(response: Self::Response) -> Answer {
        let headers = response.headers();
        let text = |value: &actix_web::http::header::HeaderValue| {
            value.to_str().expect("a header is text").to_owned()
        };
        let (location, cookies) = (
            headers.get(LOCATION).map(text),
            headers.get_all(SET_COOKIE).map(text).collect(),
        );
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.ok().expect("a body");
        Answer {
            status,
            location,
            cookies,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// Starts a contender in this thread.
pub async fn start(contender: Contender, set: &Set) -> Box<dyn AnyClient> {
    #[cfg(feature = "peers")]
    if contender == Contender::Axum {
        return Box::new(TowerClient::new(set));
    }
    with_app!(contender, set, app => Box::new(ActixClient(init_service(app()).await)))
}

/// Serves a contender until the process ends.
pub async fn serve(
    contender: Contender,
    set: &Set,
    workers: usize,
    listener: std::net::TcpListener,
) -> std::io::Result<()> {
    with_app!(contender, set, app => {
        actix_web::HttpServer::new(app).workers(workers).listen(listener)?.run().await
    })
}

/// Has a contender log in whoever has to be, and makes the requests of a scenario.
///
/// # Panics
///
/// If the contender answers wrong.
pub async fn asks(client: &dyn AnyClient, scenario: Scenario, count: usize) -> Vec<Ask> {
    let mut asks = Vec::with_capacity(count);
    for _ in 0..count {
        // Each with a cookie of its own: how many characters of one are escaped is chance.
        asks.push(next_ask(client, scenario).await);
    }
    // One more than is measured, so that nothing is used up by looking.
    let ask = next_ask(client, scenario).await;
    let answer = client.ask(&ask).await;
    scenario
        .check(&answer)
        .unwrap_or_else(|wrong| panic!("{wrong}"));
    asks
}

async fn next_ask(client: &dyn AnyClient, scenario: Scenario) -> Ask {
    match scenario.log_in() {
        Some(log_in) => {
            let answer = client.ask(&log_in).await;
            Scenario::LogIn
                .check(&answer)
                .unwrap_or_else(|wrong| panic!("{wrong}"));
            scenario.ask(Some(&answer))
        }
        None => scenario.ask(None),
    }
}

/// The page that everybody sees.
async fn welcome() -> &'static str {
    crate::scenario::WELCOME
}

/// Where log in and log out lead.
fn home() -> web::Redirect {
    web::Redirect::to("/").see_other()
}
