use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn find(id: i64) -> Result<Option<User>, actix_web::Error> {
    Ok(Some(User { id }))
}

fn main() {
    let _ = LoginManager::builder(find);
}
