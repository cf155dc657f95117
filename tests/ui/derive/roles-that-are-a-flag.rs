use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(roles)]
    is_admin: bool,
}

fn main() {}
