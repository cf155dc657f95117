//! Checks that compare parts of the model.

use super::model::{FieldKey, Model, Shape, Struct};
use crate::errors::Errors;

impl Model<'_> {
    pub(super) fn check(&self, errors: &mut Errors) {
        self.check_lifetimes(errors);
        match &self.shape {
            Shape::Struct(fields) => {
                self.check_id(fields, errors);
                self.check_single_marks(fields, errors);
                self.check_active(fields, errors);
            }
            // No value of such a type exists.
            Shape::Enum(users) if users.variants.is_empty() => {
                errors.enum_without_variants(&self.input.ident);
            }
            Shape::Enum(_) => {}
            Shape::Union(token) => errors.union(token),
        }
    }

    // A user is stored in the request, so it cannot borrow from the code that loads it.
    fn check_lifetimes(&self, errors: &mut Errors) {
        if let Some(param) = self.input.generics.lifetimes().next() {
            errors.borrowed_user(&param.lifetime);
        }
    }

    // A struct has an id.
    fn check_id(&self, fields: &Struct<'_>, errors: &mut Errors) {
        if fields.id().is_none() {
            errors.no_id(&self.input.ident);
        }
    }

    // These options mark at most one field each.
    fn check_single_marks(&self, fields: &Struct<'_>, errors: &mut Errors) {
        for key in [
            FieldKey::Id,
            FieldKey::SessionHash,
            FieldKey::PasswordHash,
            FieldKey::Roles,
        ] {
            let marks = fields.marks.iter().filter(|mark| mark.key == key);
            for mark in marks.skip(1) {
                errors.marked_twice(&mark.name);
            }
        }
    }

    // One field or one function tells whether a user is active. If a second field were ignored
    // silently, inactive users could log in.
    fn check_active(&self, fields: &Struct<'_>, errors: &mut Errors) {
        let mut marks = fields.active_marks();
        let first = marks.next();
        for mark in marks {
            errors.active_marked_twice(&mark.name);
        }
        match (first, fields.named("is_active")) {
            (Some(mark), _) if self.active_fn.is_some() => {
                errors.active_field_and_function(&mark.name);
            }
            (Some(mark), Some(is_active)) if is_active.member != mark.field.member => {
                errors.is_active_ignored(&mark.name);
            }
            _ => {}
        }
    }
}
