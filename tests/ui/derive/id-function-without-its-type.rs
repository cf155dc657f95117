use login_runtime::AuthUser;

#[derive(AuthUser)]
#[auth(id = User::key)]
struct User {
    id: i64,
}

impl User {
    fn key(&self) -> i64 {
        self.id
    }
}

fn main() {}
