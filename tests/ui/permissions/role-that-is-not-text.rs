use login_runtime::login_required;

#[login_required(role = admin)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
