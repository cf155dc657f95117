use login_runtime::{AuthUser, guards::AuthorizedUser, login_required, role};

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(roles)]
    role: String,
}

#[login_required(any(role = "admin", role = "editor"))]
async fn account(user: AuthorizedUser<User, role!("admin")>) -> String {
    user.id.to_string()
}

fn main() {}
