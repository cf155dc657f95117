//! Login and refresh views for a scope.

use std::{
    cell::OnceCell,
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    HttpRequest,
    dev::{Extensions, Service, ServiceRequest, Transform},
};

use crate::{
    error::BuildError,
    http::{PassThrough, View},
};

/// Sets the login and refresh views for the routes of a scope or resource.
///
/// A view that is not set is inherited from the scope around this one, or else from the manager.
///
/// Call `.wrap` for it after the `.wrap` for a guard on the same scope: in actix-web the last `.wrap` is
/// the outermost, and a guard only sees the views of scopes around it.
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
    views: Rc<ScopeViews>,
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
    /// [`BuildError::View`] if `view` is not one of these.
    pub fn login_view(mut self, view: &str) -> Result<Self, BuildError> {
        Rc::make_mut(&mut self.views).login = Some(View::parse(view)?);
        Ok(self)
    }

    /// Where clients with a stale login are sent.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if `view` is not one of these.
    pub fn refresh_view(mut self, view: &str) -> Result<Self, BuildError> {
        Rc::make_mut(&mut self.views).refresh = Some(View::parse(view)?);
        Ok(self)
    }
}

/// The views of a scope. In the data of a request, the scopes around it have filled in the missing ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeViews {
    login: Option<View>,
    refresh: Option<View>,
}

impl ScopeViews {
    pub(crate) fn login_view(request: &HttpRequest) -> Option<&View> {
        request.app_data::<Self>()?.login.as_ref()
    }

    pub(crate) fn refresh_view(request: &HttpRequest) -> Option<&View> {
        request.app_data::<Self>()?.refresh.as_ref()
    }

    /// These views, and for missing ones those of the scopes around the request.
    fn completed(&self, request: &ServiceRequest) -> Self {
        let outer = request.app_data::<Self>().cloned().unwrap_or_default();
        Self {
            login: self.login.clone().or(outer.login),
            refresh: self.refresh.clone().or(outer.refresh),
        }
    }
}

impl<S: Service<ServiceRequest>> Transform<S, ServiceRequest> for LoginScope {
    type Response = S::Response;
    type Error = S::Error;
    type Transform = PassThrough<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let views = Rc::clone(&self.views);
        // The scopes around are the same for each request, so the first one completes the views.
        let complete = OnceCell::new();
        ready(Ok(PassThrough {
            service,
            on_request: Box::new(move |request| {
                let complete = complete.get_or_init(|| {
                    let mut data = Extensions::new();
                    data.insert(views.completed(request));
                    Rc::new(data)
                });
                request.add_data_container(Rc::clone(complete));
            }),
        }))
    }
}
