use login_runtime::{AuthUser, FreshUser, fresh_login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[fresh_login_required(max_age = "1h")]
async fn account(user: FreshUser<User, 600>) -> String {
    user.id.to_string()
}

fn main() {}
