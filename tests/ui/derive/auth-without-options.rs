use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    #[auth]
    id: i64,
}

fn main() {}
