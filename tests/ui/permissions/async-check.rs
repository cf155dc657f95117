use login_runtime::{AuthUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required(user = User, check = async |user| user.id == 7)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
