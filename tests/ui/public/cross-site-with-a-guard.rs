use actix_web::{Responder, post};
use login_runtime::{login_required, public};

#[public(cross_site)]
#[login_required]
#[post("/hook")]
async fn hook() -> impl Responder {
    "hook"
}

fn main() {}
