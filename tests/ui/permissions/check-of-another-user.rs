use login_runtime::{AuthUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(AuthUser)]
struct Admin {
    id: i64,
}

#[login_required(user = Admin, check = |user: &User| user.id == 7)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
