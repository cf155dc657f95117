use login_runtime::{AuthUser, CurrentUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(AuthUser)]
struct Admin {
    id: i64,
}

#[login_required(user = Admin)]
async fn account(user: CurrentUser<User>) -> String {
    user.id.to_string()
}

fn main() {}
