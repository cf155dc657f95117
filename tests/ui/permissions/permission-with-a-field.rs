use login_runtime::{AuthUser, Permissions};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(Permissions)]
#[permissions(user = User)]
enum Permission {
    EditPost(i64),
}

impl login_runtime::HasPermission<Permission> for User {
    async fn has_permission(
        &self,
        _: Permission,
        _: &actix_web::HttpRequest,
    ) -> Result<bool, login_runtime::BoxError> {
        Ok(false)
    }
}

fn main() {}
