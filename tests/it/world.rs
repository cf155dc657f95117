//! The application that the tests send their requests to.
//!
//! [`site`] serves its pages with the manager of a test. A [`World`] is the application together with
//! its stores, which a test can watch, hold up and let fail; [`on_every_store`] runs a test in a world
//! for each combination of stores.

#![allow(
    dead_code,
    reason = "each theme needs a part, and not every build has all stores"
)]

use std::{fmt, ops::Deref, time::Duration};

use actix_service::boxed::{self, BoxService};
use actix_session::{
    config::{PersistentSession, TtlExtensionPolicy},
    storage::SessionStore,
};
use actix_web::{
    Error,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    web,
};
use login_runtime::{
    CookieSettings, Limits, LoginManager, RememberCookie,
    config::{LoginManagerBuilder, SharedStore},
    logins::Logins,
    store::MaxLogins,
    test::{Browser, Request, TestClock},
};
use login_tests::{Users, app, key, manager_base, record_logins};

pub(crate) use self::{
    attacks::{HOSTILE_NEXT, WorthlessCookies, cookie},
    cookies::{
        LOGIN, REMEMBER, SESSION, apply, assert_cleared, assert_clears, assert_leaves,
        assert_no_cookies, assert_sets, the_cookie, with_raw_cookies,
    },
    events::Events,
    gates::{Gate, Gates, while_waiting},
    pages::{
        How, Who, account_status, account_status_with_retry, admin_page, admin_pages, cart_of,
        do_log_in, gated_pages, name_of, pages, who,
    },
    places::{LoginPlace, LoginsThere, Place, ServerSessions},
    probe::{Call, Moment, Probe, When},
    tolerated::{cookies_of_a_domain, flash_cookies, loose_cookies, other_origins},
};

mod attacks;
mod cookies;
mod events;
mod gates;
mod pages;
mod places;
mod probe;
mod tolerated;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An application as `actix_web::test` knows it.
pub(crate) trait App:
    Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>
{
}

impl<T: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>> App for T {}

/// An application of a [`World`].
pub(crate) type BoxedApp = BoxService<Request, ServiceResponse<BoxBody>, Error>;

/// The application with this manager.
pub(crate) async fn site<T>(manager: LoginManager<T>, users: &Users) -> impl App + use<T>
where
    T: SessionStore + 'static,
{
    let users = users.clone();
    app(manager, |routes| pages(routes, users)).await
}

/// Settings of the manager.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Sessions last, and every request prolongs them.
    pub(crate) sliding: bool,
    /// Every request prolongs the remember cookie.
    pub(crate) refresh_remember: bool,
    pub(crate) limits: Option<Limits>,
    pub(crate) max: Option<MaxLogins>,
    pub(crate) deadline: Option<Duration>,
    /// A login does not become stale with time.
    pub(crate) fresh_for_the_session: bool,
    /// The manager has no login store.
    pub(crate) no_records: bool,
}

impl Options {
    /// Whether a manager with these settings can be built on these stores.
    fn suit(&self, place: &Place) -> bool {
        !place.login_cookie || !self.sliding && (!self.no_records || place.has_cookie_sessions())
    }
}

/// What all processes and threads of an application share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) place: Place,
    pub(crate) users: Users,
    pub(crate) clock: TestClock,
    pub(crate) gates: Gates,
    pub(crate) logins: Probe,
    /// `None` if sessions are kept in their cookies.
    pub(crate) sessions: Option<ServerSessions>,
    pub(crate) events: Events,
    options: Options,
}

/// An application, with its stores.
pub(crate) struct World {
    parts: Parts,
    app: BoxedApp,
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

impl Parts {
    /// Another process of the application, with the same secret on the same stores.
    pub(crate) async fn node(&self) -> BoxedApp {
        self.start().await.0
    }

    /// Ends and lists the logins of all users at another process.
    pub(crate) async fn logins_of_node(&self) -> Logins {
        self.start().await.1.unwrap()
    }

    async fn start(&self) -> (BoxedApp, Option<Logins>) {
        let (builder, _) = manager_base(&self.users);
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
    ) -> (BoxedApp, Option<Logins>) {
        let Options {
            limits,
            max,
            deadline,
            ..
        } = self.options.clone();
        builder = self.events.record(builder);
        let logins = (!self.options.no_records).then(|| self.logins.clone());
        builder = record_logins(builder, logins);
        if self.place.login_cookie {
            builder = builder.login_cookie(CookieSettings::new());
        }
        if self.options.refresh_remember {
            builder = builder.remember_cookie(RememberCookie::default().refresh_each_request());
        }
        if self.options.fresh_for_the_session {
            builder = builder.fresh_for_the_session();
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
            routes.app_data(web::Data::new(others));
            gated_pages(routes, users, gates);
        });
        (boxed::service(app.await), everybody)
    }
}

impl World {
    /// An application whose clock shows the start.
    pub(crate) async fn open(place: Place, options: Options) -> Self {
        // Shown if the test fails.
        let records = if options.no_records {
            ", without records"
        } else {
            ""
        };
        eprintln!("on {place:?}{records}");
        let (logins, sessions) = place.open().await;
        let users = Users::new();
        let (_, clock) = manager_base(&users);
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

    /// The stores and settings, for threads that build their own application on them.
    pub(crate) fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// Moves the clock.
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser<'_, BoxedApp> {
        Browser::new(&self.app)
    }

    /// A browser in which this user is logged in.
    pub(crate) async fn logged_in(&self, id: i64) -> Browser<'_, BoxedApp> {
        let browser = self.browser();
        assert_eq!(browser.post(&format!("/login/{id}")).await.status(), 303);
        browser
    }

    /// A browser in which this user is logged in, and that has a remember cookie.
    pub(crate) async fn remembered(&self, id: i64) -> Browser<'_, BoxedApp> {
        let browser = self.browser();
        let answer = browser.post(&format!("/login/{id}?remember=true")).await;
        assert_eq!(answer.status(), 303);
        assert!(browser.cookie(REMEMBER).is_some());
        browser
    }

    /// A browser that has a session, but no login.
    pub(crate) async fn visitor(&self) -> Browser<'_, BoxedApp> {
        let browser = self.browser();
        assert_eq!(browser.post("/cart/early").await.status(), 200);
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

    /// The application that its browsers send requests to.
    pub(crate) fn app(&self) -> &BoxedApp {
        &self.app
    }

    /// Whether the manager records logins in a login store.
    pub(crate) fn has_records(&self) -> bool {
        self.everybody.is_some()
    }

    /// Ends and lists the logins of all users.
    pub(crate) fn everybody(&self) -> &Logins {
        self.everybody.as_ref().unwrap()
    }
}

/// Runs a test on every combination of stores.
pub(crate) async fn on_every_store(options: Options, test: impl AsyncFn(&World)) {
    for place in Place::all().into_iter().filter(|place| options.suit(place)) {
        test(&World::open(place, options.clone()).await).await;
    }
}

/// Runs a test on every login store, with sessions in cookies.
pub(crate) async fn on_every_login_store(options: Options, test: impl AsyncFn(&World)) {
    let places = Place::all().into_iter().filter(Place::has_cookie_sessions);
    for place in places.filter(|place| options.suit(place)) {
        test(&World::open(place, options.clone()).await).await;
    }
}

/// Runs a test without login records: in sessions of every kind, and in a login cookie.
pub(crate) async fn on_every_session_store(options: Options, test: impl AsyncFn(&World)) {
    let options = Options {
        no_records: true,
        ..options
    };
    // The login store is not used.
    let places = Place::all()
        .into_iter()
        .filter(|place| place.logins == LoginPlace::Memory);
    for place in places.filter(|place| options.suit(place)) {
        test(&World::open(place, options.clone()).await).await;
    }
}
