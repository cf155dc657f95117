use login_runtime::{AuthUser, CurrentUser, login_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

type Visitor = Option<CurrentUser<User>>;

#[login_required]
async fn account<const N: usize>(user: Visitor) -> String {
    user.map_or_else(String::new, |user| user.id.to_string())
}

fn main() {}
