use login_runtime::login_required;

#[login_required(check = |user| user.is_staff)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
