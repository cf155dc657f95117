//! A request that stands in for another one, which code of actix-web needs for itself.
//!
//! actix-web panics if a copy of a request exists while it looks for the route of that request. So the parts
//! are copied before, either all of them, or a few where a copy is hardly ever needed:
//!
//! - The method, the address, the session, and the address of the peer.
//! - [`FORM`], which say whether the client shows pages, and the headers of named proxies.
//! - [`WHO`], which say who the user is, if there is a cookie.
//!
//! That is enough to look up the user. What may be less exact is the form of a refusal: `next` may be missing,
//! a page with htmx gets the answer for a script, and the event of a client without cookies lacks its user
//! agent. A request loader, and a function that finds the address of the client, may read each header, so they
//! get all.

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

/// The headers that say who the user of a request with cookies is.
static WHO: [HeaderName; 2] = [header::COOKIE, header::USER_AGENT];

/// The headers that say whether a client shows pages. Each costs some 80 instructions at each request.
static FORM: [HeaderName; 2] = [header::ACCEPT, HeaderName::from_static("sec-fetch-mode")];

/// What browsers send most often. A copy of the text of a request may allocate.
#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the value of a static text never changes"
)]
const OFTEN_SENT: [HeaderValue; 4] = [
    // Browsers begin it with these words when they navigate, and the rest decides nothing.
    HeaderValue::from_static("text/html,*/*;q=0.8"),
    HeaderValue::from_static("*/*"),
    HeaderValue::from_static("navigate"),
    HeaderValue::from_static("cors"),
];

/// The value, or one that means the same.
#[inline]
fn short(value: &HeaderValue) -> HeaderValue {
    let [page, any, navigate, cors] = OFTEN_SENT;
    match value.as_bytes() {
        text if text.starts_with(b"text/html,") => page,
        b"*/*" => any,
        b"navigate" => navigate,
        b"cors" => cors,
        _ => value.clone(),
    }
}

/// The head of a request, or a few parts of it.
#[allow(
    clippy::large_enum_variant,
    reason = "a box would be allocated for each request"
)]
enum Head {
    All(Box<RequestHead>),
    Few {
        method: Method,
        uri: Uri,
        peer: Option<SocketAddr>,
        /// Of each of [`FORM`], if it was sent once.
        form: [Option<HeaderValue>; FORM.len()],
        /// All other headers.
        others: Vec<(HeaderName, HeaderValue)>,
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
        let mut others = Vec::new();
        let mut keep = |name: &HeaderName| {
            let values = sent.get_all(name);
            others.extend(values.map(|value| (name.clone(), value.clone())));
        };
        // Without a cookie nobody is logged in.
        let [cookie, agent] = &WHO;
        if sent.contains_key(cookie) {
            keep(cookie);
            keep(agent);
        }
        for name in manager.proxies.headers() {
            keep(name);
        }
        let form = FORM
            .each_ref()
            .map(|name| match sent.get_all(name).as_slice() {
                [] => None,
                [value] => Some(short(value)),
                _ => {
                    keep(name);
                    None
                }
            });
        let head = request.head();
        Self::Few {
            method: head.method.clone(),
            uri: head.uri.clone(),
            peer: head.peer_addr,
            form,
            others,
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
                form,
                others,
            } => {
                let mut map = HeaderMap::new();
                for (name, value) in FORM.iter().zip(form) {
                    if let Some(value) = value {
                        map.append(name.clone(), value);
                    }
                }
                for (name, value) in others {
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
