use login_runtime::{Auth, AuthUser, LoginError, Verified};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn log_in(auth: Auth<User>) -> Result<(), LoginError> {
    let user = Verified::trust(User { id: 7 }, "registered");
    auth.log_in(user).await?;
    auth.log_in(user).await?;
    Ok(())
}

fn main() {}
