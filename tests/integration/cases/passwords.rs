//! What a log-in form tells about accounts.

use actix_web::web::Data;
use login_runtime::{AuthUser, password::PasswordVerifier};

use super::*;

const RIGHT: &str = "difference engine";

#[derive(AuthUser, Clone)]
struct Account {
    id: i64,
    is_active: bool,
    #[auth(password_hash)]
    hash: String,
}

#[derive(Deserialize)]
struct Credentials {
    id: i64,
    password: String,
}

#[post("/login")]
async fn check(
    auth: Auth<Account>,
    form: Form<Credentials>,
    accounts: Data<Vec<Account>>,
    passwords: Data<PasswordVerifier>,
) -> actix_web::Result<HttpResponse> {
    let found = accounts.iter().find(|row| row.id == form.id).cloned();
    let name = form.id.to_string();
    let checked = passwords.verify(&auth, &name, found, &form.password);
    let Some(found) = checked.await? else {
        return Ok(HttpResponse::Unauthorized().body("Wrong name or password."));
    };
    auth.log_in(found).await?;
    Ok(HttpResponse::Ok().body("in"))
}

#[test]
fn every_failed_log_in_gets_the_same_answer() {
    if curl::is_missing() {
        return;
    }
    let passwords = PasswordVerifier::new();
    let hash = actix_web::rt::System::new()
        .block_on(passwords.hash(RIGHT))
        .unwrap();
    let row = |id, is_active, hash: &str| Account {
        id,
        is_active,
        hash: hash.to_owned(),
    };
    let accounts = vec![
        row(1, true, &hash),
        row(2, false, &hash),
        row(3, true, ""),
        row(4, true, "!"),
        row(
            5,
            true,
            "$2b$12$KIXQ8Q0l3o0nT0pJ5Y1O5uE3W1b0mJ9b0v0l5q6m7n8o9p0q1r2s3",
        ),
        row(6, true, "not a hash"),
        // Cheaper than the verifier's own hashes.
        row(
            7,
            true,
            "$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
    ];
    let find = accounts.clone();
    let find = move |id: i64| {
        let found = find.iter().find(|row| row.id == id).cloned();
        async move { Ok::<_, std::convert::Infallible>(found) }
    };
    let manager = LoginManager::builder(find)
        .login_store(MemoryLoginStore::new())
        .build(key());
    let (accounts, passwords) = (Data::new(accounts), Data::new(passwords));
    let server = Server::start(manager.unwrap(), move |app| {
        app.app_data(accounts.clone())
            .app_data(passwords.clone())
            .service(check);
    });
    let try_with = |id: &str, password| {
        curl::Jar::default().post(&server.url("/login"), &[("id", id), ("password", password)])
    };
    let mut wrong = try_with("1", "wrong");
    assert_eq!(wrong.status, 401, "{wrong:?}");
    wrong.headers.retain(|(name, _)| name != "date");
    for (id, password) in [
        ("99", RIGHT),
        ("2", RIGHT),
        ("2", "wrong"),
        ("3", ""),
        ("3", RIGHT),
        ("4", RIGHT),
        ("5", RIGHT),
        ("6", RIGHT),
        ("7", "wrong"),
        ("1", ""),
    ] {
        let mut response = try_with(id, password);
        response.headers.retain(|(name, _)| name != "date");
        assert_eq!(response, wrong, "{id} with {password:?}");
    }
    assert_eq!(try_with("1", RIGHT).status, 200);
}
