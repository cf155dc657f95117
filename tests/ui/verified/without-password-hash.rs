use login_runtime::{AuthUser, Verified, password::{PasswordError, PasswordVerifier}};

#[derive(AuthUser)]
struct Account {
    id: i64,
}

async fn check(
    verifier: &PasswordVerifier,
    account: Option<Account>,
) -> Result<Option<Verified<Account>>, PasswordError> {
    verifier.verify(account, "password").await
}

fn main() {}
