//! Describes a manager. A new setting gets a line in the section of its concern, and one in [`off`] if it is
//! off by default.

use std::time::Duration;

use actix_session::storage::SessionStore;
use actix_web::cookie::SameSite;
use serde_json::{Value, json};

use crate::{
    core::{AddressPart, Limits, MaxLogins, PageCaching, ResourcePolicy, SessionProtection, Span},
    http::{CheckedCookie, Origin, ViewAddress},
    manager::{LoginManager, Manager},
    policy::{
        document::{Policy, Section, Statement},
        weaknesses::{Weakness, weaknesses},
    },
    refusal::{FlashHook, RefusalKind},
    store::CountedIn,
};

impl<S: SessionStore> LoginManager<S> {
    /// What this manager does, in words; see [`Policy`].
    pub fn policy(&self) -> Policy {
        let manager = &*self.manager;
        Policy {
            sections: vec![
                users(manager),
                limits(manager),
                number(manager),
                stores(manager),
                cookies(manager),
                protection(manager),
                guards(manager),
                refusals(manager),
                caching(manager),
                origins(manager),
                cross_site(manager),
                proxies(manager),
                guessing(manager),
                keys(manager),
                events(manager),
                off(manager),
            ],
        }
    }
}

fn section(title: &'static str, statements: Vec<Statement>) -> Section {
    Section { title, statements }
}

fn say(code: &'static str, value: impl Into<Value>, text: impl Into<String>) -> Statement {
    Statement {
        code,
        value: value.into(),
        text: text.into(),
    }
}

/// A clause as a sentence.
fn sentence(mut clause: String) -> String {
    if let Some(first) = clause.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    clause + "."
}

fn users(manager: &Manager) -> Section {
    let mut said = Vec::new();
    for (index, user) in manager.users.iter().enumerate() {
        let name = user.loader.name();
        let default = match index {
            0 => ", which guards require by default",
            _ => "",
        };
        said.push(say(
            "users.type",
            name,
            format!("Users are of the type `{name}`{default}."),
        ));
        let hash = user.loader.has_session_hash();
        let text = match hash {
            Some(true) => "end when the session hash changes, for instance with the password",
            Some(false) => {
                "do not end when a password changes, because the type has no session hash"
            }
            None => "end when the session hash changes, if the type has one",
        };
        said.push(say(
            "users.session_hash",
            hash,
            format!("All logins of a `{name}` {text}."),
        ));
    }
    said.push(say(
        "users.inactive",
        true,
        "A user who is deleted or not active is refused at the next request.",
    ));
    let realm = &manager.facts.realm;
    said.push(match realm.as_str() {
        "" => say(
            "users.realm",
            Value::Null,
            "There is no realm: only the name of the user type separates this application from another with \
             the same key or login store.",
        ),
        realm => say(
            "users.realm",
            realm,
            format!("The realm `{realm}` separates this application from others with the same key or login store."),
        ),
    });
    let loader = manager.request_loader.as_ref();
    let loader = loader.and_then(|(index, _)| manager.users.get(*index));
    if let Some(user) = loader {
        let name = user.loader.name();
        let text = format!(
            "A request without a login may bring a credential of its own (such as an API key), from which the \
             application finds a `{name}`. It is checked at each request, is never fresh, and is not stored."
        );
        said.push(say("users.request_loader", name, text));
    }
    section("Users", said)
}

fn limits(manager: &Manager) -> Section {
    let limits = &manager.limits;
    let (idle, absolute) = limits.seconds();
    let mut said = vec![say(
        "limits.login",
        json!({ "idle": idle, "absolute": absolute }),
        sentence(limits.to_string()),
    )];
    if idle.is_some() {
        said.push(say(
            "limits.passive",
            true,
            "Use is every request that asks for the user, except at routes that are declared passive.",
        ));
    }
    let remembering = &manager.remembering;
    let usual = remembering.lifetime(None);
    let renewed = if manager.remember.refresh_each_request {
        "each use extends that"
    } else {
        "use does not extend that"
    };
    said.push(say(
        "limits.remember",
        usual.as_secs(),
        format!(
            "A user who asks for it is remembered for {}; {renewed}. A login that was restored in this way is \
             stale.",
            Span(usual)
        ),
    ));
    said.push(match remembering.at_most() {
        Some(limit) => say(
            "limits.remember_at_most",
            limit.as_secs(),
            format!(
                "It is not remembered longer than {} after credentials were given.",
                Span(limit)
            ),
        ),
        None => say(
            "limits.remember_at_most",
            Value::Null,
            "A log in may ask for another time, up to 400 days.",
        ),
    });
    said.push(match manager.guards.fresh_for {
        Some(age) => say(
            "limits.fresh",
            age.as_secs(),
            format!(
                "A login is fresh for {} after credentials were given, if a guard does not say otherwise; use \
                 does not extend that.",
                Span(age)
            ),
        ),
        None => say(
            "limits.fresh",
            Value::Null,
            "A login is fresh as long as it lasts, if a guard does not say otherwise.",
        ),
    });
    let levels = [Limits::aal1(), Limits::aal2(), Limits::aal3()];
    for (level, preset) in (1..).zip(&levels) {
        let misses = limits.misses(preset, Some(remembering.longest_by_default()));
        let alone = limits.misses(preset, None);
        let text = if misses.is_empty() {
            format!("The limits meet level AAL{level} of NIST SP 800-63B-4.")
        } else {
            let but = match alone.is_empty() {
                true => " Without remember cookies they meet it.",
                false => "",
            };
            format!(
                "The limits do not meet level AAL{level} of NIST SP 800-63B-4: {}.{but}",
                misses.join(", and ")
            )
        };
        let value = json!({ "level": level, "met": misses.is_empty(), "met_without_remember": alone.is_empty() });
        said.push(say("limits.nist", value, text));
    }
    section("Limits", said)
}

fn number(manager: &Manager) -> Section {
    let Some(records) = &manager.records else {
        let text = "The number of logins of a user is not limited: the server does not know them.";
        return section(
            "Logins at a time",
            vec![say("number.max", Value::Null, text)],
        );
    };
    let (value, text) = match records.max {
        Some(MaxLogins::EndOldest(max)) => (
            json!({ "max": max, "then": "end oldest" }),
            format!("A user may have {max} logins at a time; one more ends the oldest."),
        ),
        Some(MaxLogins::Refuse(max)) => (
            json!({ "max": max, "then": "refuse" }),
            format!("A user may have {max} logins at a time; one more is refused."),
        ),
        None => (
            Value::Null,
            "A user may have any number of logins at a time.".to_owned(),
        ),
    };
    let mut said = vec![say("number.max", value, text)];
    if records.max.is_some() {
        let text = "As many browsers may be remembered; of more, the one that has not come back for the longest \
                    time is forgotten.";
        said.push(say("number.remembered", true, text));
    }
    said.push(say(
        "number.end",
        true,
        "Users can see their logins and end each of them, where the application offers it; the application can \
         end all logins of a user, and all logins. An ended login is refused at its next request.",
    ));
    section("Logins at a time", said)
}

fn stores(manager: &Manager) -> Section {
    let facts = &manager.facts;
    let mut said = vec![match &facts.login_store {
        Some(name) => say(
            "stores.logins",
            name.as_str(),
            format!(
                "Each login has a record in the login store (`{name}`), and the browser has {}. A log out is \
                 final, even if a copy of a cookie exists.",
                match manager.has_login_cookies() {
                    true => "the key of the record in an encrypted cookie",
                    false => "a random token of 256 bits, whose hash is the key of the record",
                }
            ),
        ),
        None => say(
            "stores.logins",
            Value::Null,
            "Logins are recorded only in the session or in the login cookie; the server keeps no list of them.",
        ),
    }];
    if let Some(age) = facts.login_store_cached_for {
        let age = age.as_secs_f64();
        said.push(say(
            "stores.cache",
            age,
            format!(
                "A record that was read is used again for up to {age} s. A log out, or another end of a login, takes \
                 effect at once in the process that carries it out; one in another process takes effect in this \
                 one up to {age} s later."
            ),
        ));
    }
    let name = &facts.session_store;
    let place = match (&facts.session_cookie, facts.sessions_in_cookie) {
        (_, true) => "Sessions are kept in their own encrypted cookie",
        (Some(_), false) => "Sessions are kept on the server",
        (None, false) => "The application's own session middleware keeps sessions on the server",
    };
    said.push(say(
        "stores.sessions",
        name.as_str(),
        format!("{place} (`{name}`)."),
    ));
    let deadline = facts.store_deadline;
    said.push(say(
        "stores.deadline",
        deadline.as_secs_f64(),
        format!(
            "A request waits at most {} s for a store. If a store or a loader fails, the response is 503: \
             nobody is logged in or out by that.",
            deadline.as_secs_f64()
        ),
    ));
    said.push(match facts.own_clock {
        true => say(
            "stores.clock",
            "own",
            "The time is that of the application's own clock.",
        ),
        false => say("stores.clock", "system", "The time is that of the system."),
    });
    section("Stores", said)
}

fn cookies(manager: &Manager) -> Section {
    let facts = &manager.facts;
    let mut said = Vec::new();
    let of = |code, what: &str, cookie: &CheckedCookie, life: &str| {
        let same_site = cookie.settings.same_site.map(|same_site| match same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        });
        let settings = &cookie.settings;
        let value = json!({
            "name": cookie.name,
            "path": settings.path,
            "domain": settings.domain,
            "secure": settings.secure,
            "http_only": settings.http_only,
            "same_site": same_site,
        });
        let text = format!(
            "{what}: `{}` ({}). {life}",
            cookie.name,
            cookie.attributes()
        );
        say(code, value, text)
    };
    let ends = "It ends with the browser.";
    match &facts.session_cookie {
        Some(cookie) => {
            let life = match facts.outlasts_browser {
                true => "It outlasts the browser, for the time that the session's lifecycle sets.",
                false => ends,
            };
            said.push(of("cookies.session", "The session", cookie, life));
        }
        None => said.push(say(
            "cookies.session",
            Value::Null,
            "The application's own session middleware sets the session cookie; its attributes are not known here.",
        )),
    }
    for user in &manager.users {
        let name = user.loader.name();
        if let Some(cookie) = &user.login_cookie {
            let what = format!("The login of a `{name}`");
            said.push(of("cookies.login", &what, cookie, ends));
        }
        let what = format!("The remember token of a `{name}`");
        let life = "It is set only for users who ask to be remembered, for as long as they are.";
        said.push(of("cookies.remember", &what, &user.remember, life));
    }
    if let Some(next) = &manager.refusal.kept_next {
        let what = "The address that a refused browser asked for";
        let life = "It is encrypted, and kept for an hour.";
        said.push(of("cookies.next", what, &next.cookie, life));
    }
    let place = match manager.has_login_cookies() {
        true => "A login is in a cookie of its own, apart from the session.",
        false => "A login is part of the session.",
    };
    said.push(say(
        "cookies.login_apart",
        manager.has_login_cookies(),
        place,
    ));
    said.push(say(
        "cookies.renewed",
        true,
        "Every log in, and every confirmation, makes a new login, and the old one ends.",
    ));
    section("Cookies", said)
}

fn protection(manager: &Manager) -> Section {
    let identity = manager.client.identity;
    let agent = identity.user_agent.then_some("the user agent");
    let address = match identity.address {
        AddressPart::Omit => None,
        AddressPart::Network => Some("the network of the address"),
        AddressPart::Full => Some("the address"),
    };
    let parts: Vec<_> = agent.into_iter().chain(address).collect();
    let client = match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(" and "),
    };
    let (value, text) = match manager.client.protection {
        SessionProtection::None => ("none", "A login that another client uses goes on."),
        SessionProtection::Basic => ("basic", "A login that another client uses becomes stale."),
        SessionProtection::Strong => ("strong", "A login that another client uses ends."),
    };
    let said = vec![
        say("protection.mode", value, text),
        say(
            "protection.client",
            json!(parts),
            format!("What identifies a client: {client}."),
        ),
    ];
    section("Session protection", said)
}

fn guards(manager: &Manager) -> Section {
    let mut said = Vec::new();
    if manager.routes.deny_by_default {
        said.push(say(
            "guards.deny_by_default",
            true,
            "Deny by default: a route that does not declare who may reach it refuses clients without a login.",
        ));
    }
    said.push(match manager.guards.exempt_options {
        true => say(
            "guards.exempt_options",
            true,
            "OPTIONS requests pass all guards without a login.",
        ),
        false => say(
            "guards.exempt_options",
            false,
            "OPTIONS requests are guarded like all others.",
        ),
    });
    let text = match manager.get_log_out {
        true => {
            "GET requests may end logins. Only other methods, such as POST, log users in, confirm logins and \
                 change credentials."
        }
        false => {
            "Only methods that may change something, such as POST, log users in and out, confirm logins and \
                 change credentials."
        }
    };
    let but = "A GET request may complete what an identity provider or a one-time link leads back to, if the \
               application has checked that this browser began it.";
    said.push(say(
        "guards.get_log_out",
        manager.get_log_out,
        format!("{text} {but}"),
    ));
    section("Guards", said)
}

fn view(view: &ViewAddress) -> String {
    match view {
        ViewAddress::Path { address, .. } => format!("`{address}`"),
        ViewAddress::Url(url) => format!("`{url}`"),
        ViewAddress::Pattern(pattern) => format!("`{}`", pattern.text),
        ViewAddress::Name(name) => format!("the route `{name}`"),
        ViewAddress::Function(_) => "the page that a function of the application names".to_owned(),
    }
}

fn refusals(manager: &Manager) -> Section {
    let refusal = &manager.refusal;
    let mut said = Vec::new();
    let kinds = [
        (
            "refusals.login_view",
            &refusal.login_view,
            &refusal.unauthorized,
            "A browser without a login",
        ),
        (
            "refusals.refresh_view",
            &refusal.refresh_view,
            &refusal.needs_refresh,
            "A browser with a stale login, where a fresh one is needed,",
        ),
    ];
    for (code, address, handler, who) in kinds {
        let address = address.as_ref().map(view);
        let text = match (&address, handler) {
            (_, Some(_)) => "gets what a handler of the application answers".to_owned(),
            (Some(address), None) => format!("is sent to {address}"),
            (None, None) => "gets 401".to_owned(),
        };
        let value = json!({ "view": address, "handler": handler.is_some() });
        said.push(say(code, value, format!("{who} {text}.")));
    }
    let own = |is_own: bool| match is_own {
        true => "gets what a handler of the application answers",
        false => "gets the default answer",
    };
    said.push(say(
        "refusals.forbidden",
        refusal.forbidden.is_some(),
        format!(
            "A user who may not do what was asked gets 403 and is not asked for credentials; the client {}.",
            own(refusal.forbidden.is_some())
        ),
    ));
    said.push(say(
        "refusals.load_error",
        refusal.load_failed.is_some(),
        format!(
            "If a loader or a store fails, the client {}.",
            own(refusal.load_failed.is_some())
        ),
    ));
    let field = &refusal.next_field;
    let place = match refusal.session_for_next {
        true => "in an encrypted cookie".to_owned(),
        false => format!("in the query parameter `{field}`"),
    };
    let methods = match refusal.next_for_all_methods {
        true => "every method",
        false => "GET and HEAD",
    };
    said.push(say(
        "refusals.next",
        json!({ "field": field, "cookie": refusal.session_for_next, "max_len": refusal.next_max_len }),
        format!(
            "The address that a refused browser asked for, with {methods}, is kept {place} if it is at most {} \
             bytes long, and followed after the log in if it is a path of this application.",
            refusal.next_max_len
        ),
    ));
    let way = match &refusal.flash {
        None => "is not shown",
        Some(FlashHook::Own(_)) => "goes to a function of the application",
        #[cfg(feature = "flash-messages")]
        Some(FlashHook::Framework) => "goes to `actix-web-flash-messages`",
    };
    for (code, kind, name) in [
        ("refusals.login_message", RefusalKind::Unauthorized, "login"),
        (
            "refusals.refresh_message",
            RefusalKind::NeedsRefresh,
            "refresh",
        ),
    ] {
        let message = refusal.message(kind);
        let text = match &message.text {
            None => format!("There is no message for the {name} view."),
            Some(text) => format!(
                "The message for the {name} view is \"{text}\", of the category `{}`; it {way}{}.",
                message.category,
                match refusal.localize {
                    Some(_) => ", translated by the application",
                    None => "",
                }
            ),
        };
        let value = json!({ "text": message.text, "category": message.category });
        said.push(say(code, value, text));
    }
    said.push(say(
        "refusals.private",
        true,
        "No cache may store these answers; a 503 says when to try again.",
    ));
    section("Refusals", said)
}

fn caching(manager: &Manager) -> Section {
    let caching = &manager.caching;
    let vary = match caching.varies_on_authorization {
        true => "`Cookie` and `Authorization`",
        false => "`Cookie`",
    };
    let (value, text) = match caching.pages {
        PageCaching::NoStore => ("no-store", "No cache may store a response"),
        PageCaching::Private => (
            "private",
            "Only the browser's own cache may store a response, and asks before it shows it again,",
        ),
    };
    let text = format!(
        "{text} for which the login was read, if the application does not say `private` or `no-store` itself; it \
         varies with {vary}."
    );
    let mut said = vec![say("caching.pages", value, text)];
    let (value, text) = match caching.resources {
        ResourcePolicy::SameOrigin => (
            "same-origin",
            "Only pages of the same origin may embed protected responses.",
        ),
        ResourcePolicy::SameSite => (
            "same-site",
            "Only pages of the same site may embed protected responses.",
        ),
        ResourcePolicy::Unset => (
            "unset",
            "The login manager does not say which pages may embed protected responses.",
        ),
    };
    said.push(say("caching.resource_policy", value, text));
    said.push(match caching.clears_storage {
        true => say(
            "caching.clear_storage",
            true,
            "A log out makes the browser delete what pages of this origin have stored there.",
        ),
        false => say(
            "caching.clear_storage",
            false,
            "What pages have stored in the browser stays there after a log out, if the application does not delete \
             it.",
        ),
    });
    section("Caching", said)
}

fn texts(origins: &[Origin]) -> Vec<&str> {
    origins.iter().map(|origin| origin.text.as_str()).collect()
}

fn origins(manager: &Manager) -> Section {
    let refusal = &manager.refusal;
    let mut said = Vec::new();
    let own = refusal
        .own_origin
        .as_ref()
        .map(|origin| origin.text.as_str());
    said.push(match own {
        Some(own) => say(
            "origins.own",
            own,
            format!("Clients reach this application at `{own}`, whatever their requests say."),
        ),
        None => say(
            "origins.own",
            Value::Null,
            "The origin of this application is that of the request.",
        ),
    });
    for (code, list, text) in [
        (
            "origins.list",
            &refusal.origins,
            "The origins of this application:",
        ),
        (
            "origins.next",
            &refusal.next_origins,
            "After a log in, clients may also be sent to these origins:",
        ),
    ] {
        let list = texts(list);
        if !list.is_empty() {
            said.push(say(
                code,
                json!(list),
                format!("{text} `{}`.", list.join("`, `")),
            ));
        }
    }
    if let Some(host) = &refusal.force_host {
        said.push(say(
            "origins.force_host",
            host.as_str(),
            format!("Refused clients are redirected to the host `{host}`."),
        ));
    }
    if refusal.any_host {
        said.push(say(
            "origins.any_host",
            true,
            "The `Host` header of every client is trusted.",
        ));
    }
    section("Origins", said)
}

fn cross_site(manager: &Manager) -> Section {
    const TITLE: &str = "Requests of other sites";
    let check = &manager.cross_site;
    if check.is_off {
        let text = "A request that a page of another site sent is not refused.";
        return section(TITLE, vec![say("cross_site.check", false, text)]);
    }
    let mut said = vec![say(
        "cross_site.check",
        true,
        "A request with an unsafe method and the handshake of a WebSocket are refused with 403 if a page of \
         another origin sent them, according to `Sec-Fetch-Site` or else `Origin`. Routes that are declared \
         with `cross_site` take them without a login.",
    )];
    said.push(match check.rules.same_site {
        true => say(
            "cross_site.same_site",
            true,
            "Pages of other hosts of the same site count as our own.",
        ),
        false => say(
            "cross_site.same_site",
            false,
            "Pages of other hosts of the same site count as other pages.",
        ),
    });
    let trusted = check.rules.trusted.iter().map(|origin| origin.text());
    let trusted: Vec<_> = trusted.collect();
    if !trusted.is_empty() {
        let text = format!(
            "Pages of these origins count as our own: `{}`.",
            trusted.join("`, `")
        );
        said.push(say("cross_site.trusted_origins", json!(trusted), text));
    }
    if manager.request_loader.is_some() {
        let names = check.credential_headers.iter().map(|name| name.as_str());
        let names: Vec<_> = names.collect();
        let text = match names.as_slice() {
            [] => "No header excuses a request from this check.".to_owned(),
            names => format!(
                "A request without a login cookie is taken from every page if the request loader finds its user, \
                 and it has one of these headers: `{}`.",
                names.join("`, `")
            ),
        };
        said.push(say("cross_site.credential_headers", json!(names), text));
    }
    section(TITLE, said)
}

fn proxies(manager: &Manager) -> Section {
    let proxies = &manager.proxies;
    let mut said = vec![match proxies.trusted_text() {
        None => say(
            "proxies.trusted",
            Value::Null,
            "No proxy is trusted: the address of a client is that of the connection, and `Forwarded` and \
             `X-Forwarded-*` headers are ignored.",
        ),
        Some(text) => say(
            "proxies.trusted",
            text,
            format!(
                "What these proxies report about a request is believed: {text}. All other such headers are \
                 ignored."
            ),
        ),
    }];
    if proxies.has_function() {
        said.push(say(
            "proxies.function",
            true,
            "A function of the application may find the address of a client first.",
        ));
    }
    if let Some(prefix) = proxies.fixed_prefix() {
        let text = format!("Clients reach the paths of this application below `{prefix}`.");
        said.push(say("proxies.prefix", prefix, text));
    }
    section("Proxies", said)
}

fn guessing(manager: &Manager) -> Section {
    let throttle = &manager.throttle;
    if throttle.is_off {
        let text = "Failed tries are not limited by the login manager.";
        return section("Guessing", vec![say("guessing.throttle", false, text)]);
    }
    let [both, account, client] = &throttle.limits;
    let mut said = Vec::new();
    for (code, limit, whose) in [
        (
            "guessing.account_and_client",
            both,
            "one client at one account",
        ),
        (
            "guessing.account",
            account,
            "all clients together at one account, except for those from which it was logged in before",
        ),
        (
            "guessing.client",
            client,
            "one client at all accounts together",
        ),
    ] {
        let span = |seconds: i64| Span(Duration::from_secs(seconds.unsigned_abs()));
        let text = format!(
            "Failed tries of {whose}: {} are free, then each has to wait longer than the last, up to {}; one is \
             forgotten every {}.",
            limit.tries,
            span(limit.max_delay),
            span(limit.forget),
        );
        let value =
            json!({ "tries": limit.tries, "max_delay": limit.max_delay, "forget": limit.forget });
        said.push(say(code, value, text));
    }
    let (place, text) = match throttle.counted_in {
        CountedIn::Own => (
            "own",
            "Tries are counted in a store that the application has chosen.",
        ),
        CountedIn::LoginStore => (
            "login store",
            "Tries are counted in the login store: all processes share the counters, and a restart keeps them.",
        ),
        CountedIn::Memory => (
            "memory",
            "Tries are counted in memory: each process counts for itself, and forgets its counters when it ends.",
        ),
    };
    said.push(say("guessing.store", place, text));
    section("Guessing", said)
}

fn keys(manager: &Manager) -> Section {
    let older = manager.facts.keys - 1;
    let text = match older {
        0 => "One key signs and encrypts everything.".to_owned(),
        1 => "One key signs and encrypts; one older key still verifies.".to_owned(),
        older => format!("One key signs and encrypts; {older} older keys still verify."),
    };
    let said = vec![
        say("keys.number", manager.facts.keys, text),
        say(
            "keys.purposes",
            true,
            "Each purpose has its own key, derived from that key and the realm.",
        ),
    ];
    section("Keys", said)
}

fn events(manager: &Manager) -> Section {
    let (inside, outside) = (
        manager.events.subscribers.len(),
        manager.events.outside.len(),
    );
    let mut said = vec![
        say(
            "events.log",
            "login",
            "Each event goes to the log, under the target `login`, without tokens and passwords.",
        ),
        say(
            "events.subscribers",
            json!({ "requests": inside, "maintenance": outside }),
            format!(
                "Functions of the application that get events: {inside} for those of requests, {outside} for \
                 those of maintenance."
            ),
        ),
    ];
    if manager.events.trail.is_some() {
        said.push(say(
            "events.audit_trail",
            true,
            "Events about users and logins are stored in an audit trail, which never makes a request wait. If \
             events are lost, the log and the trail say how many.",
        ));
    }
    section("Events", said)
}

/// What is off, and what follows. The weaknesses are said in the words of the log.
fn off(manager: &Manager) -> Section {
    let mut said = Vec::new();
    for (is_off, code, text) in [
        (
            !manager.routes.deny_by_default,
            "off.deny_by_default",
            "Deny by default is off: a route without a guard is open to every client, also if the guard was \
             forgotten.",
        ),
        (
            manager.events.trail.is_none(),
            "off.audit_trail",
            "There is no audit trail: only the log keeps what happened to logins.",
        ),
        (
            manager.request_loader.is_none(),
            "off.request_loader",
            "There is no request loader: programs cannot use API keys or bearer tokens.",
        ),
        (
            manager.refusal.login_view.is_none() && manager.refusal.unauthorized.is_none(),
            "off.login_view",
            "There is no login view: browsers without a login get 401 and no form.",
        ),
        (
            manager.refusal.refresh_view.is_none() && manager.refusal.needs_refresh.is_none(),
            "off.refresh_view",
            "There is no refresh view: browsers with a stale login get 401 where a fresh one is needed.",
        ),
    ] {
        if is_off {
            said.push(say(code, true, text));
        }
    }
    for Weakness { finding, .. } in weaknesses(manager) {
        // It is above, in other words.
        if finding.code != "no-deny-by-default" {
            let text = sentence(format!("{}, so {}", finding.what, finding.follows));
            said.push(say(finding.code, true, text));
        }
    }
    section("What is off or weakened, and what follows", said)
}
