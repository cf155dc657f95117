//! What the headers of a request say about the page that sent it.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};
use derive_more::Debug;

use crate::{
    core::{CrossSiteReason, CrossSiteRules, PageOrigin, Sent, TrustedOrigin, cross_site::is_safe},
    error::BuildError,
};

// To look up a header by text, actix-web would parse its name each time.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The schemes of `Authorization` that browsers send by themselves, once a user has given a password or is
/// logged in to the operating system.
const SENT_BY_BROWSERS: [&str; 5] = ["Basic", "Digest", "Negotiate", "NTLM", "Kerberos"];

/// How requests of other sites are recognized, and which of them are taken.
#[derive(Clone, Debug)]
pub(crate) struct CrossSiteCheck {
    pub(crate) rules: CrossSiteRules,
    pub(crate) is_off: bool,
    /// The headers in which a request may prove to the request loader who sends it.
    pub(crate) credential_headers: Vec<HeaderName>,
}

impl Default for CrossSiteCheck {
    fn default() -> Self {
        Self {
            rules: CrossSiteRules::default(),
            is_off: false,
            credential_headers: vec![header::AUTHORIZATION, X_API_KEY.clone()],
        }
    }
}

impl CrossSiteCheck {
    /// Why a request is one of another site; `None` if it is none. Runs for each request.
    #[inline]
    pub(crate) fn judge(
        &self,
        request: &HttpRequest,
        is_own: impl FnOnce(PageOrigin<'_>) -> bool,
    ) -> Option<CrossSiteReason> {
        let headers = request.headers();
        if is_safe(request.method().as_str()) && !opens_socket(headers) {
            return None;
        }
        let site = sent(headers, &SEC_FETCH_SITE);
        self.rules
            .judge(site, sent(headers, &header::ORIGIN), is_own)
            .err()
    }

    pub(crate) fn trust<I: IntoIterator<Item = impl Into<String>>>(
        &mut self,
        origins: I,
    ) -> Result<(), BuildError> {
        for origin in origins {
            let origin = origin.into();
            let parsed = TrustedOrigin::parse(origin.clone());
            let parsed = parsed.map_err(|why| BuildError::TrustedOrigin { origin, why })?;
            self.rules.trusted.push(parsed);
        }
        Ok(())
    }

    pub(crate) fn set_credential_headers<I: IntoIterator<Item = impl AsRef<str>>>(
        &mut self,
        names: I,
    ) -> Result<(), BuildError> {
        let mut headers = Vec::new();
        for name in names {
            let Ok(name) = HeaderName::from_bytes(name.as_ref().as_bytes()) else {
                let (name, why) = ("credential_headers", "has a name that no header can have");
                return Err(BuildError::Setting { name, why });
            };
            if is_sent_by_browsers(&name) {
                let why = "names a header that browsers send by themselves; name the one that has the API key";
                let name = "credential_headers";
                return Err(BuildError::Setting { name, why });
            }
            headers.push(name);
        }
        self.credential_headers = headers;
        Ok(())
    }

    /// Whether a request has a header with a credential that no browser sends by itself. A page of another
    /// origin can only send such a header if the application allows it by CORS.
    pub(crate) fn has_credential_header(&self, request: &HttpRequest) -> bool {
        let headers = request.headers();
        let mut authorizations = headers.get_all(&header::AUTHORIZATION);
        if authorizations.any(|value| is_of_browser(value.as_bytes())) {
            return false;
        }
        let mut names = self.credential_headers.iter();
        names.any(|name| headers.get(name).is_some_and(|value| !value.is_empty()))
    }
}

/// Whether browsers send a value of `Authorization` by themselves.
fn is_of_browser(value: &[u8]) -> bool {
    let scheme = value.trim_ascii().split(u8::is_ascii_whitespace).next();
    let is =
        |name: &&str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(name.as_bytes()));
    SENT_BY_BROWSERS.iter().any(is)
}

/// Whether a page of another origin can make a browser send a header without asking first.
fn is_sent_by_browsers(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("sec-")
        || name.starts_with("proxy-")
        || name.starts_with("accept")
        || name.starts_with("content-")
        || ["cookie", "host", "origin", "referer", "user-agent"].contains(&name)
}

fn sent<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Sent<'a> {
    let mut values = headers.get_all(name).map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (None, _) => Sent::Absent,
        (Some(value), None) => Sent::Once(value),
        (Some(_), Some(_)) => Sent::Repeated,
    }
}

/// The text of the `Origin` header of a request, however often it was sent.
pub(crate) fn origin(request: &HttpRequest) -> Option<&[u8]> {
    let origin = request.headers().get(&header::ORIGIN)?;
    Some(origin.as_bytes())
}

/// Whether a request is the handshake of a WebSocket (RFC 6455 §4.1).
#[inline]
pub(crate) fn opens_socket(headers: &HeaderMap) -> bool {
    headers.get_all(&header::UPGRADE).any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|protocol| {
                // A protocol may have a version (RFC 9110 §7.8).
                let name = protocol.split(|byte| *byte == b'/').next();
                name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
            })
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_credential_that_browsers_send_by_themselves_does_not_count() {
        let check = CrossSiteCheck::default();
        for (headers, expected) in [
            (&[][..], false),
            (&[("authorization", "Bearer t")], true),
            (&[("authorization", "DPoP t")], true),
            (&[("authorization", "t")], true),
            (&[("x-api-key", "t")], true),
            (&[("x-api-key", "")], false),
            (&[("authorization", "")], false),
            (&[("authorization", "Basic dTpw")], false),
            (&[("authorization", "basic dTpw")], false),
            (&[("authorization", " BASIC\tdTpw")], false),
            (&[("authorization", "Digest username=\"u\"")], false),
            (&[("authorization", "Negotiate YII")], false),
            (&[("authorization", "NTLM TlR")], false),
            (
                &[
                    ("authorization", "Bearer t"),
                    ("authorization", "Basic dTpw"),
                ],
                false,
            ),
            (
                &[("x-api-key", "t"), ("authorization", "Basic dTpw")],
                false,
            ),
            (&[("x-token", "t"), ("cookie", "a=b")], false),
        ] {
            let mut request = TestRequest::default();
            for header in headers {
                request = request.append_header(*header);
            }
            let found = check.has_credential_header(&request.to_http_request());
            assert_eq!(found, expected, "{headers:?}");
        }
    }

    #[test]
    fn a_credential_header_is_one_that_browsers_do_not_send() {
        let mut check = CrossSiteCheck::default();
        check.set_credential_headers(["X-Token"]).unwrap();
        let token = TestRequest::default().insert_header(("x-token", "t"));
        assert!(check.has_credential_header(&token.to_http_request()));
        for bad in [
            "Cookie",
            "Origin",
            "sec-fetch-site",
            "Content-Type",
            "a b",
            "",
        ] {
            assert!(check.set_credential_headers([bad]).is_err(), "{bad}");
        }
    }
}
