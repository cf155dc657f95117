use actix_web::{App, Responder, get};
use login_runtime::strict;

#[get("/")]
async fn index() -> impl Responder {
    "index"
}

fn main() {
    App::new().configure(strict(|routes| {
        routes.service(index);
    }));
}
