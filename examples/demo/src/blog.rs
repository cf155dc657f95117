//! Posts: everybody reads them, their authors edit them.

use actix_web::{HttpRequest, Responder, Result, get, post, web};
use login_runtime::{BoxError, HasPermission, MaybeUser, Permissions, permission_required, public};
use serde::Deserialize;
use sqlx::SqlitePool;

use crate::{User, db, pages};

/// What a user may do to some posts, and not to others.
#[derive(Permissions)]
#[permissions(user = User)]
enum Permission {
    EditPost,
}

impl HasPermission<Permission> for User {
    async fn has_permission(
        &self,
        asked: Permission,
        request: &HttpRequest,
    ) -> Result<bool, BoxError> {
        match asked {
            Permission::EditPost => {
                let pool = request.app_data::<web::Data<SqlitePool>>();
                let pool = pool.ok_or("the application has no database")?;
                // There is no such post. An error would say that the answer is not known: 503.
                let Ok(id) = request.match_info().query("id").parse() else {
                    return Ok(false);
                };
                Ok(db::author(pool, id).await? == Some(self.id))
            }
        }
    }
}

#[public]
#[get("/")]
pub(crate) async fn home(
    user: MaybeUser<User>,
    pool: web::Data<SqlitePool>,
) -> Result<impl Responder> {
    let posts = db::posts(&pool).await.map_err(db::failed)?;
    Ok(pages::home(user.user(), &posts))
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[permission_required(Permission::EditPost)]
#[post("/posts/{id}")]
pub(crate) async fn edit(
    id: web::Path<i64>,
    form: web::Form<Text>,
    pool: web::Data<SqlitePool>,
) -> Result<impl Responder> {
    let saved = db::save_post(&pool, *id, &form.text).await;
    saved.map_err(db::failed)?;
    Ok(pages::see_other("/"))
}
