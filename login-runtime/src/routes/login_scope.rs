//! Login and refresh views for a scope, and scopes that are an API.

use std::{
    cell::OnceCell,
    future::{Ready, ready},
    rc::Rc,
    sync::Arc,
};

use actix_web::dev::{Extensions, Service, ServiceRequest, Transform};
use derive_more::Debug;

use crate::{
    error::BuildError,
    http::{IntoView, PassThrough},
    refusal::ScopeViews,
    request::RouteTrace,
};

/// Sets the login and refresh views for the routes of a scope or resource, or declares that they are an
/// [API](Self::api).
///
/// A view that is not set is inherited from the scope around this one, or else from the manager.
///
/// Call `.wrap` for it after the `.wrap` for a guard on the same scope: in actix-web the last `.wrap` is
/// the outermost, and a guard only sees the views of scopes around it.
///
/// It can be built once, outside the `HttpServer` closure, and cloned into the workers.
///
/// # Examples
///
/// ```
/// use actix_web::web;
/// use login_runtime::LoginScope;
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let views = LoginScope::new().login_view("/admin/login")?;
/// let admin = web::scope("/admin").wrap(views.clone());
/// # let _ = admin;
///
/// let error = LoginScope::new().login_view("admin/login").unwrap_err();
/// assert!(error.to_string().contains("is neither a path nor a URL"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[debug("LoginScope({views:?})")]
pub struct LoginScope {
    views: Arc<ScopeViews>,
}

impl LoginScope {
    /// Inherits both views.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where clients without a login are sent: a path, a URL, a [`View`](crate::config::View), or a function
    /// from the request to an address.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if `view` is not one of these.
    pub fn login_view(mut self, view: impl IntoView) -> Result<Self, BuildError> {
        Arc::make_mut(&mut self.views).login = Some(view.into_view()?.into());
        Ok(self)
    }

    /// Where clients with a stale login are sent.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if `view` is not one of these.
    pub fn refresh_view(mut self, view: impl IntoView) -> Result<Self, BuildError> {
        Arc::make_mut(&mut self.views).refresh = Some(view.into_view()?.into());
        Ok(self)
    }

    /// Declares that the routes are an API: a refused client gets 401 or 403 as `application/problem+json`
    /// and is never sent to a view, whatever its headers say.
    ///
    /// The same holds for scopes inside this one, whatever views they set.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{App, cookie::Key, test::{TestRequest, call_service, init_service}, web};
    /// use login_runtime::{AuthUser, LoginManager, LoginScope, login_required};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// #[login_required]
    /// async fn orders() -> &'static str {
    ///     "[]"
    /// }
    ///
    /// # #[actix_web::main]
    /// # async fn main() -> Result<(), login_runtime::BuildError> {
    /// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///     .session_only()
    ///     .login_view("/login")
    ///     .build(Key::generate())?;
    /// let api = web::scope("/api").wrap(LoginScope::new().api()).route("/orders", web::get().to(orders));
    /// let app = init_service(App::new().wrap(login_manager).service(api)).await;
    ///
    /// let browser = TestRequest::get().uri("/api/orders").insert_header(("accept", "text/html"));
    /// let answer = call_service(&app, browser.to_request()).await;
    /// assert_eq!(answer.status(), 401);
    /// assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn api(mut self) -> Self {
        Arc::make_mut(&mut self.views).is_api = true;
        self
    }
}

/// These views, and for missing ones those of the scopes around the request.
fn completed(views: &ScopeViews, request: &ServiceRequest) -> ScopeViews {
    let outer = request.app_data::<ScopeViews>();
    let outer = outer.cloned().unwrap_or_default();
    ScopeViews {
        login: views.login.clone().or(outer.login),
        refresh: views.refresh.clone().or(outer.refresh),
        is_api: views.is_api || outer.is_api,
    }
}

impl<S: Service<ServiceRequest>> Transform<S, ServiceRequest> for LoginScope {
    type Response = S::Response;
    type Error = S::Error;
    type Transform = PassThrough<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let views = Arc::clone(&self.views);
        // The scopes around are the same for each request, so the first one completes the views.
        let complete = OnceCell::new();
        ready(Ok(PassThrough {
            service,
            on_request: Box::new(move |request| {
                let (data, views) = complete.get_or_init(|| {
                    let views = Rc::new(completed(&views, request));
                    let mut data = Extensions::new();
                    data.insert(ScopeViews::clone(&views));
                    (Rc::new(data), views)
                });
                // A gate around the scope no longer sees the request.
                if let Some(trace) = RouteTrace::of(request) {
                    trace.note_views(request, views);
                }
                request.add_data_container(Rc::clone(data));
            }),
        }))
    }
}
