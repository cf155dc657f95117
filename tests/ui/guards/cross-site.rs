use actix_web::{Responder, post};
use login_runtime::login_required;

#[login_required(cross_site)]
#[post("/hook")]
async fn hook() -> impl Responder {
    "hook"
}

fn main() {}
