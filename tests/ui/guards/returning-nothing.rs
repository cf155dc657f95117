use login_runtime::login_required;

#[login_required]
async fn account() {
    println!("account");
}

fn main() {}
