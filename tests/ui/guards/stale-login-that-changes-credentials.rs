use login_runtime::{
    Auth, AuthUser, LoginError, guards::FreshUser, login_required, logins::Keep,
};

#[derive(AuthUser, Clone)]
struct User {
    id: i64,
}

#[login_required]
async fn change(auth: Auth<User>, proof: FreshUser<User>) -> Result<String, LoginError> {
    let user = User::clone(&proof);
    let ended = auth.credentials_changed(&proof, user, Keep::Current).await?;
    Ok(ended.to_string())
}

fn main() {}
