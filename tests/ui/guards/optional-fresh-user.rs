use login_runtime::{AuthUser, guards::FreshUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required(fresh)]
async fn account(user: Option<FreshUser<User>>) -> String {
    user.map_or_else(String::new, |user| user.id.to_string())
}

fn main() {}
