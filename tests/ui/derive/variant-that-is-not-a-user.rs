use login_runtime::AuthUser;

struct Guest;

#[derive(AuthUser)]
enum User {
    Guest(Guest),
}

fn main() {}
