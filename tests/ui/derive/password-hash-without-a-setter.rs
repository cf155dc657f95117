use login_runtime::AuthUser;

#[derive(AuthUser)]
#[auth(password_hash = User::hash)]
struct User {
    id: i64,
    row: String,
}

impl User {
    fn hash(&self) -> &str {
        &self.row
    }
}

fn main() {}
