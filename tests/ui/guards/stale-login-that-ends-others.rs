use login_runtime::{Auth, AuthUser, CurrentUser, LoginError, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required]
async fn end_others(auth: Auth<User>, user: CurrentUser<User>) -> Result<String, LoginError> {
    Ok(auth.end_other_logins(&user).await?.to_string())
}

fn main() {}
