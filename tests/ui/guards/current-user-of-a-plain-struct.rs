use login_runtime::{CurrentUser, login_required};

struct Visitor;

#[login_required]
async fn account(_: CurrentUser<Visitor>) -> &'static str {
    "account"
}

fn main() {}
