//! The settings of a guard for a scope: each adds to the others, in whatever order they are written.

use std::{convert::Infallible, time::Duration};

use actix_web::{http::Method, web};
use login_runtime::{
    AuthUser, BoxError, HasPermission, LoginManager, MemoryLoginStore, Permissions,
    fresh_login_required,
    guards::{Condition, LoginGuard},
    login_required,
    test::{Browser, TestClock},
};
use login_tests::{Admin, START, app, key, load_admin};

use crate::world::{App, MINUTE, SECOND};

/// A member of staff, whose roles are in the id: `editor,owner`.
#[derive(AuthUser, Clone)]
struct Staff {
    id: String,
    #[auth(roles)]
    roles: Vec<String>,
}

impl Staff {
    fn with(roles: &str) -> Self {
        Self {
            id: roles.to_owned(),
            roles: roles.split(',').map(str::to_owned).collect(),
        }
    }

    fn is(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

#[derive(Clone, Copy, Permissions)]
#[permissions(user = Staff)]
enum Permission {
    Publish,
}

impl HasPermission<Permission> for Staff {
    async fn has_permission(
        &self,
        _: Permission,
        _: &actix_web::HttpRequest,
    ) -> Result<bool, BoxError> {
        Ok(self.is("publisher"))
    }
}

fn has(role: &'static str) -> Condition {
    Condition::check(move |staff: &Staff| staff.is(role))
}

/// A member of staff who has every role.
fn chief() -> Staff {
    Staff::with("editor,owner,publisher")
}

type Setting = fn(LoginGuard) -> LoginGuard;

/// Settings that do not change how fresh a login has to be, each with its name.
const SETTINGS: &[(&str, Setting)] = &[
    ("user", |guard| guard.user::<Staff>()),
    ("role", |guard| guard.role("editor")),
    ("permission", |guard| guard.permission(Permission::Publish)),
    ("condition", |guard| guard.condition(has("owner"))),
    ("passive", LoginGuard::passive),
    ("exempt_options", LoginGuard::exempt_options),
];

/// An application with one resource for each guard: `/0`, `/1` and so on.
async fn guarded(guards: &[LoginGuard]) -> (impl App + use<>, TestClock) {
    let clock = TestClock::at(START);
    let builder =
        LoginManager::builder(
            |id: String| async move { Ok::<_, Infallible>(Some(Staff::with(&id))) },
        );
    let builder = builder.user_loader(load_admin);
    let builder = builder.login_view("/login").fresh_for_the_session();
    let builder = builder.clock(clock.clone());
    let builder = builder.login_store(MemoryLoginStore::new());
    let guards = guards.to_vec();
    let app = app(builder.build(key()).unwrap(), move |routes| {
        for (number, guard) in guards.into_iter().enumerate() {
            let resource = web::resource(format!("/{number}")).wrap(guard);
            routes.service(resource.to(async || "shown"));
        }
    });
    (app.await, clock)
}

/// A setting together with each other one, before it and after it; and by itself.
fn with_each_other(base: fn() -> LoginGuard, setting: Setting) -> Vec<(String, LoginGuard)> {
    let mut guards = vec![("alone".to_owned(), setting(base()))];
    for (name, other) in SETTINGS {
        guards.push((format!("before {name}"), other(setting(base()))));
        guards.push((format!("after {name}"), setting(other(base()))));
    }
    guards
}

async fn apps(guards: Vec<(String, LoginGuard)>) -> (Vec<String>, impl App, TestClock) {
    let (names, guards): (Vec<_>, Vec<_>) = guards.into_iter().unzip();
    let (app, clock) = guarded(&guards).await;
    (names, app, clock)
}

#[actix_web::test]
async fn a_stale_login_is_refused_whatever_else_the_guard_of_the_scope_asks_for() {
    let fresh = with_each_other(fresh_login_required, |guard| guard);
    let aged = with_each_other(login_required, |guard| {
        guard.max_age(Duration::from_secs(600))
    });
    let (names, app, clock) = apps([fresh, aged].concat()).await;
    for (number, name) in names.iter().enumerate() {
        let browser = Browser::new(&app);
        let page = format!("/{number}");
        browser.log_in(chief()).stale().await;
        assert_eq!(browser.get(&page).await.status(), 401, "{name}");
        browser.log_in(chief()).await;
        assert_eq!(browser.get(&page).await.text(), "shown", "{name}");
    }
    // The age counts as well.
    let browser = Browser::new(&app);
    browser.log_in(chief()).await;
    clock.advance(10 * MINUTE + SECOND);
    for (number, name) in names.iter().enumerate().skip(names.len() / 2) {
        let answer = browser.get(&format!("/{number}")).await;
        assert_eq!(answer.status(), 401, "{name}");
    }
}

#[actix_web::test]
async fn a_page_of_a_passive_scope_keeps_nobody_logged_in_whatever_else_its_guard_asks_for() {
    let passive = with_each_other(login_required, LoginGuard::passive);
    let fresh = with_each_other(fresh_login_required, LoginGuard::passive);
    let (names, app, clock) = apps([passive, fresh].concat()).await;
    for (number, name) in names.iter().enumerate() {
        let browser = Browser::new(&app);
        let page = format!("/{number}");
        browser.log_in(chief()).await;
        for _ in 0..3 {
            clock.advance(10 * MINUTE);
            assert_eq!(browser.get(&page).await.status(), 200, "{name}");
        }
        clock.advance(SECOND);
        assert_eq!(browser.get(&page).await.status(), 303, "{name}");
    }
}

#[actix_web::test]
async fn options_pass_a_scope_that_exempts_them_and_nothing_else_does() {
    let exempt = with_each_other(login_required, LoginGuard::exempt_options);
    let fresh = with_each_other(fresh_login_required, LoginGuard::exempt_options);
    let (names, app, _) = apps([exempt, fresh].concat()).await;
    let browser = Browser::new(&app);
    for (number, name) in names.iter().enumerate() {
        let page = format!("/{number}");
        for method in [Method::GET, Method::POST, Method::HEAD] {
            let answer = browser.ask(method, &page).await;
            assert_eq!(answer.status(), 303, "{name}");
        }
        let answer = browser.ask(Method::OPTIONS, &page).await;
        assert_eq!(answer.text(), "shown", "{name}");
    }
}

#[actix_web::test]
async fn a_scope_that_asks_for_two_conditions_refuses_who_meets_one() {
    let conditions: [(Setting, &str); 4] = [
        (|guard| guard.role("editor"), "editor"),
        (|guard| guard.role("owner"), "owner"),
        (|guard| guard.permission(Permission::Publish), "publisher"),
        (|guard| guard.condition(has("reviewer")), "reviewer"),
    ];
    for (first, one) in conditions {
        for (second, other) in conditions.into_iter().filter(|(_, other)| *other != one) {
            let both = [
                second(first(login_required())),
                second(first(login_required()).passive()).exempt_options(),
            ];
            let (app, _) = guarded(&both).await;
            for page in ["/0", "/1"] {
                for (roles, status) in [
                    (String::new(), 403),
                    (one.to_owned(), 403),
                    (other.to_owned(), 403),
                    (format!("{one},{other}"), 200),
                ] {
                    let browser = Browser::new(&app);
                    browser.log_in(Staff::with(&roles)).await;
                    let answer = browser.get(page).await;
                    assert_eq!(answer.status(), status, "{one} and {other}: {roles:?}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn three_conditions_of_a_scope_are_all_asked_for() {
    let guard = login_required()
        .role("editor")
        .role("owner")
        .role("publisher");
    let (app, _) = guarded(&[guard]).await;
    for (roles, status) in [
        ("editor,owner", 403),
        ("editor,publisher", 403),
        ("owner,publisher", 403),
        ("editor,owner,publisher", 200),
    ] {
        let browser = Browser::new(&app);
        browser.log_in(Staff::with(roles)).await;
        assert_eq!(browser.get("/0").await.status(), status, "{roles}");
    }
}

#[actix_web::test]
async fn a_scope_for_one_user_type_stays_closed_to_another_whatever_else_its_guard_asks_for() {
    let settings: [Setting; 4] = [
        LoginGuard::passive,
        LoginGuard::exempt_options,
        |guard| guard.max_age(Duration::from_secs(600)),
        |guard| guard.condition(Condition::all([])),
    ];
    let guards: Vec<_> = settings
        .iter()
        .flat_map(|setting| {
            let admin = |guard: LoginGuard| guard.user::<Admin>();
            [
                setting(admin(login_required())),
                admin(setting(login_required())),
            ]
        })
        .collect();
    let (app, _) = guarded(&guards).await;
    let (staff, admin) = (Browser::new(&app), Browser::new(&app));
    staff.log_in(chief()).await;
    admin.log_in(Admin::new("editor,owner,publisher")).await;
    for number in 0..guards.len() {
        let page = format!("/{number}");
        assert_eq!(staff.get(&page).await.status(), 303, "{number}");
        assert_eq!(admin.get(&page).await.text(), "shown", "{number}");
    }
}
