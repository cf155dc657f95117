use login_runtime::{AuthUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

fn is_staff(user: &User) -> bool {
    user.id < 10
}

#[login_required(check = is_staff)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
