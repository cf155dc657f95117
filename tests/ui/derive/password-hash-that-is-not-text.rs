use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(password_hash)]
    hash: [u8; 32],
}

fn main() {}
