//! Which paths and headers an audit tries to reach a route.

use actix_web::{
    dev::ResourceDef,
    introspection::{GuardDetailReport, GuardReport},
};

/// How many combinations of headers are tried on a path. With a higher number, an audit can take longer.
const MOST_COMBINATIONS: usize = 256;

/// The texts that are tried for a dynamic segment.
pub(crate) const SAMPLES: &[&str] = &[
    "1",
    "a",
    "12",
    "123",
    "1234",
    "ab",
    "abc",
    "A",
    "AB",
    "ABC",
    "abc123",
    "a-b",
    "a.b",
    "index.html",
    "en",
    "2026-01-01",
    "00000000-0000-4000-8000-000000000000",
    "0123456789abcdef",
    "a/b",
];

/// Whether the audit can make requests that the guard accepts.
pub(crate) fn is_known(guard: &GuardReport) -> bool {
    // A guard of several guards does not report a function among them, but its name contains the
    // function's path.
    let hides = guard.name.contains("::")
        && ["AnyGuard(", "AllGuard("]
            .iter()
            .any(|name| guard.name.contains(name));
    !hides
        && !guard.details.is_empty()
        && guard.details.iter().all(|detail| match detail {
            GuardDetailReport::HttpMethods { .. } | GuardDetailReport::Headers { .. } => true,
            GuardDetailReport::Generic { value } => value.starts_with("mime="),
            _ => false,
        })
}

/// Names and values of headers.
pub(crate) type Headers = Vec<(String, String)>;

/// The headers that the guards of a path ask for, in all combinations, shortest first; the first is empty.
/// `None` if there are too many to try.
pub(crate) fn headers(guards: &[GuardReport]) -> Option<Vec<Headers>> {
    let mut single: Headers = Vec::new();
    for detail in guards.iter().flat_map(|guard| &guard.details) {
        match detail {
            GuardDetailReport::Headers { headers: asked } => {
                single.extend(asked.iter().map(|h| (h.name.clone(), h.value.clone())));
            }
            GuardDetailReport::Generic { value } => {
                let mime = value.strip_prefix("mime=");
                single.extend(mime.map(|mime| ("accept".to_owned(), mime.to_owned())));
            }
            _ => {}
        }
    }
    single.sort();
    single.dedup();
    let mut combined = vec![Headers::new()];
    for header in single {
        let with: Vec<_> = combined
            .iter()
            .filter(|others| others.iter().all(|(name, _)| *name != header.0))
            .map(|others| [&others[..], std::slice::from_ref(&header)].concat())
            .collect();
        combined.extend(with);
        if combined.len() > MOST_COMBINATIONS {
            return None;
        }
    }
    combined.sort_by_key(Vec::len);
    Some(combined)
}

/// The pattern with `sample` in place of each dynamic segment, or with another sample where that one does
/// not match. `None` if a segment matches no sample.
pub(crate) fn fill(pattern: &str, sample: &str) -> Option<String> {
    let mut path = String::new();
    let mut rest = pattern;
    while let Some(start) = rest.find('{') {
        path.push_str(&rest[..start]);
        let mut depth = 0_usize;
        let length = rest[start..].find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == '}' && depth == 0
        })?;
        let segment = &rest[start..=start + length];
        let fits = |sample: &str| ResourceDef::new(segment).is_match(sample);
        path.push_str(if fits(sample) {
            sample
        } else {
            SAMPLES.iter().copied().find(|sample| fits(sample))?
        });
        rest = &rest[start + length + 1..];
    }
    path.push_str(rest);
    Some(path)
}
