use login_runtime::{AuthUser, Verified, password::{PasswordError, PasswordVerifier}};

#[derive(AuthUser)]
struct Account {
    id: i64,
    #[auth(password_hash)]
    password_hash: String,
}

async fn check(
    verifier: &PasswordVerifier,
    account: Option<Account>,
) -> Result<Option<Verified<Account>>, PasswordError> {
    verifier.verify("ada", "ada", account, "password").await
}

fn main() {}
