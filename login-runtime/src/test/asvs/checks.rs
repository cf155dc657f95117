//! One scenario for each id.

use std::{collections::HashSet, time::Duration};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use percent_encoding::percent_decode_str;

use super::play::{Miss, Play, Seen, cookies, ensure, join_all, need};
use crate::test::{
    Request,
    strict::{Judged, Rule, judge, stays},
};

/// Values of `next` that a log in must not follow.
const HOSTILE_NEXT: &[&str] = include!("../../../testdata/hostile_next.rs");

/// The length of a cookie's value that 128 random bits need at least, in Base64.
const SHORTEST: usize = 22;

const MINUTE: Duration = Duration::from_secs(60);

impl<S, B> Play<'_, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    pub(super) async fn play(&self, id: &str) -> Seen {
        match id {
            "3.3.1" => self.strict(&[Rule::Secure, Rule::Prefix, Rule::Grammar]),
            "3.3.2" => self.strict(&[Rule::SameSite]),
            "3.3.3" => self.strict(&[Rule::Prefix, Rule::Domain, Rule::Path]),
            "3.3.4" => self.hidden_from_scripts(),
            "3.3.5" => self.strict(&[Rule::Size, Rule::Lifetime]),
            "3.5.1" => self.forged().await,
            "3.5.2" => self.without_preflight().await,
            "3.5.3" => self.by_post_only().await,
            "3.5.8" => self.not_embedded().await,
            "3.7.2" => self.open_redirect().await,
            "4.1.3" => self.headers_of_proxies().await,
            "6.1.1" => self.no_lockout().await,
            "6.2.8" => self.password_as_it_is().await,
            "6.3.1" => self.throttled().await,
            "6.3.4" => self.remembered_is_weaker().await,
            "6.3.8" => self.user_discovery().await,
            "7.1.1" => self.written_limits(),
            "7.1.2" => self.written_number().await,
            "7.2.1" => self.changed_cookies().await,
            "7.2.2" => self.own_tokens().await,
            "7.2.3" => self.random_tokens().await,
            "7.2.4" => self.renewal().await,
            "7.3.1" => self.idle().await,
            "7.3.2" => self.absolute().await,
            "7.4.1" => self.replay().await,
            "7.4.2" => self.deactivated().await,
            "7.4.3" => self.new_password().await,
            "7.4.4" => self.log_out_button().await,
            "7.4.5" => self.end_all().await,
            "7.5.1" => self.fresh().await,
            "7.5.2" => self.list().await,
            "7.6.2" => self.by_link().await,
            "8.2.1" => self.refused().await,
            "8.3.2" => self.at_once().await,
            "14.2.1" => self.addresses(),
            "14.3.1" => self.cleared().await,
            "14.3.2" => self.caching().await,
            "15.4.2" => self.parallel().await,
            "16.2.5" => self.no_secret_in_the_log(),
            "16.3.1" => self.logged_operations().await,
            "16.3.2" => self.logged_refusals().await,
            "16.3.3" => self.logged_bypasses().await,
            "16.5.3" => self.fail_closed().await,
            _ => Err(Miss::Fail("there is no such check".to_owned())),
        }
    }

    /// No cookie of any answer breaks one of these rules.
    fn strict(&self, rules: &[Rule]) -> Seen {
        let mut cookies = 0;
        for asked in self.asked.borrow().iter() {
            let answer = &asked.answer;
            let faults = judge(&Judged {
                status: answer.status(),
                headers: answer.headers(),
                host: None,
                reads_login: false,
            });
            cookies += answer.set_cookies().len();
            let fault = faults.iter().find(|fault| rules.contains(&fault.rule));
            if let Some(fault) = fault {
                return Err(Miss::Fail(format!("{}: {}", asked.what, fault.why)));
            }
        }
        ensure(cookies > 0, "no answer sets a cookie")?;
        Ok(format!("{cookies} cookies are strict"))
    }

    /// The values of all cookies that were set, long enough that they are in no text by chance.
    pub(super) fn secrets(&self) -> HashSet<String> {
        let asked = self.asked.borrow();
        let cookies = asked.iter().flat_map(|asked| asked.answer.set_cookies());
        // An application reads a value without its percent-encoding.
        let values = cookies.flat_map(|cookie| {
            let decoded = percent_decode_str(cookie.value()).decode_utf8_lossy();
            [cookie.value().to_owned(), decoded.into_owned()]
        });
        values.filter(|value| value.len() >= SHORTEST).collect()
    }

    fn hidden_from_scripts(&self) -> Seen {
        self.strict(&[Rule::HttpOnly, Rule::ClearText])?;
        let secrets = self.secrets();
        for asked in self.asked.borrow().iter() {
            let text = asked.answer.text();
            let shows = secrets.iter().any(|secret| text.contains(secret));
            ensure(
                !shows,
                format!("the body of {} has a cookie's value", asked.what),
            )?;
        }
        Ok(format!("none of {} values is in a page", secrets.len()))
    }

    fn addresses(&self) -> Seen {
        let secrets = self.secrets();
        for asked in self.asked.borrow().iter() {
            let location = asked.answer.location().unwrap_or_default();
            let shows = secrets.iter().any(|secret| location.contains(secret));
            ensure(
                !shows,
                format!("the redirect of {} has a cookie's value", asked.what),
            )?;
        }
        Ok(format!("none of {} values is in a redirect", secrets.len()))
    }

    async fn open_redirect(&self) -> Seen {
        let user = self.user()?;
        // A log in for each takes long, so the first tell whether `next` is followed at all.
        let step = HOSTILE_NEXT.len().div_ceil(MAX_LOG_INS);
        for next in HOSTILE_NEXT.iter().step_by(step).chain(PLAIN_HOSTILE) {
            let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let path = format!("{}?next={query}", self.facts.log_in);
            let form = self.typed(&user.name, &user.password);
            let answer = self.post(&self.browser(), &path, &form).await;
            let location = answer.location().unwrap_or("/");
            let why = format!("the log in with next={next:?} leads to {location:?}");
            ensure(stays(location, None), why)?;
        }
        Ok("no hostile `next` was followed".to_owned())
    }

    async fn password_as_it_is(&self) -> Seen {
        let user = self.user()?;
        let right = &user.password;
        let longer = format!("{right}{}", "x".repeat(200));
        let shorter: String = right.chars().take(right.chars().count() - 1).collect();
        let others = [
            format!("{right} "),
            format!(" {right}"),
            right.to_uppercase(),
            longer,
            shorter,
        ];
        for other in others.iter().filter(|other| *other != right) {
            let browser = self.browser();
            let form = self.typed(&user.name, other);
            self.post(&browser, &self.facts.log_in, &form).await;
            let why = "a password that differs by case, length or a space logs in";
            ensure(!self.is_in(&browser).await, why)?;
        }
        self.logged_in(user).await?;
        Ok("only the very password logs in".to_owned())
    }

    async fn remembered_is_weaker(&self) -> Seen {
        let fresh = need(&self.facts.fresh, "fresh")?;
        let browser = self.remembered(self.user()?).await?;
        ensure(
            self.is_in(&browser).await,
            "the remember cookie logs nobody in",
        )?;
        let answer = self.get(&browser, fresh).await;
        let why = "a remembered login reaches the page that needs a fresh one";
        ensure(answer.status() != 200, why)?;
        Ok(format!("{fresh} was answered with {}", answer.status()))
    }

    async fn user_discovery(&self) -> Seen {
        let user = self.user()?;
        let wrong = "not the password of anybody";
        let mut cases = vec![
            ("a wrong password", user.name.clone(), wrong.to_owned()),
            (
                "an unknown user",
                format!("{}-unknown", user.name),
                wrong.to_owned(),
            ),
        ];
        if let Some(inactive) = &self.facts.inactive {
            let name = inactive.name.clone();
            cases.push(("an inactive user", name, inactive.password.clone()));
        }
        let mut first: Option<(u16, String)> = None;
        for (what, name, password) in &cases {
            let form = self.typed(name, password);
            let answer = self.post(&self.browser(), &self.facts.log_in, &form).await;
            // A form may show the name that was typed.
            let found = (answer.status(), answer.text().replace(name.as_str(), "-"));
            let same = first.get_or_insert_with(|| found.clone()) == &found;
            ensure(
                same,
                format!("{what} is answered in another way than a wrong password"),
            )?;
        }
        Ok(format!(
            "{} refused log ins got the same answer",
            cases.len()
        ))
    }

    async fn changed_cookies(&self) -> Seen {
        let browser = self.logged_in(self.user()?).await?;
        let all = cookies(&browser);
        for (name, value) in &all {
            for at in [0, value.len() / 2, value.len().saturating_sub(1)] {
                let copy = browser.copy();
                let mut bytes = value.clone().into_bytes();
                let Some(byte) = bytes.get_mut(at) else {
                    continue;
                };
                *byte = if *byte == b'A' { b'B' } else { b'A' };
                copy.set_cookie(name, &String::from_utf8_lossy(&bytes));
                let is_in = self.is_in(&copy).await;
                // The last character of Base64 may have bits that mean nothing, and other cookies may not
                // belong to the login.
                let alone = all.len() == 1 && at + 1 < value.len();
                ensure(
                    !(is_in && alone),
                    format!("{name} with another byte still works"),
                )?;
            }
        }
        let copy = browser.copy();
        for (name, value) in &all {
            copy.set_cookie(name, &"A".repeat(value.len()));
        }
        ensure(!self.is_in(&copy).await, "forged cookies log in")?;
        Ok("changed and forged cookies log nobody in".to_owned())
    }

    async fn own_tokens(&self) -> Seen {
        let user = self.user()?;
        let one = cookies(&self.logged_in(user).await?);
        let two = cookies(&self.logged_in(user).await?);
        let same = one.iter().any(|cookie| two.contains(cookie));
        ensure(!same, "two logins have the same cookie")?;
        Ok("two logins have different cookies".to_owned())
    }

    async fn random_tokens(&self) -> Seen {
        let browser = self.logged_in(self.user()?).await?;
        let all = cookies(&browser);
        let longest = all.iter().map(|(_, value)| value.len()).max();
        let why = "no cookie is long enough for 128 random bits";
        ensure(longest.is_some_and(|len| len >= SHORTEST), why)?;
        let planted = self.browser();
        for (name, value) in &all {
            planted.set_cookie(name, &"a".repeat(value.len()));
        }
        let before = cookies(&planted);
        self.submit(&planted, self.user()?, false).await?;
        ensure(
            self.is_in(&planted).await,
            "a planted cookie keeps the user from a log in",
        )?;
        let after = cookies(&planted);
        let kept = before.iter().all(|cookie| after.contains(cookie));
        ensure(!kept, "an unknown session was adopted")?;
        Ok("cookies are long, and planted ones are replaced".to_owned())
    }

    async fn renewal(&self) -> Seen {
        let user = self.user()?;
        let browser = self.logged_in(user).await?;
        let old = browser.copy();
        self.submit(&browser, user, false).await?;
        ensure(
            self.is_in(&browser).await,
            "a second log in does not log in",
        )?;
        ensure(
            cookies(&old) != cookies(&browser),
            "a second log in keeps the cookie",
        )?;
        let why = "the cookie from before a second log in still works";
        ensure(!self.is_in(&old).await, why)?;
        Ok("a second log in ended the first cookie".to_owned())
    }

    async fn idle(&self) -> Seen {
        let clock = need(&self.facts.clock, "clock")?;
        let browser = self.logged_in(self.user()?).await?;
        clock.advance(self.facts.idle.saturating_sub(MINUTE));
        ensure(
            self.is_in(&browser).await,
            "the login ends before its idle limit",
        )?;
        clock.advance(self.facts.idle + MINUTE);
        ensure(
            !self.is_in(&browser).await,
            "the login outlives its idle limit",
        )?;
        Ok("in a minute before the limit, and out a minute after it".to_owned())
    }

    async fn absolute(&self) -> Seen {
        let clock = need(&self.facts.clock, "clock")?;
        let browser = self.logged_in(self.user()?).await?;
        let step = self.facts.idle / 2;
        let mut passed = Duration::ZERO;
        while passed + step < self.facts.absolute {
            clock.advance(step);
            passed += step;
            ensure(
                self.is_in(&browser).await,
                format!("out after {passed:?} in use"),
            )?;
        }
        clock.advance(step + MINUTE);
        ensure(
            !self.is_in(&browser).await,
            "use keeps the login beyond its absolute limit",
        )?;
        Ok(format!(
            "in use all the time, and out after {:?}",
            self.facts.absolute
        ))
    }

    async fn replay(&self) -> Seen {
        let browser = self.logged_in(self.user()?).await?;
        let copy = browser.copy();
        self.get(&browser, &self.facts.log_out).await;
        ensure(self.is_in(&browser).await, "a GET logs out")?;
        let answer = self.post(&browser, &self.facts.log_out, &[]).await;
        let status = answer.status();
        ensure(
            status < 400,
            format!("the log out was answered with {status}"),
        )?;
        ensure(!self.is_in(&browser).await, "still in after the log out")?;
        ensure(
            !self.is_in(&copy).await,
            "a copy of the cookie works after the log out",
        )?;
        Ok("a copy of the cookie is worthless after the log out".to_owned())
    }

    async fn deactivated(&self) -> Seen {
        let deactivate = need(&self.facts.deactivate, "deactivate")?;
        let user = need(&self.facts.other, "other_user")?;
        let [one, two] = [self.logged_in(user).await?, self.logged_in(user).await?];
        deactivate().await;
        for browser in [&one, &two] {
            ensure(!self.is_in(browser).await, "a deactivated user is still in")?;
        }
        let browser = self.browser();
        self.submit(&browser, user, false).await?;
        ensure(!self.is_in(&browser).await, "a deactivated user logs in")?;
        Ok("both browsers of the user are out at once".to_owned())
    }

    async fn new_password(&self) -> Seen {
        let (path, field) = need(&self.facts.change_password, "change_password")?;
        let user = need(&self.facts.other, "other_user")?;
        let [one, two] = [self.logged_in(user).await?, self.logged_in(user).await?];
        let new = [(field.clone(), format!("{} and a new one", user.password))];
        let status = self.post(&one, path, &new).await.status();
        ensure(
            status < 400,
            format!("the new password was answered with {status}"),
        )?;
        ensure(
            self.is_in(&one).await,
            "the browser that changed the password is out",
        )?;
        ensure(!self.is_in(&two).await, "another browser is still in")?;
        // Back, for the checks that follow.
        let old = [(field.clone(), user.password.clone())];
        self.post(&one, path, &old).await;
        Ok("only the browser that changed the password is in".to_owned())
    }

    async fn log_out_button(&self) -> Seen {
        let browser = self.logged_in(self.user()?).await?;
        let page = self.get(&browser, &self.facts.protected).await.text();
        let action = format!("action=\"{}\"", self.facts.log_out);
        let forms = page.split("<form").skip(1);
        let mut forms = forms.map(|form| form.split('>').next().unwrap_or_default());
        let found = forms.any(|form| {
            form.contains(&action) && form.to_ascii_lowercase().contains("method=\"post\"")
        });
        ensure(
            found,
            format!("no form on {} posts to the log out", self.facts.protected),
        )?;
        Ok(format!("{} has a form that logs out", self.facts.protected))
    }

    async fn end_all(&self) -> Seen {
        let end_all = need(&self.facts.end_all, "end_all")?;
        let user = self.user()?;
        let [one, two] = [self.logged_in(user).await?, self.logged_in(user).await?];
        end_all().await;
        for browser in [&one, &two] {
            ensure(!self.is_in(browser).await, "a login is left")?;
        }
        Ok("all logins have ended".to_owned())
    }

    async fn fresh(&self) -> Seen {
        let fresh = need(&self.facts.fresh, "fresh")?;
        let confirm = need(&self.facts.confirm, "confirm")?;
        let user = self.user()?;
        let browser = self.remembered(user).await?;
        ensure(
            self.is_in(&browser).await,
            "the remember cookie logs nobody in",
        )?;
        let stale = self.get(&browser, fresh).await.status();
        ensure(stale != 200, "a stale login reaches the page")?;
        let wrong = [(self.facts.password_field.clone(), "wrong".to_owned())];
        self.post(&browser, confirm, &wrong).await;
        let status = self.get(&browser, fresh).await.status();
        ensure(status != 200, "a wrong password makes the login fresh")?;
        let old = browser.copy();
        let right = [(self.facts.password_field.clone(), user.password.clone())];
        self.post(&browser, confirm, &right).await;
        let status = self.get(&browser, fresh).await.status();
        ensure(
            status == 200,
            format!("after the password the page answers {status}"),
        )?;
        let status = self.get(&old, fresh).await.status();
        ensure(status != 200, "the cookie from before became fresh too")?;
        Ok("the page wants the password from a stale login".to_owned())
    }

    async fn list(&self) -> Seen {
        let logins = need(&self.facts.logins, "logins")?;
        let end_others = need(&self.facts.end_others, "end_others")?;
        let user = self.user()?;
        let other = self.browser();
        other.set_user_agent("other-agent/7");
        self.submit(&other, user, false).await?;
        let browser = self.logged_in(user).await?;
        let page = self.get(&browser, logins).await.text();
        ensure(
            page.contains("other-agent/7"),
            "the list lacks another login",
        )?;
        if self.facts.remember.is_some() {
            let stale = self.remembered(user).await?;
            self.post(&stale, end_others, &[]).await;
            ensure(self.is_in(&browser).await, "a stale login ends others")?;
        }
        self.post(&browser, end_others, &[]).await;
        ensure(!self.is_in(&other).await, "the other login is left")?;
        ensure(self.is_in(&browser).await, "the own login has ended")?;
        Ok("the list has the other login, which was ended from here".to_owned())
    }

    async fn by_link(&self) -> Seen {
        let user = self.user()?;
        let browser = self.browser();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.typed(&user.name, &user.password));
        let path = format!("{}?{}", self.facts.log_in, query.finish());
        // Not kept: the address has the password on purpose.
        browser.get(&path).await;
        ensure(
            !self.is_in(&browser).await,
            "a GET with a name and a password logs in",
        )?;
        Ok("a GET with a name and a password logs nobody in".to_owned())
    }

    async fn refused(&self) -> Seen {
        let status = self
            .get(&self.browser(), &self.facts.protected)
            .await
            .status();
        let why = format!("an anonymous client gets {status}");
        ensure(matches!(status, 302 | 303 | 401), why)?;
        let Some(forbidden) = &self.facts.forbidden else {
            return Ok(format!("an anonymous client gets {status}"));
        };
        let browser = self
            .logged_in(need(&self.facts.other, "other_user")?)
            .await?;
        let answer = self.get(&browser, forbidden).await.status();
        ensure(
            answer == 403,
            format!("a user without the right gets {answer}"),
        )?;
        Ok(format!(
            "an anonymous client gets {status}, a user without the right 403"
        ))
    }

    async fn at_once(&self) -> Seen {
        let end_others = need(&self.facts.end_others, "end_others")?;
        let user = self.user()?;
        let others = [self.logged_in(user).await?, self.logged_in(user).await?];
        let browser = self.logged_in(user).await?;
        self.post(&browser, end_others, &[]).await;
        for other in &others {
            ensure(
                !self.is_in(other).await,
                "a login that was ended still reads a page",
            )?;
        }
        Ok("ended logins are refused at their next request".to_owned())
    }

    async fn cleared(&self) -> Seen {
        let browser = self.logged_in(self.user()?).await?;
        let before = cookies(&browser);
        let answer = self.post(&browser, &self.facts.log_out, &[]).await;
        let after = cookies(&browser);
        let kept = before.iter().any(|cookie| after.contains(cookie));
        ensure(!kept, "the browser keeps a cookie of the login")?;
        let caching = answer.header("cache-control").unwrap_or_default();
        let why = "the answer to the log out may be cached";
        ensure(caching.contains("no-store"), why)?;
        Ok("the log out cleared or replaced every cookie".to_owned())
    }

    async fn caching(&self) -> Seen {
        self.logged_in(self.user()?).await?;
        let mut pages = 0;
        for asked in self.asked.borrow().iter().filter(|asked| asked.is_of_login) {
            pages += 1;
            let answer = &asked.answer;
            let faults = judge(&Judged {
                status: answer.status(),
                headers: answer.headers(),
                host: None,
                reads_login: true,
            });
            let fault = faults.iter().find(|fault| fault.rule == Rule::Private);
            if let Some(fault) = fault {
                return Err(Miss::Fail(format!("{}: {}", asked.what, fault.why)));
            }
        }
        Ok(format!("{pages} pages are private"))
    }

    async fn parallel(&self) -> Seen {
        need(&self.facts.remember, "remember")?;
        let browser = self.remembered(self.user()?).await?;
        let copies: Vec<_> = (0..PARALLEL).map(|_| browser.copy()).collect();
        let path = self.facts.protected.as_str();
        let requests = copies.iter().map(|copy| self.get(copy, path));
        let answers = join_all(requests).await;
        let refused = answers
            .iter()
            .filter(|answer| answer.status() != 200)
            .count();
        ensure(
            refused == 0,
            format!("{refused} of {PARALLEL} requests were refused"),
        )?;
        for copy in &copies {
            ensure(
                self.is_in(copy).await,
                "a copy is out after the parallel requests",
            )?;
        }
        Ok(format!("{PARALLEL} parallel requests with one cookie pass"))
    }

    async fn fail_closed(&self) -> Seen {
        let break_store = need(&self.facts.break_store, "break_store")?;
        let browser = self.logged_in(self.user()?).await?;
        break_store().await;
        let status = self.get(&browser, &self.facts.protected).await.status();
        let why = format!("without the store the page is answered with {status}");
        ensure(status >= 500, why)?;
        let answer = self.submit(&self.browser(), self.user()?, false).await?;
        let sets = answer.set_cookies().iter().any(|it| !it.value().is_empty());
        let why = "without the store a log in sets a cookie";
        ensure(answer.status() >= 400 && !sets, why)?;
        Ok(format!(
            "without the store the page is answered with {status}"
        ))
    }
}

/// How many log ins with a hostile `next` are tried from the long list.
const MAX_LOG_INS: usize = 20;

/// The hostile values of `next` that are always tried.
const PLAIN_HOSTILE: &[&str] = &["https://evil.test/", "//evil.test/", "/\\evil.test"];

/// How many requests are sent at once.
const PARALLEL: usize = 8;
