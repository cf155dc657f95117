use login_runtime::{AuthUser, fresh_login_required, guards::FreshUser};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(AuthUser)]
struct Admin {
    id: i64,
}

#[fresh_login_required(user = Admin)]
async fn account(user: FreshUser<User>) -> String {
    user.id.to_string()
}

fn main() {}
