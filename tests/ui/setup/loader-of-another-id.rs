use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn find(id: String) -> Result<Option<User>, std::num::ParseIntError> {
    Ok(Some(User { id: id.parse()? }))
}

fn main() {
    let _ = LoginManager::builder(find);
}
