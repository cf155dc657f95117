//! Roles, permissions and the application's own checks: who is known and may not gets 403.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use actix_http::Request;
use actix_web::{
    Error, HttpRequest,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    get, post,
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use login_runtime::{
    Auth, AuthUser, BoxError, CurrentUser, HasPermission, LoginManager, Permissions,
    config::LoginManagerBuilder,
    fresh_login_required,
    guards::{AuthorizedUser, Condition, FreshUser, Refusal, RefusedRequest},
    login_required, permission, permission_required, role,
    test::{Browser, TestClock},
};
use login_tests::{START, app, key};

/// A user of whom everything that a guard can ask for is in the id: one bit each.
#[derive(AuthUser, Clone)]
#[auth(active = Self::may_log_in)]
struct Member {
    id: u8,
    #[auth(roles)]
    roles: Vec<&'static str>,
}

const ADMIN: u8 = 1;
const EDITOR: u8 = 2;
const BANNED: u8 = 4;
const STAFF: u8 = 8;
const LOCKED: u8 = 16;
const INACTIVE: u8 = 32;

impl Member {
    fn new(id: u8) -> Self {
        let named = [(ADMIN, "admin"), (EDITOR, "editor"), (BANNED, "banned")];
        let roles = named.iter().filter(|(bit, _)| id & bit != 0);
        Self {
            id,
            roles: roles.map(|(_, name)| *name).collect(),
        }
    }

    fn may_log_in(&self) -> bool {
        !self.has(INACTIVE)
    }

    fn has(&self, bit: u8) -> bool {
        self.id & bit != 0
    }

    fn is_staff(&self) -> bool {
        self.has(STAFF)
    }
}

#[derive(Clone, Copy, Permissions)]
#[permissions(user = Member)]
enum Permission {
    EditPost,
    DeletePost = 7,
}

/// Who wrote which post, and how often somebody asked.
#[derive(Clone, Default)]
struct Posts(Arc<PostsInner>);

#[derive(Default)]
struct PostsInner {
    asked: AtomicUsize,
    down: AtomicBool,
}

impl Posts {
    async fn author(&self, post: &str) -> Result<u8, BoxError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.0.down.load(Ordering::SeqCst) {
            return Err("the database is down".into());
        }
        Ok(post.parse()?)
    }

    fn asked(&self) -> usize {
        self.0.asked.swap(0, Ordering::SeqCst)
    }
}

impl HasPermission<Permission> for Member {
    async fn has_permission(
        &self,
        permission: Permission,
        request: &HttpRequest,
    ) -> Result<bool, BoxError> {
        match permission {
            Permission::EditPost => {
                let posts = request.app_data::<Data<Posts>>().ok_or("no posts")?;
                Ok(posts.author(request.match_info().query("id")).await? == self.id)
            }
            Permission::DeletePost => Ok(self.is_staff()),
        }
    }
}

fn members() -> (LoginManagerBuilder, TestClock) {
    let clock = TestClock::at(START);
    let find = async |id: u8| Ok::<_, Infallible>(Some(Member::new(id)));
    let builder = LoginManager::builder(find)
        .session_only()
        .login_view("/login")
        .refresh_view("/confirm")
        .clock(clock.clone());
    (builder, clock)
}

async fn members_only(
    routes: impl FnOnce(&mut ServiceConfig),
) -> impl Service<Request, Response = ServiceResponse<BoxBody>, Error = Error> {
    app(members().0.build(key()).unwrap(), routes).await
}

#[login_required(role = "admin")]
#[get("/admin")]
async fn admins_only() -> &'static str {
    "admin"
}

#[get("/admin/below")]
#[login_required(role = "admin")]
async fn admin_below(user: CurrentUser<Member>) -> String {
    format!("admin {}", user.id)
}

#[actix_web::test]
async fn a_user_without_the_role_is_forbidden_and_never_sent_to_the_login_page() {
    let app = members_only(|routes| {
        routes.service(admins_only).service(admin_below);
        routes.service(
            web::resource("/wrapped")
                .wrap(login_required().role("admin"))
                .to(async || "admin"),
        );
    })
    .await;
    let browser = Browser::new(&app);
    for page in ["/admin", "/admin/below", "/wrapped"] {
        browser.drop_cookie("__Host-session");
        let answer = browser.get(page).await;
        answer.assert_redirects_to_login("/login", page);
        let answer = browser.get(page).header("accept", "application/json").await;
        assert_eq!(answer.status(), 401, "{page}");

        browser.log_in(Member::new(EDITOR)).await;
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 403, "{page}");
        assert_eq!(answer.location(), None, "{page}");
        assert_eq!(answer.text(), "Forbidden: you may not do this.", "{page}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{page}");
        assert_eq!(answer.header("www-authenticate"), None, "{page}");
        let answer = browser.get(page).header("accept", "application/json").await;
        assert_eq!(
            (answer.status(), &*answer.text()),
            (
                403,
                r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"you may not do this.","code":"forbidden"}"#
            )
        );

        browser.log_in(Member::new(ADMIN)).await;
        assert_eq!(browser.get(page).await.status(), 200, "{page}");
    }
}

type Holds = fn(&Member) -> bool;

/// By hand what the guards below say in attributes, each at one address.
const TRUTH: &[(&str, Holds)] = &[
    ("/any", |m| m.has(ADMIN) || m.has(EDITOR)),
    ("/all", |m| m.has(ADMIN) && m.has(EDITOR)),
    ("/not", |m| !m.has(BANNED)),
    ("/not-any", |m| !(m.has(BANNED) || m.has(LOCKED))),
    ("/own", |m| (m.is_staff() || m.has(LOCKED)) && m.has(ADMIN)),
    ("/own-first", |m| {
        m.has(ADMIN) && (m.is_staff() || m.has(LOCKED))
    }),
    ("/own-negated", |m| {
        !(m.is_staff() || m.has(LOCKED)) || m.has(ADMIN)
    }),
    ("/nested", |m| {
        (m.has(ADMIN) || (m.has(EDITOR) && !m.has(BANNED)))
            && (m.is_staff() || m.has(LOCKED) && !m.has(ADMIN))
    }),
    ("/permission", |m| {
        (m.is_staff() || m.has(ADMIN)) && !m.has(BANNED)
    }),
    ("/path", |m| m.is_staff() && !m.has(ADMIN)),
    ("/stacked", |m| {
        m.has(ADMIN) && m.is_staff() && m.has(EDITOR)
    }),
    ("/wrapped", |m| {
        (m.has(ADMIN) || m.is_staff()) && !m.has(BANNED)
    }),
    ("/by-hand", |m| {
        (m.has(ADMIN) || m.is_staff()) && !m.has(BANNED)
    }),
];

#[login_required(any(role = "admin", role = "editor"))]
#[get("/any")]
async fn any() -> &'static str {
    ""
}

#[login_required(all(role = "admin", role = "editor"))]
#[get("/all")]
async fn all() -> &'static str {
    ""
}

#[login_required(not(role = "banned"))]
#[get("/not")]
async fn not() -> &'static str {
    ""
}

#[login_required(user = Member, not(any(role = "banned", check = |m| m.has(LOCKED))))]
#[get("/not-any")]
async fn not_any() -> &'static str {
    ""
}

// Unbracketed, this would be `staff || (locked && admin)`.
#[login_required(check = |m: &Member| m.is_staff() || m.has(LOCKED), role = "admin")]
#[get("/own")]
async fn own() -> &'static str {
    ""
}

#[login_required(role = "admin", check = |m: &Member, _| m.is_staff() || m.has(LOCKED))]
#[get("/own-first")]
async fn own_first() -> &'static str {
    ""
}

#[get("/own-negated")]
#[login_required(any(not(check = |m: &Member| m.is_staff() || m.has(LOCKED)), role = "admin"))]
async fn own_negated() -> &'static str {
    ""
}

#[login_required(
    any(role = "admin", all(role = "editor", not(role = "banned"))),
    check = |m: &Member, request: &HttpRequest| {
        m.is_staff() || m.has(LOCKED) && !m.has(ADMIN) && request.path().len() < 8
    },
)]
#[get("/nested")]
async fn nested() -> &'static str {
    ""
}

#[login_required(any(permission = Permission::DeletePost, role = "admin"), not(role = "banned"))]
#[get("/permission")]
async fn with_permission() -> &'static str {
    ""
}

#[permission_required(self::Permission::DeletePost, not(check = is_admin), user = Member)]
#[get("/path")]
async fn by_path() -> &'static str {
    ""
}

fn is_admin(member: &Member) -> bool {
    member.has(ADMIN)
}

#[login_required(role = "admin")]
#[permission_required(Permission::DeletePost)]
#[login_required(check = |m: &Member| m.has(EDITOR))]
#[get("/stacked")]
async fn stacked() -> &'static str {
    ""
}

/// An admin, or whoever may delete posts; but nobody who is banned.
fn wrapped_condition() -> Condition {
    let banned = Condition::check(|member: &Member| member.has(BANNED));
    Condition::all([
        Condition::any([
            Condition::role("admin".to_owned()),
            Condition::permission(Permission::DeletePost),
        ]),
        !banned,
    ])
}

#[get("/by-hand")]
async fn by_hand(auth: Auth<Member>) -> actix_web::Result<&'static str> {
    auth.require(wrapped_condition()).await?;
    Ok("")
}

#[actix_web::test]
async fn conditions_are_what_they_say_for_every_user() {
    let app = members_only(|routes| {
        routes
            .service(any)
            .service(all)
            .service(not)
            .service(not_any);
        routes.service(own).service(own_first).service(own_negated);
        routes
            .service(nested)
            .service(with_permission)
            .service(by_path);
        routes.service(stacked).service(by_hand);
        routes.service(
            web::resource("/wrapped")
                .wrap(login_required().condition(wrapped_condition()))
                .to(async || ""),
        );
    })
    .await;
    let browser = Browser::new(&app);
    for (page, _) in TRUTH {
        assert_eq!(browser.get(page).await.status(), 303, "{page} for nobody");
    }
    for id in 0..INACTIVE {
        let member = Member::new(id);
        browser.log_in(member.clone()).await;
        for (page, holds) in TRUTH {
            let expected = if holds(&member) { 200 } else { 403 };
            assert_eq!(
                browser.get(page).await.status(),
                expected,
                "{page} for {id:06b}"
            );
        }
    }
}

#[permission_required(Permission::EditPost)]
#[post("/posts/{id}")]
async fn edit(post: Path<u8>, text: Bytes) -> String {
    format!("{post}: {}", text.len())
}

struct Pages;

impl Pages {
    #[permission_required(Permission::EditPost)]
    async fn edit(
        author: AuthorizedUser<Member, permission!(Permission::EditPost)>,
        text: Bytes,
    ) -> String {
        format!("{}: {}", author.id, text.len())
    }
}

#[actix_web::test]
async fn whose_post_it_is_is_decided_before_the_body_is_read() {
    let posts = Posts::default();
    let app = members_only(|routes| {
        routes.app_data(Data::new(posts.clone())).service(edit);
        routes.route("/pages/{id}", web::post().to(Pages::edit));
        routes.service(
            web::resource("/wrapped/{id}")
                .wrap(login_required().permission(Permission::EditPost))
                .to(async |text: Bytes| text.len().to_string()),
        );
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(Member::new(7)).await;
    for path in ["/posts", "/pages", "/wrapped"] {
        for post in ["8", "07x", ""] {
            let (status, polls) =
                crate::first::send(&app, &browser, &format!("{path}/{post}"), (b"x", 9)).await;
            // What is no number is nobody's post, and what is no post at all is no route.
            let expected = match post {
                "8" => 403,
                "" => 404,
                _ => 503,
            };
            assert_eq!((status, polls), (expected, 0), "{path}/{post}");
        }
        let path = format!("{path}/7");
        let (status, polls) = crate::first::send(&app, &browser, &path, (b"x", 9)).await;
        assert_eq!((status, polls), (200, 10), "{path}");
    }
    posts.asked();
    browser.post("/posts/8").await;
    assert_eq!(posts.asked(), 1);
}

#[actix_web::test]
async fn a_permission_check_that_fails_is_neither_a_pass_nor_a_refusal() {
    let posts = Posts::default();
    let (builder, _) = members();
    let (builder, events) = crate::world::Events::of(builder);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.app_data(Data::new(posts.clone())).service(edit);
        routes
            .service(not_edit)
            .service(any_edit)
            .service(edit_or_admin);
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(Member::new(ADMIN)).await;
    posts.0.down.store(true, Ordering::SeqCst);
    events.take();
    // Neither is made a yes by `not`, nor made up for by what comes behind it.
    for page in ["/posts/1", "/not-edit/1", "/any-edit/1"] {
        let answer = browser.post(page).await;
        assert_eq!(answer.status(), 503, "{page}");
        assert_eq!(answer.text(), "Service unavailable: try again later.");
        assert_eq!(events.take(), ["accessed", "load_failed"], "{page}");
    }
    // What comes before it is enough.
    assert_eq!(browser.post("/edit-or-admin/1").await.status(), 200);
    assert_eq!(posts.asked(), 3);
    posts.0.down.store(false, Ordering::SeqCst);
    assert_eq!(browser.post("/posts/1").await.text(), "1: 0");
    assert_eq!(browser.post("/not-edit/1").await.status(), 403);
}

#[login_required(not(permission = Permission::EditPost))]
#[post("/not-edit/{id}")]
async fn not_edit() -> &'static str {
    ""
}

#[login_required(any(permission = Permission::EditPost, role = "admin"))]
#[post("/any-edit/{id}")]
async fn any_edit() -> &'static str {
    ""
}

#[login_required(any(role = "admin", permission = Permission::EditPost))]
#[post("/edit-or-admin/{id}")]
async fn edit_or_admin() -> &'static str {
    ""
}

#[fresh_login_required(role = "admin")]
#[get("/fresh-admin")]
async fn fresh_admin(admin: FreshUser<Member>) -> String {
    format!("fresh {}", admin.id)
}

#[login_required(fresh = "10m", role = "admin")]
#[get("/aged-admin")]
async fn aged_admin(
    admin: AuthorizedUser<Member, role!("admin")>,
    again: FreshUser<Member, 600>,
) -> String {
    format!(
        "fresh {} {}",
        AuthorizedUser::into_current(admin).id,
        again.id
    )
}

#[actix_web::test]
async fn whoever_may_never_do_this_is_not_asked_for_a_password() {
    let (builder, events) = crate::world::Events::of(members().0);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(fresh_admin).service(aged_admin);
    })
    .await;
    let browser = Browser::new(&app);
    for page in ["/fresh-admin", "/aged-admin"] {
        browser.drop_cookie("__Host-session");
        browser
            .get(page)
            .await
            .assert_redirects_to_login("/login", page);
        browser.log_in(Member::new(EDITOR)).stale().await;
        events.take();
        assert_eq!(browser.get(page).await.status(), 403);
        assert_eq!(events.take(), ["accessed", "forbidden 2 role = \"admin\""]);
        browser.log_in(Member::new(ADMIN)).stale().await;
        browser
            .get(page)
            .await
            .assert_redirects_to_login("/confirm", page);
        browser.log_in(Member::new(ADMIN)).await;
        assert_eq!(browser.get(page).await.status(), 200);
    }
    assert_eq!(browser.get("/fresh-admin").await.text(), "fresh 1");
    assert_eq!(browser.get("/aged-admin").await.text(), "fresh 1 1");
}

#[actix_web::test]
async fn the_application_answers_who_is_forbidden() {
    let (builder, _) = members();
    let builder = builder.forbidden_handler(async |request: RefusedRequest| {
        actix_web::HttpResponse::NotFound().body(format!("nothing at {}", request.path()))
    });
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes
            .service(admins_only)
            .service(forbidding)
            .service(by_hand);
    })
    .await;
    let browser = Browser::new(&app);
    // Not for those who are nobody.
    assert_eq!(browser.get("/admin").await.status(), 303);
    browser.log_in(Member::new(0)).await;
    for page in ["/admin", "/forbidding", "/by-hand"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 404, "{page}");
        assert_eq!(answer.text(), format!("nothing at {page}"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[get("/forbidding")]
async fn forbidding(auth: Auth<Member>) -> Result<&'static str, Refusal> {
    Err(auth.forbidden().await)
}

#[actix_web::test]
async fn a_condition_about_another_user_type_is_an_error_of_the_setup() {
    let (builder, _) = members();
    let builder = builder.user_loader(login_tests::load_admin);
    let app = app(builder.build(key()).unwrap(), |routes| {
        let of_admins = || Condition::check(|admin: &login_tests::Admin| admin.login == "root");
        routes.service(
            web::resource("/wrong")
                .wrap(login_required().condition(of_admins()))
                .to(async || "wrong"),
        );
        routes.service(
            web::resource("/right")
                .wrap(
                    login_required()
                        .user::<login_tests::Admin>()
                        .condition(of_admins()),
                )
                .to(async || "right"),
        );
        routes.service(of_default_user);
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(Member::new(0)).await;
    let answer = browser.get("/wrong").await;
    let admin = std::any::type_name::<login_tests::Admin>();
    assert_eq!(answer.status(), 500);
    assert_eq!(
        answer.text(),
        format!(
            "a guard that asks for `{}` decides nothing about `{admin}`; \
             name the user type in the guard: `user = {admin}` or `.user::<{admin}>()`",
            std::any::type_name::<Member>(),
        )
    );
    browser.log_in(login_tests::Admin::new("root")).await;
    assert_eq!(browser.get("/right").await.text(), "right");
    // A guard that names no user type has asked for the manager's first, which is another.
    assert_eq!(browser.get("/of-default-user").await.status(), 500);
}

#[login_required(fresh)]
#[get("/of-default-user")]
async fn of_default_user(admin: FreshUser<login_tests::Admin>) -> String {
    admin.login.clone()
}

#[login_required(role = "admin")]
#[actix_web::route("/options", method = "GET", method = "OPTIONS")]
async fn options(admin: AuthorizedUser<Member, role!("admin")>) -> String {
    admin.id.to_string()
}

#[actix_web::test]
async fn a_proof_is_asked_for_where_the_manager_lets_options_through() {
    let (builder, _) = members();
    let app = app(builder.exempt_options().build(key()).unwrap(), |routes| {
        routes.service(options);
    })
    .await;
    let browser = Browser::new(&app);
    let ask = || browser.ask(actix_web::http::Method::OPTIONS, "/options");
    assert_eq!(ask().await.status(), 303);
    browser.log_in(Member::new(EDITOR)).await;
    assert_eq!(ask().await.status(), 403);
    browser.log_in(Member::new(ADMIN)).await;
    assert_eq!(ask().await.text(), "1");
}

/// A handler that is generic in what it is below.
#[login_required(
    fresh = "5m",
    all(role = "admin", any(role = "editor", role = "editor"))
)]
async fn generic<T: 'static>(
    admin: AuthorizedUser<Member, role!("admin")>,
    editor: AuthorizedUser<Member, role!("editor")>,
    fresh: FreshUser<Member, 300>,
    data: Data<T>,
) -> String {
    let _ = data;
    format!(
        "{admin:?} {} {}",
        editor.id,
        FreshUser::into_current(fresh).id
    )
}

#[actix_web::test]
async fn proofs_are_taken_apart_and_say_nothing_secret() {
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    let manager = LoginManager::builder(async move |id: u8| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(Some(Member::new(id)))
    })
    .session_only();
    let app = app(manager.build(key()).unwrap(), |routes| {
        routes.app_data(Data::new(7_u8));
        routes.route("/generic", web::get().to(generic::<u8>));
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(Member::new(ADMIN | EDITOR)).await;
    loads.store(0, Ordering::SeqCst);
    let answer = browser.get("/generic").await.text();
    assert!(
        answer.starts_with("AuthorizedUser(CurrentUser { login: "),
        "{answer}"
    );
    assert!(
        answer.ends_with(" 3 3") && !answer.contains("roles"),
        "{answer}"
    );
    // The guard found the user; who carries the proof looks no further.
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}
