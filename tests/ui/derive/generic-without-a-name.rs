use login_runtime::AuthUser;

#[derive(AuthUser)]
struct Account<T: 'static> {
    id: i64,
    kind: T,
}

fn main() {}
