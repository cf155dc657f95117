use login_runtime::{Auth, AuthUser, LoginError};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn log_in(auth: Auth<User>) -> Result<(), LoginError> {
    let user = User { id: 7 };
    auth.log_in(user).await?;
    Ok(())
}

fn main() {}
