use login_runtime::{AuthUser, fresh_login_required, guards::FreshUser};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[fresh_login_required(max_age = "1h")]
async fn account(user: FreshUser<User, 600>) -> String {
    user.id.to_string()
}

fn main() {}
