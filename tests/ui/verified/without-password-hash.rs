use login_runtime::{Auth, AuthUser, Verified, password::{PasswordError, PasswordVerifier}};

#[derive(AuthUser)]
struct Account {
    id: i64,
}

async fn check(
    auth: &Auth<Account>,
    verifier: &PasswordVerifier,
    account: Option<Account>,
) -> Result<Option<Verified<Account>>, PasswordError> {
    verifier.verify(auth, "ada", account, "password").await
}

fn main() {}
