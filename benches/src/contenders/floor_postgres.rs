//! The floor for logins in PostgreSQL: actix-session with a private cookie, which has the random id of a
//! row, and a check in the handler, which looks the row up with one prepared `SELECT`.

use actix_service::ServiceFactory;
use actix_session::{Session, SessionMiddleware};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    cookie::Key,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorInternalServerError,
    get, post, web,
};
use sqlx::PgPool;

use super::{
    floor::to_login,
    sessions,
    setup::{Setup, home, welcome},
    stores,
};
use crate::users::{User, Users};

/// Later than any time in these benchmarks.
const EXPIRES_AT: i64 = i64::MAX;

async fn user(session: &Session, pool: &PgPool, users: &Users) -> Result<Option<User>, Error> {
    let Some(id) = session.get::<String>("login")? else {
        return Ok(None);
    };
    // The time of the database, so that the floor needs no clock.
    let select = "SELECT user_id FROM floor_logins \
        WHERE id = $1 AND expires_at > extract(epoch FROM now())::bigint";
    let found = sqlx::query_scalar::<_, i64>(select).bind(id);
    let found = found.fetch_optional(pool).await;
    match found.map_err(ErrorInternalServerError)? {
        Some(id) => Ok(users.find(id).await.filter(|user: &User| user.is_active)),
        None => Ok(None),
    }
}

#[get("/account")]
async fn account(
    request: HttpRequest,
    session: Session,
    pool: web::Data<PgPool>,
    users: web::Data<Users>,
) -> Result<HttpResponse, Error> {
    let Some(user) = user(&session, &pool, &users).await? else {
        return Ok(to_login(&request));
    };
    Ok(HttpResponse::Ok().body(format!("Hello, {}!", user.name)))
}

#[post("/login")]
async fn log_in(
    session: Session,
    pool: web::Data<PgPool>,
    users: web::Data<Users>,
) -> Result<impl Responder, Error> {
    let user: User = users.next();
    let random = Key::generate();
    let id: String = random.signing()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let insert = "INSERT INTO floor_logins (id, user_id, expires_at) VALUES ($1, $2, $3)";
    let inserted = sqlx::query(insert)
        .bind(&id)
        .bind(user.id)
        .bind(EXPIRES_AT)
        .execute(pool.get_ref())
        .await;
    inserted.map_err(ErrorInternalServerError)?;
    session.renew();
    session.insert("login", id)?;
    Ok(home())
}

#[post("/logout")]
async fn log_out(session: Session, pool: web::Data<PgPool>) -> Result<impl Responder, Error> {
    if let Some(id) = session.get::<String>("login")? {
        let delete = sqlx::query("DELETE FROM floor_logins WHERE id = $1").bind(id);
        let deleted = delete.execute(pool.get_ref()).await;
        deleted.map_err(ErrorInternalServerError)?;
    }
    session.purge();
    Ok(home())
}

pub(super) async fn pool(setup: &Setup) -> PgPool {
    let pool = stores::pool(setup).await;
    let table = "CREATE TABLE IF NOT EXISTS floor_logins \
        (id TEXT PRIMARY KEY, user_id BIGINT NOT NULL, expires_at BIGINT NOT NULL)";
    let made = sqlx::query(table).execute(&pool).await;
    made.expect("the table is made");
    pool
}

pub(super) fn app(
    setup: &Setup,
    pool: PgPool,
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
        .wrap(SessionMiddleware::new(
            sessions::in_cookies(),
            setup.key.clone(),
        ))
        .app_data(web::Data::new(setup.users.clone()))
        .app_data(web::Data::new(pool))
        .route("/", web::get().to(welcome))
        .service((account, log_in, log_out))
}
