use login_runtime::login_required;

#[login_required("admin")]
async fn account() -> &'static str {
    "account"
}

fn main() {}
