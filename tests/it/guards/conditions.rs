//! Roles, permissions and the application's own checks: who is known and may not gets 403.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
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
    Auth, AuthUser, BoxError, Condition, CurrentUser, FreshUser, HasPermission, LoginManager,
    LoginManagerBuilder, Permissions, Refusal, UserWith, fresh_login_required, login_required,
    permission, permission_required, role,
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
    let builder = LoginManager::new(find)
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
async fn admin() -> &'static str {
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
        routes.service(admin).service(admin_below);
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
        assert_eq!((answer.status(), &*answer.text()), (403, r#"{"error":"forbidden"}"#));

        browser.log_in(Member::new(ADMIN)).await;
        assert_eq!(browser.get(page).await.status(), 200, "{page}");
    }
}
