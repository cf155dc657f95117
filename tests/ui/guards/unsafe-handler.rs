use login_runtime::login_required;

#[login_required]
async unsafe fn account() -> &'static str {
    "account"
}

fn main() {}
