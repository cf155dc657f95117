//! Lists every route of an application, and which clients may reach it. For tests, not for production.
//!
//! actix-web lists the routes (with its feature `experimental-introspection`, which the feature `audit`
//! turns on). The audit sends a request to each route, notes the declarations that the request passes,
//! and stops it before the handler. So it sees the same declarations of handlers, resources and scopes
//! as [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default), and it does not need
//! that setting.
//!
//! The audit cannot see the declarations of the following, and lists them as undeclared:
//!
//! - routes behind a guard function of the application, unless [`Auditor::reviewed_guard`] says that they
//!   were reviewed;
//! - patterns whose dynamic segments match none of the values that the audit tries, unless
//!   [`Auditor::example`] gives a path that matches;
//! - handlers of unsafe methods on the same path, if only a header guard distinguishes them.
//!
//! A guard in the list is written as its attribute is, with the expression of a `check`. So the list
//! changes when a check is changed. Of a check that is a function, the list shows the path.
//!
//! # What an audit runs
//!
//! Middleware runs for each request of the audit. A handler runs only if nothing else shows whether it is
//! there:
//!
//! | what | when it runs | with which request |
//! |---|---|---|
//! | a guarded handler | never | |
//! | a handler for certain methods that is public | never | |
//! | a handler for certain methods that is undeclared | if it takes GET, and its path has routes with header guards | GET, for each combination of these headers that leads to it |
//! | a handler that takes every method, undeclared or public | once for each combination of headers of its path | the method `AUDIT`, without a body |
//! | a default service | if it is undeclared | GET to a path with `.login-runtime-audit` in it, once for the application and once for each scope |
//!
//! [`is_audit`] tells a handler or a middleware that the request is one of an audit.
//!
//! # Examples
//!
//! ```
//! use actix_web::{App, Responder, cookie::Key, get, test::init_service, web};
//! use login_runtime::{
//!     AuthUser, LoginManager, MemoryLoginStore, audit::audit, login_required, public,
//! };
//!
//! #[derive(AuthUser)]
//! struct User { id: i64 }
//!
//! #[public]
//! #[get("/")]
//! async fn home() -> impl Responder { "welcome" }
//!
//! #[login_required(fresh = "10m")]
//! #[get("/account")]
//! async fn account() -> impl Responder { "yours" }
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
//!     .login_store(MemoryLoginStore::new())
//!     .build(Key::generate())?;
//! let app = App::new().wrap(login_manager).service((home, account));
//! let app = app.route("/admin", web::post().to(|| async { "forgotten" }));
//!
//! let audit = audit(&init_service(app).await).await?;
//! assert_eq!(audit.to_string(), "\
//! METHOD  ROUTE     WHO         HANDLER
//! GET     /         public      home
//! GET     /account  fresh(10m)  account
//! POST    /admin    UNDECLARED
//! ");
//! assert_eq!(audit.undeclared().count(), 1);
//! # Ok(())
//! # }
//! ```

pub use crate::routes::report::{Audit, Decision, Route};

use actix_http::Request;
use actix_web::{
    HttpRequest,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::Method,
    introspection::{GuardReport, IntrospectionNode, ResourceType},
};
use derive_more::{Display, Error};

use crate::routes::{
    audited_views::AuditedView,
    behind,
    probe::{Answer, Question, is_audited},
    samples::{Headers, SAMPLES, fill, headers, is_known},
};

/// A method that no route asks for.
const NO_METHOD: &str = "AUDIT";

/// A segment that no route has.
const NO_PATH: &str = ".login-runtime-audit";

/// Audits an application that was made by [`init_service`](actix_web::test::init_service).
///
/// # Errors
///
/// [`AuditError`] if the application has no login manager.
pub async fn audit<S, B, E>(app: &S) -> Result<Audit, AuditError>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = E>,
    B: MessageBody,
{
    Auditor::new().audit(app).await
}

/// Whether a request is one of an audit. No client can send such a request.
///
/// For handlers and middleware that an audit runs, and whose effects a test does not want.
pub fn is_audit(request: &HttpRequest) -> bool {
    is_audited(request)
}

/// The application has no login manager.
#[derive(Clone, Debug, Display, Error, PartialEq, Eq)]
#[display("no login manager around this application; add `.wrap(login_manager)` to the `App`")]
#[non_exhaustive]
pub struct AuditError;

/// An audit with settings. Without settings, use [`audit`].
#[derive(Clone, Debug, Default)]
pub struct Auditor {
    examples: Vec<(String, String)>,
    reviewed: Vec<String>,
}

impl Auditor {
    /// An audit without settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the path to try for a pattern whose dynamic segments match none of the audit's samples.
    #[must_use]
    pub fn example(mut self, pattern: &str, path: &str) -> Self {
        self.examples.push((pattern.to_owned(), path.to_owned()));
        self
    }

    /// Declares that no undeclared route is behind guards whose name contains this. In actix-web's
    /// introspection, the name is that of the type or function.
    #[must_use]
    pub fn reviewed_guard(mut self, name: &str) -> Self {
        self.reviewed.push(name.to_owned());
        self
    }

    /// Audits the application.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if the application has no login manager.
    pub async fn audit<S, B, E>(&self, app: &S) -> Result<Audit, AuditError>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
    {
        let nowhere = Question::new(Method::GET, &format!("/{NO_PATH}"));
        let default = nowhere.run_undeclared().ask(app).await;
        let tree = default.arrival.tree.as_ref().ok_or(AuditError)?;
        let mut walk = Walk {
            auditor: self,
            app,
            routes: Vec::new(),
            views: Vec::new(),
        };
        walk.note_views(&default);
        // A route that takes every path is listed as that route.
        if default.arrival.pattern.is_none() && default.is_there {
            walk.add("*", "{default}", None, &default);
        }
        walk.node(&Place::root(&tree.root), &default.decision).await;
        let broken_views = walk.broken_views(default.is_there).await;
        let mut routes = walk.routes;
        routes.sort_by(|a, b| {
            (&a.pattern, &a.method, &a.condition).cmp(&(&b.pattern, &b.method, &b.condition))
        });
        routes.dedup();
        Ok(Audit {
            routes,
            middleware: behind::middleware(default.arrival.service),
            broken_views,
        })
    }
}

/// An audit at work.
struct Walk<'a, S> {
    auditor: &'a Auditor,
    app: &'a S,
    routes: Vec<Route>,
    /// The views of the manager and of the scopes, each once.
    views: Vec<AuditedView>,
}

impl<S, B, E> Walk<'_, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = E>,
    B: MessageBody,
{
    fn note_views(&mut self, answer: &Answer) {
        for view in &answer.views {
            if !self.views.contains(view) {
                self.views.push(view.clone());
            }
        }
    }

    /// What is wrong with the views. A default service may answer for any path.
    async fn broken_views(&self, has_default: bool) -> Vec<String> {
        let mut broken = Vec::new();
        for view in &self.views {
            let mut found = None;
            for path in &view.paths {
                let answer = Question::new(Method::GET, path).ask(self.app).await;
                let is_declared = answer.decision != Decision::Undeclared;
                if answer.arrival.pattern.is_some() || is_declared || has_default {
                    found = Some(answer.decision);
                    break;
                }
            }
            broken.extend(match found {
                Some(decision) => view.fault(&decision),
                None => Some(view.is_nowhere()),
            });
        }
        broken
    }

    fn add(&mut self, method: &str, pattern: &str, condition: Option<String>, answer: &Answer) {
        self.routes.push(Route {
            method: method.to_owned(),
            pattern: pattern.to_owned(),
            condition,
            decision: answer.decision.clone(),
            handler: answer.arrival.name.clone(),
        });
    }

    /// Lists the routes of a node and of the nodes below it.
    async fn node(&mut self, place: &Place<'_>, default: &Decision) {
        if matches!(place.node.kind, ResourceType::Resource) {
            self.resource(place).await;
        }
        // A scope may have its own default service, or be declared as a whole.
        let prefix = place.node.full_path.trim_end_matches('/');
        let mut default = default.clone();
        // The default service of the application is known already.
        if !prefix.is_empty()
            && let Some(path) = self.sample(prefix).await
        {
            let path = format!("{}/{NO_PATH}", path.trim_end_matches('/'));
            let question = Question::new(Method::GET, &path).run_undeclared();
            let found = question.ask(self.app).await;
            if found.arrival.pattern.is_none() && found.is_there && found.decision != default {
                self.add("*", &format!("{prefix}/{{default}}"), None, &found);
                default = found.decision;
            }
        }
        for child in &place.node.children {
            Box::pin(self.node(&place.child(child), &default)).await;
        }
    }

    /// Lists the routes of one path.
    async fn resource(&mut self, place: &Place<'_>) {
        let node = place.node;
        let pattern = node.full_path.as_str();
        let unseen = |method: &str, condition: String| Route {
            method: method.to_owned(),
            pattern: pattern.to_owned(),
            condition: Some(condition),
            decision: Decision::Undeclared,
            handler: node.resource_name.clone(),
        };
        for guard in place.guards.iter().filter(|guard| !is_known(guard)) {
            let mut reviewed = self.auditor.reviewed.iter();
            if !reviewed.any(|name| guard.name.contains(name)) {
                let condition = format!("behind the guard {}", guard.name);
                self.routes.push(unseen("*", condition));
            }
        }
        let Some(path) = self.sample(pattern).await else {
            let condition = "no example of such a path".to_owned();
            return self.routes.push(unseen("*", condition));
        };
        let Some(headers) = headers(&place.guards) else {
            return self.routes.push(unseen("*", "too many headers".to_owned()));
        };
        let mut methods = place.methods.clone();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        if methods.is_empty() {
            self.method("*", &Method::GET, pattern, &path, &headers)
                .await;
            return;
        }
        for method in &methods {
            let name = method.as_str();
            if !self.method(name, method, pattern, &path, &headers).await {
                self.routes
                    .push(unseen(name, "it did not answer".to_owned()));
            }
        }
        self.any_method(pattern, &path, &headers).await;
    }

    /// Lists the routes of one path and method, and says whether there are any.
    async fn method(
        &mut self,
        name: &str,
        method: &Method,
        pattern: &str,
        path: &str,
        headers: &[Headers],
    ) -> bool {
        let mut found: Vec<(&Headers, Answer)> = Vec::new();
        for combination in headers {
            let mut question = Question::new(method.clone(), path).with(combination);
            // Whether there is a route without the header only shows when it runs.
            if headers.len() > 1 && method == Method::GET {
                question = question.run_undeclared();
            }
            let answer = question.ask(self.app).await;
            self.note_views(&answer);
            // With more headers and the same decision, it counts as the same route.
            let is_known = found.iter().any(|(fewer, other)| {
                fewer.iter().all(|header| combination.contains(header))
                    && other.decision == answer.decision
            });
            if answer.is_there && !is_known {
                found.push((combination, answer));
            }
        }
        let differ = found
            .windows(2)
            .any(|pair| pair[0].1.decision != pair[1].1.decision);
        if !differ {
            found.truncate(1);
        }
        for (headers, answer) in &found {
            let condition = (differ && !headers.is_empty()).then(|| {
                let texts: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                texts.join(", ")
            });
            self.add(name, pattern, condition, answer);
        }
        !found.is_empty()
    }

    /// Lists the routes of one path that take every method. actix-web does not report them among the
    /// methods of the path.
    async fn any_method(&mut self, pattern: &str, path: &str, headers: &[Headers]) {
        for combination in headers {
            let method = Method::from_bytes(NO_METHOD.as_bytes()).unwrap_or(Method::TRACE);
            let question = Question::new(method, path).with(combination);
            let answer = question.run_undeclared().run_public().ask(self.app).await;
            let is_shown = match answer.decision {
                Decision::Undeclared => !answer.is_empty,
                // A default service is listed apart.
                Decision::Public | Decision::PublicCrossSite => !answer.is_empty && answer.by_route,
                Decision::Guarded(_) => false,
            };
            if is_shown {
                self.add("*", pattern, None, &answer);
            }
        }
    }

    /// A path that leads to the pattern, and to no other.
    async fn sample(&self, pattern: &str) -> Option<String> {
        let examples = self.auditor.examples.iter();
        let mut paths: Vec<_> = examples
            .filter(|(of, _)| of == pattern)
            .map(|(_, path)| path.clone())
            .collect();
        paths.extend(SAMPLES.iter().filter_map(|sample| fill(pattern, sample)));
        paths.dedup();
        for path in paths {
            let answer = Question::new(Method::GET, &path).ask(self.app).await;
            // Of two scopes with the same prefix, actix-web's map of resources only has one.
            let found = answer.arrival.pattern.as_deref();
            if found.is_none_or(|found| is_same(found, pattern)) {
                return Some(path);
            }
        }
        None
    }
}

fn is_same(found: &str, pattern: &str) -> bool {
    found.trim_start_matches('/') == pattern.trim_start_matches('/')
}

/// A node of actix-web's tree, with the guards and methods of the scopes around it.
struct Place<'a> {
    node: &'a IntrospectionNode,
    guards: Vec<GuardReport>,
    methods: Vec<Method>,
}

impl<'a> Place<'a> {
    fn root(node: &'a IntrospectionNode) -> Self {
        Self {
            node,
            guards: node.guard_details.clone(),
            methods: node.methods.clone(),
        }
    }

    fn child(&self, node: &'a IntrospectionNode) -> Self {
        let guards = self.guards.iter().chain(&node.guard_details).cloned();
        Self {
            node,
            guards: guards.collect(),
            methods: match node.methods.is_empty() {
                true => self.methods.clone(),
                false => node.methods.clone(),
            },
        }
    }
}
