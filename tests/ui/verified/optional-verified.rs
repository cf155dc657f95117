use login_runtime::{Auth, AuthUser, LoginError, Verified};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn log_in(auth: Auth<User>, user: Option<Verified<User>>) -> Result<(), LoginError> {
    auth.log_in(user).await?;
    Ok(())
}

fn main() {}
