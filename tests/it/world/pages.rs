//! The pages of the application. Those that write can be held up between loading and writing, at the
//! gate `write`; those that read, at the gate `read`.

use std::time::UNIX_EPOCH;

use actix_session::Session;
use actix_web::{
    Error, HttpResponse, Responder,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorUnauthorized,
    get,
    middleware::{Next, from_fn},
    post, routes,
    web::{Data, Path, Query, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser, Keep, LoginError, LoginKey, Logins, MaybeUser, StoreError, Verified,
    fresh_login_required, login_required,
};
use login_tests::{User, Users};
use serde::Deserialize;

use super::Gates;

pub(super) fn all(routes: &mut ServiceConfig) {
    routes
        .service(me)
        .service(read)
        .service(late_me)
        .service(write)
        .service(clear)
        .service(renew)
        .service(purge)
        .service(account)
        .service(vault)
        .service(log_in)
        .service(log_out)
        .service(confirm)
        .service(list)
        .service(end)
        .service(end_others)
        .service(change)
        .service(end_all_of)
        .service(
            actix_web::web::resource("/poll")
                .wrap(login_runtime::login_required().user::<User>().passive())
                .get(poll),
        )
        .service(
            actix_web::web::resource("/thrown-out")
                .wrap(from_fn(throw_out))
                .get(poll),
        );
}

/// A middleware of the application that logs out and answers with an error.
async fn throw_out(
    mut request: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let auth = request.extract::<Auth<User>>().await?;
    auth.log_out().await?;
    Err(ErrorUnauthorized("thrown out"))
}

/// Who is logged in.
#[get("/me")]
async fn me(user: MaybeUser<User>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

/// Who is logged in; asked at once, and answered later.
#[get("/read")]
async fn read(user: MaybeUser<User>, session: Session, gates: Data<Gates>) -> String {
    let _ = session.get::<String>("note");
    gates.pass("read").await;
    user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

/// Who is logged in; asked later than the session was loaded.
#[get("/late-me")]
async fn late_me(auth: Auth<User>, gates: Data<Gates>) -> Result<String, LoginError> {
    gates.pass("read").await;
    let user = auth.current_user().await?;
    Ok(user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone()))
}

#[derive(Deserialize)]
struct Note {
    #[serde(default)]
    note: String,
}

/// Writes into the session.
#[routes]
#[get("/write")]
#[post("/write")]
async fn write(session: Session, note: Query<Note>, gates: Data<Gates>) -> impl Responder {
    gates.pass("write").await;
    session.insert("note", &note.note).unwrap();
    HttpResponse::Ok().body("written")
}

/// Empties the session.
#[post("/clear")]
async fn clear(session: Session, gates: Data<Gates>) -> impl Responder {
    gates.pass("write").await;
    session.clear();
    session.insert("note", "cleared").unwrap();
    HttpResponse::Ok().body("cleared")
}

/// Gives the session another id.
#[post("/renew")]
async fn renew(session: Session, gates: Data<Gates>) -> impl Responder {
    gates.pass("write").await;
    session.renew();
    HttpResponse::Ok().body("renewed")
}

/// Ends the session.
#[post("/purge")]
async fn purge(session: Session, gates: Data<Gates>) -> impl Responder {
    gates.pass("write").await;
    session.purge();
    HttpResponse::Ok().body("purged")
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> String {
    user.name.clone()
}

#[fresh_login_required]
#[get("/vault")]
async fn vault(user: CurrentUser<User>) -> String {
    user.name.clone()
}

/// A page that asks again and again.
async fn poll() -> &'static str {
    "polled"
}

#[derive(Deserialize)]
struct LogIn {
    #[serde(default)]
    remember: bool,
    /// For how many seconds, if not as configured.
    remember_for: Option<u64>,
}

#[post("/login/{id}")]
async fn log_in(
    auth: Auth<User>,
    id: Path<i64>,
    how: Query<LogIn>,
    session: Session,
    users: Data<Users>,
    gates: Data<Gates>,
) -> Result<impl Responder, LoginError> {
    let user = users.get(*id).unwrap();
    gates.pass("write").await;
    let mut log_in = auth.log_in(Verified::trust(user, "form"));
    if let Some(seconds) = how.remember_for {
        log_in = log_in.remember_for(std::time::Duration::from_secs(seconds));
    } else if how.remember {
        log_in = log_in.remember(true);
    }
    let user = log_in.await?;
    let _ = session.get::<String>("note");
    Ok(user.name.clone())
}

/// Leaves a note for the next page, if there is one.
#[post("/logout")]
async fn log_out(
    auth: Auth<User>,
    note: Query<Note>,
    session: Session,
    gates: Data<Gates>,
) -> Result<impl Responder, LoginError> {
    gates.pass("write").await;
    auth.log_out().await?;
    if !note.note.is_empty() {
        session.insert("note", &note.note).unwrap();
    }
    Ok("out")
}

/// Takes the user's credentials again.
#[post("/confirm/{id}")]
async fn confirm(
    auth: Auth<User>,
    id: Path<i64>,
    users: Data<Users>,
    gates: Data<Gates>,
) -> Result<impl Responder, LoginError> {
    // Looked at early, as a form that shows who it is for does.
    auth.current_user().await?;
    gates.pass("write").await;
    let user = users.get(*id).unwrap();
    let user = auth
        .confirm_login(Verified::trust(user, "confirmed"))
        .await?;
    Ok(user.name.clone())
}

/// One line per login: key, method, client, address, when it was made and last seen, and marks.
#[login_required]
#[get("/logins")]
async fn list(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    let seconds = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let lines: Vec<_> = auth
        .logins()
        .await?
        .into_iter()
        .map(|login| {
            format!(
                "{} {} {} {} {} {}{}{}",
                login.key,
                login.method,
                login.user_agent,
                login.address,
                seconds(login.created_at),
                seconds(login.last_seen),
                if login.is_current { " current" } else { "" },
                if login.is_remembered {
                    " remembered"
                } else {
                    ""
                },
            )
        })
        .collect();
    Ok(lines.join("\n"))
}

#[login_required]
#[post("/end/{key}")]
async fn end(auth: Auth<User>, key: Path<String>) -> Result<impl Responder, LoginError> {
    let key = LoginKey::parse(&key).unwrap();
    Ok(auth.end_login(key).await?.to_string())
}

#[login_required]
#[post("/end-others")]
async fn end_others(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    Ok(auth.end_other_logins().await?.to_string())
}

/// Gives the user another password, and so another session hash.
#[login_required]
#[post("/change/{keep}")]
async fn change(
    auth: Auth<User>,
    user: CurrentUser<User>,
    keep: Path<String>,
    users: Data<Users>,
    gates: Data<Gates>,
) -> Result<impl Responder, LoginError> {
    gates.pass("write").await;
    users.change(user.id, |user| user.hash.push('+'));
    let user = users.get(user.id).unwrap();
    let keep = match keep.as_str() {
        "current" => Keep::Current,
        "none" => Keep::None,
        other => panic!("{other}"),
    };
    Ok(auth.credentials_changed(user, keep).await?.to_string())
}

/// What an administrator does.
#[post("/end-all-of/{id}")]
async fn end_all_of(
    id: Path<i64>,
    logins: Data<Option<Logins>>,
) -> Result<impl Responder, StoreError> {
    let logins = logins.as_ref().as_ref().unwrap();
    Ok(logins.end_all_of::<User>(&id).await?.to_string())
}
