use actix_web::App;
use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn find(id: i64) -> Result<Option<User>, String> {
    Ok(Some(User { id }))
}

fn main() {
    let login_manager = LoginManager::builder(find).login_view("/login");
    let _ = App::new().wrap(login_manager);
}
