use login_runtime::{Auth, AuthUser, LoginError};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn confirm(auth: Auth<User>) -> Result<(), LoginError> {
    auth.confirm_login(User { id: 7 }).await?;
    Ok(())
}

fn main() {}
