use login_runtime::login_required;

struct Page {
    number: u32,
}

#[login_required]
async fn account(page: Page) -> String {
    page.number.to_string()
}

fn main() {}
