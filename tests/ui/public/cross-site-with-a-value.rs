use actix_web::{Responder, post};
use login_runtime::public;

#[public(cross_site = "https://payments.example")]
#[post("/hook")]
async fn hook() -> impl Responder {
    "hook"
}

fn main() {}
