//! Judges every answer by the rules that hold whatever the kit configures.
//!
//! The kit asks for plain http, for names without a prefix, and for cookies as loose as Flask-Login's, so the
//! rules about these attributes do not hold here. An answer that breaks another rule becomes a 500, which no
//! scenario expects.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use login_runtime::test::strict::{Rule, faults};

const KEPT: [Rule; 6] = [
    Rule::Grammar,
    Rule::Size,
    Rule::Lifetime,
    Rule::ClearText,
    Rule::Challenge,
    Rule::RetryAfter,
];

pub(crate) async fn judge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let mut faults = faults(response.status().as_u16(), response.headers());
    faults.retain(|fault| KEPT.contains(&fault.rule));
    let Some(fault) = faults.first() else {
        return Ok(response);
    };
    let path = response.request().path();
    eprintln!("the answer at {path} breaks a rule: {fault}");
    let answer = HttpResponse::InternalServerError().body(fault.to_string());
    Ok(response.into_response(answer))
}
