use login_runtime::login_required;

struct FreshUser;

#[login_required]
async fn account(_: FreshUser) -> &'static str {
    "account"
}

fn main() {}
