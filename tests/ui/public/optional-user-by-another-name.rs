use actix_web::{Responder, get};
use login_runtime::{AuthUser, CurrentUser as Me, public};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[public]
#[get("/")]
async fn index(user: Option<Me<User>>) -> impl Responder {
    user.map_or(0, |user| user.id).to_string()
}

fn main() {}
