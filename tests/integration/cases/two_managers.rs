//! Two applications with one secret.

use std::sync::Arc;

use actix_web::{Responder, web::Path};
use login_runtime::AuthUser;

use super::*;

#[derive(AuthUser, Clone)]
struct Customer {
    id: i64,
}

#[derive(AuthUser, Clone)]
struct Employee {
    id: i64,
}

/// An application with one user type, in which every id exists.
macro_rules! application {
    ($name:ident, $user:ident) => {
        fn $name(store: Arc<MemoryLoginStore>) -> Server {
            #[login_required]
            #[get("/page")]
            async fn page(user: CurrentUser<$user>) -> impl Responder {
                format!("{} {}", stringify!($user), user.id)
            }
            #[post("/login/{id}")]
            async fn log_in(
                auth: Auth<$user>,
                id: Path<i64>,
            ) -> Result<impl Responder, LoginError> {
                let user = Verified::trust($user { id: *id }, "test");
                auth.log_in(user).remember(true).await?;
                Ok("in")
            }
            let find = |id| async move { Ok::<_, std::convert::Infallible>(Some($user { id })) };
            let manager = LoginManager::builder(find).login_store(store).build(key());
            Server::start(manager.expect("the settings are valid"), |app| {
                app.service((page, log_in));
            })
        }
    };
}

application!(customers, Customer);
application!(employees, Employee);

#[test]
fn a_customer_is_no_employee_with_the_same_id() {
    if curl::is_missing() {
        return;
    }
    let store = Arc::new(MemoryLoginStore::new());
    let (customers, employees) = (customers(store.clone()), employees(store));
    let customer = curl::Jar::default();
    customer.post(&customers.url("/login/2"), &[]);
    assert_eq!(customer.get(&customers.url("/page")).body, "Customer 2");

    // curl sends cookies of a host to all of its ports, as browsers do.
    let response = customer.stolen().get(&employees.url("/page"));
    assert_eq!(response.status, 401, "{response:?}");
}

#[test]
fn the_remember_cookie_of_a_customer_makes_no_employee() {
    if curl::is_missing() {
        return;
    }
    let store = Arc::new(MemoryLoginStore::new());
    let (customers, employees) = (customers(store.clone()), employees(store));
    let customer = curl::Jar::default();
    customer.post(&customers.url("/login/2"), &[]);
    customer.close_browser();
    let response = customer.stolen().get(&employees.url("/page"));
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!(customer.get(&customers.url("/page")).body, "Customer 2");
}

#[test]
fn the_other_application_neither_ends_nor_replaces_the_login() {
    if curl::is_missing() {
        return;
    }
    let store = Arc::new(MemoryLoginStore::new());
    let (customers, employees) = (customers(store.clone()), employees(store));
    let customer = curl::Jar::default();
    customer.post(&customers.url("/login/2"), &[]);
    let kept = customer.stolen();
    kept.stolen().get(&employees.url("/page"));
    let employee = curl::Jar::default();
    employee.post(&employees.url("/login/2"), &[]);
    assert_eq!(employee.get(&employees.url("/page")).body, "Employee 2");
    assert_eq!(kept.get(&customers.url("/page")).body, "Customer 2");
}
