use login_runtime::login_required;

#[login_required]
mod account {}

fn main() {}
