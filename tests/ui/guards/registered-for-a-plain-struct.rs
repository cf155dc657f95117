use actix_web::get;
use login_runtime::login_required;

struct Visitor;

#[login_required(user = Visitor)]
#[get("/account")]
async fn account() -> &'static str {
    "account"
}

fn main() {}
