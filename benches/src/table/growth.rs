//! How the cost grows with logins in a store, logins of a user, bytes in a session, guards and routes.

use std::{convert::Infallible, fs, io, time::Instant};

use actix_http::Request;
use actix_service::Service;
use actix_session::{Session, SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    App, Error, HttpResponse,
    cookie::Key,
    dev::ServiceResponse,
    rt::System,
    test::{TestRequest, init_service},
    web,
};
use login_benches::{
    scenario::{Headers, USER_AGENT},
    users::{ReadmeUser, User, Users},
};
use login_runtime::{
    Auth, CurrentUser, LoginManager, MemoryLoginStore, Verified, login_required, public,
};
use serde_json::{Value, json};

use crate::{
    many::{self, TIMES},
    plot::{self, Curve},
    processes::resident,
    quick::is_quick,
};

pub(crate) fn measure() -> io::Result<Value> {
    let routes_most = if is_quick() { 1000 } else { 10_000 };
    let sizes: Vec<_> = [10, 100, 1000, 10_000]
        .into_iter()
        .filter(|&size| size <= routes_most)
        .collect();
    // First, since memory that was freed before would hide memory that is kept.
    let paths = endless_paths();
    let routes_before = pages("routes before the page", &sizes, routes_before);
    let routes_after = pages("routes after the page", &sizes, routes_after);
    let contents = pages(
        "bytes in the session",
        &[0, 250, 500, 1000, 1500, 2000],
        contents,
    );
    let guards = pages("guards around a page", &[0, 1, 2, 4, 8], guards);
    let stores = many::measure()?;
    for (file, title, x, logarithmic, curves) in [
        (
            "logins",
            "finding a login, by logins in the store",
            "logins",
            true,
            &stores.find,
        ),
        (
            "logins_of_a_user",
            "a log in, by logins of the user",
            "logins of the user",
            true,
            &stores.log_in,
        ),
        (
            "contents",
            "a protected page, by the contents of the session",
            "bytes",
            false,
            &contents,
        ),
        (
            "guards",
            "a protected page, by guards around it",
            "guards",
            false,
            &guards,
        ),
        (
            "routes",
            "a protected page, by routes that actix-web tries before it",
            "routes",
            true,
            &routes_before,
        ),
        (
            "routes_after",
            "a protected page, by routes after it",
            "routes",
            true,
            &routes_after,
        ),
    ] {
        let directory = crate::results::output("curves");
        fs::create_dir_all(&directory)?;
        let drawing = plot::svg(title, x, "microseconds", logarithmic, curves);
        fs::write(directory.join(file).with_extension("svg"), drawing)?;
    }
    Ok(json!({
        "paths": paths,
        "stores": stores.table,
        "logins": curves(&stores.find),
        "logins_of_a_user": curves(&stores.log_in),
        "contents": curves(&contents),
        "guards": curves(&guards),
        "routes": curves(&routes_before),
        "routes_after": curves(&routes_after),
    }))
}

fn curves(curves: &[Curve]) -> Value {
    curves
        .iter()
        .map(|(name, points)| ((*name).to_owned(), json!(points)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Asks for a million different paths of a declared route with a parameter, and for as many without a
/// route. Returns the growth of memory after the first thousand, and the time per request in microseconds of
/// the first requests and of the last.
fn endless_paths() -> Value {
    eprintln!("measuring: endless paths");
    let paths: u64 = if is_quick() { 20_000 } else { 1_000_000 };
    // Few, since requests that wait take memory, too.
    const PART: u64 = 1000;
    /// How many parts are the first or last ones.
    const PARTS: usize = 10;
    System::new().block_on(async {
        let app = App::new().wrap(denying(Key::derive_from(&[7; 64]))).route(
            "/item/{number}",
            web::get()
                .to(async || HttpResponse::Ok().finish())
                .wrap(public()),
        );
        let app = init_service(app).await;
        let mut found = serde_json::Map::new();
        for (name, status) in [("item", 200), ("missing", 404)] {
            let mut before = 0.0;
            let mut times = Vec::new();
            for part in 0..=paths / PART {
                if part == 1 {
                    before = resident();
                }
                let numbers = part * PART..(part + 1) * PART;
                let requests: Vec<_> = numbers
                    .map(|number| request(&format!("/{name}/{number}"), None))
                    .collect();
                let started = Instant::now();
                for request in requests {
                    let answer = app.call(request).await.expect("an answer");
                    assert_eq!(answer.status(), status);
                }
                times.push(started.elapsed().as_secs_f64() * 1e6 / PART as f64);
            }
            let grown = (resident() - before) / (1024.0 * 1024.0);
            let fastest = |times: &[f64]| times.iter().copied().reduce(f64::min);
            let first = fastest(&times[1..=PARTS]);
            let last = fastest(&times[times.len() - PARTS..]);
            let of = json!({ "paths": paths, "mib": grown, "first_us": first, "last_us": last });
            found.insert(name.to_owned(), of);
        }
        Value::Object(found)
    })
}

/// A manager as in `README.md`.
fn denying(key: Key) -> LoginManager {
    let users = Users::default();
    let find = move |id| {
        let users = users.clone();
        async move { Ok::<_, Infallible>(users.find::<ReadmeUser>(id).await) }
    };
    LoginManager::builder(find)
        .login_store(MemoryLoginStore::new())
        .login_view("/login")
        .deny_by_default()
        .build(key)
        .expect("these settings work")
}

fn request(path: &str, cookie: Option<&str>) -> Request {
    let mut request = TestRequest::get().uri(path);
    for header in Headers::Browser.list(false) {
        request = request.insert_header(header);
    }
    if let Some(cookie) = cookie {
        request = request.insert_header(("cookie", cookie));
    }
    request.to_request()
}

/// Adds routes to an application, by a size and whether the application is ours.
type Add = fn(&mut web::ServiceConfig, usize, bool);

/// How long a protected page takes with the hand-written check and with ours, for each size.
fn pages(what: &str, sizes: &[usize], add: Add) -> Vec<Curve> {
    eprintln!("measuring: {what}");
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for &size in sizes {
        let key = Key::derive_from(&[7; 64]);
        let by_hand = App::new()
            .wrap(SessionMiddleware::new(
                CookieSessionStore::default(),
                key.clone(),
            ))
            .app_data(web::Data::new(Users::default()))
            .configure(|app| add(app, size, false));
        let login = denying(key);
        let with_ours = App::new()
            .wrap(login)
            .app_data(web::Data::new(Users::default()))
            .configure(|app| add(app, size, true));
        floor.push((
            size as f64,
            System::new().block_on(async { page(init_service(by_hand).await).await }),
        ));
        ours.push((
            size as f64,
            System::new().block_on(async { page(init_service(with_ours).await).await }),
        ));
    }
    vec![("floor", floor), ("README", ours)]
}

/// How long the page `/account` takes for a user who is logged in, in microseconds.
async fn page<B>(app: impl Service<Request, Response = ServiceResponse<B>, Error = Error>) -> f64 {
    const REQUESTS: usize = 1000;
    let log_in = TestRequest::post()
        .uri("/login")
        .insert_header(("sec-fetch-site", "same-origin"))
        .insert_header(("user-agent", USER_AGENT))
        .to_request();
    let answer = app.call(log_in).await.expect("an answer");
    let cookie = answer.response().cookies().next().expect("a session");
    let cookie = cookie.to_string();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    drop(answer);
    let mut fastest = f64::INFINITY;
    for _ in 0..TIMES {
        let requests: Vec<_> = (0..REQUESTS)
            .map(|_| request("/account", Some(&cookie)))
            .collect();
        let started = Instant::now();
        for request in requests {
            let answer = app.call(request).await.expect("an answer");
            assert_eq!(answer.status(), 200);
        }
        fastest = fastest.min(started.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64);
    }
    fastest
}

async fn by_hand(session: Session, users: web::Data<Users>) -> Result<HttpResponse, Error> {
    let user: Option<User> = match session.get("user_id")? {
        Some(id) => users.find(id).await,
        None => None,
    };
    Ok(match user {
        Some(user) => HttpResponse::Ok().body(format!("Hello, {}!", user.name)),
        None => HttpResponse::SeeOther().finish(),
    })
}

#[login_required]
async fn account(user: CurrentUser<ReadmeUser>) -> String {
    format!("Hello, {}!", user.name)
}

/// A log in that also puts this number of bytes into the session.
fn log_in(app: &mut web::ServiceConfig, bytes: usize, ours: bool) {
    let fill = move |session: &Session| {
        if bytes > 0 {
            session
                .insert("cart", "x".repeat(bytes))
                .expect("the session takes text");
        }
    };
    app.route(
        "/login",
        if ours {
            web::post().to(
                move |auth: Auth<ReadmeUser>,
                      users: web::Data<Users>,
                      session: Session| async move {
                    auth.log_in(Verified::trust(
                        users.next::<ReadmeUser>(),
                        "every user is Ada here",
                    ))
                    .await?;
                    fill(&session);
                    Ok::<_, Error>(HttpResponse::Ok().finish())
                },
            )
            .wrap(public())
        } else {
            web::post().to(move |session: Session| async move {
                session.insert("user_id", 1)?;
                fill(&session);
                Ok::<_, Error>(HttpResponse::Ok().finish())
            })
        },
    );
}

fn contents(app: &mut web::ServiceConfig, bytes: usize, ours: bool) {
    log_in(app, bytes, ours);
    routes_to_account(app, ours);
}

fn routes_to_account(app: &mut web::ServiceConfig, ours: bool) {
    app.route(
        "/account",
        if ours {
            web::get().to(account)
        } else {
            web::get().to(by_hand)
        },
    );
}

/// A protected page with guards around it. The hand-written check is one check in any case.
fn guards(app: &mut web::ServiceConfig, count: usize, ours: bool) {
    log_in(app, 0, ours);
    if !ours || count == 0 {
        return routes_to_account(app, ours);
    }
    let guard = login_runtime::login_required;
    let page = || web::resource("/account").route(web::get().to(account));
    match count {
        1 => app.service(page().wrap(guard())),
        2 => app.service(page().wrap(guard()).wrap(guard())),
        4 => app.service(
            page()
                .wrap(guard())
                .wrap(guard())
                .wrap(guard())
                .wrap(guard()),
        ),
        _ => {
            let page = page()
                .wrap(guard())
                .wrap(guard())
                .wrap(guard())
                .wrap(guard());
            app.service(page.wrap(guard()).wrap(guard()).wrap(guard()).wrap(guard()))
        }
    };
}

/// A protected page with this number of routes in all, which actix-web tries before it.
fn routes_before(app: &mut web::ServiceConfig, count: usize, ours: bool) {
    log_in(app, 0, ours);
    other_routes(app, count, ours);
    routes_to_account(app, ours);
}

/// The same with the page as the first route, so that the time of a request is not that of the router.
fn routes_after(app: &mut web::ServiceConfig, count: usize, ours: bool) {
    routes_to_account(app, ours);
    log_in(app, 0, ours);
    other_routes(app, count, ours);
}

fn other_routes(app: &mut web::ServiceConfig, count: usize, ours: bool) {
    for number in 1..count {
        let path = format!("/page/{number}");
        app.route(
            &path,
            if ours {
                web::get().to(account)
            } else {
                web::get().to(by_hand)
            },
        );
    }
}
