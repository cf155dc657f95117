#![deny(unused_must_use)]

use login_runtime::{Auth, AuthUser, Verified};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn log_in(auth: Auth<User>) -> &'static str {
    auth.log_in(Verified::trust(User { id: 7 }, "registered"));
    "welcome"
}

fn main() {}
