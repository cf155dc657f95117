use actix_web::get;
use login_runtime::login_required;

#[login_required]
#[get("/account")]
async fn account() -> u32 {
    7
}

fn main() {}
