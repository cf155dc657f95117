use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    number: i64,
    name: String,
}

fn main() {}
