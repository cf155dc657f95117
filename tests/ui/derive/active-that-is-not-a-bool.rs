use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    is_active: Option<bool>,
}

fn main() {}
