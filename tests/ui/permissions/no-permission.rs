use login_runtime::permission_required;

#[permission_required]
async fn account() -> &'static str {
    "account"
}

fn main() {}
