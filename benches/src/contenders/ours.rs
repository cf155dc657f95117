//! login-runtime, with the settings that are compared.

use std::convert::Infallible;

use actix_service::ServiceFactory;
use actix_session::storage::SessionStore;
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get, web,
};
use login_runtime::{
    Auth, CookieSettings, CurrentUser, LoginManager, MaybeUser, MemoryLoginStore, Verified,
    config::LoginManagerBuilder, login_required, public,
};

use super::{
    contender::Contender,
    setup::{Setup, home, welcome},
};
use crate::users::{HashedUser, Row, User, Users};

#[login_required]
async fn account<U: Row>(user: CurrentUser<U>) -> String {
    format!("Hello, {}!", user.name())
}

#[login_required]
async fn thrice<U: Row>(
    user: CurrentUser<U>,
    again: MaybeUser<U>,
    auth: Auth<U>,
) -> Result<String, Error> {
    let third = auth.require_login().await?;
    assert!(again.is_authenticated() && third.get_id() == user.get_id());
    Ok(format!("Hello, {}!", user.name()))
}

/// The user who logs in, without a check of a password, as in the floor.
pub(super) fn verified<U: Row>(users: &Users) -> Verified<U> {
    Verified::trust(users.next(), "every user is Ada here")
}

async fn log_in<U: Row>(auth: Auth<U>, users: web::Data<Users>) -> Result<web::Redirect, Error> {
    auth.log_in(verified(&users)).await?;
    Ok(home())
}

async fn log_in_remembered<U: Row>(
    auth: Auth<U>,
    users: web::Data<Users>,
) -> Result<web::Redirect, Error> {
    auth.log_in(verified(&users)).remember(true).await?;
    Ok(home())
}

async fn log_out<U: Row>(auth: Auth<U>) -> Result<web::Redirect, Error> {
    auth.log_out().await?;
    Ok(home())
}

fn builder<U: Row>(users: &Users) -> LoginManagerBuilder {
    let users = users.clone();
    LoginManager::builder(move |id| {
        let users = users.clone();
        async move { Ok::<_, Infallible>(users.find::<U>(id).await) }
    })
    .login_view("/login")
}

pub(super) fn manager(contender: Contender, setup: &Setup) -> LoginManager {
    let builder = builder::<User>(&setup.users);
    let builder = match contender {
        Contender::OursDenying | Contender::OursDenyingFew => {
            builder.session_only().deny_by_default()
        }
        Contender::OursCookie => builder.session_only().login_cookie(CookieSettings::new()),
        Contender::OursCookieMemory => builder
            .login_cookie(CookieSettings::new())
            .login_store(MemoryLoginStore::new()),
        Contender::OursMemory => builder.login_store(MemoryLoginStore::new()),
        _ => builder.session_only(),
    };
    builder
        .build(setup.key.clone())
        .expect("these settings work")
}

pub(super) fn manager_of_hashed(setup: &Setup) -> LoginManager {
    builder::<HashedUser>(&setup.users)
        .session_only()
        .build(setup.key.clone())
        .expect("these settings work")
}

pub(super) fn app<U: Row, T: SessionStore + 'static>(
    setup: &Setup,
    login: LoginManager<T>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<U, T>>,
        Error = Error,
        InitError = (),
    > + use<U, T>,
> {
    App::new()
        .wrap(login)
        .app_data(web::Data::new(setup.users.clone()))
        .route("/", web::get().to(welcome))
        .route("/account", web::get().to(account::<U>))
        .route("/thrice", web::get().to(thrice::<U>))
        .route("/login", web::post().to(log_in::<U>))
        .route("/login/remember", web::post().to(log_in_remembered::<U>))
        .route("/logout", web::post().to(log_out::<U>))
}

/// The same pages as in [`app`], with a declaration on every route.
pub(super) fn denying_app<T: SessionStore + 'static>(
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
    #[login_required]
    #[get("/account")]
    async fn declared_account(user: CurrentUser<User>) -> String {
        format!("Hello, {}!", user.name())
    }

    #[login_required]
    #[get("/thrice")]
    async fn declared_thrice(
        user: CurrentUser<User>,
        again: MaybeUser<User>,
        auth: Auth<User>,
    ) -> Result<String, Error> {
        let third = auth.require_login().await?;
        assert!(again.is_authenticated() && third.id == user.id);
        Ok(format!("Hello, {}!", user.name()))
    }

    let remembered = web::post().to(log_in_remembered::<User>);
    App::new()
        .wrap(login)
        .app_data(web::Data::new(setup.users.clone()))
        .route("/", web::get().to(welcome).wrap(public()))
        .service((declared_account, declared_thrice))
        .route("/login", web::post().to(log_in::<User>).wrap(public()))
        .route("/login/remember", remembered.wrap(public()))
        .route("/logout", web::post().to(log_out::<User>).wrap(public()))
}
