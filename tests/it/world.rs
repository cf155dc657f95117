//! An application with everything in it, on whatever stores there are, for the tests of what happens
//! between requests.

#![allow(
    dead_code,
    reason = "each theme needs a part, and not every build has all stores"
)]

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_service::boxed::{self, BoxService};
use actix_session::{
    config::{PersistentSession, TtlExtensionPolicy},
    storage::SessionStore,
};
use actix_web::{Error, body::BoxBody, dev::ServiceResponse, web};
use login_runtime::{
    CookieSettings, Limits, LoginEvent, LoginManagerBuilder, Logins, MaxLogins, RememberCookie,
    SharedStore,
    test::{Answer, Browser, Request, TestClock},
};
use login_tests::{Users, app, key, manager};

pub(crate) use self::{
    gates::{Gate, Gates, while_waiting},
    places::{LoginsThere, Place, ServerSessions},
    probe::{Call, Moment, Probe, When},
};

mod gates;
mod pages;
mod places;
mod probe;

/// The names that the cookies have by default.
pub(crate) const SESSION: &str = "__Host-session";
pub(crate) const REMEMBER: &str = "__Host-remember";
pub(crate) const LOGIN: &str = "__Host-login";

/// One process of the application.
pub(crate) type App = BoxService<Request, ServiceResponse<BoxBody>, Error>;

/// What differs between the managers of tests.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Sessions last, and every request prolongs them.
    pub(crate) sliding: bool,
    /// Every request prolongs the remember cookie.
    pub(crate) refresh_remember: bool,
    pub(crate) limits: Option<Limits>,
    pub(crate) max: Option<MaxLogins>,
    pub(crate) deadline: Option<Duration>,
    /// The manager keeps no records.
    pub(crate) no_records: bool,
}

impl Options {
    /// Whether a manager can be built of both.
    fn suit(&self, place: &Place) -> bool {
        !place.login_cookie || !self.sliding && (!self.no_records || place.has_cookie_sessions())
    }
}

/// What an application works with, in all its processes and threads.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) place: Place,
    pub(crate) users: Users,
    pub(crate) clock: TestClock,
    pub(crate) gates: Gates,
    pub(crate) logins: Probe,
    /// Nothing where sessions are in their cookies.
    pub(crate) sessions: Option<ServerSessions>,
    pub(crate) events: Events,
    options: Options,
}

/// An application, and all that it works with.
pub(crate) struct World {
    parts: Parts,
    app: App,
    everybody: Option<Logins>,
}

impl Deref for World {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.place)
    }
}

/// The names of all events, with their reasons.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn note(&self, event: &LoginEvent<'_>) {
        let text = match event {
            LoginEvent::LoginEnded { reason } | LoginEvent::RememberCookieRefused { reason } => {
                format!("{} {reason}", event.name())
            }
            LoginEvent::Accessed => return,
            _ => event.name().to_owned(),
        };
        self.0.lock().unwrap().push(text);
    }

    /// Takes those since the last look.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Takes those since the last look, and says how many of them have this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        let taken = self.take();
        taken.iter().filter(|event| event.as_str() == name).count()
    }
}

impl Parts {
    /// Another process of the application, with the same secret on the same stores.
    pub(crate) async fn node(&self) -> App {
        self.start().await.0
    }

    async fn start(&self) -> (App, Option<Logins>) {
        let (builder, _) = manager(&self.users);
        let builder = builder.clock(self.clock.clone());
        match &self.sessions {
            None => self.serve(self.lasting(builder)).await,
            Some(sessions) => {
                let builder = builder.session_store(sessions.clone());
                self.serve(self.lasting(builder)).await
            }
        }
    }

    fn lasting<T: SessionStore + 'static>(
        &self,
        builder: LoginManagerBuilder<SharedStore<T>>,
    ) -> LoginManagerBuilder<SharedStore<T>> {
        if !self.options.sliding {
            return builder;
        }
        let lifecycle = PersistentSession::default()
            .session_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
        builder.session_lifecycle(lifecycle)
    }

    async fn serve<T: SessionStore + 'static>(
        &self,
        mut builder: LoginManagerBuilder<T>,
    ) -> (App, Option<Logins>) {
        let Options {
            limits,
            max,
            deadline,
            ..
        } = self.options.clone();
        let events = self.events.clone();
        builder = builder.on_event(move |event, _| events.note(event));
        if !self.options.no_records {
            builder = builder.login_store(self.logins.clone());
        }
        if self.place.login_cookie {
            builder = builder.login_cookie(CookieSettings::new());
        }
        if self.options.refresh_remember {
            builder = builder.remember_cookie(RememberCookie::default().refresh_each_request());
        }
        if let Some(limits) = limits {
            builder = builder.limits(limits);
        }
        if let Some(max) = max {
            builder = builder.max_logins(max);
        }
        if let Some(deadline) = deadline {
            builder = builder.store_deadline(deadline);
        }
        let manager = builder.build(key()).unwrap();
        let everybody = manager.logins();
        let (users, gates, others) = (self.users.clone(), self.gates.clone(), everybody.clone());
        let app = app(manager, move |routes| {
            routes
                .app_data(web::Data::new(users))
                .app_data(web::Data::new(gates))
                .app_data(web::Data::new(others));
            pages::all(routes);
        });
        (boxed::service(app.await), everybody)
    }
}

impl World {
    /// An application whose clock shows the start.
    pub(crate) async fn open(place: Place, options: Options) -> Self {
        let (logins, sessions) = place.open().await;
        let users = Users::new();
        let (_, clock) = manager(&users);
        let parts = Parts {
            place,
            users,
            clock,
            gates: Gates::default(),
            logins: Probe::new(logins),
            sessions,
            events: Events::default(),
            options,
        };
        let (app, everybody) = parts.start().await;
        Self {
            parts,
            app,
            everybody,
        }
    }

    /// What it is made of, for threads that have an application of their own.
    pub(crate) fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// Moves the clock.
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser<'_, App> {
        Browser::new(&self.app)
    }

    /// A browser in which this user is logged in.
    pub(crate) async fn logged_in(&self, id: i64) -> Browser<'_, App> {
        let browser = self.browser();
        assert_eq!(browser.post(&format!("/login/{id}")).await.status(), 200);
        browser
    }

    /// A browser in which this user is logged in, and that has a remember cookie.
    pub(crate) async fn remembered(&self, id: i64) -> Browser<'_, App> {
        let browser = self.browser();
        let answer = browser.post(&format!("/login/{id}?remember=true")).await;
        assert_eq!(answer.status(), 200);
        assert!(browser.cookie(REMEMBER).is_some());
        browser
    }

    /// A browser that has a session, and nobody is logged in.
    pub(crate) async fn visitor(&self) -> Browser<'_, App> {
        let browser = self.browser();
        assert_eq!(browser.post("/write?note=early").await.status(), 200);
        assert!(browser.cookie(SESSION).is_some());
        browser
    }

    /// The cookie that carries logins.
    pub(crate) fn login_cookie(&self) -> &'static str {
        if self.place.login_cookie {
            LOGIN
        } else {
            SESSION
        }
    }

    /// What its browsers are in front of.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The logins of everybody.
    pub(crate) fn everybody(&self) -> &Logins {
        self.everybody.as_ref().unwrap()
    }
}

/// Runs a test on every combination of stores there is.
pub(crate) async fn on_every_store(options: Options, test: impl AsyncFn(&World)) {
    for place in Place::all().into_iter().filter(|place| options.suit(place)) {
        // For who reads why it failed.
        eprintln!("on {place:?}");
        test(&World::open(place, options.clone()).await).await;
    }
}

/// Runs a test on every login store there is, with the sessions in this place.
pub(crate) async fn on_every_login_store(options: Options, test: impl AsyncFn(&World)) {
    let places = Place::all().into_iter().filter(Place::has_cookie_sessions);
    for place in places.filter(|place| options.suit(place)) {
        eprintln!("on {place:?}");
        test(&World::open(place, options.clone()).await).await;
    }
}

/// Applies what an answer says about cookies, as a browser does.
pub(crate) fn apply<S>(browser: &Browser<'_, S>, answer: &Answer)
where
    S: actix_web::dev::Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    for cookie in answer.set_cookies() {
        match cookie.max_age() {
            Some(age) if age.is_zero() => browser.drop_cookie(cookie.name()),
            _ => browser.set_cookie(cookie.name(), cookie.value()),
        }
    }
}

/// Who the application says is logged in.
pub(crate) async fn who(browser: &Browser<'_, App>) -> String {
    let answer = browser.get("/me").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.text()
}
