use actix_web::HttpRequest;
use login_runtime::{
    AuthUser, BoxError, HasPermission, Permissions, guards::AuthorizedUser, permission,
    permission_required,
};

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

#[permission_required(Permission::EditPost)]
async fn account(user: AuthorizedUser<User, permission!(Permission::DeletePost)>) -> String {
    user.id.to_string()
}

fn main() {}
