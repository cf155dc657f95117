//! Thousands of orders in which the requests of two browsers can come between each other.
//!
//! Every request stops before each call of a store, and wherever a handler may take its time. A
//! scheduler with a seed decides who goes on. What must hold in the end, and at a moment in between:
//!
//! - No cookie that was ever issued is good for a login that was logged out or ended (a *revival*).
//! - A browser that logged in, and was given all answers in the order in which they were made, is
//!   logged in, unless somebody ended that very login or asked that browser to log out (a *loss*).
//!
//! A seed that finds something is in the message; [`Seed::run`] plays it again.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    ops::Range,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_session::{Session, SessionMiddleware};
use actix_web::{
    HttpResponse, get, post, rt,
    web::{Data, Path},
};
use login_runtime::{
    Auth, CookieSettings, LoginError, LoginManager, MaybeUser, Verified,
    logins::Logins,
    test::{Answer, Browser, TestClock},
};
use login_tests::{User, Users, app, key, manager_base};
use tokio::sync::oneshot;

use crate::world::{BoxedApp, LOGIN, Place, Probe, SESSION, ServerSessions, apply};

/// Where everybody waits for their turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// Who waits, by the request it waits for.
    who: Vec<(usize, oneshot::Sender<()>)>,
    /// Nobody has to wait.
    open: bool,
}

tokio::task_local! {
    /// Which request is at work.
    pub(crate) static REQUEST: usize;
}

/// Work that a request has handed to a task of its own.
const HANDED_ON: usize = usize::MAX;

impl Turns {
    /// Waits for a turn.
    pub(crate) async fn wait(&self) {
        let turn = {
            let mut waiting = self.0.lock().unwrap();
            if waiting.open {
                return;
            }
            let request = REQUEST.try_with(|request| *request).unwrap_or(HANDED_ON);
            let (send, receive) = oneshot::channel();
            waiting.who.push((request, send));
            receive
        };
        let _ = turn.await;
    }

    /// Whether nobody has to wait.
    fn set_open(&self, open: bool) {
        self.0.lock().unwrap().open = open;
    }

    /// The requests that wait.
    pub(crate) fn waiting(&self) -> Vec<usize> {
        let waiting = self.0.lock().unwrap();
        waiting.who.iter().map(|(request, _)| *request).collect()
    }

    /// Lets one go on.
    pub(crate) fn give(&self, index: usize) {
        let (_, turn) = self.0.lock().unwrap().who.remove(index);
        let _ = turn.send(());
    }
}

/// Random numbers that are the same each time: xorshift64*.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Not zero, and neighbours differ from the start.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }
}

/// The pages. The session keeps a label of the login it holds, that nothing else has. Where logins are
/// in cookies of their own, each value of such a cookie stands for a label.
mod pages {
    use super::*;

    fn label(session: &Session) -> String {
        session
            .get("label")
            .unwrap()
            .unwrap_or_else(|| "-".to_owned())
    }

    /// The label of the login, if there is one.
    #[get("/me")]
    pub(super) async fn me(user: MaybeUser<User>, session: Session) -> String {
        user.map_or_else(|| "-".to_owned(), |_| label(&session))
    }

    /// Whether somebody is logged in.
    #[get("/who")]
    pub(super) async fn who(user: MaybeUser<User>) -> &'static str {
        user.map_or_else(|| "-", |_| "somebody")
    }

    #[post("/login/{id}/{label}")]
    pub(super) async fn log_in(
        auth: Auth<User>,
        path: Path<(i64, String)>,
        session: Session,
        users: Data<Users>,
        turns: Data<Turns>,
    ) -> Result<String, LoginError> {
        let (id, label) = path.into_inner();
        let before = self::label(&session);
        turns.wait().await;
        let user = users.get(id).unwrap();
        auth.log_in(Verified::trust(user, "form")).await?;
        session.insert("label", &label).unwrap();
        Ok(before)
    }

    #[post("/logout")]
    pub(super) async fn log_out(
        auth: Auth<User>,
        session: Session,
        turns: Data<Turns>,
    ) -> Result<String, LoginError> {
        let label = label(&session);
        turns.wait().await;
        auth.log_out().await?;
        Ok(label)
    }

    /// Writes, and says whether that made the session.
    #[post("/write")]
    pub(super) async fn write(session: Session, turns: Data<Turns>) -> &'static str {
        let is_new = session.entries().is_empty();
        turns.wait().await;
        session.insert("note", "written").unwrap();
        if is_new { "new" } else { "" }
    }

    /// Looks at the user, and later at the session.
    #[get("/read")]
    pub(super) async fn read(
        auth: Auth<User>,
        session: Session,
        turns: Data<Turns>,
    ) -> Result<String, LoginError> {
        turns.wait().await;
        auth.current_user().await?;
        turns.wait().await;
        Ok(label(&session))
    }

    #[post("/renew")]
    pub(super) async fn renew(session: Session, turns: Data<Turns>) -> HttpResponse {
        turns.wait().await;
        session.renew();
        HttpResponse::Ok().finish()
    }

    #[post("/confirm")]
    pub(super) async fn confirm(
        auth: Auth<User>,
        session: Session,
        users: Data<Users>,
        turns: Data<Turns>,
    ) -> Result<String, LoginError> {
        let Some(user) = auth.current_user().await?.into_user() else {
            return Err(LoginError::NotLoggedIn);
        };
        turns.wait().await;
        let user = users.get(user.id).unwrap();
        auth.confirm_login(Verified::trust(user, "confirmed"))
            .await?;
        Ok(label(&session))
    }

    /// Ends all other logins of the user.
    #[post("/end-others")]
    pub(super) async fn end_others(
        auth: Auth<User>,
        session: Session,
        turns: Data<Turns>,
    ) -> Result<String, actix_web::Error> {
        let proof = auth.require_fresh_login().await?;
        let label = label(&session);
        turns.wait().await;
        auth.end_other_logins(&proof).await?;
        Ok(label)
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    LogIn(i64),
    LogOut,
    Write,
    Read,
    Renew,
    Confirm,
    EndOthers,
    /// By an administrator.
    EndAllOf(i64),
}

/// What is taken out of the application, to see that this finds what then goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Sessions without the wrapper in which what has ended stays ended.
    Wrapper,
    /// The look whether a login's record is still there.
    RecordCheck,
    /// That, and login records.
    RecordsAndWrapper,
}

/// An application for many schedules.
struct Stage {
    app: &'static BoxedApp,
    turns: Turns,
    sessions: Option<ServerSessions>,
    everybody: Option<Logins>,
    labels: Cell<usize>,
    /// The cookie that logins are in.
    carrier: &'static str,
    clock: TestClock,
}

impl Stage {
    async fn new(place: Place, without: Without) -> Self {
        let turns = Turns::default();
        let (store, sessions) = place.open().await;
        let logins = Probe::new(store);
        if without == Without::RecordCheck {
            logins.find_ended();
        }
        let users = Users::new();
        let (mut builder, clock) = manager_base(&users);
        if place.login_cookie {
            builder = builder.login_cookie(CookieSettings::new());
        }
        if without == Without::RecordsAndWrapper {
            builder = builder.session_only();
        } else {
            let turns = turns.clone();
            logins.before_each(move || {
                let turns = turns.clone();
                async move { turns.wait().await }
            });
            builder = builder
                .login_store(logins)
                .store_deadline(std::time::Duration::from_secs(600));
        }
        if let Some(sessions) = &sessions {
            let turns = turns.clone();
            sessions.before(move |_| {
                let turns = turns.clone();
                async move { turns.wait().await }
            });
        }
        let (app, everybody) = match (&sessions, without) {
            (None, _) => Self::serve(builder.build(key()).unwrap(), &users, &turns).await,
            (Some(sessions), Without::Nothing | Without::RecordCheck) => {
                let builder = builder.session_store(sessions.clone());
                Self::serve(builder.build(key()).unwrap(), &users, &turns).await
            }
            (Some(sessions), _) => {
                let sessions = sessions.clone();
                let builder = builder.session_middleware(move || {
                    SessionMiddleware::builder(sessions.clone(), key())
                        .cookie_name(SESSION.to_owned())
                        .build()
                });
                Self::serve(builder.build(key()).unwrap(), &users, &turns).await
            }
        };
        Self {
            // Requests run in tasks of their own, which may not borrow.
            app: Box::leak(Box::new(app)),
            turns,
            sessions,
            everybody,
            labels: Cell::default(),
            carrier: if place.login_cookie { LOGIN } else { SESSION },
            clock,
        }
    }

    async fn serve<T: actix_session::storage::SessionStore + 'static>(
        manager: LoginManager<T>,
        users: &Users,
        turns: &Turns,
    ) -> (BoxedApp, Option<Logins>) {
        let everybody = manager.logins();
        let (users, turns) = (users.clone(), turns.clone());
        let app = app(manager, |routes| {
            routes
                .app_data(Data::new(users))
                .app_data(Data::new(turns))
                .service(pages::me)
                .service(pages::who)
                .service(pages::log_in)
                .service(pages::log_out)
                .service(pages::write)
                .service(pages::read)
                .service(pages::renew)
                .service(pages::confirm)
                .service(pages::end_others);
        });
        (actix_service::boxed::service(app.await), everybody)
    }

    fn label(&self) -> String {
        self.labels.set(self.labels.get() + 1);
        format!("l{}", self.labels.get())
    }

    /// Whether sessions have nothing to do with logins.
    fn has_login_cookies(&self) -> bool {
        self.carrier == LOGIN
    }
}

/// What a schedule found.
#[derive(Debug, Default)]
struct Found {
    /// How many browsers had to be logged in, in the end.
    expected: usize,
    revivals: usize,
    losses: usize,
    /// A log in that did not succeed, or a server error.
    failures: usize,
    first: Option<String>,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.revivals += other.revivals;
        self.losses += other.losses;
        self.failures += other.failures;
        self.first = self.first.take().or(other.first);
    }
}

/// A request under way.
struct Request {
    op: Op,
    browser: usize,
    label: String,
    /// The label of the login cookie that it carries.
    carries: Option<String>,
    /// The logins that it may end, and whose they are.
    ends: HashMap<String, i64>,
    priority: usize,
    /// How often its browser had been given another session when it started.
    renewed: usize,
    /// Whether its browser has been given another session since, that has nothing to do with its own.
    stray: bool,
    /// How many requests were done when it started, and when it was done.
    started: usize,
    done: Option<usize>,
}

/// One schedule.
struct Run<'a> {
    stage: &'a Stage,
    random: Random,
    browsers: [Browser<'static, BoxedApp>; 2],
    /// The label of the login that each browser should have.
    expected: [Option<String>; 2],
    /// The logins for which each browser gave credentials.
    own: [HashSet<String>; 2],
    /// Whose login each label is.
    users: HashMap<String, i64>,
    dead: HashSet<String>,
    /// Logins that may have been made just before all of their user's were ended, or just after.
    unclear: HashSet<String>,
    /// How often each browser was given a session with another id.
    renewed: [usize; 2],
    /// Every value that the cookie with the login ever had.
    issued: Vec<String>,
    /// For which login each of them stands, if it is a cookie of the login's own.
    names: HashMap<String, String>,
    requests: Vec<Request>,
    done_count: usize,
    under_way: usize,
    done: Rc<RefCell<Vec<(usize, Answer)>>>,
    story: Vec<String>,
    found: Found,
}

impl<'a> Run<'a> {
    async fn new(stage: &'a Stage, seed: u64) -> Self {
        let mut run = Self {
            stage,
            random: Random::new(seed),
            browsers: [Browser::new(stage.app), Browser::new(stage.app)],
            expected: [None, None],
            own: Default::default(),
            users: HashMap::new(),
            dead: HashSet::new(),
            unclear: HashSet::new(),
            renewed: [0; 2],
            issued: Vec::new(),
            names: HashMap::new(),
            requests: Vec::new(),
            done_count: 0,
            under_way: 0,
            done: Rc::default(),
            story: Vec::new(),
            found: Found::default(),
        };
        stage.turns.set_open(true);
        let browser = Browser::new(stage.app);
        if run.random.below(3) == 0 {
            browser.post("/write").await;
        } else {
            let label = stage.label();
            let user = 1 + i64::from(run.random.below(2) == 0);
            browser.post(&format!("/login/{user}/{label}")).await;
            run.users.insert(label.clone(), user);
            run.names
                .extend(browser.cookie(LOGIN).map(|value| (value, label.clone())));
            run.expected = [Some(label.clone()), Some(label)];
        }
        run.issued.extend(browser.cookie(stage.carrier));
        // The second is a copy of the first.
        run.browsers = [browser.copy(), browser];
        stage.turns.set_open(false);
        run
    }

    /// The label of the login cookie that a browser has.
    fn carried(&self, browser: &Browser<'_, BoxedApp>) -> Option<String> {
        self.names.get(&browser.cookie(LOGIN)?).cloned()
    }

    /// Starts a request with the cookies that its browser has now.
    fn start(&mut self, op: Op) {
        let browser = self.random.below(2);
        let label = self.stage.label();
        // Those that were made before. Of which user, an end of all others knows only later.
        let ends = match op {
            Op::EndAllOf(_) | Op::EndOthers => self.users.clone(),
            _ => HashMap::new(),
        };
        let index = self.requests.len();
        self.story
            .push(format!("{index}: browser {browser} starts {op:?} {label}"));
        self.requests.push(Request {
            op,
            browser,
            label: label.clone(),
            carries: self.carried(&self.browsers[browser]),
            ends,
            priority: self.random.below(1000),
            renewed: self.renewed[browser],
            stray: false,
            started: self.done_count,
            done: None,
        });
        self.under_way += 1;
        let sends = self.browsers[browser].copy();
        let done = Rc::clone(&self.done);
        let everybody = self.stage.everybody.clone();
        let turns = self.stage.turns.clone();
        let work = async move {
            let answer = match op {
                Op::LogIn(id) => sends.post(&format!("/login/{id}/{label}")).await,
                Op::LogOut => sends.post("/logout").await,
                Op::Write => sends.post("/write").await,
                Op::Read => sends.get("/read").await,
                Op::Renew => sends.post("/renew").await,
                Op::Confirm => sends.post("/confirm").await,
                Op::EndOthers => sends.post("/end-others").await,
                Op::EndAllOf(id) => {
                    turns.wait().await;
                    if let Some(everybody) = everybody {
                        everybody.end_all_of::<User>(&id).await.unwrap();
                    }
                    sends.get("/nowhere").await
                }
            };
            done.borrow_mut().push((index, answer));
        };
        rt::spawn(REQUEST.scope(index, work));
    }

    /// Lets those who have their turn come to their next stop.
    async fn settle(&mut self) {
        let mut before = (0, 0);
        let mut quiet = 0;
        // Who waits for a lock is at no stop.
        while quiet < 20 {
            let done = std::mem::take(&mut *self.done.borrow_mut());
            for (index, answer) in done {
                self.under_way -= 1;
                self.finish(index, &answer);
            }
            let now = (self.stage.turns.waiting().len(), self.under_way);
            if now.0 == now.1 {
                return;
            }
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            tokio::task::yield_now().await;
        }
        assert_ne!(before.0, 0, "nobody goes on: {:#?}", self.story);
    }

    /// A request is done, and its browser has the answer.
    fn finish(&mut self, index: usize, answer: &Answer) {
        self.done_count += 1;
        self.requests[index].done = Some(self.done_count);
        let Request {
            op,
            browser,
            ref label,
            ref ends,
            ref carries,
            stray,
            ..
        } = self.requests[index];
        let (status, mut text) = (answer.status(), answer.text());
        if self.stage.has_login_cookies() {
            text = carries.clone().unwrap_or_else(|| "-".to_owned());
        }
        let cookie = answer.set_cookie(self.stage.carrier);
        self.story.push(format!(
            "{index}: answers {status} {text:?}, cookie: {:?}",
            cookie.as_ref().map(|cookie| cookie.value().len())
        ));
        let cookie = cookie
            .map(|cookie| cookie.value().to_owned())
            .filter(|value| !value.is_empty());
        if stray && cookie.is_some() {
            self.expected[browser] = None;
        }
        if self.stage.has_login_cookies()
            && let Some(value) = &cookie
        {
            let name = match op {
                Op::LogIn(_) => label,
                _ => &text,
            };
            self.names.insert(value.clone(), name.clone());
        }
        self.issued.extend(cookie);
        apply(&self.browsers[browser], answer);
        if status >= 500 || matches!(op, Op::LogIn(_) | Op::LogOut) && status != 200 {
            self.found.failures += 1;
            self.found
                .first
                .get_or_insert_with(|| format!("{:#?}", self.story));
        }
        match op {
            Op::LogIn(id) if status == 200 => {
                // It takes the place of the login that was in its session, unless somebody gave
                // credentials for that one at the same time, or in the other browser: then there are
                // two.
                let started = self.requests[index].started;
                let confirmed = self.requests.iter().any(|request| {
                    request.op == Op::Confirm && request.done.is_none_or(|done| done > started)
                });
                if confirmed || self.own[1 - browser].contains(&text) {
                    self.unclear.insert(text);
                } else {
                    self.dead.insert(text);
                }
                self.own[browser].insert(label.clone());
                self.users.insert(label.clone(), id);
                // If the session went on under another id while this was under way, there are two of
                // it now, and others may come back with the one that has no login.
                let only_one = self.requests[index].renewed == self.renewed[browser];
                self.expected[browser] = Some(label.clone()).filter(|_| only_one);
                self.renewed[browser] += 1;
            }
            Op::Renew | Op::Write if self.stage.has_login_cookies() => {}
            // The other browser's copy of the cookie is worth nothing from now on.
            Op::Renew | Op::Confirm if status == 200 => {
                self.renewed[browser] += 1;
                self.expected[1 - browser] = None;
                if op == Op::Confirm {
                    // With another login made meanwhile, either may be the one that the browser has, and
                    // may then have been ended by the other browser.
                    self.expected[browser] = self.expected[browser]
                        .take()
                        .filter(|expected| *expected == text);
                    self.own[browser].insert(text);
                }
            }
            Op::LogOut if status == 200 => {
                self.dead.insert(text);
                // Its user wanted that.
                self.expected[browser] = None;
            }
            // What came without a session makes one; nothing can tell it from the first request of a
            // new browser.
            Op::Write if text == "new" => {
                self.renewed[browser] += 1;
                self.expected[browser] = None;
                for request in &mut self.requests {
                    request.stray |= request.browser == browser && request.done.is_none();
                }
            }
            Op::EndAllOf(user) => {
                let ends = ends.clone();
                self.ended(user, &ends, "-");
            }
            Op::EndOthers if status == 200 => {
                let ends = ends.clone();
                if let Some(user) = self.users.get(&text).copied() {
                    self.ended(user, &ends, &text);
                    // It goes on under another id if it is confirmed meanwhile, or it may not.
                    self.unclear.insert(text);
                }
            }
            _ => {}
        }
        self.dead.remove("-");
    }

    /// All logins of a user have ended, but for one.
    fn ended(&mut self, user: i64, before: &HashMap<String, i64>, but: &str) {
        if self.stage.everybody.is_none() {
            return;
        }
        let before = before.iter().filter(|(_, of)| **of == user);
        self.dead.extend(
            before
                .map(|(label, _)| label.clone())
                .filter(|label| label != but),
        );
        let under_way = self
            .requests
            .iter()
            .filter(|request| request.op == Op::LogIn(user));
        self.unclear
            .extend(under_way.map(|request| request.label.clone()));
    }

    /// No cookie brings back what has ended.
    async fn check(&mut self) {
        self.stage.turns.set_open(true);
        self.issued.sort_unstable();
        self.issued.dedup();
        for value in &self.issued {
            let browser = Browser::new(self.stage.app);
            browser.set_cookie(self.stage.carrier, value);
            let name = self.names.get(value).cloned();
            let looking = rt::spawn(async move { Self::who(&browser, name).await });
            for _ in 0..100 {
                if looking.is_finished() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            // It may wait for somebody who is at a stop.
            if !looking.is_finished() {
                looking.abort();
                continue;
            }
            let who = looking.await.unwrap();
            if self.dead.contains(&who) {
                self.found.revivals += 1;
                let story = &self.story;
                self.found
                    .first
                    .get_or_insert_with(|| format!("{who} is back: {story:#?}"));
            }
        }
        self.stage.turns.set_open(false);
    }

    /// The login that a browser has, which may stand in its cookie.
    async fn who(browser: &Browser<'_, BoxedApp>, name: Option<String>) -> String {
        let Some(name) = name else {
            return browser.get("/me").await.text();
        };
        match browser.get("/who").await.text().as_str() {
            "somebody" => name,
            nobody => nobody.to_owned(),
        }
    }

    async fn run(mut self) -> Found {
        const OPS: [Op; 13] = [
            Op::LogIn(1),
            Op::LogIn(2),
            Op::LogIn(1),
            Op::LogOut,
            Op::LogOut,
            Op::LogOut,
            Op::Write,
            Op::Write,
            Op::Read,
            Op::Renew,
            Op::Confirm,
            Op::EndOthers,
            Op::EndAllOf(1),
        ];
        let mut left = 3 + self.random.below(5);
        let by_priority = self.random.below(2) == 0;
        // Now and then also in between.
        let look = self.random.below(160);
        let mut steps = 0;
        loop {
            self.settle().await;
            steps += 1;
            if steps == look {
                self.check().await;
            }
            let waiting = self.stage.turns.waiting();
            if left > 0 && (waiting.is_empty() || self.random.below(6) == 0) {
                left -= 1;
                let op = OPS[self.random.below(OPS.len())];
                self.start(op);
                continue;
            }
            if waiting.is_empty() {
                break;
            }
            // Either anybody goes on, or the one that matters most, which changes now and then.
            let chosen = if by_priority {
                if self.random.below(8) == 0
                    && let Some(request) = self.requests.last_mut()
                {
                    request.priority = self.random.below(1000);
                }
                let priority = |index: &usize| {
                    let request = self.requests.get(waiting[*index]);
                    request.map_or(500, |request| request.priority)
                };
                (0..waiting.len()).max_by_key(priority).unwrap()
            } else {
                self.random.below(waiting.len())
            };
            self.stage.turns.give(chosen);
        }
        self.check().await;
        self.stage.turns.set_open(true);
        for (index, browser) in self.browsers.iter().enumerate() {
            let Some(expected) = &self.expected[index] else {
                continue;
            };
            if self.dead.contains(expected) || self.unclear.contains(expected) {
                continue;
            }
            self.found.expected += 1;
            let who = Self::who(browser, self.carried(browser)).await;
            // Of two who gave credentials at once either may win.
            if who != *expected && !self.own[index].contains(&who) {
                self.found.losses += 1;
                let story = &self.story;
                self.found
                    .first
                    .get_or_insert_with(|| format!("{expected} is lost, found {who}: {story:#?}"));
            }
        }
        // The next schedule starts with empty stores.
        if let Some(everybody) = &self.stage.everybody {
            everybody.end_all().await.unwrap();
        }
        // A store keeps a limited number of a user's ended sessions, each for some minutes.
        self.stage.clock.advance(Duration::from_secs(60 * 60));
        self.found
    }
}

/// Runs so many schedules.
async fn schedules(place: Place, without: Without, seeds: Range<u64>) -> Found {
    let stage = Stage::new(place, without).await;
    let mut found = Found::default();
    for seed in seeds {
        let mut one = Run::new(&stage, seed).await.run().await;
        one.first = one.first.map(|first| format!("seed {seed}: {first}"));
        found.add(one);
    }
    drop(stage.sessions);
    found
}

/// Runs so many schedules, finds nothing, and looked.
async fn nothing_goes_wrong(place: Place, seeds: Range<u64>) {
    let count = usize::try_from(seeds.end - seeds.start).unwrap();
    let found = schedules(place, Without::Nothing, seeds).await;
    assert_eq!(
        (found.revivals, found.losses, found.failures),
        (0, 0, 0),
        "{}",
        found.first.unwrap_or_default()
    );
    assert!(
        found.expected > count / 3,
        "few had to be logged in: {}",
        found.expected
    );
}

// Ten thousand, on two threads.

#[actix_web::test]
async fn in_no_order_does_a_login_come_back_or_get_lost() {
    nothing_goes_wrong(Place::MEMORY, 0..5_000).await;
}

#[actix_web::test]
async fn in_no_other_order_either() {
    nothing_goes_wrong(Place::MEMORY, 5_000..10_000).await;
}

#[actix_web::test]
async fn nor_does_it_where_sessions_are_in_their_cookies() {
    nothing_goes_wrong(Place::COOKIE, 0..1_000).await;
}

// Where logins are in cookies of their own.

#[actix_web::test]
async fn nor_does_a_login_that_is_in_a_cookie_of_its_own() {
    nothing_goes_wrong(
        Place {
            login_cookie: true,
            ..Place::MEMORY
        },
        0..2_500,
    )
    .await;
}

#[actix_web::test]
async fn nor_does_one_beside_a_session_in_its_cookie() {
    let place = Place {
        login_cookie: true,
        ..Place::COOKIE
    };
    nothing_goes_wrong(place, 0..2_500).await;
    let found = schedules(place, Without::RecordCheck, 0..500).await;
    assert!(found.revivals > 0, "{found:?}");
}

// That the schedules find something shows that they look for it.

#[actix_web::test]
async fn without_the_wrapper_logins_get_lost() {
    let found = schedules(Place::MEMORY, Without::Wrapper, 0..500).await;
    assert!(found.losses > 0, "{found:?}");
}

#[actix_web::test]
async fn without_a_look_at_the_record_logins_come_back() {
    let found = schedules(Place::MEMORY, Without::RecordCheck, 0..500).await;
    assert!(found.revivals > 0, "{found:?}");
}

#[actix_web::test]
async fn without_records_logins_come_back() {
    let found = schedules(Place::MEMORY, Without::RecordsAndWrapper, 0..500).await;
    assert!(found.revivals > 0, "{found:?}");
}
