//! Login and refresh views of their own for a scope.

use std::{
    fmt,
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    Error, HttpRequest,
    dev::{Extensions, Service, ServiceRequest, ServiceResponse, Transform},
};
use once_cell::unsync::OnceCell;

use crate::{error::BuildError, http::View};

/// Gives the routes below a scope or resource views of their own.
///
/// What it leaves open is inherited: from the scope around it, and at last from the manager.
///
/// Wrap it after a guard on the same scope, which is to say around it: in actix-web the last `.wrap`
/// is the outermost, and a guard outside does not see these views.
///
/// # Examples
///
/// ```
/// use actix_web::web;
/// use login_runtime::LoginScope;
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let admin = web::scope("/admin").wrap(LoginScope::new().login_view("/admin/login")?);
/// # let _ = admin;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoginScope {
    views: Rc<Views>,
}

#[derive(Clone, Debug, Default)]
struct Views {
    login: Option<View>,
    refresh: Option<View>,
}

impl LoginScope {
    /// Inherits both views.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where clients without a login are sent: a path, a URL, or the name of a route.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if it is none of these.
    pub fn login_view(mut self, view: &str) -> Result<Self, BuildError> {
        Rc::make_mut(&mut self.views).login = Some(View::parse(view)?);
        Ok(self)
    }

    /// Where clients with a stale login are sent.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if it is none of these.
    pub fn refresh_view(mut self, view: &str) -> Result<Self, BuildError> {
        Rc::make_mut(&mut self.views).refresh = Some(View::parse(view)?);
        Ok(self)
    }
}

/// The views of a scope, completed from the scopes around it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeViews(Views);

impl ScopeViews {
    pub(crate) fn login_view(request: &HttpRequest) -> Option<&View> {
        request.app_data::<Self>()?.0.login.as_ref()
    }

    pub(crate) fn refresh_view(request: &HttpRequest) -> Option<&View> {
        request.app_data::<Self>()?.0.refresh.as_ref()
    }
}

impl<S, B> Transform<S, ServiceRequest> for LoginScope
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = LoginScopeService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(LoginScopeService {
            service,
            views: Rc::clone(&self.views),
            complete: OnceCell::new(),
        }))
    }
}

/// The service that [`LoginScope`] makes.
pub struct LoginScopeService<S> {
    service: S,
    views: Rc<Views>,
    // What is around a scope is the same for each request, so the first one finds it out.
    complete: OnceCell<Rc<Extensions>>,
}

impl<S> fmt::Debug for LoginScopeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginScopeService")
            .field("views", &self.views)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for LoginScopeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = S::Future;

    actix_web::dev::forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let complete = self.complete.get_or_init(|| {
            let around = request
                .app_data::<ScopeViews>()
                .cloned()
                .unwrap_or_default()
                .0;
            let mut data = Extensions::new();
            data.insert(ScopeViews(Views {
                login: self.views.login.clone().or(around.login),
                refresh: self.views.refresh.clone().or(around.refresh),
            }));
            Rc::new(data)
        });
        request.add_data_container(Rc::clone(complete));
        self.service.call(request)
    }
}
