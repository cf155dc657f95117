use login_runtime::AuthUser;

#[derive(Clone)]
struct Key(u64);

#[derive(AuthUser)]
struct User {
    id: Key,
}

fn main() {}
