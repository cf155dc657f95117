use login_runtime::fresh_login_required;

#[fresh_login_required(max_age = "ten minutes")]
async fn account() -> &'static str {
    "account"
}

fn main() {}
