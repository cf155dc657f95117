//! The application's loaders, with their types erased.
//!
//! A manager knows its user types only by their [`TypeId`], so that its own type does not name them. A
//! loader returns an `Rc<dyn Any>`, which the extractors turn back into the user type.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use actix_web::HttpRequest;

use crate::{
    core::AuthUser,
    error::{BoxError, LoadError},
};

/// A user with its type erased; the loader that loaded it knows the type.
pub(crate) type AnyUser = Rc<dyn Any>;

/// The error of a loader.
///
/// It is implemented for every error that can be sent between threads: errors of databases, a `String`, an
/// `anyhow::Error`, a [`BoxError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a loader",
    label = "this loader's error cannot be sent between threads",
    note = "return `login_runtime::BoxError`, `String` or the error of the database; `?` turns most errors into a `BoxError`, and `.map_err(|error| error.to_string())` makes any error a text"
)]
pub trait LoaderError: 'static {
    /// The error, as the source of a [`LoadError`].
    fn into_source(self) -> BoxError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError> + 'static> LoaderError for E {
    fn into_source(self) -> BoxError {
        self.into()
    }
}

/// A running loader.
pub(crate) type Loading = Pin<Box<dyn Future<Output = Result<Option<AnyUser>, LoadError>>>>;

/// The operations of one user type.
pub(crate) trait Loader: Send + Sync {
    /// The user type.
    fn user_type(&self) -> TypeId;

    /// The name that the application has given the user type.
    fn name(&self) -> &'static str;

    /// The name of the Rust type, for messages.
    fn type_name(&self) -> &'static str;

    /// Whether users of this type have a session hash, if that is known.
    fn has_session_hash(&self) -> Option<bool>;

    /// Starts to load the user with this id, which is JSON. `None` if it is not an id of this type.
    fn load(&self, id: &str) -> Option<Loading>;

    /// Whether the user may be logged in, and guards let the user through.
    fn is_authenticated(&self, user: &dyn Any) -> bool;

    /// Whether the user has a role.
    fn has_role(&self, user: &dyn Any, role: &str) -> bool;

    /// The bytes whose change ends every login of the user.
    fn session_hash<'a>(&self, user: &'a dyn Any) -> Option<Cow<'a, [u8]>>;

    /// The user's id as JSON. `None` if it cannot be written as JSON.
    fn id(&self, user: &dyn Any) -> Option<String>;
}

/// The application's request loader, with its types erased.
pub(crate) type RequestLoader = Box<dyn Fn(&HttpRequest) -> Loading + Send + Sync>;

/// The user loader for one user type.
struct UserLoader<U, F> {
    // In an `Arc` because the futures may borrow from the closure.
    load: Arc<F>,
    user: PhantomData<fn() -> U>,
}

/// Erases the type of a user loader.
pub(crate) fn user_loader<U, F, E>(load: F) -> Box<dyn Loader>
where
    U: AuthUser,
    F: AsyncFn(U::Id) -> Result<Option<U>, E> + Send + Sync + 'static,
    E: LoaderError,
{
    Box::new(UserLoader {
        load: Arc::new(load),
        user: PhantomData::<fn() -> U>,
    })
}

/// Erases the type of a request loader.
pub(crate) fn request_loader<U, F, Fut, E>(load: F) -> RequestLoader
where
    U: AuthUser,
    F: Fn(&HttpRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<U>, E>> + 'static,
    E: LoaderError,
{
    Box::new(move |request| erase(load(request)))
}

fn erase<U, E>(loading: impl Future<Output = Result<Option<U>, E>> + 'static) -> Loading
where
    U: AuthUser,
    E: LoaderError,
{
    Box::pin(async move {
        match loading.await {
            Ok(user) => Ok(user.map(|user| Rc::new(user) as AnyUser)),
            Err(error) => Err(LoadError::new(error.into_source())),
        }
    })
}

impl<U, F, E> Loader for UserLoader<U, F>
where
    U: AuthUser,
    F: AsyncFn(U::Id) -> Result<Option<U>, E> + Send + Sync + 'static,
    E: LoaderError,
{
    fn user_type(&self) -> TypeId {
        TypeId::of::<U>()
    }

    fn name(&self) -> &'static str {
        U::NAME
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<U>()
    }

    fn has_session_hash(&self) -> Option<bool> {
        U::HAS_SESSION_HASH
    }

    fn load(&self, id: &str) -> Option<Loading> {
        let id = serde_json::from_str(id).ok()?;
        let load = Arc::clone(&self.load);
        Some(erase(async move { load(id).await }))
    }

    fn is_authenticated(&self, user: &dyn Any) -> bool {
        user.downcast_ref::<U>()
            .is_some_and(|user| user.is_active() && user.is_authenticated())
    }

    fn has_role(&self, user: &dyn Any, role: &str) -> bool {
        user.downcast_ref::<U>()
            .is_some_and(|user| user.has_role(role))
    }

    fn session_hash<'a>(&self, user: &'a dyn Any) -> Option<Cow<'a, [u8]>> {
        user.downcast_ref::<U>()?.session_hash()
    }

    fn id(&self, user: &dyn Any) -> Option<String> {
        serde_json::to_string(&user.downcast_ref::<U>()?.get_id()).ok()
    }
}
