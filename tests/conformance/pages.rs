//! The routes of the contract.

use std::{collections::HashMap, time::Duration};

use actix_session::Session;
use actix_web::{
    Error, HttpRequest, HttpResponse, Responder,
    web::{self, Bytes, Data, Json, Path, Query, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser, LoginError, LoginScope, MaybeUser, Verified, fresh_login_required,
    login_required,
};
use serde_json::{Value, json};

use crate::{
    config::Config,
    manager::AnyView,
    world::{User, World, seed},
};

/// Where the application keeps messages. Its other keys start with `app.` too.
const FLASHES: &str = "app flashes";

pub(crate) fn configure(routes: &mut ServiceConfig, config: &Config) {
    let page =
        |path: &str, route: fn() -> actix_web::Route| web::resource(path.to_owned()).route(route());
    routes
        .service(page("/", || get(public)))
        .service(page("/whoami", || get(whoami)))
        .service(guarded("/protected", protected_top))
        .service(guarded("/protected/{rest:.*}", protected_top))
        .service(guarded("/fresh", fresh_top))
        .service(guarded("/both", both))
        .service(page("/async-protected", || get(async_protected)))
        .service(page("/manual-unauthorized", || get(manual_unauthorized)))
        .service(page("/manual-needs-refresh", || get(manual_needs_refresh)))
        .service(
            web::resource("/login")
                .name("login_page")
                .route(get(login_page))
                .route(web::post().to(log_in)),
        )
        .service(
            web::resource("/refresh")
                .name("refresh_page")
                .route(get(refresh_page)),
        )
        .service(page("/logout", || web::post().to(log_out)))
        .service(page("/switch", || web::post().to(switch)))
        .service(page("/confirm", || web::post().to(confirm)))
        .service(
            web::resource("/flash")
                .route(get(flashes))
                .route(web::post().to(add_flash)),
        )
        .service(
            web::resource("/session")
                .route(get(session_get))
                .route(web::post().to(session_set)),
        )
        .service(page("/session/clear", || web::post().to(session_clear)))
        .service(page("/slow", || web::post().to(slow)))
        .service(page("/health", || get(health)))
        .service(page("/events", || get(events)))
        .service(page("/admin/{action}", || web::post().to(admin)));
    for name in ["area", "zone"] {
        let mut settings = LoginScope::new();
        if let Some(Some(view)) = config.scope_login_views.get(name) {
            settings = settings
                .login_view(AnyView(view))
                .expect("the kit names views that are addresses");
        }
        let area = name == "area";
        routes.service(
            web::scope(&format!("/{name}"))
                .wrap(settings)
                .service(page("/whoami", || get(whoami)))
                .service(page("/login", || get(scope_login)))
                .service(if area {
                    guarded("/protected", protected_area)
                } else {
                    guarded("/protected", protected_zone)
                })
                .service(if area {
                    guarded("/protected/{rest:.*}", protected_area)
                } else {
                    guarded("/protected/{rest:.*}", protected_zone)
                })
                .service(if area {
                    guarded("/fresh", fresh_area)
                } else {
                    guarded("/fresh", fresh_zone)
                }),
        );
    }
}

/// A page that answers GET answers HEAD too.
fn get<F, A>(handler: F) -> actix_web::Route
where
    F: actix_web::Handler<A>,
    A: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    use actix_web::guard::{Any, Get, Head};
    web::route().guard(Any(Get()).or(Head())).to(handler)
}

/// A guarded page answers these methods, all by one handler.
fn guarded<F, A>(path: &str, handler: F) -> actix_web::Resource
where
    F: actix_web::Handler<A>,
    A: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    use actix_web::guard::{Any, Delete, Get, Head, Options, Post, Put};
    let methods = Any(Get())
        .or(Head())
        .or(Post())
        .or(Put())
        .or(Delete())
        .or(Options());
    web::resource(path.to_owned()).route(web::route().guard(methods).to(handler))
}

/// The fields of a request, from its form or its query.
struct Fields(HashMap<String, String>);

impl Fields {
    fn of(request: &HttpRequest, body: &Bytes) -> Self {
        let pairs = |text: &str| {
            Query::<Vec<(String, String)>>::from_query(text)
                .map(Query::into_inner)
                .unwrap_or_default()
        };
        let mut fields: HashMap<_, _> = pairs(request.query_string()).into_iter().collect();
        fields.extend(pairs(&String::from_utf8_lossy(body)));
        Self(fields)
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.0.get(name).map_or(default, |value| value == "1")
    }
}

async fn who(auth: &Auth<User>, config: &Config) -> Result<Value, Error> {
    let user = auth.current_user().await?;
    let known = user.user().or_else(|| user.inactive());
    let guest = config.custom_anonymous.then_some("Guest");
    Ok(json!({
        "authenticated": user.is_authenticated(),
        "active": known.is_some_and(|user| user.active),
        "anonymous": user.is_anonymous(),
        "id": known.map(|user| &user.id),
        "name": known.map(|user| user.name.as_str()).or(guest),
        "fresh": known.is_some_and(CurrentUser::is_fresh),
    }))
}

fn page(name: &str, user: &MaybeUser<User>) -> Json<Value> {
    let known = user.user().or_else(|| user.inactive());
    Json(json!({ "page": name, "id": known.map(|user| &user.id) }))
}

async fn public() -> impl Responder {
    Json(json!({ "page": "public" }))
}

async fn whoami(auth: Auth<User>, config: Data<Config>) -> Result<Json<Value>, Error> {
    let mut who = who(&auth, &config).await?;
    who["remembered"] = auth.is_remembered().into();
    Ok(Json(who))
}

#[login_required]
async fn protected_top(user: MaybeUser<User>) -> Json<Value> {
    page("protected", &user)
}

#[login_required]
async fn protected_area(user: MaybeUser<User>) -> Json<Value> {
    page("area-protected", &user)
}

#[login_required]
async fn protected_zone(user: MaybeUser<User>) -> Json<Value> {
    page("zone-protected", &user)
}

#[fresh_login_required]
async fn fresh_top(user: MaybeUser<User>) -> Json<Value> {
    page("fresh", &user)
}

#[fresh_login_required]
async fn fresh_area(user: MaybeUser<User>) -> Json<Value> {
    page("area-fresh", &user)
}

#[fresh_login_required]
async fn fresh_zone(user: MaybeUser<User>) -> Json<Value> {
    page("zone-fresh", &user)
}

#[login_required]
#[fresh_login_required]
async fn both(user: MaybeUser<User>) -> Json<Value> {
    page("both", &user)
}

#[login_required]
async fn async_protected(user: MaybeUser<User>) -> Json<Value> {
    tokio::task::yield_now().await;
    page("async-protected", &user)
}

async fn manual_unauthorized(auth: Auth<User>) -> HttpResponse {
    auth.unauthorized().await.into_response()
}

async fn manual_needs_refresh(auth: Auth<User>) -> HttpResponse {
    auth.needs_refresh().await.into_response()
}

async fn scope_login() -> impl Responder {
    Json(json!({ "page": "login" }))
}

async fn login_page(
    auth: Auth<User>,
    request: HttpRequest,
    config: Data<Config>,
) -> Result<Json<Value>, Error> {
    landing("login", auth, &request, &config).await
}

async fn refresh_page(
    auth: Auth<User>,
    request: HttpRequest,
    config: Data<Config>,
) -> Result<Json<Value>, Error> {
    landing("refresh", auth, &request, &config).await
}

async fn landing(
    name: &str,
    auth: Auth<User>,
    request: &HttpRequest,
    config: &Config,
) -> Result<Json<Value>, Error> {
    if Fields::of(request, &Bytes::new()).flag("touch", false) {
        who(&auth, config).await?;
    }
    let next = if config.use_session_for_next {
        auth.take_next()
    } else {
        None
    };
    Ok(Json(json!({ "page": name, "session_next": next })))
}

async fn log_in(
    auth: Auth<User>,
    request: HttpRequest,
    body: Bytes,
    world: Data<World>,
    config: Data<Config>,
) -> Result<HttpResponse, Error> {
    let fields = Fields::of(&request, &body);
    let Some(user) = world.find(fields.get("user")) else {
        return Ok(HttpResponse::NotFound().json(json!({ "error": "unknown user" })));
    };
    let ok = do_log_in(&auth, user, &fields).await?;
    if ok && fields.flag("go", false) {
        return Ok(auth.redirect_to_next_or("/"));
    }
    Ok(HttpResponse::Ok().json(json!({ "ok": ok, "who": who(&auth, &config).await? })))
}

async fn do_log_in(auth: &Auth<User>, user: User, fields: &Fields) -> Result<bool, Error> {
    let mut log_in = auth.log_in(Verified::trust(user, "conformance"));
    if fields.flag("remember", false) {
        log_in = match fields.get("duration").parse() {
            Ok(seconds) => log_in.remember_for(Duration::from_secs(seconds)),
            Err(_) => log_in.remember(true),
        };
    }
    if !fields.flag("fresh", true) {
        log_in = log_in.stale();
    }
    if fields.flag("force", false) {
        log_in = log_in.danger_even_if_inactive();
    }
    match log_in.await {
        Ok(_) => Ok(true),
        Err(LoginError::Inactive) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn log_out(
    auth: Auth<User>,
    session: Session,
    request: HttpRequest,
    body: Bytes,
    config: Data<Config>,
) -> Result<Json<Value>, Error> {
    auth.log_out().await?;
    if Fields::of(&request, &body).flag("clear", false) {
        session.clear();
    }
    Ok(Json(
        json!({ "ok": true, "who": who(&auth, &config).await? }),
    ))
}

async fn switch(
    auth: Auth<User>,
    request: HttpRequest,
    body: Bytes,
    world: Data<World>,
    config: Data<Config>,
) -> Result<Json<Value>, Error> {
    let fields = Fields::of(&request, &body);
    let user = world
        .find(fields.get("user"))
        .expect("the kit switches to users who exist");
    auth.log_out().await?;
    let ok = do_log_in(&auth, user, &fields).await?;
    Ok(Json(json!({ "ok": ok, "who": who(&auth, &config).await? })))
}

async fn confirm(auth: Auth<User>, config: Data<Config>) -> Result<HttpResponse, Error> {
    // What a page would do that asks the current user for the password.
    let user = auth.current_user().await?;
    let Some(user) = user.user() else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    match auth
        .confirm_login(Verified::trust(User::clone(user), "conformance"))
        .await
    {
        Ok(_) => {
            Ok(HttpResponse::Ok().json(json!({ "ok": true, "who": who(&auth, &config).await? })))
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps a message in the session, for the next page.
pub(crate) fn flash(session: &Session, category: &str, text: &str) {
    let mut flashes: Vec<(String, String)> =
        session.get(FLASHES).ok().flatten().unwrap_or_default();
    flashes.push((category.to_owned(), text.to_owned()));
    session.insert(FLASHES, flashes).expect("texts can be kept");
}

async fn flashes(session: Session) -> Json<Value> {
    if !session.contains_key(FLASHES) {
        return Json(json!([]));
    }
    let flashes = session.remove_as::<Vec<(String, String)>>(FLASHES);
    Json(json!(flashes.and_then(Result::ok).unwrap_or_default()))
}

async fn add_flash(session: Session, request: HttpRequest, body: Bytes) -> Json<Value> {
    let fields = Fields::of(&request, &body);
    flash(&session, fields.get("category"), fields.get("message"));
    Json(json!({ "ok": true }))
}

async fn session_set(session: Session, request: HttpRequest, body: Bytes) -> Json<Value> {
    let fields = Fields::of(&request, &body);
    session
        .insert(format!("app.{}", fields.get("key")), fields.get("value"))
        .expect("texts can be kept");
    Json(json!({ "ok": true }))
}

async fn session_get(session: Session, request: HttpRequest) -> Json<Value> {
    let fields = Fields::of(&request, &Bytes::new());
    let value: Option<String> = session
        .get(&format!("app.{}", fields.get("key")))
        .ok()
        .flatten();
    Json(json!({ "value": value }))
}

async fn session_clear(session: Session) -> Json<Value> {
    session.clear();
    Json(json!({ "ok": true }))
}

async fn slow(
    auth: Auth<User>,
    session: Session,
    request: HttpRequest,
    body: Bytes,
    config: Data<Config>,
) -> Result<Json<Value>, Error> {
    let fields = Fields::of(&request, &body);
    if fields.flag("touch", false) {
        who(&auth, &config).await?;
    }
    let _ = session.get::<String>("app.slow");
    tokio::time::sleep(Duration::from_millis(fields.get("ms").parse().unwrap_or(0))).await;
    session
        .insert("app.slow", fields.get("value"))
        .expect("texts can be kept");
    Ok(Json(json!({ "ok": true })))
}

async fn health() -> impl Responder {
    Json(json!({ "ok": true }))
}

async fn events(world: Data<World>) -> Json<Value> {
    let mut state = world.lock();
    let events = std::mem::take(&mut state.events);
    let (user_loads, request_loads) = (state.user_loads, state.request_loads);
    (state.user_loads, state.request_loads) = (0, 0);
    Json(json!({ "events": events, "user_loads": user_loads, "request_loads": request_loads }))
}

async fn admin(
    action: Path<String>,
    world: Data<World>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let fields = Fields::of(&request, &body);
    let id = fields.get("user");
    match action.as_str() {
        "reset" => world.reset(),
        "rotate-key" => world.rotate_key(id),
        "delete-user" => {
            world.lock().users.remove(id);
        }
        "restore-user" => {
            if let Some(user) = seed().remove(id) {
                world.lock().users.insert(id.to_owned(), user);
            }
        }
        "set-active" => {
            if let Some(user) = world.lock().users.get_mut(id) {
                user.active = fields.flag("active", false);
            }
        }
        _ => return HttpResponse::NotFound().finish(),
    }
    HttpResponse::Ok().json(json!({ "ok": true }))
}
