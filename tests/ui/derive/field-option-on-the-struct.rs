use login_runtime::AuthUser;

#[derive(AuthUser)]
#[auth(session_hash)]
struct User {
    id: i64,
    password_hash: String,
}

fn main() {}
