use login_runtime::{MaybeUser, login_required};

struct Visitor;

#[login_required]
async fn account(_: MaybeUser<Visitor>) -> &'static str {
    "account"
}

fn main() {}
