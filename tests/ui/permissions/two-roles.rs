use login_runtime::login_required;

#[login_required(role = "admin", role = "editor")]
async fn account() -> &'static str {
    "account"
}

fn main() {}
