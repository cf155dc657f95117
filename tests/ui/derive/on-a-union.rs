use login_runtime::AuthUser;

#[derive(AuthUser)]
union User {
    id: i64,
}

fn main() {}
