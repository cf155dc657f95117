use login_runtime::AuthUser;

#[derive(AuthUser)]
enum User {}

fn main() {}
