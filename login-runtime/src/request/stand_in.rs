//! A request that stands in for another one, which code of actix-web needs for itself.
//!
//! actix-web panics if a copy of a request exists while it looks for the route of that request. So the parts
//! are copied before, either all of them, or a few where a copy is hardly ever needed:
//!
//! - The method, the address, the session, and the address of the peer.
//! - [`FEW`], which say who the user is and whether the client shows pages, and the headers of named proxies.
//!
//! That is enough to look up the user. What may be less exact is the form of a refusal: `next` may be missing,
//! and a page with htmx gets the answer for a script. A request loader, and a function that finds the address
//! of the client, may read each header, so they get all.

use std::{mem, net::SocketAddr, rc::Rc, sync::Arc};

use actix_web::{
    HttpMessage as _, HttpRequest,
    dev::{RequestHead, ServiceRequest},
    http::{
        Method, Uri,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
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

/// The headers of which a stand-in with few parts consists. Each costs some 80 instructions at each request.
static FEW: [HeaderName; 4] = [
    header::COOKIE,
    header::USER_AGENT,
    header::ACCEPT,
    HeaderName::from_static("sec-fetch-mode"),
];

/// The head of a request, or a few parts of it.
enum Head {
    All(Box<RequestHead>),
    Few {
        method: Method,
        uri: Uri,
        peer: Option<SocketAddr>,
        /// The first value of each of [`FEW`].
        headers: [Option<HeaderValue>; FEW.len()],
        /// More values, and other headers.
        more: Vec<(HeaderName, HeaderValue)>,
    },
}

/// The parts of a request from which a stand-in is made.
pub(crate) struct StandIn {
    head: Head,
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

impl Head {
    fn all(request: &HttpRequest) -> Self {
        Self::All(Box::new(request.head().clone()))
    }

    #[inline]
    fn few(request: &HttpRequest, manager: &Manager) -> Self {
        if manager.request_loader.is_some() || manager.proxies.has_function() {
            return Self::all(request);
        }
        let sent = request.headers();
        let mut more = Vec::new();
        let headers = std::array::from_fn(|at| {
            let name = FEW.get(at)?;
            let mut values = sent.get_all(name);
            let first = values.next()?.clone();
            if !values.as_slice().is_empty() {
                more.extend(values.map(|value| (name.clone(), value.clone())));
            }
            Some(first)
        });
        for name in manager.proxies.headers() {
            let values = sent.get_all(*name);
            more.extend(values.map(|value| ((*name).clone(), value.clone())));
        }
        let head = request.head();
        Self::Few {
            method: head.method.clone(),
            uri: head.uri.clone(),
            peer: head.peer_addr,
            headers,
            more,
        }
    }

    fn uri(&self) -> &Uri {
        match self {
            Self::All(head) => &head.uri,
            Self::Few { uri, .. } => uri,
        }
    }

    fn into_head(self) -> RequestHead {
        match self {
            Self::All(head) => *head,
            Self::Few {
                method,
                uri,
                peer,
                headers,
                more,
            } => {
                let mut map = HeaderMap::new();
                for (name, value) in FEW.iter().zip(headers) {
                    if let Some(value) = value {
                        map.append(name.clone(), value);
                    }
                }
                for (name, value) in more {
                    map.append(name, value);
                }
                let mut head = RequestHead::default();
                (head.method, head.uri, head.peer_addr) = (method, uri, peer);
                head.headers = map;
                head
            }
        }
    }
}

impl StandIn {
    /// Takes all parts of a request.
    pub(crate) fn of(request: &HttpRequest, manager: &Manager) -> Self {
        let resolved = ResolvedViews::of(manager.refusal.views(), request);
        Self::with(request, Head::all(request), resolved)
    }

    /// Takes all parts of a request, or `few` if a stand-in will hardly be needed. `resolved` are those of the
    /// manager's views that are names.
    #[inline]
    pub(crate) fn of_route(
        request: &HttpRequest,
        manager: &Manager,
        resolved: ResolvedViews,
        few: bool,
    ) -> Self {
        let head = if few {
            Head::few(request, manager)
        } else {
            Head::all(request)
        };
        Self::with(request, head, resolved)
    }

    #[inline]
    fn with(request: &HttpRequest, head: Head, resolved: ResolvedViews) -> Self {
        Self {
            head,
            session: SharedSession::of(request),
            by_safe_method: request
                .app_data::<ManagerData>()
                .is_none_or(|data| data.by_safe_method),
            #[cfg(feature = "tracing-actix-web")]
            root_span: request.extensions().get::<RootSpan>().cloned(),
            segments: Vec::new(),
            scope_views: None,
            resolved,
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.head.uri().path()
    }

    pub(crate) fn take_views(&mut self) -> ResolvedViews {
        mem::take(&mut self.resolved)
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
        *request.head_mut() = self.head.into_head();
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
