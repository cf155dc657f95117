//! Checking passwords: everybody who is refused gets the same answer for the same work, and who is let in
//! gets a new hash where the stored one is old.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use actix_web::{
    HttpResponse, ResponseError as _, rt,
    web::{self, Data, Path},
};
use futures_util::{FutureExt, future::join_all};
use login_runtime::{
    Auth, AuthUser, LoginManager, Verified,
    password::{PasswordError, PasswordVerifier},
    test::{Answer, Browser},
    throttle::Throttle,
};
use login_tests::{app, key};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time,
};

use crate::{
    events::Log,
    world::{App, SECOND},
};

const RIGHT: &str = "difference engine";

/// How much the work of two checks may differ, in KiB.
const TOLERANCE: u64 = 16;

#[derive(AuthUser, Clone)]
struct Person {
    #[auth(id)]
    name: String,
    is_active: bool,
    #[auth(password_hash)]
    hash: Option<String>,
}

/// The users of an application, by name.
#[derive(Clone, Default)]
struct People(Arc<Mutex<HashMap<String, Person>>>);

impl People {
    fn put(&self, name: &str, hash: impl Into<Option<String>>) {
        let person = Person {
            name: name.to_owned(),
            is_active: true,
            hash: hash.into(),
        };
        self.0.lock().unwrap().insert(name.to_owned(), person);
    }

    fn close(&self, name: &str) {
        self.0.lock().unwrap().get_mut(name).unwrap().is_active = false;
    }

    fn get(&self, name: &str) -> Option<Person> {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn hash_of(&self, name: &str) -> String {
        self.get(name).unwrap().hash.unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.lock().unwrap().keys().cloned().collect();
        names.sort();
        names
    }
}

/// Checks the password in the body, and saves a new hash.
async fn log_in(
    auth: Auth<Person>,
    name: Path<String>,
    password: String,
    people: Data<People>,
    passwords: Data<PasswordVerifier>,
) -> Result<HttpResponse, actix_web::Error> {
    let found = people.get(&name);
    let Some(mut verified) = passwords.verify(&auth, &name, found, &password).await? else {
        return Ok(HttpResponse::Unauthorized().body("wrong name or password"));
    };
    let renewed = verified
        .save_new_hash(async |person: &Person, hash: &str| {
            people.put(&person.name, hash.to_owned());
            Ok::<_, PasswordError>(())
        })
        .await?;
    auth.log_in(verified).await?;
    Ok(HttpResponse::Ok().body(if renewed { "new hash" } else { "welcome" }))
}

async fn site(passwords: &PasswordVerifier, people: &People) -> impl App + use<> {
    let find = {
        let people = people.clone();
        move |name: String| {
            let person = people.get(&name);
            async move { Ok::<_, String>(person) }
        }
    };
    let manager = LoginManager::builder(find)
        .session_only()
        .throttle(Throttle::danger_off())
        .build(key());
    let (passwords, people) = (passwords.clone(), people.clone());
    app(manager.unwrap(), move |routes| {
        routes
            .app_data(Data::new(passwords))
            .app_data(Data::new(people))
            .route("/login/{name}", web::post().to(log_in));
    })
    .await
}

async fn try_password(app: &impl App, name: &str, password: &str) -> Answer {
    let browser = Browser::new(app);
    let ask = browser.post(&format!("/login/{name}"));
    ask.body(password.to_owned()).await
}

/// Costs so low that a test takes no time.
fn cheap() -> PasswordVerifier {
    PasswordVerifier::new().costs(128, 2, 1).unwrap()
}

fn with_costs(memory_kib: u32, passes: u32) -> PasswordVerifier {
    PasswordVerifier::new()
        .costs(memory_kib, passes, 1)
        .unwrap()
}

fn pepper(start: u8) -> [u8; 32] {
    std::array::from_fn(|index| start.wrapping_add((index * index * 37) as u8))
}

/// In place of bcrypt: the password after a mark.
fn check_old(password: &str, stored: &str) -> Result<bool, fmt::Error> {
    Ok(stored.strip_prefix("$2b$12$") == Some(password))
}

fn is_old(stored: &str) -> bool {
    stored.starts_with("$2b$12$")
}

/// The work of one try, and its answer.
async fn work_of(
    passwords: &PasswordVerifier,
    app: &impl App,
    name: &str,
    password: &str,
) -> (u64, Answer) {
    let before = passwords.work();
    let answer = try_password(app, name, password).await;
    (passwords.work() - before, answer)
}

/// The answer in all that a client sees of it.
fn seen(answer: &Answer) -> String {
    let headers: Vec<_> = answer.headers().iter().collect();
    format!("{} {headers:?} {:?}", answer.status(), answer.body())
}

/// One user for each thing that can be in the column of hashes.
async fn people_of_all_kinds(passwords: &PasswordVerifier) -> People {
    let people = People::default();
    let hash = async |passwords: &PasswordVerifier| passwords.hash(RIGHT).await.unwrap();
    people.put("current", hash(passwords).await);
    people.put("cheaper", hash(&with_costs(32, 1)).await);
    people.put("cheapest", hash(&with_costs(8, 1)).await);
    people.put("more-passes", hash(&with_costs(32, 7)).await);
    people.put(
        "other-pepper",
        hash(&cheap().pepper(pepper(1)).unwrap()).await,
    );
    people.put("bcrypt", "$2b$12$eImiTXuWVxfM37uY4JANjQ==".to_owned());
    people.put("md5", "5f4dcc3b5aa765d61d8327deb882cf99".to_owned());
    people.put(
        "scrypt",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD"
            .to_owned(),
    );
    people.put(
        "half",
        "$argon2id$v=19$m=128,t=2,p=1$c2FsdHNhbHRzYWx0".to_owned(),
    );
    people.put(
        "no-memory",
        "$argon2id$v=19$m=0,t=2,p=1$c2FsdHNhbHRzYWx0$bm90aGluZ25vdGhpbmdub3RoaW5n".to_owned(),
    );
    people.put("huge", "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c2FsdHNhbHRzYWx0$bm90aGluZ25vdGhpbmdub3RoaW5n".to_owned());
    people.put(
        "short-salt",
        "$argon2id$v=19$m=128,t=2,p=1$c2FsdA$bm90aGluZ25vdGhpbmdub3RoaW5n".to_owned(),
    );
    people.put("empty", String::new());
    people.put("locked", "!".to_owned());
    people.put("unusable", "!Yx3kq0Tz".to_owned());
    people.put("star", "*".to_owned());
    people.put("none", None);
    for (name, of) in [
        ("closed", "current"),
        ("closed-cheaper", "cheaper"),
        ("closed-bcrypt", "bcrypt"),
        ("closed-empty", "empty"),
    ] {
        people.put(name, people.hash_of(of));
        people.close(name);
    }
    people
}

#[actix_web::test]
async fn everybody_who_is_refused_gets_the_same_answer_for_the_same_work() {
    let passwords = cheap();
    let people = people_of_all_kinds(&passwords).await;
    let app = site(&passwords, &people).await;

    let (work, stranger) = work_of(&passwords, &app, "nobody", RIGHT).await;
    assert_eq!(stranger.status(), 401);
    assert!(work.abs_diff(256) <= TOLERANCE, "{work}");
    for name in people.names() {
        // The right password, but for those who may log in with it.
        let passwords_to_try: &[_] = match &*name {
            "current" | "cheaper" | "cheapest" | "more-passes" => &["wrong", ""],
            _ => &["wrong", "", RIGHT],
        };
        for password in passwords_to_try {
            let (its_work, answer) = work_of(&passwords, &app, &name, password).await;
            assert_eq!(seen(&answer), seen(&stranger), "{name}");
            assert!(
                its_work.abs_diff(work) <= TOLERANCE,
                "{name}: {its_work} and not {work}"
            );
        }
    }
}

#[actix_web::test]
async fn a_hash_that_costs_more_makes_every_check_cost_as_much() {
    let passwords = cheap().dearest_stored(512, 3, 1).unwrap();
    let people = People::default();
    people.put("dear", with_costs(512, 3).hash(RIGHT).await.unwrap());
    people.put("current", passwords.hash(RIGHT).await.unwrap());
    let app = site(&passwords, &people).await;
    for name in ["nobody", "current", "dear", "nobody"] {
        let (work, answer) = work_of(&passwords, &app, name, "wrong").await;
        assert_eq!(answer.status(), 401);
        assert!(work.abs_diff(512 * 3) <= TOLERANCE, "{name}: {work}");
    }
}

#[actix_web::test]
async fn a_dearer_hash_that_nobody_announced_is_checked_and_raises_all_later_work() {
    let (log, _guard) = Log::start();
    let passwords = cheap();
    let people = People::default();
    people.put("dear", with_costs(512, 3).hash(RIGHT).await.unwrap());
    let app = site(&passwords, &people).await;
    let work = async |name| work_of(&passwords, &app, name, "wrong").await.0;
    assert!(work("nobody").await.abs_diff(256) <= TOLERANCE);
    log.take_ours();
    for name in ["dear", "nobody", "dear", "nobody"] {
        let work = work(name).await;
        assert!(work.abs_diff(512 * 3) <= TOLERANCE, "{name}: {work}");
    }
    let lines = log.take_ours();
    let warnings: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("WARN"))
        .collect();
    assert_eq!(warnings.len(), 1, "{lines:?}");
    assert!(
        warnings[0].contains("`.dearest_stored(512, 3, 1)`"),
        "{lines:?}"
    );
    // The right password gets a new hash of the configured costs.
    assert_eq!(try_password(&app, "dear", RIGHT).await.text(), "new hash");
    assert!(people.hash_of("dear").contains("m=128,t=2,p=1"));
}

#[actix_web::test]
async fn the_log_says_why_a_password_was_refused_and_shows_neither_password_nor_hash() {
    let (log, _guard) = Log::start();
    let passwords = cheap()
        .foreign_hashes(
            |stored| stored.starts_with("$broken$"),
            "$broken$decoy",
            |password, stored| match stored {
                "$broken$decoy" => Ok(false),
                // As some libraries do.
                _ if password == "wrong-but-long" => Err(format!("invalid hash: {stored}")),
                _ => Err("the library is out of order".to_owned()),
            },
        )
        .unwrap();
    let people = people_of_all_kinds(&passwords).await;
    people.put("broken", "$broken$c29tZSBvdGhlciBoYXNo".to_owned());
    let app = site(&passwords, &people).await;
    log.take_ours();
    for (name, password, level, reason) in [
        ("nobody", RIGHT, "INFO", "unknown user"),
        ("current", "wrong-but-long", "INFO", "wrong password"),
        ("cheaper", "wrong-but-long", "INFO", "wrong password"),
        ("closed", RIGHT, "INFO", "inactive"),
        ("closed", "wrong-but-long", "INFO", "wrong password"),
        ("none", RIGHT, "INFO", "no password"),
        ("empty", RIGHT, "INFO", "no password"),
        ("locked", RIGHT, "INFO", "no password"),
        ("star", RIGHT, "INFO", "no password"),
        ("bcrypt", RIGHT, "ERROR", "malformed hash"),
        ("half", RIGHT, "ERROR", "malformed hash"),
        ("no-memory", RIGHT, "ERROR", "malformed hash"),
        ("short-salt", RIGHT, "ERROR", "malformed hash"),
        ("huge", RIGHT, "ERROR", "too dear"),
        ("other-pepper", RIGHT, "ERROR", "unknown pepper"),
        ("broken", RIGHT, "ERROR", "foreign check failed"),
        ("broken", "wrong-but-long", "ERROR", "foreign check failed"),
    ] {
        assert_eq!(try_password(&app, name, password).await.status(), 401);
        let lines = log.take_ours();
        assert_eq!(lines.len(), 1, "{name}: {lines:?}");
        let line = &lines[0];
        assert!(line.starts_with(level), "{name}: {line}");
        assert!(line.contains("event=password_refused"), "{name}: {line}");
        assert!(line.contains(&format!("reason={reason}")), "{name}: {line}");
        if name != "nobody" {
            assert!(line.contains(&format!("user=\"{name}\"")), "{name}: {line}");
        }
        if level == "ERROR" {
            assert!(line.contains("cannot log in"), "{name}: {line}");
        }
        assert!(!line.contains(password), "{line}");
        if let Some(hash) = people.get(name).and_then(|person| person.hash)
            && hash.len() > 1
        {
            assert!(!line.contains(&hash), "{line}");
        }
        let shows_error = line.contains("the library is out of order");
        assert_eq!(shows_error, name == "broken" && password == RIGHT, "{line}");
    }
}

#[actix_web::test]
async fn nothing_that_can_be_printed_shows_a_password_a_hash_or_a_pepper() {
    let (log, _guard) = Log::start();
    let passwords = cheap()
        .pepper(b"0f8a6d1c97be23545e6f708192a3b4c5")
        .unwrap()
        .foreign_hashes(is_old, "$2b$12$decoy", check_old)
        .unwrap();
    let hash = passwords.hash(RIGHT).await.unwrap();
    let people = People::default();
    people.put("ada", hash.clone());
    let app = site(&passwords, &people).await;
    let answers = [
        seen(&try_password(&app, "ada", "wrong-but-long").await),
        seen(&try_password(&app, "ada", RIGHT).await),
        seen(&try_password(&app, "nobody", "wrong-but-long").await),
    ];
    let verified = Verified::trust(people.get("ada").unwrap(), "password");
    let errors = [
        PasswordError::Busy,
        PasswordError::Costs,
        PasswordError::Pepper,
        PasswordError::Decoy,
        PasswordError::Hashing,
    ];
    let debug: [&dyn Debug; 5] = [&passwords, &verified, &errors, &answers, &log.text()];
    for value in debug {
        let text = format!("{value:?}");
        for secret in [RIGHT, "wrong-but-long", &hash, "0f8a6d1c97be2354", "decoy"] {
            let is_error = text.contains("PasswordError") || text.contains("Decoy");
            assert!(!text.contains(secret) || is_error, "{text}");
        }
    }
    for error in errors {
        assert!(!error.to_string().contains(RIGHT));
    }
}

#[actix_web::test]
async fn a_right_password_renews_a_hash_of_other_costs_once() {
    let passwords = cheap();
    let people = People::default();
    let app = site(&passwords, &people).await;
    for old in [
        with_costs(32, 1),
        with_costs(128, 1),
        with_costs(64, 4),
        with_costs(256, 2),
        PasswordVerifier::new().costs(128, 2, 2).unwrap(),
    ] {
        people.put("ada", old.hash(RIGHT).await.unwrap());
        assert_eq!(try_password(&app, "ada", "wrong").await.status(), 401);
        assert_eq!(
            try_password(&app, "ada", RIGHT).await.text(),
            "new hash",
            "{old:?}"
        );
        assert!(
            people
                .hash_of("ada")
                .starts_with("$argon2id$v=19$m=128,t=2,p=1$")
        );
        assert_eq!(try_password(&app, "ada", RIGHT).await.text(), "welcome");
    }
}

#[actix_web::test]
async fn a_right_password_renews_a_hash_of_another_kind_of_argon2() {
    let passwords = cheap();
    let people = People::default();
    let app = site(&passwords, &people).await;
    // The same costs, but argon2i, argon2d, and the first version of argon2.
    let salt = "c2l4dGVlbiBvZiBzYWx0Lg";
    for hash in [
        format!("$argon2i$v=19$m=128,t=2,p=1${salt}$AP+m+rwr0jCsfrf87pu1Ym+fL6t281KBJBUPL5hz+Ss"),
        format!("$argon2d$v=19$m=128,t=2,p=1${salt}$wo2DM1CHSBmQG4T5v/ZqZ9FwMzLK04X12eZ6vpV3W58"),
        format!("$argon2id$v=16$m=128,t=2,p=1${salt}$4BSlivJWpf3ayni67Jt5kbRubT9GpNConSZolAC6f2E"),
        // Without a number, it is the first version.
        format!("$argon2id$m=128,t=2,p=1${salt}$4BSlivJWpf3ayni67Jt5kbRubT9GpNConSZolAC6f2E"),
    ] {
        people.put("ada", hash.clone());
        assert_eq!(try_password(&app, "ada", "wrong").await.status(), 401);
        let answer = try_password(&app, "ada", RIGHT).await;
        assert_eq!(answer.text(), "new hash", "{hash}");
        assert_eq!(try_password(&app, "ada", RIGHT).await.text(), "welcome");
    }
}

#[actix_web::test]
async fn a_right_password_renews_a_hash_with_a_short_salt() {
    // "password" and "somesalt", from the test vectors of argon2's reference implementation.
    let hash =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let passwords = with_costs(256, 2);
    let people = People::default();
    people.put("ada", hash.to_owned());
    let app = site(&passwords, &people).await;
    assert_eq!(try_password(&app, "ada", "Password").await.status(), 401);
    assert_eq!(
        try_password(&app, "ada", "password").await.text(),
        "new hash"
    );
    assert_eq!(
        try_password(&app, "ada", "password").await.text(),
        "welcome"
    );
}

#[actix_web::test]
async fn a_new_pepper_accepts_hashes_of_older_ones_and_of_none_and_renews_them() {
    let people = People::default();
    people.put("plain", cheap().hash(RIGHT).await.unwrap());
    let first = cheap().pepper(pepper(1)).unwrap();
    people.put("first", first.hash(RIGHT).await.unwrap());
    let second = cheap().pepper(pepper(2)).unwrap();
    people.put("second", second.hash(RIGHT).await.unwrap());
    let third = cheap().pepper(pepper(3)).unwrap();
    let third = third.fallback_pepper(pepper(1)).unwrap();
    let third = third.fallback_pepper(pepper(2)).unwrap();
    let app = site(&third, &people).await;
    for name in ["plain", "first", "second"] {
        assert_eq!(try_password(&app, name, "wrong").await.status(), 401);
        assert_eq!(try_password(&app, name, RIGHT).await.text(), "new hash");
        assert_eq!(try_password(&app, name, RIGHT).await.text(), "welcome");
    }
    // They are worth nothing without the new one.
    let app = site(&second, &people).await;
    assert_eq!(try_password(&app, "first", RIGHT).await.status(), 401);
    // Without a pepper of its own, an application goes back to plain hashes.
    let none = cheap().fallback_pepper(pepper(3)).unwrap();
    let app = site(&none, &people).await;
    assert_eq!(try_password(&app, "first", RIGHT).await.text(), "new hash");
    assert!(!people.hash_of("first").contains("keyid"));
}

#[actix_web::test]
async fn a_hash_alone_does_not_verify_without_its_pepper() {
    let peppered = cheap().pepper(pepper(1)).unwrap();
    let hash = peppered.hash(RIGHT).await.unwrap();
    let people = People::default();
    people.put("ada", hash.clone());
    // As if somebody had removed the mark.
    let start = hash.find(",keyid=").unwrap();
    let end = start + hash[start..].find('$').unwrap();
    people.put("eve", format!("{}{}", &hash[..start], &hash[end..]));
    for passwords in [cheap(), cheap().pepper(pepper(2)).unwrap()] {
        let app = site(&passwords, &people).await;
        for name in ["ada", "eve"] {
            assert_eq!(
                try_password(&app, name, RIGHT).await.status(),
                401,
                "{name}"
            );
        }
    }
    let app = site(&peppered, &people).await;
    assert_eq!(try_password(&app, "ada", RIGHT).await.text(), "welcome");
    assert_eq!(try_password(&app, "eve", RIGHT).await.status(), 401);
}

#[actix_web::test]
async fn a_hash_of_another_form_logs_in_and_is_replaced() {
    let passwords = cheap()
        .foreign_hashes(is_old, "$2b$12$decoy", check_old)
        .unwrap();
    let people = People::default();
    people.put("ada", format!("$2b$12${RIGHT}"));
    people.put("cy", format!("$2b$12${RIGHT}"));
    people.close("cy");
    let app = site(&passwords, &people).await;
    let stranger = seen(&try_password(&app, "nobody", RIGHT).await);
    assert_eq!(seen(&try_password(&app, "ada", "wrong").await), stranger);
    assert_eq!(seen(&try_password(&app, "cy", RIGHT).await), stranger);
    // The decoy belongs to nobody, and lets nobody in.
    assert_eq!(seen(&try_password(&app, "nobody", "decoy").await), stranger);
    assert_eq!(seen(&try_password(&app, "ada", "decoy").await), stranger);
    assert_eq!(try_password(&app, "ada", RIGHT).await.text(), "new hash");
    assert!(people.hash_of("ada").starts_with("$argon2id$"));
    assert_eq!(try_password(&app, "ada", RIGHT).await.text(), "welcome");
    assert_eq!(try_password(&app, "ada", "decoy").await.status(), 401);
}

#[actix_web::test]
async fn each_check_runs_each_foreign_check_once_whoever_is_checked() {
    let calls = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let counted = |mark: &'static str, calls: &Arc<AtomicUsize>| {
        let calls = Arc::clone(calls);
        move |password: &str, stored: &str| {
            calls.fetch_add(1, Ordering::SeqCst);
            Ok::<_, fmt::Error>(stored.strip_prefix(mark) == Some(password))
        }
    };
    let passwords = cheap()
        .foreign_hashes(
            |stored| stored.starts_with("$a$"),
            "$a$decoy",
            counted("$a$", &calls[0]),
        )
        .unwrap()
        .foreign_hashes(
            |stored| stored.starts_with("$b$"),
            "$b$decoy",
            counted("$b$", &calls[1]),
        )
        .unwrap();
    let people = people_of_all_kinds(&passwords).await;
    people.put("a", "$a$secret".to_owned());
    people.put("b", "$b$secret".to_owned());
    people.put("closed-b", "$b$secret".to_owned());
    people.close("closed-b");
    let app = site(&passwords, &people).await;
    let mut names = people.names();
    names.push("nobody".to_owned());
    calls
        .iter()
        .for_each(|calls| calls.store(0, Ordering::SeqCst));
    let expected = work_of(&passwords, &app, "nobody", "wrong").await.0;
    for name in names {
        calls
            .iter()
            .for_each(|calls| calls.store(0, Ordering::SeqCst));
        let password = if name == "closed-b" {
            "secret"
        } else {
            "wrong"
        };
        let (work, answer) = work_of(&passwords, &app, &name, password).await;
        assert_eq!(answer.status(), 401, "{name}");
        assert!(work.abs_diff(expected) <= TOLERANCE, "{name}: {work}");
        for calls in &calls {
            assert_eq!(calls.load(Ordering::SeqCst), 1, "{name}");
        }
    }
}

#[actix_web::test]
async fn a_foreign_check_that_panics_is_a_wrong_password_and_no_outage() {
    let (log, _guard) = Log::start();
    let passwords = cheap()
        .foreign_hashes(
            // Panics for texts of fewer bytes.
            |stored| &stored[..4] == "$2b$",
            "$2b$12$decoy",
            |_, stored| {
                assert_eq!(stored, "$2b$12$decoy", "on purpose");
                Ok::<_, fmt::Error>(true)
            },
        )
        .unwrap();
    let people = People::default();
    people.put("short", "x".to_owned());
    people.put("old", "$2b$12$other".to_owned());
    people.put("new", passwords.hash(RIGHT).await.unwrap());
    let app = site(&passwords, &people).await;
    let stranger = seen(&try_password(&app, "nobody", RIGHT).await);
    assert!(stranger.starts_with("401"));
    for name in ["short", "old"] {
        assert_eq!(seen(&try_password(&app, name, RIGHT).await), stranger);
    }
    assert_eq!(try_password(&app, "new", RIGHT).await.text(), "welcome");
    assert!(log.text().contains("the check panicked"));
}

#[actix_web::test]
async fn an_inactive_user_is_verified_only_where_the_application_says_so() {
    let people = People::default();
    people.put("cy", cheap().hash(RIGHT).await.unwrap());
    people.close("cy");
    let verified = async |passwords: PasswordVerifier, password| {
        let app = site(&passwords, &people).await;
        // Log in still refuses.
        try_password(&app, "cy", password).await.status() == 403
    };
    assert!(!verified(cheap(), RIGHT).await);
    assert!(!verified(cheap().danger_verify_inactive(), "wrong").await);
    assert!(verified(cheap().danger_verify_inactive(), RIGHT).await);
}

#[actix_web::test]
async fn a_password_is_taken_as_it_is_however_long_and_whatever_is_in_it() {
    let passwords = cheap();
    let people = People::default();
    let app = site(&passwords, &people).await;
    let long = "x".repeat(200_000);
    for password in [
        "",
        " ",
        " leading and trailing ",
        "nul\0in the middle",
        "\0",
        "Gänsefüßchen „🗝“ \u{202e}",
        "e\u{301}",
        "\u{e9}",
        "line\nbreak\r\n",
        &"0".repeat(72),
        &long,
    ] {
        people.put("ada", passwords.hash(password).await.unwrap());
        let answer = try_password(&app, "ada", password).await;
        assert_eq!(answer.text(), "welcome", "{password:.80?}");
        for other in [
            format!("{password}x"),
            format!("{password}\0"),
            format!(" {password}"),
            format!("{password} "),
            password.trim().to_owned(),
            password.to_uppercase(),
            password.chars().rev().skip(1).collect(),
            password.replace("e\u{301}", "\u{e9}"),
            password.split('\0').next().unwrap_or_default().to_owned(),
        ] {
            if other != password {
                let status = try_password(&app, "ada", &other).await.status();
                assert_eq!(status, 401, "{other:.80?} for {password:.80?}");
            }
        }
    }
    // Everybody's password is what the verifier hashed, and no two hashes of it are the same.
    let hashes = [
        passwords.hash(RIGHT).await.unwrap(),
        passwords.hash(RIGHT).await.unwrap(),
    ];
    assert_ne!(hashes[0], hashes[1]);
}

#[test]
fn settings_that_protect_nothing_are_refused() {
    let new = PasswordVerifier::new;
    for (memory, passes, lanes) in [
        (0, 1, 1),
        (7, 1, 1),
        (8, 0, 1),
        (8, 1, 0),
        (8, 1, 2),
        (u32::MAX, 1, u32::MAX),
    ] {
        let costs = new().costs(memory, passes, lanes);
        assert_eq!(costs.unwrap_err(), PasswordError::Costs);
        let dearest = new().dearest_stored(memory, passes, lanes);
        assert_eq!(dearest.unwrap_err(), PasswordError::Costs);
    }
    for secret in [
        &b""[..],
        b"pepper",
        &[0; 32],
        &[7; 64],
        b"please-change-this-pepper-in-production",
        &(0..32).collect::<Vec<u8>>(),
        &pepper(1)[..15],
    ] {
        assert_eq!(new().pepper(secret).unwrap_err(), PasswordError::Pepper);
        assert_eq!(
            new().fallback_pepper(secret).unwrap_err(),
            PasswordError::Pepper
        );
    }
    assert!(new().pepper(&pepper(1)[..16]).is_ok());
    for decoy in ["", "$argon2id$", "$2b$10$decoy"] {
        let refused = new().foreign_hashes(is_old, decoy, check_old);
        assert_eq!(refused.unwrap_err(), PasswordError::Decoy);
    }
    let failing = |_: &str, _: &str| Err::<bool, _>("out of order");
    let refused = new().foreign_hashes(is_old, "$2b$12$decoy", failing);
    assert_eq!(refused.unwrap_err(), PasswordError::Decoy);
    for error in [
        PasswordError::Pepper,
        PasswordError::Decoy,
        PasswordError::Hashing,
    ] {
        assert_eq!(error.status_code(), 500);
    }
}

/// A verifier whose check of the password `hold` goes on until it is released, and a form for it.
struct Held<A> {
    passwords: PasswordVerifier,
    app: Rc<A>,
    entered: UnboundedReceiver<()>,
    release: mpsc::Sender<()>,
}

/// Answers 200 for the right password of one user.
async fn check_one(
    auth: Auth<Person>,
    password: String,
    passwords: Data<PasswordVerifier>,
) -> Result<HttpResponse, PasswordError> {
    let person = Person {
        name: "ada".to_owned(),
        is_active: true,
        hash: Some("$2b$12$".to_owned()),
    };
    let verified = passwords
        .verify(&auth, "ada", Some(person), &password)
        .await?;
    Ok(match verified {
        Some(_) => HttpResponse::Ok().finish(),
        None => HttpResponse::Unauthorized().finish(),
    })
}

async fn hold(passwords: PasswordVerifier) -> Held<impl App + use<>> {
    let (enter, entered) = unbounded_channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let check = move |password: &str, stored: &str| {
        if password == "hold" && stored != "$2b$12$decoy" {
            enter.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
        Ok::<_, fmt::Error>(true)
    };
    let passwords = passwords.foreign_hashes(is_old, "$2b$12$decoy", check);
    let passwords = passwords.unwrap();
    let data = Data::new(passwords.clone());
    let manager = LoginManager::builder(async |_: String| Ok::<_, String>(None::<Person>));
    let manager = manager.session_only().build(key());
    let app = app(manager.unwrap(), move |routes| {
        routes
            .app_data(data)
            .route("/check", web::post().to(check_one));
    });
    Held {
        passwords,
        app: Rc::new(app.await),
        entered,
        release,
    }
}

async fn status_of(app: Rc<impl App>, password: &'static str) -> u16 {
    let browser = Browser::new(&*app);
    browser.post("/check").body(password).await.status()
}

impl<A: App + 'static> Held<A> {
    /// Starts a check that goes on until it is released.
    async fn start(&mut self) -> rt::task::JoinHandle<u16> {
        let held = rt::spawn(status_of(Rc::clone(&self.app), "hold"));
        self.entered.recv().await.unwrap();
        held
    }

    async fn try_other(&self) -> u16 {
        status_of(Rc::clone(&self.app), "other").await
    }
}

#[actix_web::test]
async fn no_more_checks_run_than_may_and_another_client_gets_503() {
    let (log, _guard) = Log::start();
    let mut held = hold(cheap().at_most(2, Duration::ZERO)).await;
    log.take_ours();
    let first = held.start().await;
    assert_eq!(held.try_other().await, 200);
    let second = held.start().await;
    assert_eq!(held.try_other().await, 503);
    assert_eq!(
        log.take_ours(),
        ["WARN event=passwords_busy reason=too many checks are waiting"]
    );
    assert_eq!(held.passwords.hash(RIGHT).await, Err(PasswordError::Busy));
    // Over HTTP, and for clones of the verifier too.
    let people = People::default();
    let app = site(&held.passwords, &people).await;
    assert_eq!(try_password(&app, "nobody", RIGHT).await.status(), 503);
    assert_eq!(PasswordError::Busy.status_code(), 503);
    held.release.send(()).unwrap();
    held.release.send(()).unwrap();
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(second.await.unwrap(), 200);
    assert_eq!(held.try_other().await, 200);
}

#[actix_web::test]
async fn a_check_waits_for_its_turn_only_as_long_as_it_may() {
    let mut held = hold(cheap().at_most(1, 3 * SECOND)).await;
    let first = held.start().await;
    time::pause();
    let mut waiting = Box::pin(held.try_other());
    assert!((&mut waiting).now_or_never().is_none());
    time::advance(2 * SECOND).await;
    assert!((&mut waiting).now_or_never().is_none());
    time::advance(2 * SECOND).await;
    assert_eq!(waiting.now_or_never(), Some(503));
    time::resume();
    held.release.send(()).unwrap();
    assert_eq!(first.await.unwrap(), 200);
}

#[actix_web::test]
async fn a_check_that_waits_gets_its_turn_when_another_is_done() {
    let mut held = hold(cheap().at_most(1, 600 * SECOND)).await;
    let first = held.start().await;
    let mut waiting = Box::pin(held.try_other());
    assert!((&mut waiting).now_or_never().is_none());
    held.release.send(()).unwrap();
    assert_eq!(waiting.await, 200);
    assert_eq!(first.await.unwrap(), 200);
}

#[actix_web::test]
async fn a_client_that_hangs_up_does_not_let_more_checks_run() {
    let mut held = hold(cheap().at_most(1, Duration::ZERO)).await;
    let gone = held.start().await;
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(held.try_other().await, 503);
    held.release.send(()).unwrap();
    // The thread gives its turn back on its own.
    while held.try_other().await == 503 {
        rt::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_limit_of_zero_lets_one_check_run_and_one_of_any_number_is_no_crash() {
    for limit in [0, 1, usize::MAX] {
        let passwords = cheap().at_most(limit, SECOND);
        assert!(passwords.hash(RIGHT).await.is_ok(), "{limit}");
    }
    // Other settings keep the limit, even if they are made while it is used up.
    let mut held = hold(cheap().at_most(1, Duration::ZERO)).await;
    let first = held.start().await;
    let other = held.passwords.clone().costs(64, 1, 1).unwrap();
    assert!(other.hash(RIGHT).await.is_ok());
    held.release.send(()).unwrap();
    assert_eq!(first.await.unwrap(), 200);
}

#[actix_web::test]
async fn many_log_ins_at_once_all_get_their_answer() {
    let passwords = cheap().at_most(2, 600 * SECOND);
    let people = People::default();
    people.put("ada", passwords.hash(RIGHT).await.unwrap());
    let app = site(&passwords, &people).await;
    let tries = (0..16).map(|n| {
        let password = if n % 2 == 0 { RIGHT } else { "wrong" };
        try_password(&app, "ada", password)
    });
    for (n, answer) in join_all(tries).await.into_iter().enumerate() {
        assert_eq!(answer.status(), if n % 2 == 0 { 200 } else { 401 });
    }
}
