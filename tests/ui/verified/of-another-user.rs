use login_runtime::{Auth, AuthUser, LoginError, Verified};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(AuthUser)]
struct Admin {
    id: i64,
}

async fn log_in(auth: Auth<Admin>) -> Result<(), LoginError> {
    let user = Verified::trust(User { id: 7 }, "registered");
    auth.log_in(user).await?;
    Ok(())
}

fn main() {}
