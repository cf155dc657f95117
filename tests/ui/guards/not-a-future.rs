use actix_web::HttpResponse;
use login_runtime::login_required;

#[login_required]
fn account() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn main() {}
