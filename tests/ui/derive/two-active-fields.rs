use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    is_active: bool,
    #[auth(inactive)]
    is_locked: bool,
}

fn main() {}
