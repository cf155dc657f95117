#![deny(unused_must_use)]

use login_runtime::{Auth, AuthUser, Verified};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn confirm(auth: Auth<User>) -> &'static str {
    auth.confirm_login(Verified::trust(User { id: 7 }, "key"));
    "confirmed"
}

fn main() {}
