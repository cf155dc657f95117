//! Every route of an application, and who may reach it.
//!
//! actix-web says which routes there are (its `experimental-introspection`, which this feature turns
//! on), and the routes themselves say who may reach them: the audit sends a request to each, notes the
//! declarations that it passes, and lets it end before the handler. So it sees what the gate of
//! [`deny_by_default`](crate::LoginManagerBuilder::deny_by_default) sees, whether a handler, a resource
//! or a scope says it, and works without that setting too. For tests, not for production.
//!
//! What it cannot see it lists as undeclared: routes behind a guard function of the application's own,
//! unless [`Auditor::reviewed_guard`] says that these were looked at; paths for which it finds no
//! example, unless [`Auditor::example`] gives one; handlers of unsafe methods that share their path and
//! are told apart by a header. Where a path has routes for some methods only, and where no route is, it
//! looks what is there: with GET or a method that does not exist, on what no guard is around. That runs
//! an undeclared default service, or a handler that takes every method and is undeclared or public.
//!
//! # Examples
//!
//! ```
//! use actix_web::{App, Responder, cookie::Key, get, test::init_service, web};
//! use login_runtime::{AuthUser, LoginManager, audit::audit, login_required, public};
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

pub use crate::routes::probe::Decision;

use std::{cell::RefCell, collections::BTreeSet, error::Error, fmt, rc::Rc};

use actix_http::Request;
use actix_web::{
    HttpMessage as _,
    body::{BodySize, MessageBody},
    dev::{ResourceDef, Service, ServiceResponse},
    http::{Method, StatusCode, header},
    introspection::{
        GuardDetailReport, GuardReport, IntrospectionNode, IntrospectionTree, ResourceType,
    },
    test::TestRequest,
    web::Data,
};
use serde::Serialize;

use crate::{
    request::Declaration,
    routes::probe::{Arrival, Probe},
};

/// A method that no route asks for.
const NO_METHOD: &str = "AUDIT";

/// A segment that no route has.
const NO_PATH: &str = ".login-runtime-audit";

/// How many combinations of headers are tried on a path. Raising it takes longer.
const MOST_COMBINATIONS: usize = 256;

/// What is tried for a dynamic segment.
const SAMPLES: &[&str] = &[
    "1",
    "a",
    "12",
    "123",
    "1234",
    "ab",
    "abc",
    "A",
    "AB",
    "ABC",
    "abc123",
    "a-b",
    "a.b",
    "index.html",
    "en",
    "2026-01-01",
    "00000000-0000-4000-8000-000000000000",
    "0123456789abcdef",
    "a/b",
];

/// Asks an application, made by [`init_service`](actix_web::test::init_service), for all its routes.
///
/// # Errors
///
/// [`AuditError`] if there is no login manager around the application.
pub async fn audit<S, B, E>(app: &S) -> Result<Audit, AuditError>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = E>,
    B: MessageBody,
{
    Auditor::new().audit(app).await
}

/// There is no login manager to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditError;

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no login manager around this application; add `.wrap(login_manager)` to the `App`",
        )
    }
}

impl Error for AuditError {}

/// A route, as far as it can be told apart from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Route {
    /// The method; `*` for all that no other route of this path takes.
    pub method: String,
    /// The path as it was registered, with its scopes: `/users/{id}`. `{default}` stands for what is no
    /// other route.
    pub pattern: String,
    /// What tells it apart from another route of this path and method: a header, or a guard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Who may reach it.
    #[serde(rename = "who")]
    pub decision: Decision,
    /// The resource's name, which for a handler with a route attribute is the handler's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
}

impl Route {
    /// Whether everybody may change something here: the route is public, and its method is not one of
    /// those that only read (RFC 9110 §9.2.1). A login page is such a route.
    pub fn is_public_and_unsafe(&self) -> bool {
        let safe = matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        self.decision == Decision::Public && !safe
    }

    fn columns(&self) -> [String; 4] {
        let who = match self.is_public_and_unsafe() {
            true => "public (unsafe method)".to_owned(),
            false => self.decision.to_string(),
        };
        let route = match &self.condition {
            Some(condition) => format!("{} [{condition}]", self.pattern),
            None => self.pattern.clone(),
        };
        let handler = self.handler.clone().unwrap_or_default();
        [self.method.clone(), route, who, handler]
    }
}

/// The routes of an application.
///
/// Its `Display` is an aligned table; [`to_json`](Self::to_json) is for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    routes: Vec<Route>,
}

impl Audit {
    /// All routes, by path.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The routes that do not say who may reach them.
    pub fn undeclared(&self) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(|route| route.decision == Decision::Undeclared)
    }

    /// The routes by which everybody may change something; see [`Route::is_public_and_unsafe`].
    pub fn public_and_unsafe(&self) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(|route| route.is_public_and_unsafe())
    }

    /// The routes as a JSON array.
    pub fn to_json(&self) -> String {
        // Strings cannot fail to be written.
        serde_json::to_string_pretty(&self.routes).unwrap_or_default()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["METHOD", "ROUTE", "WHO", "HANDLER"].map(str::to_owned)];
        rows.extend(self.routes.iter().map(Route::columns));
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let (method, route, who) = (width(0), width(1), width(2));
        for [a, b, c, d] in &rows {
            let line = format!("{a:method$}  {b:route$}  {c:who$}  {d}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// An audit with settings; without any, [`audit`] does.
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

    /// Says which path to try for a pattern whose dynamic segments ask for something special.
    #[must_use]
    pub fn example(mut self, pattern: &str, path: &str) -> Self {
        self.examples.push((pattern.to_owned(), path.to_owned()));
        self
    }

    /// Says that no undeclared route is behind guards whose name (in actix-web's introspection: the
    /// type's, or the function's) contains this.
    #[must_use]
    pub fn reviewed_guard(mut self, name: &str) -> Self {
        self.reviewed.push(name.to_owned());
        self
    }

    /// Asks the application.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if there is no login manager around the application.
    pub async fn audit<S, B, E>(&self, app: &S) -> Result<Audit, AuditError>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
    {
        let nowhere = format!("/{NO_PATH}");
        let default = ask(app, Ask::new(Method::GET, &nowhere).running()).await;
        let tree = default.tree.clone().ok_or(AuditError)?;
        let mut routes = Vec::new();
        // A route that takes every path is no default service, and is listed as what it is.
        if default.pattern.is_none() && default.is_there() {
            routes.push(route("*", "{default}", None, &default));
        }
        self.node(
            app,
            &Place::root(&tree.root),
            &Decision::of(&default.seen),
            &mut routes,
        )
        .await;
        routes.sort_by(|a, b| {
            (&a.pattern, &a.method, &a.condition).cmp(&(&b.pattern, &b.method, &b.condition))
        });
        routes.dedup();
        Ok(Audit { routes })
    }

    /// Lists the routes from here on.
    async fn node<S, B, E>(
        &self,
        app: &S,
        place: &Place<'_>,
        default: &Decision,
        routes: &mut Vec<Route>,
    ) where
        S: Service<Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
    {
        if matches!(place.node.kind, ResourceType::Resource) {
            self.resource(app, place, routes).await;
        }
        // A scope may have a default service of its own, or be declared as a whole.
        let prefix = place.node.full_path.trim_end_matches('/');
        let mut default = default.clone();
        if let Some(path) = self.sample(app, prefix).await {
            let path = format!("{}/{NO_PATH}", path.trim_end_matches('/'));
            let found = ask(app, Ask::new(Method::GET, &path).running()).await;
            let decision = Decision::of(&found.seen);
            if found.pattern.is_none() && found.is_there() && decision != default {
                routes.push(route("*", &format!("{prefix}/{{default}}"), None, &found));
                default = decision;
            }
        }
        for child in &place.node.children {
            Box::pin(self.node(app, &place.child(child), &default, routes)).await;
        }
    }

    /// Lists the routes of one path.
    async fn resource<S, B, E>(&self, app: &S, place: &Place<'_>, routes: &mut Vec<Route>)
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
    {
        let node = place.node;
        let pattern = node.full_path.as_str();
        let unseen = |condition: String| Route {
            method: "*".to_owned(),
            pattern: pattern.to_owned(),
            condition: Some(condition),
            decision: Decision::Undeclared,
            handler: node.resource_name.clone(),
        };
        for guard in place.guards.iter().filter(|guard| !is_known(guard)) {
            if !self.reviewed.iter().any(|name| guard.name.contains(name)) {
                routes.push(unseen(format!("behind the guard {}", guard.name)));
            }
        }
        let Some(path) = self.sample(app, pattern).await else {
            routes.push(unseen("no example of such a path".to_owned()));
            return;
        };
        let Some(headers) = headers(&place.guards) else {
            routes.push(unseen("too many headers".to_owned()));
            return;
        };
        let mut methods = place.methods.clone();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        let all = methods.is_empty();
        if all {
            methods.push(Method::GET);
        }
        for method in &methods {
            let mut found: Vec<(&Headers, Heard)> = Vec::new();
            for header in &headers {
                let mut question = Ask::new(method.clone(), &path).with(header);
                // Whether there is a route without the header can only be seen by asking it.
                if headers.len() > 1 && method == Method::GET {
                    question = question.running();
                }
                let answer = ask(app, question).await;
                let decision = Decision::of(&answer.seen);
                // Another header more makes no other route of it, as far as can be seen.
                let is_new = !found.iter().any(|(fewer, other)| {
                    fewer.iter().all(|one| header.contains(one))
                        && Decision::of(&other.seen) == decision
                });
                if answer.is_there() && is_new {
                    found.push((header, answer));
                }
            }
            let decisions: BTreeSet<_> = found
                .iter()
                .map(|(_, answer)| Decision::of(&answer.seen))
                .collect();
            let name = if all { "*" } else { method.as_str() };
            if decisions.len() == 1 {
                found.truncate(1);
            }
            if found.is_empty() && !all {
                routes.push(Route {
                    method: name.to_owned(),
                    ..unseen("it did not answer".to_owned())
                });
            }
            for (headers, answer) in &found {
                let told_apart = decisions.len() > 1 && !headers.is_empty();
                let condition = told_apart.then(|| {
                    let texts: Vec<_> = headers
                        .iter()
                        .map(|(name, value)| format!("{name}: {value}"))
                        .collect();
                    texts.join(", ")
                });
                routes.push(route(name, pattern, condition, answer));
            }
        }
        if all {
            return;
        }
        // A route for every method does not show among the methods of its path.
        for header in &headers {
            let method = Method::from_bytes(NO_METHOD.as_bytes()).unwrap_or(Method::TRACE);
            let question = Ask::new(method, &path).with(header).running().public();
            let answer = ask(app, question).await;
            let shows = match Decision::of(&answer.seen) {
                Decision::Undeclared => !answer.nothing,
                // A default service is listed by itself.
                Decision::Public => !answer.nothing && answer.by_route,
                Decision::Guarded(_) => false,
            };
            if shows {
                routes.push(route("*", pattern, None, &answer));
            }
        }
    }

    /// A path that leads to the pattern, and to no other.
    async fn sample<S, B, E>(&self, app: &S, pattern: &str) -> Option<String>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
    {
        let given = self.examples.iter().filter(|(of, _)| of == pattern);
        let mut paths: Vec<_> = given.map(|(_, path)| path.clone()).collect();
        paths.extend(SAMPLES.iter().filter_map(|sample| fill(pattern, sample)));
        paths.dedup();
        for path in paths {
            let answer = ask(app, Ask::new(Method::GET, &path)).await;
            // Of two scopes with the same prefix, actix-web's map of resources only knows one.
            if answer
                .pattern
                .as_deref()
                .is_none_or(|found| same(found, pattern))
            {
                return Some(path);
            }
        }
        None
    }
}

/// A node of actix-web's tree, with what the scopes around it ask for.
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

fn route(method: &str, pattern: &str, condition: Option<String>, answer: &Heard) -> Route {
    Route {
        method: method.to_owned(),
        pattern: pattern.to_owned(),
        condition,
        decision: Decision::of(&answer.seen),
        handler: answer.name.clone(),
    }
}

fn same(found: &str, pattern: &str) -> bool {
    found.trim_start_matches('/') == pattern.trim_start_matches('/')
}

/// Whether the audit can meet the guard.
fn is_known(guard: &GuardReport) -> bool {
    // Guards of several guards leave out what they are not told: a function, by its type's name.
    let hides = guard.name.contains("::")
        && ["AnyGuard(", "AllGuard("]
            .iter()
            .any(|name| guard.name.contains(name));
    !hides
        && !guard.details.is_empty()
        && guard.details.iter().all(|detail| match detail {
            GuardDetailReport::HttpMethods { .. } | GuardDetailReport::Headers { .. } => true,
            GuardDetailReport::Generic { value } => value.starts_with("mime="),
            _ => false,
        })
}

type Headers = Vec<(String, String)>;

/// The headers that guards of a path ask for, in all combinations; first none. Nothing if there are too
/// many to try.
fn headers(guards: &[GuardReport]) -> Option<Vec<Headers>> {
    let mut single: Headers = Vec::new();
    for detail in guards.iter().flat_map(|guard| &guard.details) {
        match detail {
            GuardDetailReport::Headers { headers: asked } => {
                single.extend(asked.iter().map(|h| (h.name.clone(), h.value.clone())));
            }
            GuardDetailReport::Generic { value } => {
                let mime = value.strip_prefix("mime=");
                single.extend(mime.map(|mime| ("accept".to_owned(), mime.to_owned())));
            }
            _ => {}
        }
    }
    single.sort();
    single.dedup();
    let mut combined = vec![Headers::new()];
    for header in single {
        let with: Vec<_> = combined
            .iter()
            .filter(|others| others.iter().all(|(name, _)| *name != header.0))
            .map(|others| [&others[..], std::slice::from_ref(&header)].concat())
            .collect();
        combined.extend(with);
        if combined.len() > MOST_COMBINATIONS {
            return None;
        }
    }
    combined.sort_by_key(Vec::len);
    Some(combined)
}

/// The pattern with a sample in place of each dynamic segment, as far as that is allowed there.
fn fill(pattern: &str, sample: &str) -> Option<String> {
    let mut path = String::new();
    let mut rest = pattern;
    while let Some(start) = rest.find('{') {
        path.push_str(&rest[..start]);
        let mut depth = 0_usize;
        let length = rest[start..].find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == '}' && depth == 0
        })?;
        let segment = &rest[start..=start + length];
        let fits = |sample: &str| ResourceDef::new(segment).is_match(sample);
        path.push_str(if fits(sample) {
            sample
        } else {
            SAMPLES.iter().copied().find(|sample| fits(sample))?
        });
        rest = &rest[start + length + 1..];
    }
    path.push_str(rest);
    Some(path)
}

/// A request of an audit.
struct Ask {
    request: TestRequest,
    runs: bool,
    runs_public: bool,
}

impl Ask {
    fn new(method: Method, path: &str) -> Self {
        let path = if path.is_empty() { "/" } else { path };
        Self {
            request: TestRequest::with_uri(path).method(method),
            runs: false,
            runs_public: false,
        }
    }

    fn with(mut self, headers: &[(String, String)]) -> Self {
        for (name, value) in headers {
            self.request = self.request.insert_header((name.as_str(), value.as_str()));
        }
        self
    }

    /// Runs what declares nothing.
    fn running(mut self) -> Self {
        self.runs = true;
        self
    }

    /// Runs what is public too.
    fn public(mut self) -> Self {
        self.runs_public = true;
        self
    }
}

/// What a request of an audit met.
struct Heard {
    tree: Option<Data<IntrospectionTree>>,
    pattern: Option<String>,
    name: Option<String>,
    seen: Vec<Declaration>,
    /// The answer was that of actix-web where nothing is.
    nothing: bool,
    /// The answer was not that of a default service.
    by_route: bool,
}

impl Heard {
    fn is_there(&self) -> bool {
        !self.seen.is_empty() || !self.nothing
    }
}

async fn ask<S, B, E>(app: &S, ask: Ask) -> Heard
where
    S: Service<Request, Response = ServiceResponse<B>, Error = E>,
    B: MessageBody,
{
    let Ask {
        request,
        runs,
        runs_public,
    } = ask;
    let probe = Rc::new(Probe {
        runs,
        runs_public,
        seen: RefCell::default(),
        arrival: RefCell::default(),
    });
    let request = request.to_request();
    request.extensions_mut().insert(Rc::clone(&probe));
    let mut by_route = true;
    let nothing = app.call(request).await.is_ok_and(|answer| {
        // A route takes all of the path.
        by_route = answer.request().match_info().unprocessed().is_empty();
        matches!(
            answer.status(),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        ) && !answer.headers().contains_key(header::CONTENT_TYPE)
            && matches!(
                answer.response().body().size(),
                BodySize::None | BodySize::Sized(0)
            )
    });
    let Arrival {
        tree,
        pattern,
        name,
    } = probe.arrival.take();
    Heard {
        tree,
        pattern,
        name,
        seen: probe.seen.take(),
        nothing,
        by_route,
    }
}
