//! The login and refresh views of a scope, or that it has none because it is an API.

use actix_web::HttpRequest;

use crate::http::ViewAddress;

/// The views of a scope. In the data of a request, the scopes around it have filled in the missing ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeViews {
    pub(crate) login: Option<ViewAddress>,
    pub(crate) refresh: Option<ViewAddress>,
    /// Whether the routes are an API, whose clients are sent to no view.
    pub(crate) is_api: bool,
}

impl ScopeViews {
    /// The views of the innermost scope of a request that has its own.
    pub(crate) fn of(request: &HttpRequest) -> Option<&Self> {
        request.app_data()
    }

    pub(crate) fn login_view(request: &HttpRequest) -> Option<&ViewAddress> {
        Self::of(request)?.login.as_ref()
    }

    /// Both views, as far as there are any.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ViewAddress> {
        self.login.iter().chain(&self.refresh)
    }
}
