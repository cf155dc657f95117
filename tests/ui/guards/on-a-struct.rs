use login_runtime::login_required;

#[login_required]
struct Account {
    name: String,
}

fn main() {}
