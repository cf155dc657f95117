//! Starts the application of a contender, in this thread or as a server.

use actix_web::test::init_service;

#[cfg(feature = "peers")]
use super::{axum::TowerClient, identity};
use super::{
    bare,
    client::{ActixClient, AnyClient},
    contender::Contender,
    floor, ours, readme, sessions,
    setup::Setup,
};
#[cfg(feature = "stores")]
use super::{floor_postgres, stores};
use crate::users::{HashedUser, ReadmeUser, User, UuidUser};

/// Evaluates `$then` with `$app`, a function that makes the application of a contender on actix-web.
macro_rules! with_app {
    ($contender:expr, $setup:expr, $app:ident => $then:expr) => {{
        let setup: &Setup = $setup;
        match $contender {
            Contender::Bare => {
                let setup = setup.clone();
                let $app = move || bare::app(&setup);
                $then
            }
            Contender::Floor | Contender::FloorFew => {
                let setup = setup.clone();
                let store = sessions::in_cookies;
                let $app = move || floor::app(&setup, store());
                $then
            }
            Contender::FloorMemory => {
                let (setup, store) = (setup.clone(), sessions::Memory::default());
                let $app = move || floor::app(&setup, store.clone());
                $then
            }
            #[cfg(feature = "stores")]
            Contender::FloorRedis => {
                let (setup, store) = (setup.clone(), sessions::redis(setup.store()).await);
                let $app = move || floor::app(&setup, store.clone());
                $then
            }
            #[cfg(feature = "stores")]
            Contender::FloorPostgres => {
                let (setup, pool) = (setup.clone(), floor_postgres::pool(setup).await);
                let $app = move || floor_postgres::app(&setup, pool.clone());
                $then
            }
            Contender::Readme | Contender::ReadmeFew => {
                let (setup, login) = (setup.clone(), readme::manager::<ReadmeUser>(setup));
                let $app = move || readme::app(&setup, login.clone());
                $then
            }
            Contender::ReadmeUuid => {
                let (setup, login) = (setup.clone(), readme::manager::<UuidUser>(setup));
                let $app = move || readme::uuid_app(&setup, login.clone());
                $then
            }
            Contender::ReadmeCookie => {
                let (setup, login) = (setup.clone(), readme::manager_with_cookie(setup));
                let $app = move || readme::app(&setup, login.clone());
                $then
            }
            Contender::Ours
            | Contender::OursCookie
            | Contender::OursCookieMemory
            | Contender::OursMemory => {
                let (setup, login) = (setup.clone(), ours::manager($contender, setup));
                let $app = move || ours::app::<User, _>(&setup, login.clone());
                $then
            }
            Contender::OursDenying | Contender::OursDenyingFew => {
                let (setup, login) = (setup.clone(), ours::manager($contender, setup));
                let $app = move || ours::denying_app(&setup, login.clone());
                $then
            }
            Contender::OursHashed => {
                let (setup, login) = (setup.clone(), ours::manager_of_hashed(setup));
                let $app = move || ours::app::<HashedUser, _>(&setup, login.clone());
                $then
            }
            #[cfg(feature = "stores")]
            Contender::ReadmeSqlite
            | Contender::ReadmeSqliteCookie
            | Contender::ReadmePostgres
            | Contender::ReadmePostgresCookie
            | Contender::ReadmeRedis
            | Contender::ReadmeRedisCookie
            | Contender::ReadmeCachedSqlite
            | Contender::ReadmeCachedPostgres
            | Contender::ReadmeCachedRedis => {
                let (setup, login) = (setup.clone(), stores::manager($contender, setup).await);
                let $app = move || readme::app(&setup, login.clone());
                $then
            }
            #[cfg(feature = "stores")]
            Contender::ReadmeAllRedis => {
                let (setup, login) = (setup.clone(), stores::manager_with_sessions(setup).await);
                let $app = move || readme::app(&setup, login.clone());
                $then
            }
            #[cfg(feature = "peers")]
            Contender::Identity => {
                let setup = setup.clone();
                let $app = move || identity::app(&setup);
                $then
            }
            other => panic!("{other:?} does not run on actix-web, or its feature is off"),
        }
    }};
}

/// Starts a contender in this thread, without a network.
pub async fn start(contender: Contender, setup: &Setup) -> Box<dyn AnyClient> {
    #[cfg(feature = "peers")]
    if contender == Contender::Axum {
        return Box::new(TowerClient::new(setup));
    }
    with_app!(contender, setup, app => Box::new(ActixClient(init_service(app()).await)))
}

/// Serves a contender until the process ends.
pub async fn serve(
    contender: Contender,
    setup: &Setup,
    workers: usize,
    listener: std::net::TcpListener,
) -> std::io::Result<()> {
    with_app!(contender, setup, app => {
        actix_web::HttpServer::new(app).workers(workers).listen(listener)?.run().await
    })
}
