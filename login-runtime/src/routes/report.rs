//! What an audit reports: the routes, as a table and as JSON.

use std::fmt;

use derive_more::Display;
use serde::Serialize;

use crate::request::Declaration;

/// Which clients may reach a route.
#[derive(Clone, Debug, Display, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Decision {
    /// All clients.
    #[display("public")]
    Public,
    /// All clients, and pages of other sites too.
    #[display("public(cross_site)")]
    PublicCrossSite,
    /// Users who meet all these guards, from the outermost to the innermost: `login`, `fresh(10m)`.
    #[display("{}", _0.join(" + "))]
    Guarded(Vec<String>),
    /// The route does not declare it.
    #[display("UNDECLARED")]
    Undeclared,
}

impl Decision {
    /// Whether all clients may reach the route.
    pub(crate) fn is_public(&self) -> bool {
        matches!(self, Self::Public | Self::PublicCrossSite)
    }

    /// The decision of the declarations that a request has passed.
    pub(crate) fn of(declarations: &[Declaration]) -> Self {
        let guards = declarations
            .iter()
            .filter_map(|declaration| match declaration {
                Declaration::Guard(description) => Some(description.clone()),
                Declaration::Public | Declaration::PublicCrossSite | Declaration::Gate => None,
            });
        let mut guards: Vec<_> = guards.collect();
        guards.dedup();
        if !guards.is_empty() {
            Self::Guarded(guards)
        } else if declarations.contains(&Declaration::PublicCrossSite) {
            Self::PublicCrossSite
        } else if declarations.contains(&Declaration::Public) {
            Self::Public
        } else {
            Self::Undeclared
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Undeclared => serializer.serialize_str("undeclared"),
            declared => serializer.collect_str(declared),
        }
    }
}

/// A route, as far as the audit can tell it apart from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Route {
    /// The method; `*` for all methods that no other route of this path takes.
    pub method: String,
    /// The path as it was registered, with its scopes: `/users/{id}`. `{default}` stands for all paths
    /// without a route.
    pub pattern: String,
    /// What distinguishes it from another route of this path and method: a header, or a guard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Which clients may reach it.
    #[serde(rename = "who")]
    pub decision: Decision,
    /// The resource's name, which for a handler with a route attribute is the handler's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
}

impl Route {
    /// Whether anonymous clients can change something: the route is public, and its method is not safe
    /// (RFC 9110 §9.2.1). A login page is such a route.
    pub fn is_public_and_unsafe(&self) -> bool {
        let safe = matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        self.decision.is_public() && !safe
    }

    fn columns(&self) -> [String; 4] {
        let mut who = self.decision.to_string();
        if self.is_public_and_unsafe() {
            who.push_str(" (unsafe method)");
        }
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
    pub(crate) routes: Vec<Route>,
    pub(crate) middleware: Option<String>,
    pub(crate) broken_views: Vec<String>,
}

impl Audit {
    /// All routes, by path.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The routes that do not declare which clients may reach them.
    pub fn undeclared(&self) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(|route| route.decision == Decision::Undeclared)
    }

    /// The routes where anonymous clients can change something; see [`Route::is_public_and_unsafe`].
    pub fn public_and_unsafe(&self) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(|route| route.is_public_and_unsafe())
    }

    /// The routes that pages of other sites may send requests to: `#[public(cross_site)]` and
    /// `public().cross_site()`.
    pub fn cross_site(&self) -> impl Iterator<Item = &Route> {
        let routes = self.routes.iter();
        routes.filter(|route| route.decision == Decision::PublicCrossSite)
    }

    /// The middleware between the login manager and the routes that may hide what the routes declare, as far
    /// as its type shows it.
    ///
    /// If such middleware awaits something before it calls the routes, all routes are listed as undeclared.
    /// Wrap it in [`routes_behind`](crate::guards::routes_behind()), or around the login manager.
    pub fn hidden_by(&self) -> Option<&str> {
        self.middleware.as_deref()
    }

    /// What is wrong with the login and refresh views of the manager and of scopes: one sentence for each
    /// view that leads to no route, or that refuses the clients who are sent there.
    ///
    /// Views on other hosts are not checked.
    pub fn broken_views(&self) -> &[String] {
        &self.broken_views
    }

    /// What else may be the cause of undeclared routes, if there are any.
    pub(crate) fn note(&self) -> Option<String> {
        self.undeclared().next()?;
        let middleware = self.hidden_by()?;
        Some(format!(
            "note: `{middleware}` is between the login manager and the routes; if it awaits something before it \
             calls them, it hides what they declare; wrap it in `routes_behind(..)`, or around the login manager\n"
        ))
    }

    /// The routes as a JSON array.
    pub fn to_json(&self) -> String {
        // Strings can always be written as JSON.
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
        f.write_str(&self.note().unwrap_or_default())?;
        for view in &self.broken_views {
            writeln!(f, "note: {view}")?;
        }
        Ok(())
    }
}
