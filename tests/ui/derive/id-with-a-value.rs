use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User {
    #[auth(id = "number")]
    number: i64,
}

fn main() {}
