//! What a guard demands of a user besides a login: `role`, `permission`, `check`, `any`, `all`, `not`.

mod expand;
mod model;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    expand::ItemNames,
    model::{Condition, Permission},
    parse::{Key, parse_role},
};
