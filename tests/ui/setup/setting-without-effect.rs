#![deny(unused_must_use)]

use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn find(id: i64) -> Result<Option<User>, std::io::Error> {
    Ok(Some(User { id }))
}

fn main() {
    let manager = LoginManager::builder(find);
    manager.login_view("/login");
}
