use actix_web::{Responder, post};
use login_runtime::public;

#[public(cross_sites)]
#[post("/hook")]
async fn hook() -> impl Responder {
    "hook"
}

fn main() {}
