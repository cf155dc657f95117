//! What other sites can make a browser do with a login.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::Method,
};

use super::play::{Miss, Play, Seen, ensure};
use crate::test::{Answer, Browser, Request};

/// An origin that no application trusts (RFC 2606).
const OTHER_SITE: &str = "https://evil.test";

/// What browsers send with a form of another site: all current ones, those before 2023, and those in a
/// sandbox.
const FORGED: &[&[(&str, &str)]] = &[
    &[("Sec-Fetch-Site", "cross-site"), ("Origin", OTHER_SITE)],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Origin", OTHER_SITE)],
    &[("Origin", "null")],
];

/// The types of bodies for which no browser asks in advance (the Fetch standard, section 2.2.2).
const SIMPLE: &[&str] = &[
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
];

/// Fails if scripts of another site may read the answer with the user's cookies.
fn not_shared(answer: &Answer) -> Result<(), Miss> {
    let allows = answer.header("access-control-allow-origin");
    let with_cookies = answer.header("access-control-allow-credentials");
    let is_shared = allows == Some(OTHER_SITE) && with_cookies == Some("true");
    ensure(
        !is_shared,
        format!("scripts of {OTHER_SITE} may read answers"),
    )
}

impl<'a, S, B> Play<'a, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    /// Follows a link with these fields. The answer is not kept, as the address may have a password.
    async fn follow(&self, browser: &Browser<'a, S>, path: &str, fields: &[(String, String)]) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(fields);
        browser.get(&format!("{path}?{}", query.finish())).await;
    }

    /// Posts as a page of another site lets a browser do it.
    async fn forge(
        &self,
        browser: &Browser<'a, S>,
        path: &str,
        fields: &[(String, String)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut ask = browser.post(path).form(fields);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        self.send(&format!("forged POST {path}"), ask).await
    }

    pub(super) async fn forged(&self) -> Seen {
        let facts = &self.facts;
        let user = self.user()?;
        let right = self.typed(&user.name, &user.password);
        let browser = self.logged_in(user).await?;
        for headers in FORGED {
            self.forge(&browser, &facts.log_out, &[], headers).await;
            let why = format!("another site logs the user out, with {headers:?}");
            ensure(self.is_in(&browser).await, why)?;
            let victim = self.browser();
            self.forge(&victim, &facts.log_in, &right, headers).await;
            let why = format!("another site logs a browser in, with {headers:?}");
            ensure(!self.is_in(&victim).await, why)?;
        }
        let (fresh, confirm) = (&facts.fresh, &facts.confirm);
        if let (Some(fresh), Some(confirm), true) = (fresh, confirm, facts.remember.is_some()) {
            let browser = self.remembered(user).await?;
            self.get(&browser, &facts.protected).await;
            let password = [(facts.password_field.clone(), user.password.clone())];
            for headers in FORGED {
                self.forge(&browser, confirm, &password, headers).await;
                let status = self.get(&browser, fresh).await.status();
                let why = format!("another site confirms a login, with {headers:?}");
                ensure(status != 200, why)?;
            }
        }
        let own = self.browser();
        self.forge(
            &own,
            &facts.log_in,
            &right,
            &[("Sec-Fetch-Site", "same-origin")],
        )
        .await;
        ensure(self.is_in(&own).await, "the own form does not log in")?;
        Ok(format!(
            "{} forms of other sites change nothing",
            FORGED.len()
        ))
    }

    pub(super) async fn without_preflight(&self) -> Seen {
        let log_out = self.facts.log_out.as_str();
        let browser = self.logged_in(self.user()?).await?;
        let what = format!("POST {log_out} from {OTHER_SITE}");
        for kind in SIMPLE {
            let ask = browser.post(log_out).header("Origin", OTHER_SITE);
            let ask = ask.header("Content-Type", kind).body("a=b");
            let answer = self.send(&what, ask).await;
            not_shared(&answer)?;
            let why = format!(
                "a request of another site with {kind}, which needs no preflight, logs out"
            );
            ensure(self.is_in(&browser).await, why)?;
        }
        let preflight = browser
            .ask(Method::OPTIONS, log_out)
            .header("Origin", OTHER_SITE);
        let preflight = preflight.header("Access-Control-Request-Method", "POST");
        not_shared(&self.send(&format!("preflight of {what}"), preflight).await)?;
        let page = browser
            .get(&self.facts.protected)
            .header("Origin", OTHER_SITE);
        not_shared(&self.send(&format!("GET from {OTHER_SITE}"), page).await)?;
        Ok(format!(
            "{} types without a preflight change nothing",
            SIMPLE.len()
        ))
    }

    pub(super) async fn by_post_only(&self) -> Seen {
        let facts = &self.facts;
        let user = self.user()?;
        let browser = self.logged_in(user).await?;
        let mut links = vec![&facts.log_out];
        self.follow(&browser, &facts.log_out, &[]).await;
        ensure(self.is_in(&browser).await, "a link logs out")?;
        if let Some(end_others) = &facts.end_others {
            links.push(end_others);
            let other = self.logged_in(user).await?;
            self.follow(&browser, end_others, &[]).await;
            ensure(self.is_in(&other).await, "a link ends the other logins")?;
        }
        if let (Some((path, field)), Some(user)) = (&facts.change_password, &facts.other) {
            links.push(path);
            let browser = self.logged_in(user).await?;
            let new = [(field.clone(), format!("{} by a link", user.password))];
            self.follow(&browser, path, &new).await;
            let old = self.browser();
            self.submit(&old, user, false).await?;
            ensure(self.is_in(&old).await, "a link changes the password")?;
        }
        let (fresh, confirm) = (&facts.fresh, &facts.confirm);
        if let (Some(fresh), Some(confirm), true) = (fresh, confirm, facts.remember.is_some()) {
            links.push(confirm);
            let browser = self.remembered(user).await?;
            let right = [(facts.password_field.clone(), user.password.clone())];
            self.follow(&browser, confirm, &right).await;
            let status = self.get(&browser, fresh).await.status();
            ensure(status != 200, "a link with a password confirms a login")?;
        }
        let links: Vec<_> = links.into_iter().map(String::as_str).collect();
        Ok(format!("links to {} change nothing", links.join(", ")))
    }

    pub(super) async fn not_embedded(&self) -> Seen {
        self.logged_in(self.user()?).await?;
        let mut pages = 0;
        for asked in self.asked.borrow().iter().filter(|asked| asked.is_of_login) {
            pages += 1;
            let policy = asked.answer.header("cross-origin-resource-policy");
            let is_kept = policy.is_some_and(|it| it == "same-origin" || it == "same-site");
            let why = format!(
                "{}: `Cross-Origin-Resource-Policy` is {policy:?}",
                asked.what
            );
            ensure(is_kept, why)?;
        }
        Ok(format!("{pages} pages have `Cross-Origin-Resource-Policy`"))
    }
}
