use actix_web::{Responder, get};
use login_runtime::{login_required, public};

#[public]
#[login_required]
#[get("/")]
async fn index() -> impl Responder {
    "index"
}

fn main() {}
