use login_runtime::{AuthUser, Permissions};

#[derive(AuthUser)]
struct User {
    id: i64,
}

#[derive(Permissions)]
#[permissions(user = User)]
struct EditPost;

impl login_runtime::HasPermission<EditPost> for User {
    async fn has_permission(
        &self,
        _: EditPost,
        _: &actix_web::HttpRequest,
    ) -> Result<bool, login_runtime::BoxError> {
        Ok(false)
    }
}

fn main() {}
