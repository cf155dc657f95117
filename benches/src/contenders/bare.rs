//! actix-web without sessions and logins: the cost of the same responses without any check.

use actix_service::ServiceFactory;
use actix_web::{
    App, Error, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    cookie::Cookie,
    dev::{ServiceRequest, ServiceResponse},
    get, post, web,
};

use super::{
    floor::to_login,
    setup::{Setup, home, welcome},
};
use crate::users::{User, Users};

/// Answers like a protected page: a redirect if there is a query, else the greeting.
#[get("/account")]
async fn account(request: HttpRequest, users: web::Data<Users>) -> HttpResponse {
    if !request.query_string().is_empty() {
        return to_login(&request);
    }
    match users.find::<User>(1).await {
        Some(user) => HttpResponse::Ok().body(format!("Hello, {}!", user.name)),
        None => to_login(&request),
    }
}

#[post("/login")]
async fn log_in(users: web::Data<Users>) -> impl Responder {
    let cookie = Cookie::new("id", users.next::<User>().id.to_string());
    home()
        .customize()
        .insert_header(("set-cookie", cookie.to_string()))
}

#[post("/logout")]
async fn log_out() -> impl Responder {
    home()
        .customize()
        .insert_header(("set-cookie", Cookie::new("id", "").to_string()))
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
        .app_data(web::Data::new(setup.users.clone()))
        .route("/", web::get().to(welcome))
        .service((account, log_in, log_out))
}
