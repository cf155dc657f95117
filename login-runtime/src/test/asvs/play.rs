//! What the checks have in common: browsers, log ins, and everything that was answered.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    net::Ipv4Addr,
    task::Poll,
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};

use super::{
    facts::{Credentials, Facts},
    log::Log,
};
use crate::test::{Answer, Ask, Browser, Request};

/// Why a check does not pass.
pub(super) enum Miss {
    Fail(String),
    /// The fact that is missing.
    NotApplicable(&'static str),
}

/// What a check saw.
pub(super) type Seen = Result<String, Miss>;

/// An answer, and what was asked.
pub(super) struct Asked {
    pub(super) what: String,
    pub(super) answer: Answer,
    /// Whether the browser was logged in when it asked for a page that needs a login.
    pub(super) is_of_login: bool,
}

/// An application that the suite plays with.
pub(super) struct Play<'a, S> {
    pub(super) app: &'a S,
    pub(super) facts: Facts,
    pub(super) asked: RefCell<Vec<Asked>>,
    pub(super) log: Log,
    addresses: Cell<u32>,
}

/// The fact, or that it is missing.
pub(super) fn need<'f, T>(fact: &'f Option<T>, name: &'static str) -> Result<&'f T, Miss> {
    fact.as_ref().ok_or(Miss::NotApplicable(name))
}

/// Fails the check unless it is so.
pub(super) fn ensure(is_so: bool, why: impl Into<String>) -> Result<(), Miss> {
    is_so.then_some(()).ok_or_else(|| Miss::Fail(why.into()))
}

impl<'a, S, B> Play<'a, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    pub(super) fn new(app: &'a S, facts: Facts) -> Self {
        Self {
            app,
            facts,
            asked: RefCell::default(),
            log: Log::start(),
            addresses: Cell::new(0),
        }
    }

    /// A browser at an address that no other one has, so that limits for one client do not disturb others.
    pub(super) fn browser(&self) -> Browser<'a, S> {
        self.addresses.set(self.addresses.get() + 1);
        let browser = Browser::new(self.app);
        // Addresses for documentation and measurements (RFC 2544).
        let [.., high, low] = self.addresses.get().to_be_bytes();
        browser.set_address(Ipv4Addr::new(198, 18, high, low));
        browser
    }

    /// Sends a request, and keeps the answer.
    pub(super) async fn send(&self, what: &str, ask: Ask<'_, 'a, S>) -> Answer {
        let answer = ask.await;
        self.asked.borrow_mut().push(Asked {
            what: what.to_owned(),
            answer: answer.clone(),
            is_of_login: false,
        });
        answer
    }

    pub(super) async fn get(&self, browser: &Browser<'a, S>, path: &str) -> Answer {
        let answer = self.send(&format!("GET {path}"), browser.get(path)).await;
        let is_page = path == self.facts.protected && answer.status() == 200;
        if let Some(last) = self.asked.borrow_mut().last_mut() {
            last.is_of_login = is_page;
        }
        answer
    }

    pub(super) async fn post(
        &self,
        browser: &Browser<'a, S>,
        path: &str,
        fields: &[(String, String)],
    ) -> Answer {
        let what = format!("POST {path}");
        self.send(&what, browser.post(path).form(fields)).await
    }

    /// Whether the page that needs a login is shown.
    pub(super) async fn is_in(&self, browser: &Browser<'a, S>) -> bool {
        let answer = self.get(browser, &self.facts.protected).await;
        (200..300).contains(&answer.status())
    }

    /// What is typed into the login form.
    pub(super) fn typed(&self, name: &str, password: &str) -> Vec<(String, String)> {
        vec![
            (self.facts.name_field.clone(), name.to_owned()),
            (self.facts.password_field.clone(), password.to_owned()),
        ]
    }

    pub(super) fn user(&self) -> Result<&Credentials, Miss> {
        need(&self.facts.user, "user")
    }

    /// Posts the login form.
    pub(super) async fn submit(
        &self,
        browser: &Browser<'a, S>,
        user: &Credentials,
        remember: bool,
    ) -> Result<Answer, Miss> {
        let mut form = self.typed(&user.name, &user.password);
        if remember {
            form.push(need(&self.facts.remember, "remember")?.clone());
        }
        let answer = self.post(browser, &self.facts.log_in, &form).await;
        Ok(answer)
    }

    /// A browser in which this user has logged in.
    pub(super) async fn logged_in(&self, user: &Credentials) -> Result<Browser<'a, S>, Miss> {
        let browser = self.browser();
        let answer = self.submit(&browser, user, false).await?;
        let status = answer.status();
        let why = format!("the log in was answered with {status}, and the page is not shown");
        ensure(self.is_in(&browser).await, why)?;
        Ok(browser)
    }

    /// A browser with nothing but a remember cookie.
    pub(super) async fn remembered(&self, user: &Credentials) -> Result<Browser<'a, S>, Miss> {
        let browser = self.browser();
        self.submit(&browser, user, true).await?;
        browser.restart();
        let has_cookies = !browser.cookie_names().is_empty();
        ensure(has_cookies, "no cookie outlasts the browser")?;
        Ok(browser)
    }
}

/// The cookies of a browser, with their values.
pub(super) fn cookies<'a, S, B>(browser: &Browser<'a, S>) -> Vec<(String, String)>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let names = browser.cookie_names().into_iter();
    names
        .filter_map(|name| browser.cookie(&name).map(|value| (name, value)))
        .collect()
}

/// Polls all futures together, until each has its result.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|it| Some(Box::pin(it))).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            let Some(waiting) = future else { continue };
            match waiting.as_mut().poll(cx) {
                Poll::Ready(found) => {
                    *result = Some(found);
                    *future = None;
                }
                Poll::Pending => is_done = false,
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
