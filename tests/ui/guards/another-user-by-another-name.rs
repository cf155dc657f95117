use login_runtime::{AuthUser, CurrentUser as Me, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(AuthUser)]
struct Admin {
    id: i64,
}

#[login_required(user = Admin)]
async fn account(user: Me<User>) -> String {
    user.id.to_string()
}

fn main() {}
