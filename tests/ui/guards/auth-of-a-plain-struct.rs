use login_runtime::{Auth, login_required};

struct Visitor;

#[login_required]
async fn account(_: Auth<Visitor>) -> &'static str {
    "account"
}

fn main() {}
