//! actix-identity, on actix-session with private cookies.

use actix_identity::{Identity, IdentityMiddleware};
use actix_service::ServiceFactory;
use actix_session::{SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    App, Error, HttpMessage, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorInternalServerError,
    get, post, web,
};

use super::{
    floor::to_login,
    setup::{Setup, home, welcome},
};
use crate::users::{User, Users};

#[get("/account")]
async fn account(
    request: HttpRequest,
    identity: Option<Identity>,
    users: web::Data<Users>,
) -> Result<HttpResponse, Error> {
    let id = match identity {
        Some(identity) => identity.id().ok().and_then(|id| id.parse().ok()),
        None => None,
    };
    let user = match id {
        Some(id) => users.find(id).await.filter(|user: &User| user.is_active),
        None => None,
    };
    Ok(match user {
        Some(user) => HttpResponse::Ok().body(format!("Hello, {}!", user.name)),
        None => to_login(&request),
    })
}

#[post("/login")]
async fn log_in(request: HttpRequest, users: web::Data<Users>) -> Result<impl Responder, Error> {
    let user: User = users.next();
    Identity::login(&request.extensions(), user.id.to_string())
        .map_err(ErrorInternalServerError)?;
    Ok(home())
}

#[post("/logout")]
async fn log_out(identity: Option<Identity>) -> impl Responder {
    if let Some(identity) = identity {
        identity.logout();
    }
    home()
}

pub(super) fn app(
    setup: &Setup,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .wrap(IdentityMiddleware::default())
        .wrap(SessionMiddleware::new(
            CookieSessionStore::default(),
            setup.key.clone(),
        ))
        .app_data(web::Data::new(setup.users.clone()))
        .route("/", web::get().to(welcome))
        .service((account, log_in, log_out))
}
