use login_runtime::AuthUser;

#[derive(AuthUser)]
#[auth(name = "shop/customer")]
struct Customer {
    id: i64,
}

fn main() {}
