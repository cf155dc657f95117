//! The redirect of a refused client to a view, and `next`, the address to which it returns afterwards.
//!
//! [`location`] writes `next` into the address of the view or into a cookie. [`take_next`] reads it back,
//! and drops an address that does not lead to this application.

use std::borrow::Cow;

use actix_web::{HttpRequest, http::Method, web::Query};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::{
    core::{NextError, next},
    http::{QUERY_VALUE, SetCookie, ViewAddress},
    refusal::{
        here::{Here, here},
        navigation::{htmx_page, is_navigation},
        scope::ScopeViews,
        settings::RefusalSettings,
        views,
    },
};

/// The address of a view for a refused client, with `next` in its query or in a cookie.
///
/// `None` if the view is a route that does not exist, or the page that the client asked for: a login view
/// that requires a login would redirect browsers in a loop.
pub(crate) fn location(
    view: &ViewAddress,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<(Vec<u8>, Option<SetCookie>)> {
    let (target, prefix) = other_page(view, request, settings)?;
    let next = target.next(request, &prefix, settings);
    let keeps = || leads_back(request, settings) && is_navigation(request);
    Some(target.with_next(&prefix, next, settings, request, keeps))
}

/// The same for most applications: a view that is a path, and `next` as the client sent it. `None` if
/// [`location`] has to look at more.
pub(crate) fn plain_location(
    view: &ViewAddress,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<Vec<u8>> {
    let ViewAddress::Path { address, path_len } = view else {
        return None;
    };
    let next = request.uri().path_and_query()?.as_str();
    let is_plain = address.len() == *path_len
        && address != request.path()
        && next.len() <= settings.next_max_len
        && settings.kept_next.is_none()
        && settings.force_host.is_none()
        && leads_back(request, settings)
        && settings.proxies.prefix(request).is_empty();
    if !is_plain {
        return None;
    }
    let parameter = &settings.next_parameter;
    // Exact: with spare room, the header would need another allocation.
    let len = address.len() + 1 + parameter.len() + QUERY_VALUE.len(next);
    let mut location = Vec::with_capacity(len);
    location.extend_from_slice(address.as_bytes());
    location.push(b'?');
    location.extend_from_slice(parameter);
    QUERY_VALUE.push(&mut location, next);
    Some(location)
}

/// The same for a page with htmx: `next` is the page that the browser shows, and not the part of it that
/// was refused.
pub(crate) fn htmx_location(
    view: &ViewAddress,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<(Vec<u8>, Option<SetCookie>)> {
    let (target, prefix) = other_page(view, request, settings)?;
    let next = target.htmx_next(request, &prefix, settings);
    Some(target.with_next(&prefix, next.map(Cow::Owned), settings, request, || true))
}

/// The view and the prefix of the proxies, unless the view is the page that the client asked for.
fn other_page<'a>(
    view: &'a ViewAddress,
    request: &'a HttpRequest,
    settings: &'a RefusalSettings,
) -> Option<(Target<'a>, Cow<'a, str>)> {
    let target = Target::of(view)?;
    let prefix = settings.proxies.prefix(request);
    if target.is_page_of(request, &prefix, settings) {
        tracing::error!(
            target: "login",
            "the view `{}` refuses the clients that are sent there; make it a public page",
            target.path,
        );
        return None;
    }
    Some((target, prefix))
}

/// The same for a client that is not refused: the view itself gets its own address, without `next`. In any
/// other, `next` is in the query, because an address alone cannot set a cookie.
pub(crate) fn url(
    view: &ViewAddress,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<Vec<u8>> {
    let target = Target::of(view)?;
    let prefix = settings.proxies.prefix(request);
    if target.is_page_of(request, &prefix, settings) {
        return Some(target.address(&prefix, None, settings));
    }
    let next = target.next(request, &prefix, settings);
    Some(target.address(&prefix, next.as_deref(), settings))
}

/// Splits a text at the first `separator`.
fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// The address that the client asked for when it was refused, if it may be followed. `kept` is the one in
/// the cookie.
pub(crate) fn take_next(
    request: &HttpRequest,
    settings: &RefusalSettings,
    kept: Option<String>,
) -> Option<String> {
    let next = kept.or_else(|| next_in_query(request, settings))?;
    checked(&next, request, settings)
}

/// The address if it may be followed. The log says why it may not.
fn checked(next: &str, request: &HttpRequest, settings: &RefusalSettings) -> Option<String> {
    match check_next_of(request, next, settings) {
        Ok(next) => Some(next),
        Err(error) => {
            drop_next(error);
            None
        }
    }
}

/// Logs why an address is dropped, without the address: its query may contain secrets.
fn drop_next(reason: NextError) {
    tracing::debug!(target: "login", event = "next_dropped", %reason);
}

/// Checks that an address may be followed: a path of this application, or a whole address of a listed
/// origin, which is returned as the URL standard writes it.
pub(crate) fn check_next(text: &str, settings: &RefusalSettings) -> Result<String, NextError> {
    check(text, settings, |_| false)
}

/// The same for a client that sends a request: also an address of the origin at which the client reached this
/// application, if that is known.
pub(crate) fn check_next_of(
    request: &HttpRequest,
    text: &str,
    settings: &RefusalSettings,
) -> Result<String, NextError> {
    check(text, settings, |origin| {
        here(request, settings).is_some_and(|here| here.is_ours && here.text == origin)
    })
}

fn check(
    text: &str,
    settings: &RefusalSettings,
    is_own: impl FnOnce(&str) -> bool,
) -> Result<String, NextError> {
    next::check_text(text, settings.next_max_len)?;
    if !has_http_scheme(text) {
        return next::check_path(text).map(|()| text.to_owned());
    }
    let url = Url::parse(text).map_err(|_| NextError::NoAddress)?;
    let origin = url.origin().ascii_serialization();
    let known = settings.origins.iter().chain(&settings.next_origins);
    let mut known = known.chain(&settings.own_origin);
    if has_user(&url) || !known.any(|known| known.text == origin) && !is_own(&origin) {
        return Err(NextError::OtherOrigin);
    }
    // A program that cuts off the origin must get a path.
    next::check_path(&url[Position::BeforePath..])?;
    // Each byte outside ASCII is three bytes now.
    next::check_text(url.as_str(), settings.next_max_len)?;
    Ok(url.into())
}

/// Whether an address has a user name before the host, which makes one host look like another.
fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Whether a text starts like a whole address. Browsers read `https:/host` as one, too; as nobody means
/// that, it counts as no address.
fn has_http_scheme(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        let start = text.as_bytes().get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}

/// The address of the login view for a client whose log in failed, with the address that it asked for at
/// first. Without a login view this is the path of the request: the form was sent there.
pub(crate) fn login_again(
    request: &HttpRequest,
    settings: &RefusalSettings,
    next: Option<&str>,
) -> Vec<u8> {
    let next = match next {
        Some(next) => checked(next, request, settings),
        None => next_in_query(request, settings).and_then(|next| checked(&next, request, settings)),
    };
    let next = next.as_deref().filter(|_| !settings.session_for_next);
    let view = ScopeViews::login_view(request).or(settings.login_view.as_ref());
    let view = view.and_then(|view| views::resolve(view, request));
    let target = view.as_deref().and_then(Target::of);
    let path = request.path();
    let target = target.unwrap_or_else(|| Target::new(None, path, path.len()));
    target.address(&settings.proxies.prefix(request), next, settings)
}

fn next_in_query(request: &HttpRequest, settings: &RefusalSettings) -> Option<String> {
    let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    let mut values = pairs
        .into_inner()
        .into_iter()
        .filter(|(name, _)| *name == settings.next_field);
    // With two values, a program in front of this one may have checked the other value.
    let (_, next) = values.next()?;
    values.next().is_none().then_some(next)
}

/// Whether a GET to `next` repeats the request.
fn leads_back(request: &HttpRequest, settings: &RefusalSettings) -> bool {
    settings.next_for_all_methods || matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Path and query that the client asked for, with the escapes that it sent, and without the host of a
/// proxy-style request.
fn path_and_query<'r>(request: &'r HttpRequest, prefix: &str) -> Cow<'r, str> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    after(prefix, path)
}

/// An address that the application names: a path of this application gets the prefix of the proxies.
pub(crate) fn own_address(
    request: &HttpRequest,
    address: &str,
    settings: &RefusalSettings,
) -> String {
    let is_path = address.starts_with('/') && !address.starts_with("//");
    if is_path {
        after(&settings.proxies.prefix(request), address).into_owned()
    } else {
        address.to_owned()
    }
}

/// A path behind a prefix.
fn after<'r>(prefix: &str, path: &'r str) -> Cow<'r, str> {
    if prefix.is_empty() {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("{prefix}{path}"))
    }
}

/// The address of a view for one request.
struct Target<'a> {
    /// Scheme and host, if the view names them.
    base: Option<String>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `address` is a path of this length with a query and a fragment, as far as there are any.
    fn new(base: Option<String>, address: &'a str, path_len: usize) -> Self {
        let (path, rest) = address.split_at_checked(path_len).unwrap_or((address, ""));
        let (query, fragment) = if rest.is_empty() {
            // Most views.
            (None, None)
        } else {
            let (query, fragment) = split(rest, '#');
            (query.strip_prefix('?'), fragment)
        };
        Self {
            base,
            path,
            query,
            fragment,
        }
    }

    fn of_url(url: &'a Url, base: Option<String>) -> Self {
        Self::new(base, &url[Position::BeforePath..], url.path().len())
    }

    /// The address of a path or URL, which [`views::resolve`] makes of all other views.
    fn of(view: &'a ViewAddress) -> Option<Self> {
        match view {
            ViewAddress::Path { address, path_len } => Some(Self::new(None, address, *path_len)),
            ViewAddress::Url(url) => {
                let base = url.origin().ascii_serialization();
                Some(Self::of_url(url, Some(base)))
            }
            ViewAddress::Pattern(_) | ViewAddress::Name(_) | ViewAddress::Function(_) => None,
        }
    }

    /// Whether the view is the page that the client asked for.
    fn is_page_of(&self, request: &HttpRequest, prefix: &str, settings: &RefusalSettings) -> bool {
        match &self.base {
            None => self.path == request.path(),
            Some(base) => {
                self.path == after(prefix, request.path())
                    && here(request, settings).is_some_and(|here| here.is(base, settings))
            }
        }
    }

    /// The address that the client asked for: path and query, or the whole URL for a view on another
    /// host.
    fn next<'r>(
        &self,
        request: &'r HttpRequest,
        prefix: &str,
        settings: &RefusalSettings,
    ) -> Option<Cow<'r, str>> {
        if !leads_back(request, settings) {
            return None;
        }
        let next = self.whole_next(request, prefix, settings)?;
        let (len, max) = (next.len(), settings.next_max_len);
        if len > max {
            drop_next(NextError::TooLong { len, max });
            return None;
        }
        Some(next)
    }

    /// The address with `next` in its query, or the cookie that keeps `next`.
    fn with_next(
        &self,
        prefix: &str,
        next: Option<Cow<'_, str>>,
        settings: &RefusalSettings,
        request: &HttpRequest,
        keeps: impl FnOnce() -> bool,
    ) -> (Vec<u8>, Option<SetCookie>) {
        let Some(kept) = &settings.kept_next else {
            return (self.address(prefix, next.as_deref(), settings), None);
        };
        let cookie = if keeps() {
            // An address that cannot be kept replaces the one before, too: the user no longer wants that.
            let clear = || kept.is_carried(request).then(|| kept.clear());
            next.and_then(|next| kept.keep(&next)).or_else(clear)
        } else {
            None
        };
        (self.address(prefix, None, settings), cookie)
    }

    /// The page that sent a request with htmx, if it is one of this origin and not the view itself. A script
    /// can name any address, so it is checked like one that comes back with a log in.
    fn htmx_next(
        &self,
        request: &HttpRequest,
        prefix: &str,
        settings: &RefusalSettings,
    ) -> Option<String> {
        let page = htmx_page(request)?;
        let checked = self.own_page(page, request, prefix, settings);
        checked
            .inspect_err(|error| drop_next(*error))
            .ok()
            .flatten()
    }

    fn own_page(
        &self,
        page: &str,
        request: &HttpRequest,
        prefix: &str,
        settings: &RefusalSettings,
    ) -> Result<Option<String>, NextError> {
        next::check_text(page, settings.next_max_len)?;
        if !has_http_scheme(page) {
            return Err(NextError::NoAddress);
        }
        let url = Url::parse(page).map_err(|_| NextError::NoAddress)?;
        let origin = url.origin().ascii_serialization();
        let here = here(request, settings).filter(|here| here.is_page(&origin));
        let here = here.filter(|_| !has_user(&url));
        let here = here.ok_or(NextError::OtherOrigin)?;
        let path = &url[Position::BeforePath..Position::AfterQuery];
        next::check_path(path)?;
        let is_view = |base: &String| *base == origin;
        if url.path() == after(prefix, self.path) && self.base.as_ref().is_none_or(is_view) {
            return Ok(None);
        }
        let next = self.page_address(&here, Cow::Borrowed(path), settings);
        Ok(next.map(Cow::into_owned))
    }

    fn whole_next<'r>(
        &self,
        request: &'r HttpRequest,
        prefix: &str,
        settings: &RefusalSettings,
    ) -> Option<Cow<'r, str>> {
        let path = path_and_query(request, prefix);
        if self.base.is_none() {
            return Some(path);
        }
        self.page_address(&here(request, settings)?, path, settings)
    }

    /// The address of a page here for the view: its path, or the whole URL for a view on another host.
    fn page_address<'r>(
        &self,
        here: &Here<'_>,
        path: Cow<'r, str>,
        settings: &RefusalSettings,
    ) -> Option<Cow<'r, str>> {
        match &self.base {
            Some(base) if !here.is(base, settings) => {
                // Without a list of this application's origins, the client could name any host.
                (here.is_ours || settings.any_host && settings.origins.is_empty())
                    .then(|| format!("{}{path}", here.text).into())
            }
            _ => Some(path),
        }
    }

    /// The whole address, escaped for a `Location` header. A path of this application follows the prefix.
    fn address(&self, prefix: &str, next: Option<&str>, settings: &RefusalSettings) -> Vec<u8> {
        let prefix = if self.base.is_none() { prefix } else { "" };
        let len = |part: Option<&str>| part.map_or(0, |part| part.len() + 1);
        let next_len = |next| 1 + settings.next_parameter.len() + QUERY_VALUE.len(next);
        // Exact for most views: with spare room, the header would need another allocation.
        let mut address = Vec::with_capacity(
            self.base.as_ref().map_or(0, |base| base.len())
                + prefix.len()
                + self.path.len()
                + len(self.query)
                + next.map_or(0, next_len)
                + len(self.fragment),
        );
        match (&settings.force_host, &self.base) {
            (Some(host), base) if !settings.session_for_next => {
                if let Some((scheme, _)) = base.as_deref().and_then(|base| base.split_once("://")) {
                    address.extend_from_slice(scheme.as_bytes());
                    address.push(b':');
                }
                address.extend_from_slice(b"//");
                address.extend_from_slice(host.as_bytes());
            }
            (_, Some(base)) => address.extend_from_slice(base.as_bytes()),
            (_, None) => {}
        }
        address.extend_from_slice(prefix.as_bytes());
        address.extend_from_slice(self.path.as_bytes());
        let mut separator = b'?';
        if let Some(query) = self.query {
            for pair in query.split('&') {
                let name = pair.split('=').next().unwrap_or_default();
                let is_next = percent_decode_str(name)
                    .decode_utf8()
                    .is_ok_and(|name| name == settings.next_field);
                if is_next && next.is_some() {
                    continue;
                }
                address.push(separator);
                separator = b'&';
                address.extend_from_slice(pair.as_bytes());
            }
        }
        if let Some(next) = next {
            address.push(separator);
            address.extend_from_slice(&settings.next_parameter);
            QUERY_VALUE.push(&mut address, next);
        }
        if let Some(fragment) = self.fragment {
            address.push(b'#');
            address.extend_from_slice(fragment.as_bytes());
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// What the short way answers, which must be what the long way does.
    #[track_caller]
    fn plain(
        settings: &RefusalSettings,
        view: &ViewAddress,
        request: TestRequest,
    ) -> Option<String> {
        let request = request.to_http_request();
        let plain = plain_location(view, &request, settings);
        if plain.is_some() {
            let (usual, cookie) = location(view, &request, settings).unwrap();
            assert_eq!((plain.as_ref(), cookie.is_none()), (Some(&usual), true));
        }
        plain.map(|plain| String::from_utf8(plain).unwrap())
    }

    #[test]
    fn the_short_way_to_a_view_is_the_same_as_the_long_way() {
        let settings = RefusalSettings::default();
        for path in [
            "/account?page=2",
            "/",
            "/a%20b?c=%26&d=e+f#g",
            "/a'b(c)?%3c",
            "/login/",
            "/login?next=%2Fa",
            "//evil.test/x",
            "/%00%ff",
        ] {
            for view in ["/login", "/", "/log%20in", "/a?next=b", "/a#b", "/a?c=d#e"] {
                let view = ViewAddress::parse(view).unwrap();
                plain(&settings, &view, TestRequest::with_uri(path));
                plain(&settings, &view, TestRequest::post().uri(path));
            }
        }
        let view = ViewAddress::parse("/login").unwrap();
        assert_eq!(
            plain(&settings, &view, TestRequest::with_uri("/a?b=c")).unwrap(),
            "/login?next=/a%3Fb%3Dc"
        );
    }

    #[test]
    fn the_short_way_leaves_everything_unusual_to_the_long_way() {
        let request = || TestRequest::with_uri("/a?b=c");
        let view = |view| ViewAddress::parse(view).unwrap();
        let usual = RefusalSettings::default();
        let login = view("/login");
        assert!(plain(&usual, &login, request()).is_some());
        for other in [
            view("/login?a=b"),
            view("/login#a"),
            view("https://a.example/login"),
            view("/a"),
        ] {
            assert_eq!(plain(&usual, &other, request()), None);
        }
        assert_eq!(plain(&usual, &login, TestRequest::post().uri("/a")), None);
        let of = |change: fn(&mut RefusalSettings)| {
            let mut settings = RefusalSettings::default();
            change(&mut settings);
            plain(&settings, &login, request())
        };
        assert_eq!(of(|settings| settings.next_max_len = 5), None);
        assert!(of(|settings| settings.next_max_len = 6).is_some());
        let host = |settings: &mut RefusalSettings| {
            settings.force_host = Some("a.example".to_owned());
        };
        assert_eq!(of(host), None);
        let named = of(|settings| settings.next_parameter = b"to=".to_vec());
        assert_eq!(named.as_deref(), Some("/login?to=/a%3Fb%3Dc"));
    }
}
