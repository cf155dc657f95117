//! Who may end logins: a user with a fresh login, and an administrator; and how a page names a login.

use actix_web::{
    Error, HttpResponse,
    web::{self, Data, Form, Json, Path, ServiceConfig},
};
use login_runtime::{
    Auth, LoginError, MemoryLoginStore, Verified, fresh_login_required,
    guards::FreshUser,
    login_required,
    logins::{Keep, LoginInfo, Logins},
    store::{InvalidLoginKey, LoginKey},
    test::Browser,
};
use login_tests::{User, Users, app, key, manager_base};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::world::{App, MINUTE};

#[derive(Deserialize, Serialize)]
struct Chosen {
    key: LoginKey,
}

#[fresh_login_required(max_age = "10m")]
async fn end_in_form(
    auth: Auth<User>,
    user: FreshUser<User, 600>,
    form: Form<Chosen>,
) -> Result<String, LoginError> {
    Ok(auth.end_login(&user, form.key).await?.to_string())
}

#[login_required(fresh)]
async fn end_in_json(
    auth: Auth<User>,
    user: FreshUser<User>,
    chosen: Json<Chosen>,
) -> Result<String, LoginError> {
    Ok(auth.end_login(&user, chosen.key).await?.to_string())
}

/// Decides itself, below a guard that lets stale logins through.
#[login_required]
async fn end_in_path(auth: Auth<User>, key: Path<LoginKey>) -> Result<String, Error> {
    let user = auth.require_fresh_login().await?;
    Ok(auth.end_login(&user, *key).await?.to_string())
}

#[fresh_login_required]
async fn end_others(auth: Auth<User>, user: FreshUser<User>) -> Result<String, LoginError> {
    Ok(auth.end_other_logins(&user).await?.to_string())
}

#[fresh_login_required]
async fn change(auth: Auth<User>, proof: FreshUser<User>) -> Result<String, LoginError> {
    let user = User::clone(&proof);
    let ended = auth
        .credentials_changed(&proof, user, Keep::Current)
        .await?;
    Ok(ended.to_string())
}

/// Logs another user in, and uses the proof of the first one for the logins of the second.
#[fresh_login_required]
async fn with_the_proof_of_another(
    auth: Auth<User>,
    proof: FreshUser<User>,
    what: Path<String>,
) -> Result<HttpResponse, Error> {
    let ben = User::new(2, "ben");
    auth.log_in(Verified::trust(ben.clone(), "test")).await?;
    let ended = match what.as_str() {
        "one" => {
            let logins = auth.logins().await?;
            let other = logins.iter().find(|login| !login.is_current).unwrap();
            auth.end_login(&proof, other.key).await.map(u64::from)
        }
        "others" => auth.end_other_logins(&proof).await,
        _ => auth.credentials_changed(&proof, ben, Keep::None).await,
    };
    assert!(matches!(ended, Err(LoginError::OtherUser)), "{ended:?}");
    Ok(HttpResponse::Ok().finish())
}

async fn log_in(auth: Auth<User>, id: Path<i64>, users: Data<Users>) -> Result<String, LoginError> {
    let user = users.get(*id).unwrap();
    auth.log_in(Verified::trust(user, "form")).await?;
    Ok("in".to_owned())
}

#[login_required]
async fn devices(auth: Auth<User>) -> Result<Json<Vec<LoginInfo>>, LoginError> {
    auth.logins().await.map(Json)
}

async fn by_an_administrator(id: Path<i64>, logins: Data<Logins>) -> Result<String, Error> {
    Ok(logins.end_all_of::<User>(&id).await?.to_string())
}

fn pages(routes: &mut ServiceConfig) {
    routes
        .route("/login/{id}", web::post().to(log_in))
        .route("/devices", web::get().to(devices))
        .route("/end", web::post().to(end_in_form))
        .route("/end.json", web::post().to(end_in_json))
        .route("/end/{key}", web::post().to(end_in_path))
        .route("/end-others", web::post().to(end_others))
        .route("/change", web::post().to(change))
        .route("/other/{what}", web::post().to(with_the_proof_of_another))
        .route("/admin/end/{id}", web::post().to(by_an_administrator));
}

/// An application whose logins are fresh for half an hour, and last longer.
async fn site() -> (impl App, login_runtime::test::TestClock) {
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let manager = builder.login_store(MemoryLoginStore::new()).build(key());
    let manager = manager.unwrap();
    let logins = manager.logins().unwrap();
    let app = app(manager, move |routes| {
        routes
            .app_data(Data::new(users))
            .app_data(Data::new(logins));
        pages(routes);
    });
    (app.await, clock)
}

async fn listed(browser: &Browser<'_, impl App>) -> Vec<Value> {
    browser.get("/devices").await.json().unwrap()
}

/// Two browsers of user 1, and the key of the second one's login as the first one's page shows it.
async fn two_devices<'a, S: App>(app: &'a S) -> (Browser<'a, S>, Browser<'a, S>, String) {
    let (phone, laptop) = (Browser::new(app), Browser::new(app));
    for browser in [&phone, &laptop] {
        assert_eq!(browser.post("/login/1").await.text(), "in");
    }
    let others = listed(&phone).await;
    let other = others.iter().find(|login| login["is_current"] == false);
    let key = other.unwrap()["key"].as_str().unwrap().to_owned();
    (phone, laptop, key)
}

#[actix_web::test]
async fn a_stale_login_ends_no_other_login_and_a_fresh_one_does() {
    let (app, clock) = site().await;
    let (phone, laptop, key) = two_devices(&app).await;
    // Somebody finds the phone, hours after the password was given.
    for _ in 0..4 {
        clock.advance(20 * MINUTE);
        for browser in [&phone, &laptop] {
            assert_eq!(browser.get("/devices").await.status(), 200);
        }
    }
    let asks = || {
        [
            phone.post("/end").form(json!({ "key": key })),
            phone.post("/end.json").json(json!({ "key": key })),
            phone.post(&format!("/end/{key}")),
            phone.post("/end-others"),
            phone.post("/change"),
        ]
    };
    for (nth, ask) in asks().into_iter().enumerate() {
        assert_eq!(ask.await.status(), 401, "{nth}");
        assert_eq!(laptop.get("/devices").await.status(), 200, "{nth}");
    }
    // The user gives the password again. Each way ends the other login.
    for nth in 0..5 {
        assert_eq!(phone.post("/login/1").await.text(), "in");
        laptop.post("/login/1").await;
        let others = listed(&phone).await;
        let other = others.iter().find(|login| login["is_current"] == false);
        let key = other.unwrap()["key"].as_str().unwrap().to_owned();
        let ask = match nth {
            0 => phone.post("/end").form(json!({ "key": key })),
            1 => phone.post("/end.json").json(json!({ "key": key })),
            2 => phone.post(&format!("/end/{key}")),
            3 => phone.post("/end-others"),
            _ => phone.post("/change"),
        };
        let answer = ask.await;
        assert!(
            ["true", "1"].contains(&&*answer.text()),
            "{nth}: {}",
            answer.text()
        );
        assert_eq!(laptop.get("/devices").await.status(), 303, "{nth}");
        assert_eq!(phone.get("/devices").await.status(), 200, "{nth}");
    }
}

#[actix_web::test]
async fn the_proof_of_one_user_does_not_end_the_logins_of_another() {
    let (app, _) = site().await;
    let ben = Browser::new(&app);
    ben.post("/login/2").await;
    for what in ["one", "others", "change"] {
        let ada = Browser::new(&app);
        ada.post("/login/1").await;
        assert_eq!(ada.post(&format!("/other/{what}")).await.status(), 200);
        assert_eq!(ben.get("/devices").await.status(), 200, "{what}");
    }
}

#[actix_web::test]
async fn an_administrator_ends_the_logins_of_somebody_else_without_a_login_of_theirs() {
    let (app, _) = site().await;
    let (phone, laptop, _) = two_devices(&app).await;
    let answer = Browser::new(&app).post("/admin/end/1").await;
    assert_eq!(answer.text(), "2");
    for browser in [&phone, &laptop] {
        assert_eq!(browser.get("/devices").await.status(), 303);
    }
}

#[actix_web::test]
async fn a_form_a_path_or_json_without_the_key_of_a_login_is_refused() {
    let (app, _) = site().await;
    let (phone, laptop, key) = two_devices(&app).await;
    for wrong in [
        "",
        "7",
        &key[1..],
        &format!("{key}0"),
        &key.replace('0', "g"),
        "\u{fc}",
    ] {
        if wrong == key {
            continue;
        }
        let answer = phone.post("/end").form(json!({ "key": wrong })).await;
        assert_eq!(answer.status(), 400, "{wrong}");
        let answer = phone.post("/end.json").json(json!({ "key": wrong })).await;
        assert_eq!(answer.status(), 400, "{wrong}");
    }
    for wrong in [json!({}), json!({ "key": 7 }), json!({ "key": null })] {
        assert_eq!(phone.post("/end.json").json(wrong).await.status(), 400);
    }
    assert_eq!(phone.post("/end/7").await.status(), 404);
    assert_eq!(laptop.get("/devices").await.status(), 200);
    let upper = key.to_uppercase();
    let answer = phone.post("/end").form(json!({ "key": upper })).await;
    assert_eq!(answer.text(), "true");
}

#[actix_web::test]
async fn a_list_of_devices_is_json_without_a_secret() {
    let (app, clock) = site().await;
    let (phone, _, key) = two_devices(&app).await;
    clock.advance(MINUTE);
    let mut devices = listed(&phone).await;
    devices.retain(|login| login["is_current"] == false);
    let expected = json!([{
        "key": key,
        "is_current": false,
        "user_agent": "test/1",
        "address": "127.0.0.1",
        "created_at": login_tests::START,
        "authenticated_at": login_tests::START,
        "last_seen": login_tests::START,
        "method": "form",
        "is_remembered": false,
    }]);
    assert_eq!(Value::from(devices), expected);
    // What the page shows does not log anybody in.
    let thief = Browser::new(&app);
    for name in phone.cookie_names() {
        thief.set_cookie(&name, &key);
    }
    assert_eq!(thief.get("/devices").await.status(), 303);
}

#[test]
fn the_key_of_a_login_reads_back_from_what_it_writes() {
    let key = LoginKey::from_bytes([0xa7; 32]);
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key));
    assert_eq!(serde_json::to_value(key).unwrap(), json!(text));
    assert_eq!(
        serde_json::from_value::<LoginKey>(json!(text)).unwrap(),
        key
    );
    // From text that cannot be borrowed, too.
    let escaped = format!("\"\\u0061{}\"", &text[1..]);
    assert_eq!(serde_json::from_str::<LoginKey>(&escaped).unwrap(), key);
    assert_eq!("7".parse::<LoginKey>(), Err(InvalidLoginKey));
    assert_eq!(
        InvalidLoginKey.to_string(),
        "the key of a login has 64 hexadecimal digits"
    );
}
