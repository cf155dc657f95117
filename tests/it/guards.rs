//! Guards in every place where a handler can stand: refused first, let through then.

use std::fmt;

use actix_http::Request;
use actix_web::{
    Error,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    http::Method,
    web::ServiceConfig,
};
use login_runtime::test::{Answer, Browser};
use login_tests::{User, Users, app, key, manager};

mod arguments;
mod attributes;
mod by_hand;
mod conditions;
mod functions;
mod middleware;
mod policies;
mod routes;
mod scopes;

/// A request, and what the handler answers to it.
struct Page {
    method: Method,
    path: &'static str,
    body: Option<(&'static str, &'static str)>,
    answer: &'static str,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

fn page(method: Method, path: &'static str, answer: &'static str) -> Page {
    Page {
        method,
        path,
        body: None,
        answer,
    }
}

fn get(path: &'static str, answer: &'static str) -> Page {
    page(Method::GET, path, answer)
}

fn post(path: &'static str, answer: &'static str) -> Page {
    page(Method::POST, path, answer)
}

impl Page {
    fn sending(mut self, content_type: &'static str, body: &'static str) -> Self {
        self.body = Some((content_type, body));
        self
    }

    async fn ask<S>(&self, browser: &Browser<'_, S>) -> Answer
    where
        S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        let ask = browser.ask(self.method.clone(), self.path);
        match self.body {
            Some((content_type, body)) => ask.header("content-type", content_type).body(body).await,
            None => ask.await,
        }
    }
}

/// Asserts that each page sends an anonymous client to the login view, and answers Ada.
async fn check(routes: impl FnOnce(&mut ServiceConfig), pages: &[Page]) {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), routes).await;
    for page in pages {
        let browser = Browser::new(&app);
        let refused = page.ask(&browser).await;
        let location = refused.location().unwrap_or_default();
        assert_eq!(
            refused.status(),
            303,
            "{page} for nobody: {}",
            refused.text()
        );
        assert!(
            location == "/login" || location.starts_with("/login?next="),
            "{page}: {location}"
        );
        assert_eq!(refused.text(), "", "{page} for nobody");
        browser.log_in(ada()).await;
        let passed = page.ask(&browser).await;
        assert_eq!(
            (passed.status(), &*passed.text()),
            (200, page.answer),
            "{page} for ada"
        );
    }
}

/// Ada, as the database knows her.
fn ada() -> User {
    User::new(1, "ada")
}
