//! Applications with types of their own that are called like ours, and with other names for ours.

use std::future::{Ready, ready};

use actix_web::{App, Error, FromRequest, HttpRequest, dev::Payload, test::init_service};
use login_runtime::{AuthUser, LoginManager, test::Browser};
use login_tests::key;

type Flag = bool;

#[derive(AuthUser, Clone)]
struct Member {
    id: i64,
    #[auth(active)]
    enabled: Flag,
    #[auth(roles)]
    roles: Vec<String>,
}

#[derive(AuthUser, Clone)]
struct Admin {
    id: i64,
}

fn ann() -> Member {
    Member {
        id: 1,
        enabled: true,
        roles: vec!["editor".to_owned()],
    }
}

/// Extractors of the application, with the names of extractors of this crate.
mod own {
    use super::*;

    /// Extracts the header `x-name`, and fails without it.
    fn name(request: &HttpRequest) -> Result<String, Error> {
        let header = request.headers().get("x-name");
        let name = header.and_then(|name| name.to_str().ok());
        name.map(str::to_owned)
            .ok_or_else(|| actix_web::error::ErrorBadRequest("no name"))
    }

    macro_rules! extractors {
        ($($name:ident $(<$param:ident>)?;)*) => {$(
            pub(super) struct $name $(<$param>)? {
                pub(super) name: String,
                $(of: std::marker::PhantomData<$param>,)?
            }

            impl $(<$param>)? FromRequest for $name $(<$param>)? {
                type Error = Error;
                type Future = Ready<Result<Self, Error>>;

                fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                    ready(name(request).map(|name| Self {
                        name,
                        $(of: std::marker::PhantomData::<$param>,)?
                    }))
                }
            }
        )*};
    }

    extractors! {
        CurrentUser<T>;
        FreshUser;
        AuthorizedUser<T>;
        MaybeUser;
        Verified;
        Guarded;
    }
}

mod handlers {
    use actix_web::{get, post};
    use login_runtime::{login_required, public};

    use super::{
        Member,
        own::{AuthorizedUser, CurrentUser, FreshUser, Guarded, MaybeUser, Verified},
    };

    /// What the extractors are about, which is not a user type.
    pub(super) struct Tenant;

    // The guard names a user type, which an own `CurrentUser` has nothing to do with.
    #[login_required(user = Member)]
    #[get("/current")]
    pub(super) async fn current(tenant: CurrentUser<Tenant>) -> String {
        tenant.name
    }

    // The guard lets stale logins through, which an own `FreshUser` has nothing to do with.
    #[login_required]
    #[get("/fresh")]
    pub(super) async fn fresh(fresh: FreshUser) -> String {
        fresh.name
    }

    // The guard demands no role, which an own `AuthorizedUser` has nothing to do with.
    #[login_required]
    #[get("/with")]
    pub(super) async fn with(
        with: AuthorizedUser<Tenant>,
        maybe: MaybeUser,
        verified: Verified,
    ) -> String {
        [with.name, maybe.name, verified.name].join(" ")
    }

    #[login_required]
    #[get("/guarded")]
    pub(super) async fn guarded(Guarded { name, .. }: Guarded) -> String {
        name
    }

    #[login_required]
    #[get("/optional")]
    pub(super) async fn optional(
        tenant: Option<CurrentUser<Tenant>>,
        own: Option<FreshUser>,
    ) -> String {
        let names = [tenant.map(|tenant| tenant.name), own.map(|own| own.name)];
        names.into_iter().flatten().collect()
    }

    #[public]
    #[post("/public")]
    pub(super) async fn open(tenant: Option<CurrentUser<Tenant>>) -> String {
        tenant.map_or_else(|| "no tenant".to_owned(), |tenant| tenant.name)
    }
}

#[actix_web::test]
async fn an_own_type_may_have_the_name_of_an_argument_of_ours() {
    let manager = LoginManager::builder(|_| ready(Ok::<_, String>(Some(ann()))))
        .session_only()
        .login_view("/login")
        .build(key())
        .unwrap();
    let app = init_service(App::new().wrap(manager).configure(|routes| {
        routes
            .service(handlers::current)
            .service(handlers::fresh)
            .service(handlers::with)
            .service(handlers::guarded)
            .service(handlers::optional)
            .service(handlers::open);
    }))
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/public").await.text(), "no tenant");
    for path in ["/current", "/fresh", "/with", "/guarded", "/optional"] {
        let response = browser.get(path).await;
        response.assert_redirects_to_login("/login", path);
    }
    browser.log_in(ann()).stale().await;
    assert_eq!(browser.get("/optional").await.text(), "");
    for (path, answer) in [
        ("/current", "acme"),
        ("/fresh", "acme"),
        ("/with", "acme acme acme"),
        ("/guarded", "acme"),
        ("/optional", "acmeacme"),
    ] {
        assert_eq!(
            browser.get(path).await.status(),
            if path == "/optional" { 200 } else { 400 }
        );
        let response = browser.get(path).header("x-name", "acme").await;
        assert_eq!(response.text(), answer, "{path}");
    }
}

/// Arguments of this crate under other names.
mod renamed {
    use std::pin::Pin;

    use actix_web::get;
    use login_runtime::{
        CurrentUser as Me, MaybeUser as Visitor, fresh_login_required,
        guards::{AuthorizedUser as Having, FreshUser as JustLoggedIn},
        login_required, public, role,
    };

    use super::{Admin, Member};

    type Editor = Having<Member, role!("editor")>;

    #[login_required(user = Member)]
    #[get("/me")]
    pub(super) async fn me(me: Me<Member>) -> String {
        format!("me {}", me.id)
    }

    #[fresh_login_required(max_age = "10m")]
    #[get("/just")]
    pub(super) async fn just(user: JustLoggedIn<Member, 600>) -> String {
        format!("just {}", user.id)
    }

    #[login_required(role = "editor")]
    #[get("/editor")]
    pub(super) async fn editor(user: Editor) -> String {
        format!("editor {}", user.id)
    }

    #[login_required(user = Member)]
    #[login_required(user = Admin)]
    #[get("/both")]
    pub(super) async fn both(member: Me<Member>, admin: Me<Admin>) -> String {
        format!("{} and {}", member.id, admin.id)
    }

    type Later<T> = Pin<Box<dyn Future<Output = T>>>;

    // A future, though nothing in its name says so.
    #[login_required]
    pub(super) fn later(user: Me<Member>) -> Later<String> {
        Box::pin(async move { format!("later {}", user.id) })
    }

    #[public]
    #[get("/visitor")]
    pub(super) async fn visitor(visitor: Visitor<Member>) -> String {
        visitor.map_or_else(
            || "nobody".to_owned(),
            |member| format!("visitor {}", member.id),
        )
    }
}

#[actix_web::test]
async fn arguments_of_ours_may_have_other_names() {
    let manager = LoginManager::builder(|_| ready(Ok::<_, String>(Some(ann()))))
        .user_loader(|id| ready(Ok::<_, String>(Some(Admin { id }))))
        .session_only()
        .login_view("/login")
        .build(key())
        .unwrap();
    let app = init_service(App::new().wrap(manager).configure(|routes| {
        routes
            .service(renamed::me)
            .service(renamed::just)
            .service(renamed::editor)
            .service(renamed::both)
            .route("/boxed", actix_web::web::get().to(renamed::later))
            .service(renamed::visitor);
    }))
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/visitor").await.text(), "nobody");
    for path in ["/me", "/just", "/editor", "/boxed", "/both"] {
        let response = browser.get(path).await;
        response.assert_redirects_to_login("/login", path);
    }
    let disabled = Member {
        enabled: false,
        ..ann()
    };
    assert!(!disabled.is_active() && ann().is_active());
    browser.log_in(ann()).await;
    for (path, answer) in [
        ("/me", "me 1"),
        ("/just", "just 1"),
        ("/editor", "editor 1"),
        ("/boxed", "later 1"),
        ("/visitor", "visitor 1"),
    ] {
        assert_eq!(browser.get(path).await.text(), answer);
    }
    // The guard of the admin still refuses a member.
    browser
        .get("/both")
        .await
        .assert_redirects_to_login("/login", "/both");
    browser.log_in(Admin { id: 2 }).await;
    assert_eq!(browser.get("/both").await.text(), "1 and 2");
}
