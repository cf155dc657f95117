use login_runtime::{AuthUser, Permissions};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(Permissions)]
#[permissions(user = User)]
enum Permission {
    EditPost,
}

fn main() {}
