//! What a guard demands, as a type.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;

use super::model::{Freshness, Guard, Options};
use crate::{
    conditions::{Condition, ItemNames},
    handler::{Handler, cfgs},
};

impl Guard<'_> {
    pub(super) fn policy(&self) -> TokenStream {
        let Options {
            root,
            user,
            fresh,
            condition,
            exempt_options,
            passive,
            ..
        } = &self.options;
        let private = root.private();
        let set = condition.as_ref().and_then(Condition::set_that_names_user);
        let login = match (set, self.user_type()) {
            // `LoginOf` has no bound, so a type that is not a set of permissions is reported once.
            (Some(set), _) if user.is_none() => quote!(#private::LoginOf<#set>),
            (_, Some(user)) => quote!(#private::LoginRequired<#user>),
            (_, None) => quote!(#private::LoginRequired),
        };
        let mut policy = match fresh {
            Freshness::NotRequired => login,
            Freshness::ByManager => quote!(#private::Fresh<#login>),
            Freshness::Seconds(seconds) => quote!(#private::Fresh<#login, #seconds>),
        };
        if let Some(condition) = condition {
            let condition = condition.as_type(&self.item_names());
            policy = quote!(#private::Requires<#policy, #condition>);
        }
        if *passive {
            policy = quote!(#private::Passive<#policy>);
        }
        if *exempt_options {
            policy = quote!(#private::ExemptOptions<#policy>);
        }
        policy
    }

    /// The names of the items that stand next to the handler.
    pub(super) fn item_names(&self) -> ItemNames<'_> {
        let Handler {
            attrs, vis, sig, ..
        } = &self.handler;
        // The number is the same before and after this attribute moves, and differs between guards.
        let condition = self.options.condition.as_ref();
        let number = condition.map_or(0, Condition::fingerprint);
        ItemNames {
            private: self.options.root.private(),
            suffix: format!("{number:08x}_{}", sig.ident.unraw()),
            vis,
            cfgs: cfgs(attrs).collect(),
        }
    }
}
