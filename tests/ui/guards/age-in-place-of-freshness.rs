use login_runtime::login_required;

#[login_required(max_age = "10m")]
async fn account() -> &'static str {
    "account"
}

fn main() {}
