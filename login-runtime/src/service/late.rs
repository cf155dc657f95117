//! The outermost layer: decides which cookies the session middleware sees, and keeps late responses from
//! changing a session that has ended. A response that sets the session cookie is kept out of shared caches.
//!
//! A request that only reads and has no session cookie has no session to load, so the login layer is called
//! directly.
//! If the application then wants a session to be saved, the response goes through the session middleware.
//!
//! If the application has its own session middleware, a session that outgrew its cookie is a 500: browsers
//! would drop the cookie, and the login with it.
//!
//! The session's [`fate`] has the rules for late responses. This layer runs the session middleware with a
//! tracker, and then replaces or trims the response.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        StatusCode,
        header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE},
    },
};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    error::not_done,
    http::{self, Seen, SeenCookies, caching},
    manager::Manager,
    routes::declare_gate,
    service::{reopen, response},
    session::{self, SessionFate, fate},
};

// A constant would be copied for each look-up.
static COOKIES: HeaderName = COOKIE;

/// Wraps the session middleware.
#[derive(Debug)]
#[debug("LateService")]
pub struct LateService<S, L> {
    pub(crate) layers: Rc<Layers<S, L>>,
    pub(crate) manager: Arc<Manager>,
}

/// The layers inside.
pub(crate) struct Layers<S, L> {
    /// The session middleware, with the login layer inside.
    pub(crate) session: Rc<S>,
    /// The same login layer.
    pub(crate) login: Rc<L>,
    pub(crate) link: Rc<Link>,
}

/// What the outermost layer tells the login layer.
#[derive(Default)]
pub(crate) struct Link {
    /// Whether another login manager is around this one; set when its first request arrives.
    pub(crate) is_nested: Cell<bool>,
    /// Whether the next request comes directly, because it has no session cookie.
    pub(crate) is_direct: Cell<bool>,
    /// How many requests come with their response.
    answered: Cell<usize>,
}

/// The response of a request that the session middleware gets to save a session.
struct Answered<B>(HttpResponse<B>);

impl<S, L> Layers<S, L> {
    /// Lets the session middleware save the session of a request that it has not seen before.
    #[cold]
    fn save<B>(&self, response: ServiceResponse<B>) -> S::Future
    where
        S: Service<ServiceRequest>,
        B: 'static,
    {
        let (request, response) = response.into_parts();
        request.extensions_mut().insert(Answered(response));
        self.link.answered.set(self.link.answered.get() + 1);
        self.session.call(ServiceRequest::from_request(request))
    }
}

impl Link {
    /// The response that a request comes with.
    #[inline]
    pub(crate) fn response<B: 'static>(&self, request: &ServiceRequest) -> Option<HttpResponse<B>> {
        let left = self.answered.get().checked_sub(1)?;
        let Answered(response) = request.extensions_mut().remove()?;
        self.answered.set(left);
        Some(response)
    }
}

impl<S, L, B> Service<ServiceRequest> for LateService<S, L>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    L: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    L::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LateFuture<S, L, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.layers.session.poll_ready(cx)
    }

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (layers, cookie) = (&self.layers, &self.manager.session_cookie);
        // The session middleware awaits the session, so a login manager around this one cannot see the routes.
        if declare_gate(&request) {
            layers.link.is_nested.set(true);
        }
        let (carries, measures) = (
            request.headers().contains_key(&COOKIES),
            cookie.is_measured_late(),
        );
        // With login cookies, most requests have cookies and no session. The session middleware would decode
        // all of them to find that out, which costs more than to look up the login.
        let has_no_session =
            !carries || cookie.hide_others(request.request()) == SeenCookies::OfOthers;
        let method = self
            .manager
            .watches_sessions
            .then(|| request.method().clone());
        let reopens = carries && cookie.has_older_keys();
        let run = if has_no_session && !measures && request.method().is_safe() {
            Run::Start {
                request: Some(request),
                layers: Rc::clone(layers),
            }
        } else if reopens || measures {
            let session = Rc::clone(&layers.session);
            let inner = session.call(request);
            let reopened = async move {
                if reopens {
                    reopen::call_again(session, inner.await).await
                } else {
                    inner.await
                }
            };
            let future: Boxed<B> = if measures {
                measured(reopened)
            } else {
                Box::pin(reopened)
            };
            Run::Boxed { future }
        } else {
            Run::Through {
                inner: layers.session.call(request),
            }
        };
        LateFuture {
            kind: match method {
                None => Kind::Plain { run },
                Some(method) => Kind::Watched {
                    run: fate::track(&method, run, settle),
                },
            },
        }
    }
}

/// Replaces or trims the response to a late request.
fn settle<B>(
    result: Result<ServiceResponse<B>, Error>,
    fate: SessionFate,
    cookies: usize,
) -> Result<ServiceResponse<B>, Error> {
    match (fate, result) {
        // The application's own errors stay, late or not. A failure of the store does not matter if the
        // request succeeded anyway, for instance because it only read.
        (SessionFate::Kept, result)
        | (SessionFate::EndedAfterRead, result @ Err(_))
        | (SessionFate::Unknown, result @ Ok(_)) => result,
        (SessionFate::Unknown, Err(error)) => {
            let answer = not_done(StatusCode::SERVICE_UNAVAILABLE, None, String::new());
            Err(private_error(error.to_string(), answer))
        }
        (SessionFate::EndedAfterRead, Ok(mut response)) => {
            // The last cookie is that of the session middleware; those of this crate precede it.
            let headers = response.headers_mut();
            let kept: Vec<_> = headers.remove(SET_COOKIE).take(cookies).collect();
            for cookie in kept {
                headers.append(SET_COOKIE, cookie);
            }
            Ok(response)
        }
        (SessionFate::EndedAfterWrite, result) => {
            let cause = match result {
                Ok(_) => "late".to_owned(),
                Err(error) => error.to_string(),
            };
            let answer = HttpResponse::Conflict()
                .body("The session ended while the request was under way; try again.");
            Err(private_error(cause, answer))
        }
    }
}

/// Replaces a response with a session cookie that browsers do not keep, by an error. The browser keeps the
/// session that it has.
fn measured<B: 'static>(
    inner: impl Future<Output = Result<ServiceResponse<B>, Error>> + 'static,
) -> Boxed<B> {
    Box::pin(async move {
        let response = inner.await?;
        match http::too_long_cookie(response.headers()) {
            None => Ok(response),
            Some(cookie) => refuse_long(&response, cookie).map_or(Ok(response), Err),
        }
    })
}

/// The error in place of a response whose last cookie is too long, if that is the session cookie and not
/// one of the application.
fn refuse_long<B>(response: &ServiceResponse<B>, cookie: &[u8]) -> Option<Error> {
    if !session::is_written(&session::of(response.request())) {
        return None;
    }
    session::log_too_long(cookie.len());
    let cause = "the session is too long for its cookie".to_owned();
    Some(private_error(
        cause,
        HttpResponse::InternalServerError().finish(),
    ))
}

fn private_error(cause: String, mut answer: HttpResponse) -> Error {
    caching::keep_private(answer.headers_mut());
    InternalError::from_response(cause, answer).into()
}

/// A future that only some requests need.
pub(crate) type Boxed<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

pin_project! {
    /// The way of one request through the layers inside.
    #[project = RunProj]
    enum Run<S, L, B>
    where
        S: Service<ServiceRequest>,
        L: Service<ServiceRequest>,
    {
        // Without a session cookie: there is no session to load.
        Start {
            request: Option<ServiceRequest>,
            layers: Rc<Layers<S, L>>,
        },
        Direct {
            #[pin]
            inner: L::Future,
            layers: Rc<Layers<S, L>>,
        },
        Through {
            #[pin]
            inner: S::Future,
        },
        Boxed {
            future: Boxed<B>,
        },
    }
}

impl<S, L, B> Future for Run<S, L, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    L: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: 'static,
{
    type Output = Result<ServiceResponse<B>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                RunProj::Start { request, layers } => {
                    let Some(request) = request.take() else {
                        // Taken when this became another variant.
                        return Poll::Pending;
                    };
                    let layers = Rc::clone(layers);
                    layers.link.is_direct.set(true);
                    let inner = layers.login.call(request);
                    self.set(Self::Direct { inner, layers });
                }
                RunProj::Direct { inner, layers } => {
                    let polled = inner.poll(cx);
                    // The session middleware saves a session that it has not loaded under this condition, too. A
                    // gate answers with a request of its own.
                    let is_saved = matches!(
                        &polled,
                        Poll::Ready(Ok(response))
                            if !session::of(response.request()).entries().is_empty()
                    );
                    if !is_saved {
                        return polled;
                    }
                    let response = ready!(polled)?;
                    let inner = layers.save(response);
                    self.set(Self::Through { inner });
                }
                RunProj::Through { inner } => return inner.poll(cx),
                RunProj::Boxed { future } => return future.as_mut().poll(cx),
            }
        }
    }
}

pin_project! {
    /// Waits for the response.
    #[derive(Debug)]
    #[debug("LateFuture")]
    pub struct LateFuture<S, L, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
        L: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
        B: 'static,
    {
        #[pin]
        kind: Kind<S, L, B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<S, L, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
        L: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
        B: 'static,
    {
        // No session can end during the request.
        Plain {
            #[pin]
            run: Run<S, L, B>,
        },
        // The session may end during the request.
        Watched {
            #[pin]
            run: fate::Watched<Run<S, L, B>>,
        },
    }
}

impl<S, L, B> Future for LateFuture<S, L, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    L: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: 'static,
{
    type Output = Result<ServiceResponse<B>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut polled = match self.project().kind.project() {
            KindProj::Plain { run } => run.poll(cx),
            KindProj::Watched { run } => run.poll(cx),
        };
        // The response is changed where it is, since each move costs.
        if let Poll::Ready(Ok(response)) = &mut polled
            // Faster than a look-up: most responses have few headers.
            && response.headers().keys().any(|name| *name == SET_COOKIE)
        {
            keep_session_private(response);
        }
        polled
    }
}

/// Keeps a response that sets the session cookie out of shared caches, which would give the session to others.
/// Whether it does is known only after the session middleware: it may prolong the session at each request.
#[cold]
fn keep_session_private<B>(response: &mut ServiceResponse<B>) {
    // Most often the cookie comes with a login, whose response is kept from all caches already.
    if caching::is_no_store(response.headers()) {
        return;
    }
    let Some(manager) = Manager::peek(response.request()).map(Arc::clone) else {
        return;
    };
    let Some(name) = manager.session_cookie.name() else {
        return;
    };
    let sets_session = |value: &HeaderValue| {
        let rest = value.as_bytes().strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    if response.headers().get_all(SET_COOKIE).any(sets_session) {
        response::keep_private(response, &manager, Seen::default());
    }
}
