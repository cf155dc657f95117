use login_runtime::login_required;

struct Visitor;

#[login_required(user = Visitor)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
