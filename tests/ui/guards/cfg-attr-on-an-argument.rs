use login_runtime::login_required;

#[login_required]
async fn account(#[cfg_attr(unix, allow(unused))] request: actix_web::HttpRequest) -> &'static str {
    "account"
}

fn main() {}
