//! Guessing of passwords, and headers that only proxies should send.

use std::time::Duration;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};

use super::play::{Miss, Play, Seen, ensure, need};
use crate::test::{Answer, Browser, Request};

/// How many wrong passwords are tried at most, one after the other.
const MAX_GUESSES: u32 = 100;

/// An address that only a header names (RFC 5737).
const SPOOFED: &str = "203.0.113.77";

/// Headers in which proxies report the client, and who it is.
const ABOUT_CLIENT: &[(&str, &str)] = &[
    ("X-Forwarded-For", "203.0.113.77"),
    ("Forwarded", "for=203.0.113.77"),
    ("X-Real-IP", "203.0.113.77"),
    ("True-Client-IP", "203.0.113.77"),
    ("CF-Connecting-IP", "203.0.113.77"),
    ("X-Client-IP", "203.0.113.77"),
];

/// Headers in which proxies report what the client has asked for.
const ABOUT_TARGET: &[(&str, &str)] = &[
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Prefix", "/evil"),
    ("Forwarded", "host=evil.test;proto=http"),
    ("X-Original-URL", "/evil"),
];

impl<'a, S, B> Play<'a, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    /// A browser that has guessed until its guesses are no longer checked, with the last answer and the
    /// number of guesses before it.
    async fn guesser(&self) -> Result<(Browser<'a, S>, Answer, u32), Miss> {
        let user = self.user()?;
        let browser = self.browser();
        for guess in 0..MAX_GUESSES {
            let form = self.typed(&user.name, &format!("guess {guess}"));
            let answer = self.post(&browser, &self.facts.log_in, &form).await;
            if answer.status() == 429 {
                return Ok((browser, answer, guess));
            }
        }
        let why = format!("{MAX_GUESSES} wrong passwords in a row are all checked");
        Err(Miss::Fail(why))
    }

    pub(super) async fn throttled(&self) -> Seen {
        let (browser, answer, guesses) = self.guesser().await?;
        ensure(
            retry_after(&answer).is_some(),
            "the 429 lacks a `Retry-After` of a second or more",
        )?;
        let answer = self.submit(&browser, self.user()?, false).await?;
        let status = answer.status();
        let why = format!("after the 429, the right password is answered with {status}");
        ensure(status == 429 && !self.is_in(&browser).await, why)?;
        Ok(format!(
            "429 with `Retry-After` after {guesses} wrong passwords"
        ))
    }

    pub(super) async fn no_lockout(&self) -> Seen {
        let policy = need(&self.facts.policy, "policy")?;
        let limit = policy.get("guessing.account_and_client");
        let Some(limit) = limit else {
            return Err(Miss::Fail("the policy limits no guessing".to_owned()));
        };
        let (browser, answer, _) = self.guesser().await?;
        let owner = self.browser();
        self.submit(&owner, self.user()?, false).await?;
        ensure(
            self.is_in(&owner).await,
            "guesses of another client lock the owner out",
        )?;
        if let (Some(clock), Some(seconds)) = (&self.facts.clock, retry_after(&answer)) {
            clock.advance(Duration::from_secs(seconds));
            self.submit(&browser, self.user()?, false).await?;
            let why = "after the time of `Retry-After`, the right password is still refused";
            ensure(self.is_in(&browser).await, why)?;
        }
        Ok(limit.text.clone())
    }

    pub(super) async fn headers_of_proxies(&self) -> Seen {
        let start = self.log.len();
        let protected = self.facts.protected.as_str();
        let usual = self.get(&self.browser(), protected).await;
        let what = format!("GET {protected} with headers of proxies");
        for (name, value) in ABOUT_TARGET {
            let browser = self.browser();
            let answer = self
                .send(&what, browser.get(protected).header(name, value))
                .await;
            let [usual, location] = [&usual, &answer].map(Answer::location);
            let why = format!("with `{name}: {value}`, a refused client is sent to {location:?}");
            ensure(usual == location, why)?;
        }
        // An application without a throttle fails another check.
        let guesser = self.guesser().await.ok();
        let user = self.user()?;
        let what = format!("POST {} with headers of proxies", self.facts.log_in);
        for (name, value) in ABOUT_CLIENT {
            let browser = match &guesser {
                Some((browser, ..)) => browser.copy(),
                None => self.browser(),
            };
            let password = if guesser.is_some() {
                &user.password
            } else {
                "wrong"
            };
            let form = self.typed(&user.name, password);
            let ask = browser.post(&self.facts.log_in).form(&form);
            let status = self.send(&what, ask.header(name, value)).await.status();
            let why =
                format!("with `{name}: {value}`, a throttled client is answered with {status}");
            ensure(guesser.is_none() || status == 429, why)?;
        }
        let lines = self.log.since(start);
        let named = lines
            .iter()
            .find(|line| line.contains(&format!("address={SPOOFED:?}")));
        if let Some(line) = named {
            return Err(Miss::Fail(format!(
                "the log has an address of a header: {line}"
            )));
        }
        Ok("they change no redirect, no limit, and no address in the log".to_owned())
    }
}

/// The seconds of `Retry-After`, if there is at least one.
fn retry_after(answer: &Answer) -> Option<u64> {
    let seconds = answer.header("retry-after")?.parse().ok()?;
    (seconds > 0).then_some(seconds)
}
