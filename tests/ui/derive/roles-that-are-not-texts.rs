use login_runtime::AuthUser;

enum Level {
    Editor,
}

#[derive(AuthUser)]
struct User {
    id: i64,
    #[auth(roles)]
    level: Level,
}

fn main() {}
