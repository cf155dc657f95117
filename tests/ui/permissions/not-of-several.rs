use login_runtime::login_required;

#[login_required(not(role = "guest", role = "banned"))]
async fn account() -> &'static str {
    "account"
}

fn main() {}
