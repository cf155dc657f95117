use login_runtime::AuthUser;

#[derive(Clone, serde::Serialize)]
struct Number(i64);

#[derive(AuthUser)]
struct User {
    id: Number,
}

fn main() {}
