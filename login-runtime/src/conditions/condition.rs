//! What a guard asks of a user besides a login: roles, permissions, and the application's own checks.

use std::{any::type_name, borrow::Cow, fmt, ops::Not, rc::Rc, sync::Arc};

use actix_web::HttpRequest;
use derive_more::{Debug, Display, From};

use crate::{
    conditions::outcome::Outcome,
    core::AuthUser,
    error::{LoadError, SetupError},
    hooks,
    users::{AnyUser, Permissions, UserType, permission::HasPermission as _},
};

/// What a guard asks of a user besides a login.
///
/// The attributes build it from `role = ".."`, `permission = ..`, `check = ..`, `any(..)`, `all(..)`
/// and `not(..)`. For a scope, pass it to [`LoginGuard::condition`](crate::guards::LoginGuard::condition); in
/// a handler, to [`Auth::require`](crate::Auth::require).
///
/// # Examples
///
/// ```
/// use actix_web::web;
/// use login_runtime::{AuthUser, guards::Condition, login_required};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(roles)] role: String, is_trainee: bool }
///
/// let editors = Condition::any([Condition::role("editor"), Condition::role("admin")]);
/// fn is_trainee(user: &User) -> bool { user.is_trainee }
/// let editors = Condition::all([editors, !Condition::check(is_trainee)]);
/// let text = editors.to_string();
/// assert!(text.starts_with(r#"all(any(role = "editor", role = "admin"), not(check = "#));
/// assert!(text.ends_with("is_trainee))"));
///
/// let drafts = web::scope("/drafts").wrap(login_required().condition(editors));
/// # let _ = drafts;
/// ```
#[derive(Clone, Debug, Display)]
#[debug("Condition({_0})")]
pub struct Condition(pub(crate) Test);

#[derive(Clone, Display)]
pub(crate) enum Test {
    #[display("role = {_0:?}")]
    Role(Cow<'static, str>),
    #[display("permission = {}", (_0.name)(_0.number))]
    Permission(PermissionTest),
    #[display("check = {}", _0.text)]
    Check(Check),
    #[display("any({_0})")]
    Any(List),
    #[display("all({_0})")]
    All(List),
    /// The list has one condition.
    #[display("not({_0})")]
    Not(List),
}

/// Conditions in the program's constants, or made at run time.
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

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, condition) in self.get().iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{condition}")?;
        }
        Ok(())
    }
}

/// One permission, with its type erased.
#[derive(Clone, Copy)]
pub(crate) struct PermissionTest {
    /// Identifies the set of permissions.
    set: &'static str,
    number: usize,
    name: fn(usize) -> &'static str,
    ask: fn(usize, &Subject) -> ConditionAnswer,
}

/// A check of the application.
#[derive(Clone)]
pub(crate) struct Check {
    /// The expression in an attribute, or the path of a function or closure.
    pub(crate) text: &'static str,
    pub(crate) run: CheckFn,
}

#[derive(Clone)]
pub(crate) enum CheckFn {
    Static(fn(&Subject) -> Result<bool, Unanswered>),
    Shared(Arc<DynCheck>),
}

type DynCheck = dyn Fn(&Subject) -> Result<bool, Unanswered> + Send + Sync;

/// Why there is no answer. It counts neither as yes nor as no: the client is not let through, and is
/// not told that it is forbidden.
#[derive(From)]
pub(crate) enum Unanswered {
    Setup(SetupError),
    Failed(LoadError),
}

/// Whether a condition holds.
pub(crate) type ConditionAnswer = Outcome<Result<bool, Unanswered>>;

/// The user and the request that a condition is asked about.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) user_type: Arc<UserType>,
    pub(crate) user: AnyUser,
    pub(crate) request: HttpRequest,
}

impl Subject {
    /// The user, if it has the type that a condition is about.
    pub(crate) fn user<U: 'static>(&self) -> Result<&U, Unanswered> {
        let user = self.user.downcast_ref();
        user.ok_or_else(|| self.other_user::<U>())
    }

    fn other_user<U>(&self) -> Unanswered {
        other_user::<U>(self.user_type.loader.type_name()).into()
    }
}

/// Reports a condition or an argument about `U` in a guard that asks for another user type.
pub(crate) fn other_user<U>(guarded: &'static str) -> SetupError {
    let asked = type_name::<U>();
    SetupError::OtherUser { asked, guarded }.logged()
}

impl Condition {
    /// Holds for every user.
    pub(crate) const ALWAYS: Self = Self(Test::All(List::Static(&[])));

    /// The user has this role, according to [`AuthUser::has_role`](crate::AuthUser::has_role).
    pub fn role(role: impl Into<Cow<'static, str>>) -> Self {
        Self(Test::Role(role.into()))
    }

    /// The user has this permission, according to [`HasPermission`](crate::HasPermission).
    pub fn permission<P: Permissions>(permission: P) -> Self {
        Self::numbered::<P>(permission.number())
    }

    /// A function of the application returns `true` for the user.
    ///
    /// Log and audit show the path of the function. Pass a function and not a closure where the audit is
    /// reviewed: all closures within one function have the same path.
    pub fn check<U: AuthUser>(check: impl Fn(&U) -> bool + Send + Sync + 'static) -> Self {
        let text = name_of(&check);
        Self::shared(text, move |subject| Ok(check(subject.user()?)))
    }

    /// A function of the application returns `true` for the user and the request.
    pub fn check_request<U: AuthUser>(
        check: impl Fn(&U, &HttpRequest) -> bool + Send + Sync + 'static,
    ) -> Self {
        let text = name_of(&check);
        Self::shared(text, move |subject| {
            Ok(check(subject.user()?, &subject.request))
        })
    }

    fn shared(
        text: &'static str,
        check: impl Fn(&Subject) -> Result<bool, Unanswered> + Send + Sync + 'static,
    ) -> Self {
        Self(Test::Check(Check {
            text,
            run: CheckFn::Shared(Arc::new(check)),
        }))
    }

    /// At least one of these holds; false for an empty list. They are asked in order, until one holds.
    pub fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        Self(Test::Any(List::Shared(conditions.into_iter().collect())))
    }

    /// All of these hold; true for an empty list. They are asked in order, until one does not hold.
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

    /// Whether it holds for every user because it asks nothing.
    pub(crate) fn is_always(&self) -> bool {
        matches!(&self.0, Test::All(list) if list.get().is_empty())
    }

    /// Both of these. The first is left out if it asks nothing.
    pub(crate) fn and(self, other: Self) -> Self {
        if self.is_always() {
            other
        } else {
            Self::all([self, other])
        }
    }

    /// Adds the options of an attribute that ask for this: of `all(..)`, each condition by itself.
    pub(crate) fn describe(&self, options: &mut Vec<String>) {
        match &self.0 {
            Test::All(list) => {
                for condition in list.get() {
                    condition.describe(options);
                }
            }
            _ => options.push(self.to_string()),
        }
    }

    /// Asks whether the condition holds for a user.
    pub(crate) fn ask(&self, subject: &Subject) -> ConditionAnswer {
        match &self.0 {
            Test::Role(role) => {
                let loader = &subject.user_type.loader;
                ConditionAnswer::Now(Ok(loader.has_role(&*subject.user, role)))
            }
            Test::Permission(test) => (test.ask)(test.number, subject),
            Test::Check(check) => match &check.run {
                CheckFn::Static(run) => check_once(run, subject),
                CheckFn::Shared(run) => check_once(&**run, subject),
            },
            Test::Any(list) => ask_in_order(list, true, subject),
            Test::All(list) => ask_in_order(list, false, subject),
            Test::Not(list) => match ask_in_order(list, true, subject) {
                ConditionAnswer::Now(answer) => ConditionAnswer::Now(answer.map(|holds| !holds)),
                ConditionAnswer::Later(answer) => {
                    ConditionAnswer::Later(Box::pin(async move { Ok(!answer.await?) }))
                }
            },
        }
    }

    /// Whether every user who meets this condition meets `other`, as far as their structure shows.
    ///
    /// Works at compile time, for the conditions of policies.
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
            test => match (test, &other.0) {
                (Test::Role(Cow::Borrowed(role)), Test::Role(Cow::Borrowed(asked))) => {
                    same(role, asked)
                }
                (Test::Permission(test), Test::Permission(asked)) => {
                    test.number == asked.number && same(test.set, asked.set)
                }
                _ => false,
            },
        }
    }
}

/// The path of a function, or of the function that contains a closure.
fn name_of<F>(_: &F) -> &'static str {
    type_name::<F>()
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

/// Asks one condition after the other, until one answers `stop`. One without an answer ends it too:
/// the conditions after it must not decide in its place.
fn ask_in_order(list: &List, stop: bool, subject: &Subject) -> ConditionAnswer {
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
                        if condition.ask(&subject).await? == stop {
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

fn check_once<C>(check: &C, subject: &Subject) -> ConditionAnswer
where
    C: Fn(&Subject) -> Result<bool, Unanswered> + ?Sized,
{
    let answer = hooks::nested(|| check(subject));
    ConditionAnswer::Now(answer.unwrap_or_else(|| Err(asks_for_itself())))
}

fn asks_for_itself() -> Unanswered {
    LoadError::of_permission("a condition asks for itself, or for too many others".into()).into()
}

fn ask_permission<P: Permissions>(number: usize, subject: &Subject) -> ConditionAnswer {
    let Ok(user) = Rc::clone(&subject.user).downcast::<P::User>() else {
        return ConditionAnswer::Now(Err(subject.other_user::<P::User>()));
    };
    let request = subject.request.clone();
    ConditionAnswer::Later(Box::pin(async move {
        let Some(permission) = P::of_number(number) else {
            return Ok(false);
        };
        match hooks::nested_async(user.has_permission(permission, &request)).await {
            Some(answer) => Ok(answer.map_err(LoadError::of_permission)?),
            None => Err(asks_for_itself()),
        }
    }))
}
