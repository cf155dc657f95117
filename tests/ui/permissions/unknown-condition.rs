use login_runtime::login_required;

#[login_required(all(role = "admin", group = "staff"))]
async fn account() -> &'static str {
    "account"
}

fn main() {}
