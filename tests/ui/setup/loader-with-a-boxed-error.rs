use std::error::Error;

use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

fn main() {
    let _ = LoginManager::builder(async |id: i64| -> Result<Option<User>, Box<dyn Error>> {
        Ok(Some(User { id }))
    });
}
