use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    #[auth(key)]
    number: i64,
    id: i64,
}

fn main() {}
