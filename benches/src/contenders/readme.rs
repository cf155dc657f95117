//! The program of `README.md`, with the pages of the other contenders.
//!
//! The manager and the declarations of the routes are those of that program. As in all contenders, no log
//! in checks a password, and the response to a log in and to a log out is a redirect.

use std::convert::Infallible;

use actix_service::ServiceFactory;
use actix_session::storage::SessionStore;
use actix_web::{
    App, Error, HttpResponse, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get, post, web,
};
use login_runtime::{
    Auth, CookieSettings, CurrentUser, LoginManager, MaybeUser, MemoryLoginStore,
    config::LoginManagerBuilder, login_required, public,
};

use super::{
    ours::verified,
    setup::{Setup, home, welcome},
};
use crate::users::{ReadmeUser, Row, Users, UuidUser};

pub(super) fn builder<U: Row>(users: &Users) -> LoginManagerBuilder {
    let users = users.clone();
    let find = move |id| {
        let users = users.clone();
        async move { Ok::<_, Infallible>(users.find::<U>(id).await) }
    };
    LoginManager::builder(find)
        .login_view("/login")
        .deny_by_default()
}

pub(super) fn manager<U: Row>(setup: &Setup) -> LoginManager {
    build(
        builder::<U>(&setup.users).login_store(MemoryLoginStore::new()),
        setup,
    )
}

pub(super) fn manager_with_cookie(setup: &Setup) -> LoginManager {
    let builder = builder::<ReadmeUser>(&setup.users).login_cookie(CookieSettings::new());
    build(builder.login_store(MemoryLoginStore::new()), setup)
}

pub(super) fn build(builder: LoginManagerBuilder, setup: &Setup) -> LoginManager {
    builder
        .build(setup.key.clone())
        .expect("these settings work")
}

/// Defines the application for a user type. Route attributes are for functions without type parameters.
macro_rules! program {
    ($name:ident, $User:ty) => {
        pub(super) fn $name<T: SessionStore + 'static>(
            setup: &Setup,
            login: LoginManager<T>,
        ) -> App<
            impl ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<impl MessageBody + use<T>>,
                Error = Error,
                InitError = (),
            > + use<T>,
        > {
            #[public]
            #[get("/")]
            async fn start() -> &'static str {
                welcome().await
            }

            #[login_required]
            #[get("/account")]
            async fn account(user: CurrentUser<$User>) -> impl Responder {
                format!("Hello, {}!", user.name)
            }

            #[login_required]
            #[get("/thrice")]
            async fn thrice(
                user: CurrentUser<$User>,
                again: MaybeUser<$User>,
                auth: Auth<$User>,
            ) -> Result<String, Error> {
                let third = auth.require_login().await?;
                assert!(again.is_authenticated() && third.id == user.id);
                Ok(format!("Hello, {}!", user.name))
            }

            #[public]
            #[get("/login")]
            async fn login_page() -> &'static str {
                welcome().await
            }

            #[public]
            #[post("/login")]
            async fn log_in(
                auth: Auth<$User>,
                users: web::Data<Users>,
            ) -> Result<HttpResponse, Error> {
                auth.log_in(verified(&users)).await?;
                Ok(auth.redirect_to_next_or("/"))
            }

            #[public]
            #[post("/login/remember")]
            async fn log_in_remembered(
                auth: Auth<$User>,
                users: web::Data<Users>,
            ) -> Result<HttpResponse, Error> {
                auth.log_in(verified(&users)).remember(true).await?;
                Ok(auth.redirect_to_next_or("/"))
            }

            #[public]
            #[post("/logout")]
            async fn log_out(auth: Auth<$User>) -> Result<impl Responder, Error> {
                auth.log_out().await?;
                Ok(home())
            }

            App::new()
                .wrap(login)
                .app_data(web::Data::new(setup.users.clone()))
                .service((
                    start,
                    account,
                    thrice,
                    login_page,
                    log_in,
                    log_in_remembered,
                    log_out,
                ))
        }
    };
}

program!(app, ReadmeUser);
program!(uuid_app, UuidUser);
