use login_runtime::login_required;

#[login_required]
async fn account() -> u32 {
    7
}

fn main() {}
