use login_runtime::login_required;

#[login_required]
async fn account() -> String {
    let visits: u32 = "many";
    visits.to_string()
}

fn main() {}
