use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(active = Self::may_log_in)]
    is_active: bool,
}

fn main() {}
