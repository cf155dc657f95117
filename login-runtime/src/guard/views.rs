//! The addresses of the login and refresh views, for pages that link to them.

use actix_web::HttpRequest;

use crate::{
    manager::Manager,
    refusal::{self, RefusalKind},
};

/// The address of the login view, as a guard at this place redirects to it: with the address of the
/// request as `next`, and that of the innermost [`LoginScope`](crate::LoginScope).
///
/// `None` if there is no login view, or no login manager around the route. The page at that address gets
/// its own address without `next`.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpRequest, Responder, get};
/// use login_runtime::{guards::login_url, public};
///
/// #[public]
/// #[get("/articles")]
/// async fn articles(request: HttpRequest) -> impl Responder {
///     match login_url(&request) {
///         Some(url) => format!("To comment, log in at {url}"),
///         None => "You cannot comment here".to_owned(),
///     }
/// }
/// ```
pub fn login_url(request: &HttpRequest) -> Option<String> {
    url(request, RefusalKind::Unauthorized)
}

/// The address of the refresh view; see [`login_url`].
pub fn refresh_url(request: &HttpRequest) -> Option<String> {
    url(request, RefusalKind::NeedsRefresh)
}

fn url(request: &HttpRequest, kind: RefusalKind) -> Option<String> {
    let manager = Manager::of(request).ok()?;
    refusal::view_url(request, &manager.refusal, kind)
}
