//! The pages. What people typed or are called goes through [`escape`].

use actix_web::{
    HttpResponse, ResponseError,
    error::InternalError,
    http::{StatusCode, header::ContentType},
    web::{FormConfig, Html},
};

pub(crate) fn home(name: Option<&str>) -> Html {
    let body = match name {
        Some(name) => format!(
            r#"<p>Hello, {}. See <a href="/account">your account</a>.</p>"#,
            escape(name)
        ),
        None => r#"<p>Nobody is logged in. <a href="/login">Log in</a>, or try
            <a href="/account">the account page</a> without.</p>"#
            .to_owned(),
    };
    Html::new(page("Quickstart", &body))
}

pub(crate) fn account(name: &str, is_fresh: bool) -> Html {
    let login = if is_fresh {
        "fresh: you gave your password in this session"
    } else {
        "stale: you gave your password in an earlier session, or in another browser"
    };
    let body = format!(
        r#"<p>You are logged in as <strong>{}</strong>. The login is {login}.</p>
        <form method="post" action="/logout"><button>Log out</button></form>
        <p><a href="/">Home</a></p>"#,
        escape(name)
    );
    Html::new(page("Your account", &body))
}

/// The login page, with the name filled in and what went wrong, if anything did.
pub(crate) fn login(status: StatusCode, name: &str, problem: Option<&str>) -> HttpResponse {
    let problem = problem.map_or_else(String::new, |text| {
        format!(r#"<p role="alert">{}</p>"#, escape(text))
    });
    // Without an `action` the form goes to the address of this page, and `?next=..` with it.
    let body = format!(
        r#"{problem}
        <form method="post">
        <p><label>Name <input name="name" value="{}" autocomplete="username" required></label></p>
        <p><label>Password <input name="password" type="password" autocomplete="current-password"
            required></label></p>
        <p><label><input name="remember" type="checkbox" value="true"> Remember me</label></p>
        <button>Log in</button>
        </form>"#,
        escape(name)
    );
    HttpResponse::build(status)
        .content_type(ContentType::html())
        .body(page("Log in", &body))
}

/// Answers a form that no browser sends with the page again, and not with what serde has to say.
pub(crate) fn form_errors() -> FormConfig {
    FormConfig::default().error_handler(|error, _| {
        let problem = Some("Please fill in name and password.");
        let page = login(error.status_code(), "", problem);
        InternalError::from_response(error, page).into()
    })
}

/// A whole page; `body` is HTML.
fn page(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font: 1.1rem/1.6 system-ui; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }}</style>
<h1>{title}</h1>
{body}
</html>
"#
    )
}

/// Text as HTML shows it, in a paragraph or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
