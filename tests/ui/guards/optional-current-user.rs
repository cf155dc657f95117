use login_runtime::{AuthUser, CurrentUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[login_required]
async fn account(user: Option<CurrentUser<User>>) -> String {
    user.map_or_else(String::new, |user| user.id.to_string())
}

fn main() {}
