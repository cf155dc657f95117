use login_runtime::login_required;

enum Level {
    High,
}

#[login_required(permission = Level::High)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
