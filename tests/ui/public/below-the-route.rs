use actix_web::{Responder, get};
use login_runtime::public;

#[get("/")]
#[public]
async fn index() -> impl Responder {
    "index"
}

fn main() {}
