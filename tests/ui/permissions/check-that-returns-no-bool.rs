use login_runtime::{AuthUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required(check = |user: &User| user.id)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
