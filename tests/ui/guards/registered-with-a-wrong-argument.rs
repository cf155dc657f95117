use actix_web::get;
use login_runtime::login_required;

#[login_required]
#[get("/account/{page}")]
async fn account(page: u32) -> String {
    page.to_string()
}

fn main() {}
