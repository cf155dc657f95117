//! What is written down: the policy, and the log.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};

use super::play::{Miss, Play, Seen, cookies, ensure, need};
use crate::{policy::document::Statement, test::Request};

/// The most logins at a time for which the limit is tried out.
const MAX_LOGINS: u64 = 10;

impl<S, B> Play<'_, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    /// What the policy says about something.
    fn written(&self, code: &str) -> Result<&Statement, Miss> {
        let policy = need(&self.facts.policy, "policy")?;
        let why = || Miss::Fail(format!("the policy has no statement `{code}`"));
        policy.get(code).ok_or_else(why)
    }

    pub(super) fn written_limits(&self) -> Seen {
        let written = self.written("limits.login")?;
        let (idle, absolute) = (&written.value["idle"], &written.value["absolute"]);
        let is_absolute = absolute.as_u64() == Some(self.facts.absolute.as_secs());
        // Without an idle limit, a check of its own fails.
        let is_idle = idle.is_null() || idle.as_u64() == Some(self.facts.idle.as_secs());
        let why = format!(
            "the suite was told other limits than the policy's: {}",
            written.text
        );
        ensure(is_absolute && is_idle, why)?;
        Ok(written.text.clone())
    }

    pub(super) async fn written_number(&self) -> Seen {
        let written = self.written("number.max")?;
        let max = written.value["max"].as_u64();
        if let Some(max @ 1..=MAX_LOGINS) = max {
            let user = self.user()?;
            let mut browsers = Vec::new();
            for _ in 0..=max {
                let browser = self.browser();
                self.submit(&browser, user, false).await?;
                browsers.push(browser);
            }
            let mut logins = 0;
            for browser in &browsers {
                logins += u64::from(self.is_in(browser).await);
            }
            ensure(
                logins == max,
                format!("a user has {logins} logins at a time"),
            )?;
        }
        Ok(written.text.clone())
    }

    pub(super) fn no_secret_in_the_log(&self) -> Seen {
        let mut secrets = self.secrets();
        let users = [&self.facts.user, &self.facts.other, &self.facts.inactive];
        secrets.extend(
            users
                .into_iter()
                .flatten()
                .map(|user| user.password.clone()),
        );
        let lines = self.log.since(0);
        ensure(!lines.is_empty(), "nothing is logged")?;
        for line in &lines {
            let has = secrets.iter().any(|secret| line.contains(secret));
            // The line itself would show the secret once more.
            let target = line.split(' ').next().unwrap_or_default();
            ensure(
                !has,
                format!("a log line of `{target}` has a token or a password"),
            )?;
        }
        Ok(format!(
            "none of {} secrets is in {} lines",
            secrets.len(),
            lines.len()
        ))
    }

    /// Fails unless one of these events was logged, with the address of the client.
    fn logged(&self, start: usize, what: &str, names: &[&str]) -> Result<(), Miss> {
        let line = self.log.event(start, names);
        let line = line.ok_or_else(|| Miss::Fail(format!("{what} is not logged")))?;
        let has_client = line.contains(" address=");
        ensure(
            has_client,
            format!("{what} is logged without the client's address"),
        )
    }

    pub(super) async fn logged_operations(&self) -> Seen {
        let user = self.user()?;
        let browser = self.browser();
        let start = self.log.len();
        let form = self.typed(&user.name, "not the password of anybody");
        self.post(&browser, &self.facts.log_in, &form).await;
        self.logged(
            start,
            "a wrong password",
            &["password_refused", "attempt_refused"],
        )?;
        let start = self.log.len();
        self.submit(&browser, user, false).await?;
        self.logged(start, "a log in", &["logged_in"])?;
        let start = self.log.len();
        self.post(&browser, &self.facts.log_out, &[]).await;
        self.logged(start, "a log out", &["logged_out"])?;
        Ok("a wrong password, a log in and a log out are in the log".to_owned())
    }

    pub(super) async fn logged_refusals(&self) -> Seen {
        let start = self.log.len();
        self.get(&self.browser(), &self.facts.protected).await;
        self.logged(start, "a refused client", &["unauthorized"])?;
        let Some(forbidden) = &self.facts.forbidden else {
            return Ok("a client without a login is in the log".to_owned());
        };
        let other = need(&self.facts.other, "other_user")?;
        let browser = self.logged_in(other).await?;
        let start = self.log.len();
        self.get(&browser, forbidden).await;
        self.logged(start, "a user without the right", &["forbidden"])?;
        Ok("a client without a login and a user without the right are in the log".to_owned())
    }

    pub(super) async fn logged_bypasses(&self) -> Seen {
        let browser = self.logged_in(self.user()?).await?;
        let copy = browser.copy();
        self.post(&browser, &self.facts.log_out, &[]).await;
        let start = self.log.len();
        ensure(!cookies(&copy).is_empty(), "a login has no cookie")?;
        self.get(&copy, &self.facts.protected).await;
        // If the session has ended as a whole, nothing shows that there was a login.
        let names = ["login_ended", "unauthorized"];
        self.logged(start, "a copy of an ended cookie", &names)?;
        let browser = self.logged_in(self.user()?).await?;
        let start = self.log.len();
        let forged = browser
            .post(&self.facts.log_out)
            .header("Sec-Fetch-Site", "cross-site");
        self.send("forged POST", forged).await;
        self.logged(start, "a forged log out", &["cross_site_refused"])?;
        // By the check for guessing, which comes before this one.
        self.logged(0, "a throttled client", &["throttled"])?;
        Ok(
            "a copy of an ended cookie, a forged request and a throttled client are in the log"
                .to_owned(),
        )
    }
}
