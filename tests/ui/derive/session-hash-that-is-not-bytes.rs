use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(session_hash)]
    changed_at: std::time::SystemTime,
}

fn main() {}
