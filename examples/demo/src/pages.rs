//! The pages. What people typed or are called goes through [`escape`].

use actix_web::{
    HttpResponse, ResponseError,
    error::InternalError,
    http::{StatusCode, header},
    web::FormConfig,
};
use login_runtime::{CurrentUser, logins::LoginInfo};

use crate::{User, db::Post};

/// A page that is a form: its title and its HTML.
///
/// Without an `action` a form goes to the address of its page, and `?next=..` with it.
pub(crate) type Form = (&'static str, &'static str);

pub(crate) const LOGIN: Form = (
    "Log in",
    r#"<form method="post">
<p><label>Name <input name="name" autocomplete="username" required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required>
</label></p>
<p><label><input name="remember" type="checkbox" value="true"> Remember me</label></p>
<button>Log in</button></form>"#,
);

pub(crate) const CONFIRM: Form = (
    "Is it still you?",
    r#"<p>It is a while since you gave your password.</p>
<form method="post">
<p><label>Password <input name="password" type="password" autocomplete="current-password" required>
</label></p>
<button>Confirm</button></form>"#,
);

pub(crate) const PASSWORD: Form = (
    "Change your password",
    r#"<p>Your other logins will end.</p>
<form method="post">
<p><label>New password <input name="password" type="password" autocomplete="new-password"
minlength="12" required></label></p>
<button>Change</button></form>"#,
);

/// A form, as it is at first.
pub(crate) fn form((title, html): Form) -> HttpResponse {
    page(StatusCode::OK, title, html)
}

/// A form again, with what went wrong.
pub(crate) fn again(status: StatusCode, (title, html): Form, problem: &str) -> HttpResponse {
    page(
        status,
        title,
        &format!(r#"<p role="alert">{problem}</p>{html}"#),
    )
}

pub(crate) fn home(user: Option<&CurrentUser<User>>, posts: &[Post]) -> HttpResponse {
    let mut body = match user {
        Some(user) => format!("<p>Hello, {}.</p>", escape(&user.name)),
        None => r#"<p>Nobody is logged in. <a href="/login">Log in</a></p>"#.to_owned(),
    };
    for post in posts {
        let (id, name, text) = (post.id, escape(&post.name), escape(&post.text));
        body += &format!("<h2>{name}</h2><p>{text}</p>");
        if user.is_some_and(|user| user.id == post.author) {
            body += &format!(
                r#"<form method="post" action="/posts/{id}"><input name="text" value="{text}">
                <button>Save</button></form>"#
            );
        }
    }
    page(StatusCode::OK, "Blog", &body)
}

pub(crate) fn logins(logins: &[LoginInfo]) -> HttpResponse {
    let mut body = String::new();
    for login in logins {
        let (agent, address) = (escape(&login.user_agent), escape(&login.address));
        let (method, key) = (escape(&login.method), login.key);
        body += &format!("<p>{agent}<br>{address}, by {method} ");
        body += &match login.is_current {
            true => "(this browser)</p>".to_owned(),
            false => format!(
                r#"<form method="post" action="/logins/end"><button name="key" value="{key}">End
                this one</button></form></p>"#
            ),
        };
    }
    body +=
        r#"<form method="post" action="/logins/end-others"><button>End all others</button></form>"#;
    page(StatusCode::OK, "Your logins", &body)
}

pub(crate) fn admin(admin: &User, users: &[User]) -> HttpResponse {
    let mut body = String::new();
    for user in users {
        let (id, name) = (user.id, escape(&user.name));
        body += &match (user.id == admin.id, user.is_active) {
            (true, _) => format!("<p>{name} (you)</p>"),
            (_, false) => format!("<p>{name} (not active)</p>"),
            (_, true) => format!(
                r#"<p>{name} <form method="post" action="/admin/users/{id}/deactivate"><button>
                Deactivate</button></form></p>"#
            ),
        };
    }
    page(StatusCode::OK, "Users", &body)
}

/// Answers a form that no browser sends, and not with what serde has to say.
pub(crate) fn form_errors() -> FormConfig {
    FormConfig::default().error_handler(|error, _| {
        let page = page(error.status_code(), "Error", "Please fill in the form.");
        InternalError::from_response(error, page).into()
    })
}

pub(crate) fn see_other(address: &'static str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, address))
        .finish()
}

/// A whole page; `body` is HTML.
fn page(status: StatusCode, title: &str, body: &str) -> HttpResponse {
    let page = format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="stylesheet" href="/static/demo.css">
<nav><a href="/">Blog</a> <a href="/logins">Your logins</a> <a href="/password">Password</a>
<a href="/admin">Users</a> <form method="post" action="/logout"><button>Log out</button></form></nav>
<h1>{title}</h1>
{body}
</html>
"#
    );
    HttpResponse::build(status)
        .content_type(header::ContentType::html())
        .body(page)
}

/// Text as HTML shows it, between tags or in a quoted attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
