//! Dropping types that own each other, as those that scripts make do.
//!
//! A chain of types may be longer than the stack is deep, so it is taken apart in a loop.

use std::sync::Arc;

use super::{Content, Detail, LazyList, Link, Type, TypeData};

impl Drop for TypeData {
    fn drop(&mut self) {
        let mut owned = Vec::new();
        self.take_owned(&mut owned);
        while let Some(ty) = owned.pop() {
            if let Some(mut data) = Arc::into_inner(ty.data) {
                data.take_owned(&mut owned);
            }
        }
    }
}

impl TypeData {
    /// Moves the types that this one owns out of it.
    fn take_owned(&mut self, owned: &mut Vec<Type>) {
        owned.extend(std::mem::take(&mut self.derived).into_owned());
        match std::mem::replace(&mut self.detail, Detail::None) {
            Detail::None | Detail::Int { .. } => {}
            Detail::Compound {
                members,
                template_parameters,
                ..
            } => {
                let members = members.map_or_else(Vec::new, LazyList::into_items);
                let members = members.into_iter().map(|member| member.content);
                let parameters = template_parameters.into_items().into_iter();
                let contents = members.chain(parameters.map(|parameter| parameter.content));
                owned.extend(contents.filter_map(Content::into_owned));
            }
            Detail::Enum { integer, .. } => {
                owned.extend(integer.and_then(Link::into_owned));
            }
            Detail::Alias { target: link }
            | Detail::Pointer { target: link, .. }
            | Detail::Array { element: link, .. } => owned.extend(link.into_owned()),
            Detail::Function {
                returns,
                parameters,
                template_parameters,
                ..
            } => {
                owned.extend(returns.into_owned());
                let parameters = parameters.into_iter().map(|parameter| parameter.content);
                let templates = template_parameters.into_items().into_iter();
                let contents = parameters.chain(templates.map(|parameter| parameter.content));
                owned.extend(contents.filter_map(Content::into_owned));
            }
        }
    }
}
