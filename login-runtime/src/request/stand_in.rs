//! A request that stands in for another one, which code of actix-web needs for itself.
//!
//! actix-web panics if a copy of a request exists while it looks for the route of that request.

use std::{rc::Rc, sync::Arc};

use actix_web::{
    HttpMessage as _, HttpRequest,
    dev::{RequestHead, ServiceRequest},
    test::TestRequest,
};
#[cfg(feature = "tracing-actix-web")]
use tracing_actix_web::RootSpan;

use crate::{
    http::{Proxies, ProxyData},
    manager::{Manager, ManagerData},
    refusal::{ResolvedViews, ScopeViews},
    request::{state::LoginState, trace::RouteTrace},
    session::{Session, SharedSession},
};

/// The parts of a request from which a stand-in is made.
pub(crate) struct StandIn {
    head: RequestHead,
    session: SharedSession,
    by_safe_method: bool,
    #[cfg(feature = "tracing-actix-web")]
    root_span: Option<RootSpan>,
    /// Dynamic segments of the path.
    segments: Vec<(String, String)>,
    pub(crate) scope_views: Option<Rc<ScopeViews>>,
    /// Of the views of the manager and, if there are any, of the scope.
    pub(crate) resolved: ResolvedViews,
}

impl StandIn {
    /// Takes the parts of a request.
    pub(crate) fn of(request: &HttpRequest, manager: &Manager) -> Self {
        // Not within the struct below: the extensions would be borrowed until the views are resolved.
        #[cfg(feature = "tracing-actix-web")]
        let root_span = request.extensions().get::<RootSpan>().cloned();
        Self {
            head: request.head().clone(),
            session: SharedSession::of(request),
            by_safe_method: request
                .app_data::<ManagerData>()
                .is_none_or(|data| data.by_safe_method),
            #[cfg(feature = "tracing-actix-web")]
            root_span,
            segments: Vec::new(),
            scope_views: None,
            resolved: ResolvedViews::of(manager.refusal.views(), request),
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(crate) fn with_segments(mut self, segments: Vec<(String, String)>) -> Self {
        self.segments = segments;
        self
    }

    /// The request, without the data that the application added to the other one.
    pub(crate) fn request(self, manager: Arc<Manager>) -> HttpRequest {
        // The only way to make a request outside of actix-web.
        let proxies = ProxyData(Arc::clone(&manager.proxies));
        let mut request = TestRequest::default().app_data(ManagerData {
            manager,
            by_safe_method: self.by_safe_method,
        });
        request = request.app_data(proxies);
        request = request.app_data(self.resolved);
        if let Some(views) = self.scope_views {
            request = request.app_data(ScopeViews::clone(&views));
        }
        for (name, value) in self.segments {
            request = request.param(name, value);
        }
        let mut request: ServiceRequest = request.to_srv_request();
        *request.head_mut() = self.head;
        request.extensions_mut().insert(self.session);
        #[cfg(feature = "tracing-actix-web")]
        if let Some(root_span) = self.root_span {
            request.extensions_mut().insert(root_span);
        }
        request.into_parts().0
    }
}

/// A request with this head, without anything that was added to it.
pub(crate) fn of_head(head: RequestHead, proxies: &Arc<Proxies>) -> HttpRequest {
    let request = TestRequest::default().app_data(ProxyData(Arc::clone(proxies)));
    let mut request = request.to_srv_request();
    *request.head_mut() = head;
    request.into_parts().0
}

/// Drops the copy of a session that hooks got with a stand-in, and what they have written into it.
pub(crate) fn drop_copy(request: &HttpRequest, shared: Session) {
    let mut extensions = request.extensions_mut();
    let mut all = std::mem::take(&mut *extensions);
    // The type of the session is private to actix-session, so the rest is kept and not the session removed.
    if let Some(trace) = all.remove::<Rc<RouteTrace>>() {
        extensions.insert(trace);
    }
    if let Some(state) = all.remove::<Rc<LoginState>>() {
        extensions.insert(state);
    }
    extensions.insert(SharedSession::new(shared));
}
