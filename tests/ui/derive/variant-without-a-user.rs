use login_runtime::AuthUser;

#[derive(AuthUser)]
struct Member {
    id: i64,
}

#[derive(AuthUser)]
enum User {
    Member(Member),
    Guest,
}

fn main() {}
