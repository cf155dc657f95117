use login_runtime::login_required;

#[login_required(passive = true)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
