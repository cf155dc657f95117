use login_runtime::{AuthUser, guards::FreshUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required]
async fn account(user: FreshUser<User>) -> String {
    user.id.to_string()
}

fn main() {}
