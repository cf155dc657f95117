use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(session_hash)]
    score: f64,
}

fn main() {}
