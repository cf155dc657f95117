use login_runtime::{AuthUser, CurrentUser as Me, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required]
async fn account(user: Option<Me<User>>) -> String {
    user.map_or_else(String::new, |user| user.id.to_string())
}

fn main() {}
