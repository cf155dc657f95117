//! One request of an audit, from the question to the answer.
//!
//! The audit puts a [`Probe`] into the request. The login layer and the gates find it there, let it collect
//! the declarations that the request passes, and stop the request before a handler runs.

use std::{cell::RefCell, future::Future, rc::Rc};

use actix_http::Request;
use actix_web::{
    Error, HttpMessage as _, HttpRequest,
    body::{BodySize, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    error::ErrorServiceUnavailable,
    http::{Method, StatusCode, header},
    introspection::IntrospectionTree,
    test::TestRequest,
    web::Data,
};

use crate::{
    manager::Manager,
    refusal::ScopeViews,
    request::{Declaration, Listener, RouteTrace},
    routes::{audited_views::AuditedView, report::Decision},
};

/// Whether a request is one of an audit.
pub(crate) fn is_audited(request: &HttpRequest) -> bool {
    request.extensions().contains::<Rc<Probe>>()
}

/// Marks a request as one of an audit, and collects the declarations that it passes. Only code of the
/// same process can add it: a client cannot send it.
#[derive(Default)]
pub(crate) struct Probe {
    runs_undeclared: bool,
    runs_public: bool,
    declarations: RefCell<Vec<Declaration>>,
    /// The views of the manager and of the scopes that the request passes.
    views: RefCell<Vec<AuditedView>>,
    arrival: RefCell<Arrival>,
}

/// What the login layer knows of the route.
#[derive(Default)]
pub(crate) struct Arrival {
    pub(crate) tree: Option<Data<IntrospectionTree>>,
    /// The pattern of the resource that the path leads to.
    pub(crate) pattern: Option<String>,
    pub(crate) name: Option<String>,
    /// The type of the service behind the login layer.
    pub(crate) service: &'static str,
}

impl Probe {
    /// The probe of a request, which is traced from here on. `service` is the type of the service that the
    /// request goes to.
    pub(crate) fn of(request: &ServiceRequest, service: &'static str) -> Option<Rc<Self>> {
        let probe = request.extensions().get::<Rc<Self>>().cloned()?;
        let (resources, path) = (request.resource_map(), request.path());
        probe.arrival.replace(Arrival {
            tree: request.app_data::<Data<IntrospectionTree>>().cloned(),
            pattern: resources.match_pattern(path),
            name: resources.match_name(path).map(str::to_owned),
            service,
        });
        if let Ok(manager) = Manager::of(request.request()) {
            let refusal = &manager.refusal;
            let (login, refresh) = (refusal.login_view.as_ref(), refusal.refresh_view.as_ref());
            let mut views = probe.views.borrow_mut();
            views.extend(AuditedView::all(login, refresh, request));
        }
        let listener: Rc<dyn Listener> = Rc::clone(&probe) as _;
        let trace = RouteTrace::heard_by(listener);
        request.extensions_mut().insert(Rc::new(trace));
        Some(probe)
    }

    /// Answers in place of the route, unless a gate behind it collects more, or the question allows the
    /// route to run.
    pub(crate) async fn answer<R>(
        &self,
        route: impl Future<Output = Result<R, Error>>,
    ) -> Result<R, Error> {
        let gate = self
            .declarations
            .borrow_mut()
            .pop_if(|last| *last == Declaration::Gate);
        let runs = match Decision::of(&self.declarations.borrow()) {
            Decision::Undeclared => self.runs_undeclared,
            Decision::Public | Decision::PublicCrossSite => self.runs_public,
            Decision::Guarded(_) => false,
        };
        if gate.is_some() || runs {
            return route.await;
        }
        Err(ErrorServiceUnavailable("this was a request of an audit"))
    }
}

impl Listener for Probe {
    fn declared(&self, request: &ServiceRequest, declaration: Declaration) {
        self.declarations.borrow_mut().push(declaration);
        // The innermost declaration knows the route best.
        self.arrival.borrow_mut().name = request.request().match_name().map(str::to_owned);
    }

    fn has_views(&self, request: &ServiceRequest, views: &ScopeViews) {
        let found = AuditedView::of_scope(views, request);
        self.views.borrow_mut().extend(found);
    }
}

/// A request of an audit.
pub(crate) struct Question {
    request: TestRequest,
    probe: Probe,
}

impl Question {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let path = if path.is_empty() { "/" } else { path };
        Self {
            request: TestRequest::with_uri(path).method(method),
            probe: Probe::default(),
        }
    }

    pub(crate) fn with(mut self, headers: &[(String, String)]) -> Self {
        for (name, value) in headers {
            self.request = self.request.insert_header((name.as_str(), value.as_str()));
        }
        self
    }

    /// Runs an undeclared route.
    pub(crate) fn run_undeclared(mut self) -> Self {
        self.probe.runs_undeclared = true;
        self
    }

    /// Runs a public route.
    pub(crate) fn run_public(mut self) -> Self {
        self.probe.runs_public = true;
        self
    }

    /// Sends the request to an application.
    pub(crate) async fn ask<S, B, E>(self, app: &S) -> Answer
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
    {
        let probe = Rc::new(self.probe);
        let request = self.request.to_request();
        request.extensions_mut().insert(Rc::clone(&probe));
        let mut by_route = true;
        let is_empty = app.call(request).await.is_ok_and(|response| {
            // A route takes the whole path.
            by_route = response.request().match_info().unprocessed().is_empty();
            is_of_actix(&response)
        });
        let declarations = probe.declarations.take();
        Answer {
            arrival: probe.arrival.take(),
            views: probe.views.take(),
            decision: Decision::of(&declarations),
            is_there: !declarations.is_empty() || !is_empty,
            is_empty,
            by_route,
        }
    }
}

/// Whether this looks like the response of actix-web where the application has no service.
fn is_of_actix<B: MessageBody>(response: &ServiceResponse<B>) -> bool {
    matches!(
        response.status(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    ) && !response.headers().contains_key(header::CONTENT_TYPE)
        && matches!(
            response.response().body().size(),
            BodySize::None | BodySize::Sized(0)
        )
}

/// What a request of an audit has found.
pub(crate) struct Answer {
    pub(crate) arrival: Arrival,
    /// The views of the manager and of the scopes on the way.
    pub(crate) views: Vec<AuditedView>,
    pub(crate) decision: Decision,
    /// Whether the request reached a declaration or a service of the application.
    pub(crate) is_there: bool,
    /// Whether the response was that of actix-web where the application has no service.
    pub(crate) is_empty: bool,
    /// Whether the response was not that of a default service.
    pub(crate) by_route: bool,
}
