use actix_web::{App, Responder, get};
use login_runtime::{public, strict};

#[public]
#[get("/")]
async fn index() -> impl Responder {
    "index"
}

#[get("/admin")]
async fn admin() -> impl Responder {
    "admin"
}

fn main() {
    App::new().configure(strict(|routes| {
        routes.service((index, admin));
    }));
}
