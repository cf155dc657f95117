use login_runtime::{AuthUser, LoginManager};

#[derive(AuthUser)]
struct User {
    id: i64,
}

struct Admin {
    id: i64,
}

async fn find(id: i64) -> Result<Option<User>, std::io::Error> {
    Ok(Some(User { id }))
}

async fn find_admin(id: i64) -> Result<Option<Admin>, std::io::Error> {
    Ok(Some(Admin { id }))
}

fn main() {
    let _ = LoginManager::builder(find).user_loader(find_admin);
}
