//! From the view that the application names to an address for one request.

use std::borrow::Cow;

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::{
    hooks::Hook,
    http::{PathPattern, ViewAddress, escape},
};

/// The path or URL of a view for one request. `None` if there is none, which the log explains.
pub(crate) fn resolve<'a>(
    view: &'a ViewAddress,
    request: &HttpRequest,
) -> Option<Cow<'a, ViewAddress>> {
    let resolved = match view {
        ViewAddress::Path { .. } | ViewAddress::Url(_) => return Some(Cow::Borrowed(view)),
        ViewAddress::Pattern(pattern) => {
            let filled = fill_pattern(pattern, request);
            if filled.is_none() {
                let (view, path) = (&pattern.text, request.path());
                tracing::error!(target: "login", "the view `{view}` has a dynamic segment that `{path}` does not have");
            }
            filled.map(|path| ViewAddress::path(&path))
        }
        ViewAddress::Name(name) => {
            let resolved = match request.app_data::<ResolvedViews>() {
                Some(ResolvedViews(views)) => {
                    let mut views = views.iter();
                    views
                        .find(|(view, _)| view == name)
                        .map(|(_, address)| address.clone())
                }
                None => Some(by_name(name, request)),
            };
            match resolved? {
                Ok(address) => Some(address),
                Err(error) => {
                    tracing::error!(target: "login", "the view of the route `{name}` has no address for this request: {error}");
                    None
                }
            }
        }
        ViewAddress::Function(function) => {
            if Hook::View.is_running() {
                return None;
            }
            let text = Hook::View.run(|| function(request));
            match ViewAddress::parse(&text) {
                Ok(address @ (ViewAddress::Path { .. } | ViewAddress::Url(_))) => Some(address),
                _ => {
                    tracing::error!(target: "login", "the function for the view returned `{text}`, which is neither a path nor a URL");
                    None
                }
            }
        }
    };
    resolved.map(Cow::Owned)
}

fn fill_pattern(pattern: &PathPattern, request: &HttpRequest) -> Option<String> {
    let segments = segments(request);
    pattern.fill(|name| {
        let mut segments = segments.iter();
        segments
            .find(|(segment, _)| segment == name)
            .map(|(_, value)| value.as_str())
    })
}

/// The dynamic segments of a request, decoded.
fn segments(request: &HttpRequest) -> Vec<(String, String)> {
    // actix-web leaves some escapes in the values.
    let decode = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
    let found = request.match_info().iter();
    let mut segments: Vec<_> = found
        .map(|(name, value)| (name.to_owned(), decode(value)))
        .collect();
    // Before the route is found, only its pattern is known.
    if !request.match_info().unprocessed().is_empty()
        && let Some(pattern) = request.match_pattern()
    {
        let of_pattern = segments_of(&pattern, request.path()).into_iter();
        segments.extend(of_pattern.map(|(name, value)| (name, decode(&value))));
    }
    segments
}

/// The dynamic segments of a path that leads to a pattern, as far as each is a whole directory.
pub(crate) fn segments_of(pattern: &str, path: &str) -> Vec<(String, String)> {
    let directories = pattern.split('/').zip(path.split('/'));
    directories
        .filter_map(|(directory, value)| {
            let segment = directory.strip_prefix('{')?.strip_suffix('}')?;
            let name = segment.split(':').next()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn by_name(name: &str, request: &HttpRequest) -> Result<ViewAddress, String> {
    let mut escaped = Vec::new();
    for (name, value) in segments(request) {
        let value =
            escape::segment(&value).ok_or_else(|| format!("its segment `{name}` is empty"))?;
        escaped.push((name, value));
    }
    let url = request
        .url_for_iter(name, escaped)
        .map_err(|error| error.to_string())?;
    Ok(if is_own(&url, request) {
        ViewAddress::path(&url[Position::BeforePath..])
    } else {
        ViewAddress::Url(url)
    })
}

/// Whether a URL of `url_for` has the host of the request. `url_for` takes scheme and host from headers
/// that any client can set; only an external resource has another host.
fn is_own(url: &Url, request: &HttpRequest) -> bool {
    let info = request.connection_info();
    // `Url` changes case and drops ports, so both are compared in its form.
    let own = Url::parse(&format!("{}://{}", info.scheme(), info.host()));
    own.is_ok_and(|own| own[..Position::BeforePath] == url[..Position::BeforePath])
}

/// The addresses of views that are names of routes, in the data of a request that does not know the routes
/// of the application.
#[derive(Clone, Default)]
pub(crate) struct ResolvedViews(Vec<(String, Result<ViewAddress, String>)>);

impl ResolvedViews {
    /// Resolves those of the views that are names.
    pub(crate) fn of<'a>(
        views: impl IntoIterator<Item = &'a ViewAddress>,
        request: &HttpRequest,
    ) -> Self {
        let names = views.into_iter().filter_map(|view| match view {
            ViewAddress::Name(name) => Some(name),
            _ => None,
        });
        Self(
            names
                .map(|name| (name.clone(), by_name(name, request)))
                .collect(),
        )
    }

    /// Adds those of an outer place.
    pub(crate) fn extend(&mut self, outer: &Self) {
        self.0.extend(outer.0.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_where_they_are_whole_directories() {
        let check = |pattern, path, expected: &[(&str, &str)]| {
            let found = segments_of(pattern, path);
            let found: Vec<_> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
            assert_eq!(found, expected, "{pattern} {path}");
        };
        check(
            "/{lang}/x/{id:\\d+}",
            "/en/x/7",
            &[("lang", "en"), ("id", "7")],
        );
        check("/x-{id}/{b}", "/x-1/2", &[("b", "2")]);
        check("/{a}", "/", &[("a", "")]);
        check("", "", &[]);
    }
}
