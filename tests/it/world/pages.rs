//! The pages of the application.
//!
//! A request to a page that changes something can be stopped before the change, at the gate `write`. A
//! request to a page that shows something slowly can be stopped at the gate `read`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_session::Session;
use actix_web::{
    Error, HttpResponse, Responder, Scope,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::{ErrorInternalServerError, ErrorNotFound, ErrorUnauthorized},
    middleware::{Next, from_fn},
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser, LoginError, MaybeUser, Verified, fresh_login_required, login_required,
    logins::{Keep, Logins},
    store::LoginKey,
    test::Browser,
};
use login_tests::{Admin, User, Users};
use serde::{Deserialize, Serialize};

use super::{App, Gates};

/// The pages, for a test that adds its own.
pub(crate) fn pages(routes: &mut ServiceConfig, users: Users) {
    gated_pages(routes, users, Gates::default());
}

/// The pages, with the gates that the test closes.
pub(crate) fn gated_pages(routes: &mut ServiceConfig, users: Users, gates: Gates) {
    let passive = login_required().user::<User>().passive();
    routes
        .app_data(Data::new(users))
        .app_data(Data::new(gates))
        .route("/", web::get().to(public))
        .route("/me", web::get().to(me))
        .route("/who", web::get().to(whoami))
        .route("/read", web::get().to(read))
        .route("/late-me", web::get().to(late_me))
        .route("/account", web::to(account))
        .route("/settings", web::to(settings))
        .route("/secrets", web::get().to(secrets))
        .service(web::resource("/poll").wrap(passive).get(poll))
        .route("/login/{id}", web::post().to(log_in))
        .route("/logout", web::post().to(log_out))
        .route("/confirm/{id}", web::post().to(confirm))
        .route("/next", web::get().to(take_next))
        .route("/unauthorized", web::get().to(unauthorized))
        .route("/needs-refresh", web::get().to(needs_refresh))
        .service(
            web::resource("/thrown-out")
                .wrap(from_fn(throw_out))
                .post(poll),
        )
        .route("/cart", web::get().to(cart))
        .route("/cart/{item}", web::post().to(fill_cart))
        .route("/refill/{item}", web::post().to(refill_cart))
        .route("/clear", web::post().to(clear))
        .route("/renew", web::post().to(renew))
        .route("/purge", web::post().to(purge))
        .route("/logins", web::get().to(list))
        .route("/end/{key}", web::post().to(end))
        .route("/end-others", web::post().to(end_others))
        .route("/change/{keep}", web::post().to(change))
        .route("/end-all-of/{id}", web::post().to(end_all_of));
}

/// The pages of admins, below `/admin`, for an application with the other pages.
pub(crate) fn admin_pages() -> Scope {
    web::scope("/admin")
        .route("/page", web::get().to(admin_page))
        .route("/settings", web::get().to(admin_settings))
        .route("/login/{login}", web::post().to(admin_log_in))
        .route("/logout", web::post().to(admin_log_out))
}

async fn public() -> impl Responder {
    "public"
}

/// The user's name, or `nobody`.
async fn me(user: MaybeUser<User>) -> String {
    name(&user)
}

/// Like `/me`, but the answer takes its time.
async fn read(user: MaybeUser<User>, session: Session, gates: Data<Gates>) -> String {
    let _ = session.get::<String>("cart");
    gates.pass("read").await;
    name(&user)
}

/// Like `/me`, but the user is loaded some time after the session.
async fn late_me(auth: Auth<User>, gates: Data<Gates>) -> Result<String, LoginError> {
    gates.pass("read").await;
    Ok(name(&auth.current_user().await?))
}

fn name(user: &MaybeUser<User>) -> String {
    user.user()
        .map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

/// The name of a browser's user, or `nobody`.
pub(crate) async fn name_of<S: App>(browser: &Browser<'_, S>) -> String {
    let answer = browser.get("/me").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.text()
}

/// All that a page knows about the user of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) id: Option<i64>,
    /// Whether guards let the user through.
    pub(crate) authenticated: bool,
    pub(crate) fresh: bool,
    pub(crate) source: Option<String>,
    /// When credentials were given.
    pub(crate) at: Option<i64>,
    /// Whether the request has a valid remember cookie.
    pub(crate) remembered: bool,
}

impl Who {
    pub(crate) fn of(user: &MaybeUser<User>, auth: &Auth<User>) -> Self {
        let known = user.user().or_else(|| user.inactive());
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self {
            id: known.map(|user| user.id),
            authenticated: user.is_authenticated(),
            fresh: known.is_some_and(CurrentUser::is_fresh),
            source: known.map(|user| format!("{:?}", CurrentUser::source(user))),
            at: known
                .and_then(CurrentUser::authenticated_at)
                .map(|at| seconds(at).try_into().unwrap()),
            remembered: auth.is_remembered(),
        }
    }
}

async fn whoami(user: MaybeUser<User>, auth: Auth<User>) -> Json<Who> {
    Json(Who::of(&user, &auth))
}

/// All that a page knows about a browser's user.
pub(crate) async fn who<S: App>(browser: &Browser<'_, S>) -> Who {
    let answer = browser.get("/who").await;
    answer
        .json()
        .unwrap_or_else(|| panic!("{} {}", answer.status(), answer.text()))
}

#[login_required]
async fn account(user: CurrentUser<User>) -> String {
    format!("account of {}", user.name)
}

#[fresh_login_required]
async fn settings(user: CurrentUser<User>) -> String {
    format!("settings of {}", user.name)
}

#[login_required(fresh)]
async fn secrets(user: CurrentUser<User>) -> String {
    format!("secrets of {}", user.name)
}

/// The status of a browser's request for a page that needs a login.
pub(crate) async fn account_status<S: App>(browser: &Browser<'_, S>) -> u16 {
    browser.get("/account").await.status()
}

/// Like [`account_status`], with a second attempt if the answer to the first one is 503.
pub(crate) async fn account_status_with_retry<S: App>(browser: &Browser<'_, S>) -> u16 {
    match account_status(browser).await {
        503 => account_status(browser).await,
        status => status,
    }
}

async fn poll() -> &'static str {
    "polled"
}

/// How to log in.
#[derive(Deserialize)]
pub(crate) struct How {
    #[serde(default)]
    remember: bool,
    #[serde(rename = "for")]
    remember_for: Option<u64>,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    allow_inactive: bool,
}

/// Logs a user in as a request asks.
pub(crate) async fn do_log_in(auth: &Auth<User>, user: User, how: &How) -> Result<(), LoginError> {
    let mut log_in = auth
        .log_in(Verified::trust(user, "form"))
        .remember(how.remember);
    if let Some(seconds) = how.remember_for {
        log_in = log_in.remember_for(Duration::from_secs(seconds));
    }
    if how.stale {
        log_in = log_in.stale();
    }
    if how.allow_inactive {
        log_in = log_in.danger_even_if_inactive();
    }
    log_in.await.map(|_| ())
}

/// Redirects, with the user's name as the body.
async fn log_in(
    auth: Auth<User>,
    id: Path<i64>,
    how: Query<How>,
    session: Session,
    users: Data<Users>,
    gates: Data<Gates>,
) -> Result<HttpResponse, Error> {
    let user = user_with(*id, &users)?;
    gates.pass("write").await;
    let name = user.name.clone();
    do_log_in(&auth, user, &how).await?;
    let _ = session.get::<String>("cart");
    Ok(auth.redirect_to_next_or("/").set_body(BoxBody::new(name)))
}

fn user_with(id: i64, users: &Users) -> Result<User, Error> {
    users.get(id).ok_or_else(|| ErrorNotFound("no such user"))
}

#[derive(Deserialize)]
struct Leaving {
    /// Filled into the cart after the log-out.
    cart: Option<String>,
}

async fn log_out(
    auth: Auth<User>,
    leaving: Query<Leaving>,
    session: Session,
    gates: Data<Gates>,
) -> Result<impl Responder, Error> {
    gates.pass("write").await;
    auth.log_out().await?;
    if let Some(item) = &leaving.cart {
        session.insert("cart", item)?;
    }
    Ok(web::Redirect::to("/").see_other())
}

/// Takes the user's credentials again. Answers with the user's name.
async fn confirm(
    auth: Auth<User>,
    id: Path<i64>,
    users: Data<Users>,
    gates: Data<Gates>,
) -> Result<impl Responder, Error> {
    // Before the gate, as in a form that shows the user's name.
    auth.current_user().await?;
    gates.pass("write").await;
    let user = user_with(*id, &users)?;
    let user = auth
        .confirm_login(Verified::trust(user, "confirmed"))
        .await?;
    Ok(user.name.clone())
}

async fn take_next(auth: Auth<User>) -> Json<Option<String>> {
    Json(auth.take_next())
}

async fn unauthorized(auth: Auth<User>) -> HttpResponse {
    auth.unauthorized().await.into_response()
}

async fn needs_refresh(auth: Auth<User>) -> HttpResponse {
    auth.needs_refresh().await.into_response()
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

/// What the application keeps in the session.
async fn cart(session: Session) -> Result<Json<Option<String>>, Error> {
    Ok(Json(session.get("cart").map_err(ErrorInternalServerError)?))
}

/// What is in a browser's cart.
pub(crate) async fn cart_of<S: App>(browser: &Browser<'_, S>) -> Option<String> {
    browser.get("/cart").await.json().expect("a cart")
}

async fn fill_cart(
    session: Session,
    item: Path<String>,
    gates: Data<Gates>,
) -> Result<impl Responder, Error> {
    gates.pass("write").await;
    session.insert("cart", item.into_inner())?;
    Ok("filled")
}

/// Removes everything from the session, and then fills the cart.
async fn refill_cart(
    session: Session,
    item: Path<String>,
    gates: Data<Gates>,
) -> Result<impl Responder, Error> {
    gates.pass("write").await;
    session.clear();
    session.insert("cart", item.into_inner())?;
    Ok("filled")
}

/// Removes everything from the session.
async fn clear(session: Session) -> &'static str {
    session.clear();
    "cleared"
}

/// Gives the session another id.
async fn renew(session: Session, gates: Data<Gates>) -> &'static str {
    gates.pass("write").await;
    session.renew();
    "renewed"
}

/// Ends the session.
async fn purge(session: Session, gates: Data<Gates>) -> &'static str {
    gates.pass("write").await;
    session.purge();
    "purged"
}

/// One line per login: key, method, user agent, address, when it was made, when it was last seen, and
/// what marks it.
async fn list(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
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
async fn end(auth: Auth<User>, key: Path<LoginKey>) -> Result<impl Responder, Error> {
    let proof = auth.require_fresh_login().await?;
    Ok(auth.end_login(&proof, *key).await?.to_string())
}

#[login_required]
async fn end_others(auth: Auth<User>) -> Result<impl Responder, Error> {
    let proof = auth.require_fresh_login().await?;
    Ok(auth.end_other_logins(&proof).await?.to_string())
}

/// Changes the user's password, and so the session hash.
#[login_required]
async fn change(
    auth: Auth<User>,
    user: CurrentUser<User>,
    keep: Path<String>,
    users: Data<Users>,
    gates: Data<Gates>,
) -> Result<impl Responder, Error> {
    let proof = auth.require_fresh_login().await?;
    gates.pass("write").await;
    users.change(user.id, |user| user.hash.push('+'));
    let user = users.get(user.id).unwrap();
    let keep = match keep.as_str() {
        "current" => Keep::Current,
        "none" => Keep::None,
        other => panic!("{other} is not a way to keep logins"),
    };
    Ok(auth
        .credentials_changed(&proof, user, keep)
        .await?
        .to_string())
}

/// Ends all logins of a user, as an administrator does.
async fn end_all_of(
    id: Path<i64>,
    logins: Data<Option<Logins>>,
) -> Result<impl Responder, LoginError> {
    let logins = logins.as_ref().as_ref().unwrap();
    Ok(logins.end_all_of::<User>(&id).await?.to_string())
}

#[login_required(user = Admin)]
pub(crate) async fn admin_page(admin: CurrentUser<Admin>) -> String {
    format!("admin {}", admin.login)
}

#[fresh_login_required(user = Admin)]
async fn admin_settings(admin: CurrentUser<Admin>) -> String {
    format!("settings of admin {}", admin.login)
}

async fn admin_log_in(
    auth: Auth<Admin>,
    login: Path<String>,
    how: Query<How>,
    gates: Data<Gates>,
) -> Result<impl Responder, LoginError> {
    gates.pass("write").await;
    let admin = Verified::trust(Admin::new(&login), "form");
    auth.log_in(admin).remember(how.remember).await?;
    Ok("in")
}

async fn admin_log_out(auth: Auth<Admin>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    Ok("out")
}
