use login_runtime::{Auth, AuthUser, LoginError, Verified};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn confirm(auth: Auth<User>) -> Result<&'static str, LoginError> {
    auth.confirm_login(Verified::trust(User { id: 7 }, "registered"))?.await;
    Ok("welcome")
}

fn main() {}
