use login_runtime::login_required;

#[login_required(any(role = "admin", fresh))]
async fn account() -> &'static str {
    "account"
}

fn main() {}
