use login_runtime::login_required;

#[login_required]
fn account() -> &'static str {
    "account"
}

fn main() {}
