//! What a guard asks of a user besides a login: roles, permissions, and the application's own checks.

use std::{any::Any, borrow::Cow, fmt, future::Future, ops::Not, pin::Pin, rc::Rc, sync::Arc};

use actix_web::HttpRequest;

use crate::{
    conditions::description::Description,
    core::AuthUser,
    error::{LoadError, SetupError},
    users::{AnyUser, Permissions, UserType, permission::HasPermission as _},
};

/// What a guard asks of a user besides a login.
///
/// The attributes make it of `role = ".."`, `permission = ..`, `check = ..`, `any(..)`, `all(..)` and
/// `not(..)`. Scopes take it by [`LoginGuard::condition`](crate::LoginGuard::condition), handlers by
/// [`Auth::require`](crate::Auth::require).
///
/// # Examples
///
/// ```
/// use actix_web::web;
/// use login_runtime::{AuthUser, Condition, login_required};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(roles)] role: String, is_trainee: bool }
///
/// let editors = Condition::any([Condition::role("editor"), Condition::role("admin")]);
/// let editors = Condition::all([editors, !Condition::check(|user: &User| user.is_trainee)]);
/// assert_eq!(editors.to_string(), r#"all(any(role = "editor", role = "admin"), not(check))"#);
///
/// let drafts = web::scope("/drafts").wrap(login_required().condition(editors));
/// # let _ = drafts;
/// ```
#[derive(Clone)]
pub struct Condition(pub(crate) Test);

#[derive(Clone)]
pub(crate) enum Test {
    Role(Cow<'static, str>),
    Permission(PermissionTest),
    Check(CheckFn),
    Any(List),
    All(List),
    Not(List),
}

/// Conditions that are known when the program is compiled, or made when it runs.
#[derive(Clone)]
pub(crate) enum List {
    Static(&'static [Condition]),
    Shared(Arc<[Condition]>),
}

impl List {
    fn get(&self) -> &[Condition] {
        match self {
            Self::Static(list) => list,
            Self::Shared(list) => list,
        }
    }
}

/// One permission with its type erased.
#[derive(Clone, Copy)]
pub(crate) struct PermissionTest {
    /// Which set of permissions it is of, unlike that of any other.
    set: &'static str,
    number: usize,
    name: fn(usize) -> &'static str,
    ask: fn(usize, AnyUser, &HttpRequest) -> Result<ConditionFuture, OtherUser>,
}

#[derive(Clone)]
pub(crate) enum CheckFn {
    Static(fn(&dyn Any, &HttpRequest) -> Result<bool, OtherUser>),
    Shared(Arc<DynCheck>),
}

type DynCheck = dyn Fn(&dyn Any, &HttpRequest) -> Result<bool, OtherUser> + Send + Sync;

type ConditionFuture = Pin<Box<dyn Future<Output = Result<bool, Unanswered>>>>;

/// The condition is about another user type, of this name.
pub(crate) struct OtherUser(&'static str);

/// Why there is no answer. Neither a yes nor a no, so nobody passes and nobody is forbidden.
pub(crate) enum Unanswered {
    Setup(SetupError),
    Failed(LoadError),
}

/// Whether a condition holds, or a wait for it.
pub(crate) enum ConditionAnswer {
    Now(Result<bool, Unanswered>),
    Later(ConditionFuture),
}

/// Who is asked about, and in which request.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) user_type: Arc<UserType>,
    pub(crate) user: AnyUser,
    pub(crate) request: HttpRequest,
}

impl Condition {
    /// Holds for every user.
    pub(crate) const ALWAYS: Self = Self(Test::All(List::Static(&[])));

    /// The user has this role, as [`AuthUser::has_role`](crate::AuthUser::has_role) says.
    pub fn role(role: impl Into<Cow<'static, str>>) -> Self {
        Self(Test::Role(role.into()))
    }

    /// The user has this permission, as [`HasPermission`](crate::HasPermission) says.
    pub fn permission<P: Permissions>(permission: P) -> Self {
        Self::numbered::<P>(permission.number())
    }

    /// A function of the application says so.
    pub fn check<U: AuthUser>(check: impl Fn(&U) -> bool + Send + Sync + 'static) -> Self {
        Self::check_request(move |user: &U, _: &HttpRequest| check(user))
    }

    /// A function of the application says so, with the request at hand.
    pub fn check_request<U: AuthUser>(
        check: impl Fn(&U, &HttpRequest) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Test::Check(CheckFn::Shared(Arc::new(
            move |user, request| Ok(check(typed(user)?, request)),
        ))))
    }

    /// One of these holds at least; none of none does. They are asked in turn, until one does.
    pub fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        Self(Test::Any(List::Shared(conditions.into_iter().collect())))
    }

    /// All of these hold. They are asked in turn, until one does not.
    pub fn all(conditions: impl IntoIterator<Item = Self>) -> Self {
        Self(Test::All(List::Shared(conditions.into_iter().collect())))
    }

    pub(crate) const fn numbered<P: Permissions>(number: usize) -> Self {
        Self(Test::Permission(PermissionTest {
            set: P::SET,
            number,
            name: |number| P::of_number(number).map_or("", P::name),
            ask: ask_permission::<P>,
        }))
    }

    /// Whether it asks anything at all.
    pub(crate) fn is_always(&self) -> bool {
        matches!(&self.0, Test::All(list) if list.get().is_empty())
    }

    /// Both of these, without a word about one that always holds.
    pub(crate) fn and(self, other: Self) -> Self {
        if self.is_always() {
            other
        } else {
            Self::all([self, other])
        }
    }

    /// Says in words what is asked: each condition by itself where all have to hold.
    pub(crate) fn describe(&self, description: &mut Description) {
        match &self.0 {
            Test::All(list) => {
                for condition in list.get() {
                    condition.describe(description);
                }
            }
            _ => description.add(self.to_string()),
        }
    }

    /// Asks whether the condition holds for a user.
    pub(crate) fn ask(&self, subject: &Subject) -> ConditionAnswer {
        match &self.0 {
            Test::Role(role) => {
                let loader = &subject.user_type.loader;
                ConditionAnswer::Now(Ok(loader.has_role(&*subject.user, role)))
            }
            Test::Permission(test) => {
                let user = Rc::clone(&subject.user);
                match (test.ask)(test.number, user, &subject.request) {
                    Ok(answering) => ConditionAnswer::Later(answering),
                    Err(other) => ConditionAnswer::Now(Err(other.report(subject))),
                }
            }
            Test::Check(check) => {
                let answer = match check {
                    CheckFn::Static(check) => check(&*subject.user, &subject.request),
                    CheckFn::Shared(check) => check(&*subject.user, &subject.request),
                };
                ConditionAnswer::Now(answer.map_err(|other| other.report(subject)))
            }
            Test::Any(list) => ask_in_turn(list, true, subject),
            Test::All(list) => ask_in_turn(list, false, subject),
            // Not one of these: a list of one.
            Test::Not(list) => match ask_in_turn(list, true, subject) {
                ConditionAnswer::Now(answer) => ConditionAnswer::Now(answer.map(|holds| !holds)),
                ConditionAnswer::Later(answering) => {
                    ConditionAnswer::Later(Box::pin(async move { Ok(!answering.await?) }))
                }
            },
        }
    }

    /// Whether whoever meets this condition meets `other`, for all that can be told from how the two
    /// are written. Also of a policy's condition, at compile time.
    pub(crate) const fn implies(&self, other: &Self) -> bool {
        match &self.0 {
            Test::All(List::Static(list)) => {
                let mut rest: &[Self] = list;
                while let [first, others @ ..] = rest {
                    if first.implies(other) {
                        return true;
                    }
                    rest = others;
                }
                false
            }
            Test::Any(List::Static(list)) => {
                let mut rest: &[Self] = list;
                while let [first, others @ ..] = rest {
                    if !first.implies(other) {
                        return false;
                    }
                    rest = others;
                }
                !list.is_empty()
            }
            Test::Role(Cow::Borrowed(role)) => match &other.0 {
                Test::Role(Cow::Borrowed(asked)) => same(role, asked),
                _ => false,
            },
            Test::Permission(test) => match &other.0 {
                Test::Permission(asked) => test.number == asked.number && same(test.set, asked.set),
                _ => false,
            },
            _ => false,
        }
    }
}

/// `==` at compile time.
const fn same(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
        if *first_a != *first_b {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.is_empty() && b.is_empty()
}

impl Not for Condition {
    type Output = Self;

    fn not(self) -> Self {
        Self(Test::Not(List::Shared(Arc::new([self]))))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, list) = match &self.0 {
            Test::Role(role) => return write!(f, "role = {role:?}"),
            Test::Permission(test) => {
                return write!(f, "permission = {}", (test.name)(test.number));
            }
            Test::Check(_) => return f.write_str("check"),
            Test::Any(list) => ("any", list),
            Test::All(list) => ("all", list),
            Test::Not(list) => ("not", list),
        };
        write!(f, "{name}(")?;
        for (index, condition) in list.get().iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{condition}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({self})")
    }
}

impl ConditionAnswer {
    /// Waits for the answer.
    pub(crate) async fn done(self) -> Result<bool, Unanswered> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answering) => answering.await,
        }
    }
}

/// Asks one after the other, until one answers `stop`. One that gives no answer ends it too: what
/// comes behind it must not make up for it.
fn ask_in_turn(list: &List, stop: bool, subject: &Subject) -> ConditionAnswer {
    for (index, condition) in list.get().iter().enumerate() {
        match condition.ask(subject) {
            ConditionAnswer::Now(Ok(answer)) if answer != stop => {}
            ConditionAnswer::Now(answer) => return ConditionAnswer::Now(answer),
            ConditionAnswer::Later(first) => {
                let (list, subject) = (list.clone(), subject.clone());
                return ConditionAnswer::Later(Box::pin(async move {
                    if first.await? == stop {
                        return Ok(stop);
                    }
                    for condition in list.get().iter().skip(index + 1) {
                        if condition.ask(&subject).done().await? == stop {
                            return Ok(stop);
                        }
                    }
                    Ok(!stop)
                }));
            }
        }
    }
    ConditionAnswer::Now(Ok(!stop))
}

fn ask_permission<P: Permissions>(
    number: usize,
    user: AnyUser,
    request: &HttpRequest,
) -> Result<ConditionFuture, OtherUser> {
    let user: Rc<P::User> = user
        .downcast()
        .map_err(|_| OtherUser(std::any::type_name::<P::User>()))?;
    let request = request.clone();
    Ok(Box::pin(async move {
        let Some(permission) = P::of_number(number) else {
            return Ok(false);
        };
        user.has_permission(permission, &request)
            .await
            .map_err(|error| Unanswered::Failed(LoadError::of_permission(error)))
    }))
}

/// The user, of the type that a condition is about.
pub(crate) fn typed<U: 'static>(user: &dyn Any) -> Result<&U, OtherUser> {
    user.downcast_ref()
        .ok_or(OtherUser(std::any::type_name::<U>()))
}

impl OtherUser {
    fn report(self, subject: &Subject) -> Unanswered {
        let guarded = subject.user_type.loader.type_name();
        let error = SetupError::OtherUser {
            asked: self.0,
            guarded,
        };
        tracing::error!(target: "login", "{error}");
        Unanswered::Setup(error)
    }
}
