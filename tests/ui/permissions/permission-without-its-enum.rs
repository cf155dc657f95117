use actix_web::HttpRequest;
use login_runtime::{AuthUser, BoxError, HasPermission, Permissions, permission_required};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(Permissions)]
#[permissions(user = User)]
enum Permission {
    EditPost,
    DeletePost,
}

impl HasPermission<Permission> for User {
    async fn has_permission(&self, _: Permission, _: &HttpRequest) -> Result<bool, BoxError> {
        Ok(false)
    }
}

#[permission_required(EditPost)]
async fn account() -> &'static str {
    "account"
}

fn main() {}
