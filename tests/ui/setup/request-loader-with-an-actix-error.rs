use actix_web::HttpRequest;
use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn find(id: i64) -> Result<Option<User>, String> {
    Ok(Some(User { id }))
}

async fn by_header() -> Result<Option<User>, actix_web::Error> {
    Ok(None)
}

fn main() {
    let _ = LoginManager::builder(find).request_loader(|_: &HttpRequest| by_header());
}
