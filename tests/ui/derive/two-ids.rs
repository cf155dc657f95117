use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    #[auth(id)]
    number: i64,
    #[auth(id)]
    name: String,
}

fn main() {}
