use login_runtime::AuthUser;

#[derive(Clone, serde::Serialize)]
struct Key(u64);

#[derive(AuthUser)]
struct User {
    id: Key,
}

fn main() {}
