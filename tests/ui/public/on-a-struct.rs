use login_runtime::public;

#[public]
struct Page;

fn main() {}
