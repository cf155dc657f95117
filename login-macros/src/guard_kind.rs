//! The guard attributes, and how they are recognised.

use syn::{Attribute, ext::IdentExt as _};

#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(
    clippy::enum_variant_names,
    reason = "the variants are named after the attributes"
)]
pub(crate) enum GuardKind {
    LoginRequired,
    FreshLoginRequired,
    PermissionRequired,
}

impl GuardKind {
    const ALL: [Self; 3] = [
        Self::LoginRequired,
        Self::FreshLoginRequired,
        Self::PermissionRequired,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LoginRequired => "login_required",
            Self::FreshLoginRequired => "fresh_login_required",
            Self::PermissionRequired => "permission_required",
        }
    }

    /// The place of the guard among several on one handler; the lowest expands first.
    ///
    /// The guard that expands last wraps the others, so it decides first. A login is demanded before
    /// a permission, and a fresh login last.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::FreshLoginRequired => 0,
            Self::PermissionRequired => 1,
            Self::LoginRequired => 2,
        }
    }

    /// Recognises the attribute of a guard by the last segment of its path.
    pub(crate) fn of(attr: &Attribute) -> Option<Self> {
        let name = attr.path().segments.last()?.ident.unraw();
        Self::ALL.into_iter().find(|kind| name == kind.name())
    }
}
