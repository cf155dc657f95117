use login_runtime::AuthUser;

#[derive(AuthUser)]
struct User<'a> {
    id: i64,
    name: &'a str,
}

fn main() {}
