//! The macros where names mean something else, and where lints are strict.

use actix_http::Request;
use actix_web::{
    App, Error,
    dev::{Service, ServiceResponse},
    middleware::Compat,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{AuthUser, LoginManager, test::Browser};
use login_tests::key;

/// An application for one user, who has the id 1.
async fn app<U>(
    user: impl Fn() -> U + Clone + Send + Sync + 'static,
    routes: impl FnOnce(&mut ServiceConfig),
) -> impl Service<Request, Response = ServiceResponse, Error = Error>
where
    U: AuthUser,
{
    let loader = move |_: U::Id| std::future::ready(Ok::<_, String>(Some(user())));
    let manager = LoginManager::builder(loader)
        .session_only()
        .login_view("/login")
        .build(key())
        .unwrap();
    init_service(App::new().wrap(Compat::new(manager)).configure(routes)).await
}

/// Asserts that the page refuses nobody and answers the user.
async fn check<S>(app: &S, path: &str, user: impl AuthUser, answer: &str)
where
    S: Service<Request, Response = ServiceResponse, Error = Error>,
{
    let browser = Browser::new(app);
    browser
        .get(path)
        .await
        .assert_redirects_to_login("/login", path);
    browser.log_in(user).await;
    assert_eq!(browser.get(path).await.text(), answer);
}

/// Everything that generated code could mean by a short name is something else here.
mod shadowed {
    #![deny(warnings, unused, clippy::all)]
    #![allow(
        dead_code,
        non_camel_case_types,
        non_upper_case_globals,
        clippy::upper_case_acronyms,
        reason = "nobody uses these names, which is the point"
    )]

    use ::actix_web::{get, web};
    use ::login_runtime::{AuthUser, CurrentUser, fresh_login_required, login_required};

    struct String;
    struct Option;
    struct Result;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct Box;
    struct Vec;
    struct Cow;
    struct Guarded;
    struct LoginRequired;
    struct Fresh;
    struct Responder;
    struct FromRequest;
    struct PasswordUser;
    struct UserId;
    trait Send {}
    trait Sync {}
    trait Sized {}
    trait Copy {}
    trait Into {}
    trait From {}
    trait Fn {}
    mod core {}
    mod std {}
    mod alloc {}
    mod login_runtime {}
    mod __private {}
    type bool = ();
    type str = ();
    type u8 = ();
    type u64 = ();

    // What a pattern would compare with, where a binding was meant.
    const args: () = ();
    const policy: () = ();
    const user: () = ();
    const hash: () = ();
    const id: () = ();
    const this: () = ();

    /// Makes every method call ambiguous.
    trait Everything {
        fn clone(&self) {}
        fn get(&self) {}
        fn set(&self) {}
        fn part(&self) {}
        fn get_id(&self) {}
        fn is_active(&self) {}
        fn is_authenticated(&self) {}
        fn session_hash(&self) {}
    }

    impl<T: ?::core::marker::Sized> Everything for T {}

    #[derive(AuthUser)]
    pub(super) struct Member {
        #[auth(id)]
        pub(super) number: i64,
        #[auth(active)]
        pub(super) may_log_in: ::core::primitive::bool,
        #[auth(password_hash)]
        pub(super) password: ::std::string::String,
    }

    #[derive(AuthUser)]
    #[auth(active = Self::may_log_in)]
    #[auth(name = "guest")]
    pub(super) struct Guest<I> {
        pub(super) id: I,
        #[auth(session_hash)]
        pub(super) epoch: ::core::option::Option<::core::primitive::u64>,
    }

    impl<I> Guest<I> {
        fn may_log_in(&self) -> ::core::primitive::bool {
            true
        }
    }

    #[derive(AuthUser)]
    pub(super) enum Anybody {
        Member(Member),
        Guest(Guest<i64>),
    }

    #[login_required]
    #[get("/member/{id}")]
    pub(super) async fn member(number: web::Path<u32>) -> ::std::string::String {
        number.to_string()
    }

    #[fresh_login_required(user = Member, max_age = "10m", exempt_options)]
    #[get("/fresh")]
    pub(super) async fn fresh(current: CurrentUser<Member>) -> ::std::string::String {
        current.number.to_string()
    }

    #[get("/anybody")]
    #[login_required(user = Anybody, fresh = "1d")]
    pub(super) async fn anybody() -> &'static ::core::primitive::str {
        "anybody"
    }
}

#[actix_web::test]
async fn names_that_mean_something_else_do_not_matter() {
    use shadowed::{Anybody, Guest, Member};

    fn ann() -> Member {
        Member {
            number: 1,
            may_log_in: true,
            password: "hash".to_owned(),
        }
    }

    let members = app(ann, |routes| {
        routes.service(shadowed::member).service(shadowed::fresh);
    })
    .await;
    check(&members, "/member/7", ann(), "7").await;
    check(&members, "/fresh", ann(), "1").await;

    let guest = || Anybody::Guest(Guest { id: 1, epoch: None });
    let anybody = app(guest, |routes| {
        routes.service(shadowed::anybody);
    })
    .await;
    check(&anybody, "/anybody", guest(), "anybody").await;
    let member = Anybody::Member(ann());
    assert_eq!(
        (
            member.get_id(),
            guest().is_active(),
            member.session_hash().is_some()
        ),
        (1, true, true)
    );
}

/// A route makes a unit struct of a handler's name, which patterns then compare with.
mod handlers_with_common_names {
    use actix_web::{get, web};
    use login_runtime::{AuthUser, login_required};

    #[derive(AuthUser)]
    pub(super) struct Member {
        pub(super) id: i64,
        #[auth(password_hash)]
        pub(super) password: String,
    }

    #[derive(AuthUser)]
    pub(super) enum Users {
        Member(Member),
    }

    macro_rules! handlers {
        ($($name:ident $path:literal,)*) => {
            $(
                #[login_required]
                #[get($path)]
                pub(super) async fn $name() -> &'static str {
                    stringify!($name)
                }
            )*

            pub(super) fn routes(routes: &mut web::ServiceConfig) {
                $( routes.service($name); )*
            }
        };
    }

    handlers! {
        user "/user",
        hash "/hash",
        args "/args",
        id "/id",
        request "/request",
        payload "/payload",
        login "/login-page",
    }
}

#[actix_web::test]
async fn handlers_may_be_called_like_anything() {
    use handlers_with_common_names::{Member, Users, routes};

    fn ann() -> Users {
        Users::Member(Member {
            id: 1,
            password: "hash".to_owned(),
        })
    }

    let app = app(ann, routes).await;
    for name in ["user", "hash", "args", "id", "request", "payload"] {
        check(&app, &format!("/{name}"), ann(), name).await;
    }
}

/// What users' own lints would say about generated code, if it gave them reason to.
mod strict {
    #![deny(warnings, nonstandard_style, rust_2018_idioms, unused)]
    #![deny(clippy::all, clippy::pedantic, clippy::nursery)]
    #![allow(
        clippy::future_not_send,
        reason = "handlers stay on the thread they were called on"
    )]
    #![deny(
        absolute_paths_not_starting_with_crate,
        elided_lifetimes_in_paths,
        explicit_outlives_requirements,
        let_underscore_drop,
        missing_debug_implementations,
        missing_docs,
        redundant_lifetimes,
        single_use_lifetimes,
        trivial_casts,
        trivial_numeric_casts,
        unit_bindings,
        unreachable_pub,
        unused_lifetimes,
        unused_qualifications,
        unused_results,
        clippy::absolute_paths,
        clippy::default_numeric_fallback,
        clippy::min_ident_chars,
        clippy::missing_inline_in_public_items,
        clippy::missing_trait_methods,
        clippy::pattern_type_mismatch,
        clippy::question_mark_used,
        clippy::ref_patterns,
        clippy::rest_pat_in_fully_bound_structs,
        clippy::shadow_reuse,
        clippy::shadow_same,
        clippy::shadow_unrelated,
        clippy::unneeded_field_pattern,
        clippy::unseparated_literal_suffix,
        clippy::wildcard_enum_match_arm
    )]

    use std::{fmt, future::Future};

    use actix_web::{
        HttpRequest, HttpResponse, Responder, get,
        web::{Data, Path, Query},
    };
    use login_runtime::{AuthUser, CurrentUser, fresh_login_required, login_required};
    use tokio::task::yield_now;

    /// A member.
    #[derive(AuthUser, Clone, Debug)]
    pub(super) struct Member {
        /// The number.
        #[auth(id)]
        pub(super) number: i64,
        /// Whether the member was excluded.
        #[auth(inactive)]
        pub(super) excluded: bool,
        /// The password.
        #[auth(password_hash)]
        pub(super) password: Option<String>,
    }

    /// A guest.
    #[derive(AuthUser, Clone, Debug)]
    #[auth(name = "guest")]
    pub(super) struct Guest<Id>(pub(super) Id);

    /// Anybody.
    #[derive(AuthUser, Clone, Debug)]
    #[auth(active = Self::welcome)]
    pub(super) enum Anybody {
        /// A member.
        Member(Member),
        /// A guest.
        Guest(Guest<i64>),
    }

    impl Anybody {
        const fn welcome(&self) -> bool {
            !matches!(*self, Self::Guest(Guest(0)))
        }
    }

    /// A page.
    #[login_required]
    #[get("/page/{number}")]
    pub(super) async fn page(number: Path<u32>, request: HttpRequest) -> impl Responder {
        yield_now().await;
        format!("page {number} {}", request.method())
    }

    /// A page for somebody.
    #[fresh_login_required(user = Anybody, max_age = "10m", exempt_options)]
    #[login_required(user = Anybody)]
    pub(super) async fn somebody(
        user: CurrentUser<Anybody>,
        Query(words): Query<Vec<(String, String)>>,
    ) -> Result<String, actix_web::Error> {
        yield_now().await;
        Ok(format!("{} {}", user.get_id(), words.len()))
    }

    /// Names a thing.
    pub(super) trait Name: fmt::Debug + 'static {
        /// The name.
        fn name(&self) -> String;
    }

    /// A thing.
    #[derive(Debug)]
    pub(super) struct Thing;

    impl Name for Thing {
        fn name(&self) -> String {
            "thing".to_owned()
        }
    }

    /// The name of a thing.
    #[login_required]
    pub(super) async fn name<N: Name>(thing: Data<N>) -> String {
        yield_now().await;
        thing.name()
    }

    impl Thing {
        /// The thing.
        #[login_required]
        pub(super) async fn show(_: HttpRequest) -> HttpResponse {
            yield_now().await;
            HttpResponse::Ok().body("thing")
        }

        /// The thing, later.
        #[login_required(fresh)]
        pub(super) fn later(path: Path<String>) -> impl Future<Output = String> {
            async move {
                yield_now().await;
                path.into_inner()
            }
        }
    }
}

#[actix_web::test]
async fn generated_code_gives_strict_lints_no_reason_to_complain() {
    use strict::{Anybody, Guest, Member, Thing};

    fn ann() -> Anybody {
        Anybody::Member(Member {
            number: 1,
            excluded: false,
            password: None,
        })
    }

    let app = app(ann, |routes| {
        routes.app_data(web::Data::new(Thing));
        routes.service(strict::page);
        routes.route("/somebody", web::get().to(strict::somebody));
        routes.route("/name", web::get().to(strict::name::<Thing>));
        routes.route("/show", web::get().to(Thing::show));
        routes.route("/later/{text}", web::get().to(Thing::later));
    })
    .await;
    check(&app, "/page/7", ann(), "page 7 GET").await;
    check(&app, "/somebody?a=b", ann(), "1 1").await;
    check(&app, "/name", ann(), "thing").await;
    check(&app, "/show", ann(), "thing").await;
    check(&app, "/later/x", ann(), "x").await;
    assert!(!Anybody::Guest(Guest(0)).is_active());
}

/// An application that hands the toolkit on under a name of its own.
mod facade {
    pub(super) use login_runtime::*;
}

mod without_the_crate_in_sight {
    use actix_web::get;

    use super::facade::{self, AuthUser, CurrentUser, fresh_login_required, login_required};

    #[derive(AuthUser)]
    #[auth(crate = facade)]
    pub(super) struct Member {
        pub(super) id: i64,
    }

    #[login_required(crate = facade)]
    #[fresh_login_required(crate = super::facade, user = Member)]
    #[get("/renamed")]
    pub(super) async fn page(member: CurrentUser<Member>) -> String {
        format!("member {}", member.id)
    }
}

#[actix_web::test]
async fn the_crate_may_go_by_another_name() {
    use without_the_crate_in_sight::{Member, page};

    let app = app(
        || Member { id: 1 },
        |routes| {
            routes.service(page);
        },
    )
    .await;
    check(&app, "/renamed", Member { id: 1 }, "member 1").await;
}

mod guards_by_other_names {
    use actix_web::get;
    use login_runtime::{fresh_login_required as just_logged_in, login_required as members_only};

    #[members_only]
    #[get("/one")]
    pub(super) async fn one() -> &'static str {
        "one"
    }

    #[just_logged_in]
    #[get("/two")]
    #[members_only]
    pub(super) async fn two() -> &'static str {
        "two"
    }

    #[members_only]
    #[just_logged_in]
    #[get("/three")]
    pub(super) async fn three() -> &'static str {
        "three"
    }
}

#[actix_web::test]
async fn the_guards_may_go_by_other_names() {
    use guards_by_other_names::{one, three, two};
    use strict::Guest;

    let app = app(
        || Guest(1_i64),
        |routes| {
            routes.service(one).service(two).service(three);
        },
    )
    .await;
    for (path, answer) in [("/one", "one"), ("/two", "two"), ("/three", "three")] {
        check(&app, path, Guest(1_i64), answer).await;
    }
    let browser = Browser::new(&app);
    browser.log_in(Guest(1_i64)).stale().await;
    for (path, status) in [("/one", 200), ("/two", 401), ("/three", 401)] {
        assert_eq!(browser.get(path).await.status(), status, "{path}");
    }
}
