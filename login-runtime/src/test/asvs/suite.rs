//! The table of ids, and the order in which they are checked.

use std::fmt::Write as _;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};

use super::{
    facts::Facts,
    play::{Miss, Play},
    report::{Outcome, Report, Row},
};
use crate::test::Request;

/// The ids that have a check: what the item asks, and the facts that its check needs besides a user.
pub(super) const CHECKED: &[(&str, &str, &str)] = &[
    ("3.3.1", "Cookies are Secure, and have a prefix", ""),
    ("3.3.2", "Cookies have a SameSite attribute", ""),
    ("3.3.3", "Cookies have the prefix __Host-", ""),
    (
        "3.3.4",
        "Cookies are HttpOnly, and no page shows their value",
        "",
    ),
    ("3.3.5", "Cookies are not longer than 4096 bytes", ""),
    (
        "3.5.1",
        "Requests that other sites forge change nothing",
        "",
    ),
    (
        "3.5.2",
        "No other site gets past the preflight, or reads an answer",
        "",
    ),
    (
        "3.5.3",
        "What changes something is a POST, and never a GET",
        "",
    ),
    ("3.5.8", "No other site embeds what belongs to a login", ""),
    ("3.7.2", "A log in leads to no other site", ""),
    (
        "4.1.3",
        "What a client writes into the headers of proxies has no effect",
        "",
    ),
    (
        "6.1.1",
        "The limits for guessing are written down, and lock nobody out",
        "policy",
    ),
    ("6.2.8", "The password is taken as it is", ""),
    (
        "6.3.1",
        "After some wrong passwords no more are checked",
        "",
    ),
    (
        "6.3.4",
        "A remembered login is not as strong as a password",
        "remember, fresh",
    ),
    ("6.3.8", "Answers do not say who has an account", ""),
    (
        "7.1.1",
        "The limits of logins are written down, and are these",
        "policy",
    ),
    (
        "7.1.2",
        "The number of logins at a time is written down, and is this",
        "policy",
    ),
    ("7.2.1", "The server verifies the session's cookie", ""),
    ("7.2.2", "Each login has a token of its own", ""),
    (
        "7.2.3",
        "The token is random and long, and an unknown one is not adopted",
        "",
    ),
    (
        "7.2.4",
        "A log in replaces the token, and ends the old one",
        "",
    ),
    ("7.3.1", "A login ends if it is not used", "clock"),
    ("7.3.2", "A login ends, however much it is used", "clock"),
    ("7.4.1", "A log out ends every copy of the cookie", ""),
    (
        "7.4.2",
        "A deactivated user is out at the next request",
        "other_user, deactivate",
    ),
    (
        "7.4.3",
        "A new password ends the other logins",
        "other_user, change_password",
    ),
    (
        "7.4.4",
        "A page behind the login has a button to log out",
        "",
    ),
    ("7.4.5", "An administrator ends all logins", "end_all"),
    (
        "7.5.1",
        "A stale login confirms before a sensitive page",
        "remember, fresh, confirm",
    ),
    (
        "7.5.2",
        "Users see their logins and end others",
        "logins, end_others",
    ),
    ("7.6.2", "A link logs nobody in", ""),
    ("8.2.1", "A page asks for the login, and for the right", ""),
    (
        "8.3.2",
        "A log out has an effect at the next request of each browser",
        "end_others",
    ),
    ("14.2.1", "No address has a token in it", ""),
    ("14.3.1", "A log out clears the cookies of the login", ""),
    (
        "14.3.2",
        "Pages behind the login are in no shared cache",
        "",
    ),
    (
        "15.4.2",
        "Parallel requests with one remember cookie all pass",
        "remember",
    ),
    ("16.2.5", "No log line has a token or a password", ""),
    (
        "16.3.1",
        "Each log in, failed log in and log out is logged",
        "",
    ),
    ("16.3.2", "Each refusal is logged", ""),
    (
        "16.3.3",
        "Ended cookies, forged requests and guesses are logged",
        "",
    ),
    (
        "16.5.3",
        "Without the login store nobody is let through",
        "break_store",
    ),
];

/// The ids that no check over HTTP can show: what the item asks, and what the application does for it.
pub(super) const APPLICATION: &[(&str, &str, &str)] = &[
    (
        "6.3.3",
        "Users can have a second factor",
        "Ask for it before `Auth::log_in`.",
    ),
    (
        "7.1.3",
        "Sessions of a single sign-on are written down",
        "Describe them.",
    ),
    (
        "7.5.3",
        "Very sensitive actions ask for another factor",
        "Ask for it in the handler.",
    ),
    (
        "7.6.1",
        "Lifetimes at the identity provider are kept",
        "Pass the time of authentication on.",
    ),
    (
        "10.2.1",
        "A callback of OAuth belongs to the session",
        "Keep the state in the session.",
    ),
    (
        "11.2.4",
        "Secrets are compared in constant time",
        "Nothing for secrets of this crate.",
    ),
];

/// The table of ids in Markdown, as [the guide](crate::guide::asvs) has it.
pub fn table() -> String {
    let mut text = "| id | asks | shown by |\n|---|---|---|\n".to_owned();
    let number = |id: &str| -> Vec<u32> { id.split('.').flat_map(str::parse).collect() };
    let mut rows: Vec<_> = CHECKED
        .iter()
        .map(|(id, asks, facts)| {
            let facts: Vec<_> = facts.split(", ").filter(|it| !it.is_empty()).collect();
            let by = match facts[..] {
                [] => "the suite".to_owned(),
                _ => format!("the suite, with `{}`", facts.join("`, `")),
            };
            (*id, *asks, by)
        })
        .chain(
            APPLICATION
                .iter()
                .map(|(id, asks, what)| (*id, *asks, format!("the application: {what}"))),
        )
        .collect();
    rows.sort_by_key(|(id, ..)| number(id));
    for (id, asks, by) in rows {
        // Writing into a `String` does not fail.
        let _ = writeln!(text, "| {id} | {asks} | {by} |");
    }
    text
}

/// Plays all checks against an application.
///
/// The application has to have the users of the facts, and no login of theirs matters afterwards. Checks that
/// change something, such as a password, come last.
pub async fn check<S, B>(app: &S, facts: Facts) -> Report
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let play = Play::new(app, facts);
    let mut rows = Vec::new();
    // What is judged by all answers comes after those that make them, and what breaks the store at the end.
    let is_late = |id: &str| match id {
        "7.3.1" | "7.3.2" => 1,
        "7.4.3" | "7.4.5" => 2,
        "7.4.2" => 3,
        "3.5.8" | "16.2.5" => 4,
        _ if id.starts_with("3.3.") || id.starts_with("14.") => 4,
        "16.5.3" => 5,
        _ => 0,
    };
    let mut order: Vec<_> = CHECKED.iter().enumerate().collect();
    order.sort_by_key(|(_, (id, ..))| is_late(id));
    for (place, (id, asks, _)) in order {
        let (outcome, why) = match play.play(id).await {
            Ok(why) => (Outcome::Pass, why),
            Err(Miss::Fail(why)) => (Outcome::Fail, why),
            Err(Miss::NotApplicable(fact)) => (
                Outcome::NotApplicable,
                format!("the fact `{fact}` is missing"),
            ),
        };
        let row = Row {
            id,
            asks,
            outcome,
            why,
        };
        rows.push((place, row));
    }
    rows.sort_by_key(|(place, _)| *place);
    Report(rows.into_iter().map(|(_, row)| row).collect())
}
