use login_runtime::login_required;

#[login_required(fresh,, passive)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
