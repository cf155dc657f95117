//! The login and refresh views of a scope.

use actix_web::HttpRequest;

use crate::http::ViewAddress;

/// The views of a scope. In the data of a request, the scopes around it have filled in the missing ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeViews {
    pub(crate) login: Option<ViewAddress>,
    pub(crate) refresh: Option<ViewAddress>,
}

impl ScopeViews {
    pub(crate) fn login_view(request: &HttpRequest) -> Option<&ViewAddress> {
        request.app_data::<Self>()?.login.as_ref()
    }

    pub(crate) fn refresh_view(request: &HttpRequest) -> Option<&ViewAddress> {
        request.app_data::<Self>()?.refresh.as_ref()
    }

    /// Both views, as far as there are any.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ViewAddress> {
        self.login.iter().chain(&self.refresh)
    }
}
