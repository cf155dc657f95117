use actix_web::web;
use login_runtime::{AuthUser, guards::{FreshUser, guarded}};

#[derive(AuthUser)]
struct User {
    id: i64,
}

async fn account(user: FreshUser<User>) -> String {
    user.id.to_string()
}

fn main() {
    let _ = web::get().to(guarded(account));
}
