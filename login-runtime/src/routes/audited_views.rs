//! The views that an audit finds, and the paths that lead to them.

use actix_web::{HttpRequest, dev::ServiceRequest};

use crate::{
    http::ViewAddress,
    refusal::{RefusalKind, ScopeViews, views},
    routes::{
        report::Decision,
        samples::{SAMPLES, fill},
    },
};

/// How many dynamic segments a route may have, according to actix-web.
const MOST_SEGMENTS: usize = 16;

/// A view on this host, as an audit finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditedView {
    kind: RefusalKind,
    /// What the application has named.
    name: String,
    /// The paths that may lead to it.
    pub(crate) paths: Vec<String>,
}

impl AuditedView {
    /// The views of the manager or of a scope.
    pub(crate) fn all<'a>(
        login: Option<&'a ViewAddress>,
        refresh: Option<&'a ViewAddress>,
        request: &'a ServiceRequest,
    ) -> impl Iterator<Item = Self> {
        let login = login.map(|view| (RefusalKind::Unauthorized, view));
        let refresh = refresh.map(|view| (RefusalKind::NeedsRefresh, view));
        let views = login.into_iter().chain(refresh);
        views.filter_map(|(kind, view)| Self::of(kind, view, request.request()))
    }

    pub(crate) fn of_scope<'a>(
        views: &'a ScopeViews,
        request: &'a ServiceRequest,
    ) -> impl Iterator<Item = Self> {
        Self::all(views.login.as_ref(), views.refresh.as_ref(), request)
    }

    /// `None` if it is on another host.
    fn of(kind: RefusalKind, view: &ViewAddress, request: &HttpRequest) -> Option<Self> {
        let path = |view: &ViewAddress| match view {
            ViewAddress::Path { address, path_len } => address.get(..*path_len).map(str::to_owned),
            _ => None,
        };
        let (name, paths) = match view {
            ViewAddress::Url(_) => return None,
            ViewAddress::Path { address, .. } => {
                (address.clone(), path(view).into_iter().collect())
            }
            ViewAddress::Pattern(pattern) => {
                let text = pattern.text.split(['?', '#']).next().unwrap_or_default();
                let samples = SAMPLES.iter().filter_map(|sample| fill(text, sample));
                (pattern.text.clone(), samples.collect())
            }
            ViewAddress::Name(name) => {
                let samples = SAMPLES.iter().filter_map(|sample| {
                    let url = request.url_for(name, [*sample; MOST_SEGMENTS]).ok()?;
                    Some(url.path().to_owned())
                });
                (name.clone(), samples.collect())
            }
            ViewAddress::Function(_) => match views::resolve(view, request)?.as_ref() {
                ViewAddress::Path { address, .. } => {
                    let resolved = ViewAddress::path(address);
                    (address.clone(), path(&resolved).into_iter().collect())
                }
                _ => return None,
            },
        };
        Some(Self { kind, name, paths })
    }

    fn title(&self) -> String {
        let kind = match self.kind {
            RefusalKind::Unauthorized => "login",
            RefusalKind::NeedsRefresh => "refresh",
        };
        format!("the {kind} view `{}`", self.name)
    }

    /// What is wrong if none of the paths leads to a route.
    pub(crate) fn is_nowhere(&self) -> String {
        format!("{} leads to no route", self.title())
    }

    /// What is wrong with a view that is guarded like this.
    pub(crate) fn fault(&self, decision: &Decision) -> Option<String> {
        let Decision::Guarded(guards) = decision else {
            return None;
        };
        let is_fresh = |guard: &String| guard.starts_with("fresh");
        let (is_wrong, who) = match self.kind {
            RefusalKind::Unauthorized => (true, "without a login"),
            RefusalKind::NeedsRefresh => (guards.iter().any(is_fresh), "with a stale login"),
        };
        let title = self.title();
        is_wrong.then(|| format!("{title} has the guard `{decision}`, which refuses clients {who}"))
    }
}
