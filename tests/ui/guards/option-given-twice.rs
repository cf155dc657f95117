use login_runtime::{AuthUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required(user = User, fresh, user = User)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
