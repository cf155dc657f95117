use actix_web::{App, Responder, web};
use login_runtime::strict;

async fn index() -> impl Responder {
    "index"
}

fn main() {
    App::new().configure(strict(|routes| {
        routes.route("/", web::get(), index);
    }));
}
