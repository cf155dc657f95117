use login_runtime::login_required;

#[login_required(any())]
async fn account() -> &'static str {
    "account"
}

fn main() {}
