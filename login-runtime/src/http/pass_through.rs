//! A middleware service that looks at each request and passes it on.

use actix_web::dev::{Service, ServiceRequest};
use derive_more::Debug;

/// Calls a function with each request, then the inner service.
#[derive(Debug)]
#[debug("PassThrough")]
pub struct PassThrough<S> {
    pub(crate) service: S,
    // Boxed once per worker, so that the types of what it keeps stay private.
    pub(crate) on_request: Box<dyn Fn(&mut ServiceRequest)>,
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for PassThrough<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    actix_web::dev::forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        (self.on_request)(&mut request);
        self.service.call(request)
    }
}
