use login_runtime::Permissions;

struct Visitor;

#[derive(Permissions)]
#[permissions(user = Visitor)]
enum Permission {
    EditPost,
}

impl login_runtime::HasPermission<Permission> for Visitor {
    async fn has_permission(
        &self,
        _: Permission,
        _: &actix_web::HttpRequest,
    ) -> Result<bool, login_runtime::BoxError> {
        Ok(false)
    }
}

fn main() {}
