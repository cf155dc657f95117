//! How the cost grows with logins in a store, bytes in a session, guards and routes.

use std::{
    convert::Infallible,
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

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
use futures_util::{StreamExt, stream};
use login_benches::{
    scenario::USER_AGENT,
    users::{User, Users},
};
use login_runtime::{
    CurrentUser, LoginManager, MemoryLoginStore, Verified, login_required,
    store::{LoginKey, LoginRecord, LoginStore, RedisLoginStore, SqliteLoginStore},
};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::{
    plot::{self, Curve},
    redis::Redis,
};

const NOW: i64 = 1_800_000_000;
/// How often each time is measured. The fastest counts, since other work only makes it slower.
const TIMES: usize = 15;

pub(crate) fn measure() -> io::Result<Value> {
    let (bytes, wait, total) = memory_store();
    let stores = System::new().block_on(stores())?;
    let contents = pages(
        "bytes in the session",
        &[0, 250, 500, 1000, 1500, 2000],
        contents,
    );
    let guards = pages("guards around a page", &[0, 1, 2, 4, 8], guards);
    let routes = pages("routes", &[1, 10, 100, 1000], routes);
    for (file, title, x, logarithmic, curves) in [
        (
            "logins",
            "finding a login, by logins in the store",
            "logins",
            true,
            &stores,
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
            "a protected page, by routes before it",
            "routes",
            true,
            &routes,
        ),
    ] {
        let directory = login_benches::counts::package_directory().join("curves");
        fs::create_dir_all(&directory)?;
        let drawing = plot::svg(title, x, "microseconds", logarithmic, curves);
        fs::write(directory.join(file).with_extension("svg"), drawing)?;
    }
    Ok(json!({
        "bytes_per_login": bytes,
        "purge_wait_ms": wait,
        "purge_ms": total,
        "logins": curves(&stores),
        "contents": curves(&contents),
        "guards": curves(&guards),
        "routes": curves(&routes),
    }))
}

fn curves(curves: &[Curve]) -> Value {
    curves
        .iter()
        .map(|(name, points)| ((*name).to_owned(), json!(points)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn key(number: u64) -> LoginKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    LoginKey::from_bytes(bytes)
}

fn record(number: u64, expires_at: i64) -> LoginRecord {
    LoginRecord {
        user_type: String::new(),
        user_id: number.to_string(),
        created_at: NOW,
        authenticated_at: NOW,
        last_seen: NOW,
        expires_at,
        fresh: true,
        allow_inactive: false,
        method: "password".to_owned(),
        client: number,
        user_agent: USER_AGENT.to_owned(),
        address: "203.0.113.77".to_owned(),
        hash: Some("AbCdEfGhIjKlMnOpQrStUv".to_owned()),
        family: None,
        unseen_token: None,
    }
}

/// The memory of this process, in bytes.
fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// The bytes per login of a million logins, and two times of a purge of all of them, in milliseconds:
/// the longest wait of another request, and the whole purge.
fn memory_store() -> (f64, f64, f64) {
    const LOGINS: u64 = 1_000_000;
    System::new().block_on(async {
        let store = Arc::new(MemoryLoginStore::new());
        let before = resident();
        for number in 0..LOGINS {
            let record = record(number, NOW + 60);
            let _ = store.insert(key(number), &record, None, NOW).await;
        }
        let bytes = (resident() - before) / LOGINS as f64;
        // Other requests look up logins in this thread and in another one.
        let done = Arc::new(AtomicBool::new(false));
        let there = std::thread::spawn({
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            move || System::new().block_on(longest_wait(&store, &done))
        });
        let here = actix_web::rt::spawn({
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            async move { longest_wait(&store, &done).await }
        });
        tokio::task::yield_now().await;
        let started = Instant::now();
        let purged = store.purge(NOW + 61, None, u32::MAX).await.unwrap_or(0);
        let total = started.elapsed();
        assert_eq!(purged, LOGINS, "all of them are expired");
        done.store(true, Ordering::Relaxed);
        let wait = here
            .await
            .unwrap_or_default()
            .max(there.join().unwrap_or_default());
        (bytes, wait.as_secs_f64() * 1e3, total.as_secs_f64() * 1e3)
    })
}

/// Looks up logins until `done`, and returns the longest time that one look-up took.
async fn longest_wait(store: &MemoryLoginStore, done: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    let mut number = 0;
    let mut before = Instant::now();
    while !done.load(Ordering::Relaxed) {
        number += 1;
        let _ = store.find(key(number), NOW).await;
        tokio::task::yield_now().await;
        longest = longest.max(before.elapsed());
        before = Instant::now();
    }
    longest
}

/// How long it takes to find a login, by the number of logins in the store.
async fn stores() -> io::Result<Vec<Curve>> {
    let redis = Redis::start()?;
    let file = std::env::temp_dir().join(format!("login_benches_growth_{}.db", std::process::id()));
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Only writes wait for the disk, and only reads are measured.
        .synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .map_err(io::Error::other)?;
    let sqlite = SqliteLoginStore::new(pool.clone());
    sqlite.migrate().await.map_err(io::Error::other)?;
    let in_redis = RedisLoginStore::new(&redis.url)
        .await
        .map_err(io::Error::other)?;
    let found = vec![
        ("memory", growing(&MemoryLoginStore::new(), 1).await),
        ("SQLite", growing(&sqlite, 1).await),
        ("Redis", growing(&in_redis, 64).await),
    ];
    pool.close().await;
    for end in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(end);
        let _ = fs::remove_file(name);
    }
    Ok(found)
}

/// Fills the store, with `at_once` records in parallel, and finds some of them one after the other.
async fn growing(store: &impl LoginStore, at_once: usize) -> Vec<(f64, f64)> {
    const FINDS: u64 = 500;
    const MOST: u64 = 1_000_000;
    let mut points = Vec::new();
    let (mut inserted, mut logins) = (0, 1000);
    while logins <= MOST {
        let insert = async |number| {
            let record = record(number, NOW + 60);
            let inserted = store.insert(key(number), &record, None, NOW).await;
            inserted.expect("there is room");
        };
        let numbers = stream::iter(inserted..logins);
        numbers.for_each_concurrent(at_once, insert).await;
        inserted = logins;
        let mut fastest = f64::INFINITY;
        for time in 0..TIMES as u64 {
            let started = Instant::now();
            for number in 0..FINDS {
                let number = (number * 7919 + time * 104_729) % logins;
                assert!(
                    store
                        .find(key(number), NOW)
                        .await
                        .is_ok_and(|found| found.is_some()),
                    "it is there"
                );
            }
            fastest = fastest.min(started.elapsed().as_secs_f64() * 1e6 / FINDS as f64);
        }
        points.push((logins as f64, fastest));
        logins *= 10;
    }
    points
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
        let users = Users::default();
        let login = LoginManager::builder(move |id| {
            let users = users.clone();
            async move { Ok::<_, Infallible>(users.find::<User>(id).await) }
        });
        let login = login
            .login_view("/login")
            .build(key)
            .expect("these settings work");
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
    vec![("floor", floor), ("ours", ours)]
}

/// How long the page `/account` takes for a user who is logged in, in microseconds.
async fn page<B>(app: impl Service<Request, Response = ServiceResponse<B>, Error = Error>) -> f64 {
    const REQUESTS: usize = 1000;
    let log_in = TestRequest::post()
        .uri("/login")
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
            .map(|_| {
                let request = TestRequest::get()
                    .uri("/account")
                    .insert_header(("user-agent", USER_AGENT));
                request.insert_header(("cookie", &*cookie)).to_request()
            })
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
async fn account(user: CurrentUser<User>) -> String {
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
                move |auth: login_runtime::Auth<User>,
                      users: web::Data<Users>,
                      session: Session| async move {
                    auth.log_in(Verified::trust(
                        users.next::<User>(),
                        "every user is Ada here",
                    ))
                    .await?;
                    fill(&session);
                    Ok::<_, Error>(HttpResponse::Ok().finish())
                },
            )
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

/// A protected page with this number of routes in all.
fn routes(app: &mut web::ServiceConfig, count: usize, ours: bool) {
    log_in(app, 0, ours);
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
    routes_to_account(app, ours);
}
