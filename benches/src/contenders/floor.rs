//! The floor: an application without a login layer, with actix-session and a check in the handler.

use actix_service::ServiceFactory;
use actix_session::{Session, SessionMiddleware, storage::SessionStore};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    http::header::LOCATION,
    post, web,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::setup::{Setup, home, welcome};
use crate::users::{User, Users};

const QUERY_VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'&')
    .add(b'=')
    .add(b'?')
    .add(b'#')
    .add(b'%')
    .add(b'+');

pub(super) fn to_login(request: &HttpRequest) -> HttpResponse {
    let here = request
        .uri()
        .path_and_query()
        .map_or("/", |here| here.as_str());
    let location = format!("/login?next={}", utf8_percent_encode(here, QUERY_VALUE));
    HttpResponse::SeeOther()
        .insert_header((LOCATION, location))
        .finish()
}

async fn user(session: &Session, users: &Users) -> Result<Option<User>, Error> {
    match session.get("user_id")? {
        Some(id) => Ok(users.find(id).await.filter(|user: &User| user.is_active)),
        None => Ok(None),
    }
}

#[get("/account")]
async fn account(
    request: HttpRequest,
    session: Session,
    users: web::Data<Users>,
) -> Result<HttpResponse, Error> {
    let Some(user) = user(&session, &users).await? else {
        return Ok(to_login(&request));
    };
    Ok(HttpResponse::Ok().body(format!("Hello, {}!", user.name)))
}

#[post("/login")]
async fn log_in(session: Session, users: web::Data<Users>) -> Result<impl Responder, Error> {
    let user: User = users.next();
    session.renew();
    session.insert("user_id", user.id)?;
    Ok(home())
}

#[post("/logout")]
async fn log_out(session: Session) -> impl Responder {
    session.purge();
    home()
}

pub(super) fn app<T: SessionStore + 'static>(
    setup: &Setup,
    store: T,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<T>>,
        Error = Error,
        InitError = (),
    > + use<T>,
> {
    App::new()
        .wrap(SessionMiddleware::new(store, setup.key.clone()))
        .app_data(web::Data::new(setup.users.clone()))
        .route("/", web::get().to(welcome))
        .service((account, log_in, log_out))
}
