//! What only admins may do; everybody else who is logged in gets 403.

use actix_web::{Responder, Result, error::ErrorConflict, get, post, web};
use login_runtime::{guards::AuthorizedUser, login_required, role};
use serde::Serialize;
use sqlx::SqlitePool;

use crate::{User, db, pages};

/// `AuthorizedUser` is the proof of what the guard asked for; below a lesser guard this does not compile.
#[login_required(role = "admin")]
#[get("/admin")]
pub(crate) async fn users_page(
    admin: AuthorizedUser<User, role!("admin")>,
    pool: web::Data<SqlitePool>,
) -> Result<impl Responder> {
    let users = db::users(&pool).await.map_err(db::failed)?;
    Ok(pages::admin(&admin, &users))
}

/// A user for scripts, without what is nobody's business.
#[derive(Serialize)]
struct Listed {
    name: String,
    is_active: bool,
}

#[login_required(role = "admin")]
#[get("/api/users")]
pub(crate) async fn users_json(pool: web::Data<SqlitePool>) -> Result<impl Responder> {
    let users = db::users(&pool).await.map_err(db::failed)?;
    let listed = users.into_iter().map(|user| Listed {
        name: user.name,
        is_active: user.is_active,
    });
    Ok(web::Json(listed.collect::<Vec<_>>()))
}

/// Puts a user out, at the next request; nobody has to look for the logins.
#[login_required(role = "admin")]
#[post("/admin/users/{id}/deactivate")]
pub(crate) async fn deactivate(
    admin: AuthorizedUser<User, role!("admin")>,
    id: web::Path<i64>,
    pool: web::Data<SqlitePool>,
) -> Result<impl Responder> {
    if *id == admin.id {
        return Err(ErrorConflict("You would lock yourself out."));
    }
    db::deactivate(&pool, *id).await.map_err(db::failed)?;
    Ok(pages::see_other("/admin"))
}
