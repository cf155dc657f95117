//! The check of requests of other sites, as a middleware of its own.

use std::{
    any::type_name,
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready as completed},
};

use actix_web::{
    Error, HttpMessage as _, HttpRequest,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    core::{CrossSiteReason, PageOrigin, RefusalReason},
    error::BuildError,
    events::{LoginEvent, SeenRoutes, shown},
    http::{CrossSiteCheck, Origin, Proxies, cross_site, proxies::TrustedProxies},
    refusal::{self, RefusalSettings, here},
    request::{RouteTrace, stand_in},
    routes::behind,
};

/// Refuses requests of other sites, without a login manager.
///
/// A [`LoginManager`](crate::LoginManager) has this check already, and needs no such guard around it. The guard
/// is for applications, or parts of them, that have no login manager: it has the same rule, and answers 403 in
/// the same words. See [the guide](crate::guide::cross_site).
///
/// A route takes requests of other sites if it is declared with `#[public(cross_site)]` or
/// `public().cross_site()`, or if [`exempt`](Self::exempt) says so. Middleware between the guard and the routes
/// that awaits something hides the declaration.
///
/// # Examples
///
/// ```
/// use actix_web::{
///     App, HttpResponse,
///     test::{TestRequest, call_service, init_service},
///     web,
/// };
/// use login_runtime::{guards::CrossSiteGuard, public};
///
/// # #[actix_web::main]
/// # async fn main() -> Result<(), login_runtime::BuildError> {
/// let guard = CrossSiteGuard::new().trusted_origins(["https://spa.example.com"])?;
/// let hook = web::post().to(HttpResponse::Ok);
/// let app = App::new()
///     .wrap(guard.clone())
///     .route("/order", web::post().to(HttpResponse::Ok))
///     .route("/hook", hook.wrap(public().cross_site()));
/// let app = init_service(app).await;
///
/// for (path, origin, status) in [
///     ("/order", "https://evil.test", 403),
///     ("/order", "https://spa.example.com", 200),
///     ("/hook", "https://evil.test", 200),
/// ] {
///     let forged = TestRequest::post().uri(path).insert_header(("origin", origin));
///     let forged = forged.insert_header(("sec-fetch-site", "cross-site"));
///     assert_eq!(call_service(&app, forged.to_request()).await.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[debug("CrossSiteGuard({check:?})")]
pub struct CrossSiteGuard {
    check: CrossSiteCheck,
    own_origin: Option<Origin>,
    proxies: Arc<Proxies>,
    exempt: Option<Exempt>,
}

/// The application's function that says which requests are taken.
type Exempt = Arc<dyn Fn(&HttpRequest) -> bool + Send + Sync>;

impl CrossSiteGuard {
    /// A guard that takes no request of another origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Origins of other applications whose pages may send requests that change something.
    ///
    /// # Errors
    ///
    /// [`BuildError::TrustedOrigin`] for anything but a scheme, a host and perhaps a port.
    ///
    /// # Security
    ///
    /// As for [`trusted_origins`](crate::config::LoginManagerBuilder::trusted_origins) of the manager.
    pub fn trusted_origins<I: IntoIterator<Item = impl Into<String>>>(
        mut self,
        origins: I,
    ) -> Result<Self, BuildError> {
        self.check.trust(origins)?;
        Ok(self)
    }

    /// Takes requests of all pages of the same site.
    ///
    /// # Security
    ///
    /// As for [`allow_same_site`](crate::config::LoginManagerBuilder::allow_same_site) of the manager.
    #[must_use]
    pub fn allow_same_site(mut self) -> Self {
        self.check.rules.same_site = true;
        self
    }

    /// The origin at which clients reach this application, whatever their requests say.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if it is not an origin.
    pub fn own_origin(mut self, origin: impl Into<String>) -> Result<Self, BuildError> {
        self.own_origin = Some(Origin::parse(&origin.into())?);
        Ok(self)
    }

    /// The proxies in front of this application, which say at which origin clients reach it.
    ///
    /// # Errors
    ///
    /// [`BuildError::TrustedProxy`] for a network that is none, or that contains every address.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Result<Self, BuildError> {
        let mut own = Proxies::default();
        own.set_trusted(proxies)?;
        self.proxies = Arc::new(own);
        Ok(self)
    }

    /// Takes the requests for which the function returns `true`. It is asked only about a request that would
    /// be refused.
    ///
    /// # Security
    ///
    /// The function may look at the path, or at a header that no page can make a browser send. A page of another
    /// site chooses the query and the body.
    #[must_use]
    pub fn exempt(mut self, exempt: impl Fn(&HttpRequest) -> bool + Send + Sync + 'static) -> Self {
        self.exempt = Some(Arc::new(exempt));
        self
    }
}

impl<S, B> Transform<S, ServiceRequest> for CrossSiteGuard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = CrossSiteService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let own = RefusalSettings {
            own_origin: self.own_origin.clone(),
            proxies: Arc::clone(&self.proxies),
            ..RefusalSettings::default()
        };
        ready(Ok(CrossSiteService {
            service,
            check: self.check.clone(),
            own,
            exempt: self.exempt.clone(),
            seen: SeenRoutes::default(),
        }))
    }
}

/// The service of a [`CrossSiteGuard`].
#[derive(Debug)]
#[debug("CrossSiteService")]
pub struct CrossSiteService<S> {
    service: S,
    check: CrossSiteCheck,
    /// Says at which origin clients reach the application.
    own: RefusalSettings,
    exempt: Option<Exempt>,
    /// Routes whose refusal has named the middleware that may hide what they declare.
    seen: SeenRoutes,
}

impl<S, B> Service<ServiceRequest> for CrossSiteService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = CrossSiteFuture<S::Future>;

    actix_web::dev::forward_ready!(service);

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        match self.judge(request.request()) {
            None => CrossSiteFuture::Taken {
                inner: self.service.call(request),
            },
            Some(reason) => self.decide(request, reason),
        }
    }
}

impl<S> CrossSiteService<S> {
    /// Why a request is one of another site; `None` if it is none, or if it is exempt.
    #[inline]
    fn judge(&self, request: &HttpRequest) -> Option<CrossSiteReason> {
        let is_own = |page: PageOrigin<'_>| here::is_own(request, &self.own, page);
        let reason = self.check.judge(request, is_own)?;
        let is_exempt = self.exempt.as_ref().is_some_and(|exempt| exempt(request));
        (!is_exempt).then_some(reason)
    }

    /// Looks which route a request of another site reaches. It is refused before the route's future is polled.
    #[cold]
    fn decide(&self, request: ServiceRequest, reason: CrossSiteReason) -> CrossSiteFuture<S::Future>
    where
        S: Service<ServiceRequest>,
    {
        let pattern = request.resource_map().match_pattern(request.path());
        let head = request.head().clone();
        let around = RouteTrace::of(&request);
        let trace = Rc::new(RouteTrace::of_lone_check(around, type_name::<S>(), reason));
        request.extensions_mut().insert(Rc::clone(&trace));
        let inner = self.service.call(request);
        if trace.is_left_to_gate() || trace.takes_cross_site() {
            return CrossSiteFuture::Taken { inner };
        }
        let request = stand_in::of_head(head, &self.own.proxies);
        self.report(&request, reason, pattern.as_deref());
        let answer = refusal::answer::forbidden(&request, RefusalReason::CrossSite);
        CrossSiteFuture::Refused {
            answer: Some(ServiceResponse::new(request, answer)),
        }
    }

    fn report(&self, request: &HttpRequest, reason: CrossSiteReason, pattern: Option<&str>) {
        let is_first = |pattern| self.seen.is_first(request.method(), pattern);
        let middleware = pattern
            .filter(|pattern| is_first(pattern))
            .and_then(|_| behind::middleware(type_name::<S>()));
        let origin = cross_site::origin(request).map(shown);
        let event = LoginEvent::CrossSiteRefused {
            reason,
            origin: origin.as_deref(),
            pattern,
            middleware: middleware.as_deref(),
        };
        event.log(Some(request));
    }
}

pin_project! {
    /// Waits for the response, unless the request is refused.
    #[derive(Debug)]
    #[project = CrossSiteFutureProj]
    pub enum CrossSiteFuture<F> {
        /// The route answers.
        #[debug("Taken")]
        Taken {
            #[pin]
            inner: F,
        },
        /// The guard answers.
        #[debug("Refused")]
        Refused {
            answer: Option<ServiceResponse>,
        },
    }
}

impl<F, B> Future for CrossSiteFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CrossSiteFutureProj::Taken { inner } => {
                let response = completed!(inner.poll(cx))?;
                Poll::Ready(Ok(response.map_into_left_body()))
            }
            CrossSiteFutureProj::Refused { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer.map_into_right_body())),
                // A future is not polled after it has answered.
                None => Poll::Pending,
            },
        }
    }
}
