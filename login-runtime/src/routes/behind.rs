//! Which middleware is between the login manager and the routes, as far as its type shows.
//!
//! Middleware that awaits something before it calls the routes hides what they declare. Whether it awaits
//! cannot be seen from outside, but the type of the service behind the manager contains the names of the
//! middleware up to the first that erases types.

/// Middleware of actix-web and of crates that many applications use, which calls the routes at once.
const TRANSPARENT: &[&str] = &[
    "actix_cors::middleware::CorsMiddleware",
    "actix_web::middleware::compat::CompatMiddleware",
    "actix_web::middleware::compress::CompressMiddleware",
    "actix_web::middleware::condition::ConditionMiddleware",
    "actix_web::middleware::default_headers::DefaultHeadersMiddleware",
    "actix_web::middleware::err_handlers::ErrorHandlersMiddleware",
    "actix_web::middleware::logger::LoggerMiddleware",
    "actix_web::middleware::normalize::NormalizePathNormalization",
    "actix_web_flash_messages::middleware::FlashMessagesMiddleware",
    "tracing_actix_web::middleware::TracingLoggerMiddleware",
];

/// Middleware functions, whose first argument is the function.
const FUNCTION: &str = "actix_web::middleware::from_fn::MiddlewareFnService";

/// The router of an `App`, behind all middleware.
const ROUTER: &str = "actix_web::app_service::AppRouting";

/// The names of middleware in the name of a type of a service, from the outermost, that may await something
/// before it calls the routes. `None` if there is no such middleware.
pub(crate) fn middleware(service: &str) -> Option<String> {
    let mut found = Vec::new();
    let mut rest = service;
    loop {
        let (name, arguments) = split(rest);
        if name == ROUTER || name.is_empty() {
            break;
        }
        if name == FUNCTION {
            found.push(arguments.first().copied().unwrap_or(name));
            break;
        }
        if !TRANSPARENT.contains(&name) && !name.starts_with("login_runtime::") {
            found.push(name);
        }
        // The inner service is the argument that contains the router, or else the first.
        let inner = arguments.iter().find(|argument| argument.contains(ROUTER));
        match inner.or(arguments.first()) {
            Some(inner) => rest = inner,
            None => break,
        }
    }
    (!found.is_empty()).then(|| found.join(", "))
}

/// The name of a type, and its generic arguments.
fn split(name: &str) -> (&str, Vec<&str>) {
    let Some((path, rest)) = name.split_once('<') else {
        return (name, Vec::new());
    };
    let list = rest.strip_suffix('>').unwrap_or(rest);
    let mut arguments = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                arguments.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(list[start..].trim());
    (path, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(service: &str, expected: Option<&str>) {
        assert_eq!(middleware(service).as_deref(), expected);
    }

    #[test]
    fn middleware_is_named_unless_it_is_known_to_be_transparent() {
        check(ROUTER, None);
        check(
            &format!("actix_web::middleware::logger::LoggerMiddleware<{ROUTER}>"),
            None,
        );
        check(
            &format!("{FUNCTION}<shop::limit, actix_http::body::BoxBody, ()>"),
            Some("shop::limit"),
        );
        check(
            &format!(
                "actix_web::middleware::compress::CompressMiddleware<a::One<(u8, b::C<d>), a::Two<{ROUTER}>>>"
            ),
            Some("a::One, a::Two"),
        );
        check(
            &format!("login_runtime::http::PassThrough<{FUNCTION}<a::main::{{{{closure}}}}>>"),
            Some("a::main::{{closure}}"),
        );
        for odd in ["", "<", "a<", "a<>", "a<b<", ">>", "a<,,>"] {
            let _ = middleware(odd);
        }
    }
}
