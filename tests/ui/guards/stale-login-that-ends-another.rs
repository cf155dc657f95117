use actix_web::web::Path;
use login_runtime::{Auth, AuthUser, LoginError, login_required, store::LoginKey};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required]
async fn end(auth: Auth<User>, key: Path<LoginKey>) -> Result<String, LoginError> {
    Ok(auth.end_login(*key).await?.to_string())
}

fn main() {}
