//! What the routes on a request's way to its handler declare, and the state that a gate keeps for the
//! layers around it.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use actix_web::{HttpMessage as _, dev::ServiceRequest};

use crate::{
    core::CrossSiteReason,
    manager::Manager,
    refusal::{ResolvedViews, ScopeViews},
};

/// What a route declares about the clients that may reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declaration {
    /// All clients.
    Public,
    /// All clients, and pages of other sites too.
    PublicCrossSite,
    /// Those that a guard lets through; what it asks for, in words.
    Guard(String),
    /// Those that an inner gate lets through.
    Gate,
}

/// Receives the declarations that a request passes.
pub(crate) trait Listener {
    fn declared(&self, request: &ServiceRequest, declaration: Declaration);

    /// The request has passed a scope with these views.
    fn has_views(&self, request: &ServiceRequest, views: &ScopeViews);
}

/// What a declaration opens, without the words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    /// All clients.
    Public,
    /// All clients, and pages of other sites too.
    PublicCrossSite,
    /// Those that a guard lets through.
    Guarded,
}

/// A request of another site, as a check sees it.
#[derive(Clone)]
pub(crate) struct CrossSiteRequest {
    /// The manager whose check it is; `None` for a check without a manager.
    pub(crate) manager: Option<Arc<Manager>>,
    pub(crate) reason: CrossSiteReason,
}

/// What a request has passed on its way to a handler.
#[derive(Default)]
pub(crate) struct RouteTrace {
    /// Whether anonymous clients are refused at undeclared routes. `None` if nothing around the owner, nor the
    /// owner itself, says so.
    denies: Option<bool>,
    /// The checks that refuse the request, unless the route takes requests of other sites.
    cross_site: Vec<CrossSiteRequest>,
    /// Whether a route takes requests of other sites.
    opens_cross_site: Cell<bool>,
    /// Whether the request has passed a guard, whose routes never take such requests.
    guarded: Cell<bool>,
    declared: Cell<bool>,
    /// Whether an inner gate decides instead.
    gated: Cell<bool>,
    /// Whether the owner has decided already, because the request had passed no declaration.
    decided: Cell<bool>,
    /// The type of the service behind the owner.
    service: &'static str,
    /// The trace of the owner around a check without a manager. That owner decides for itself, so it has to
    /// learn all that this trace learns.
    parent: Option<Rc<Self>>,
    /// Also receives the declarations.
    listener: Option<Rc<dyn Listener>>,
    /// The views of the innermost scope that has its own.
    views: RefCell<Option<(Rc<ScopeViews>, ResolvedViews)>>,
    /// The state of a layer that no longer has the request.
    state: OnceCell<Rc<dyn Any>>,
}

impl RouteTrace {
    /// A trace for a request to a service of this type. `denies` says whether anonymous clients are refused at
    /// undeclared routes.
    pub(crate) fn before(service: &'static str, denies: Option<bool>) -> Self {
        Self {
            service,
            denies,
            ..Self::default()
        }
    }

    /// The same within the owner of another trace, which leaves its decisions to this one. What the request has
    /// passed there counts here too.
    #[cold]
    pub(crate) fn within(
        outer: Option<&Self>,
        service: &'static str,
        denies: Option<bool>,
        cross_site: Option<CrossSiteRequest>,
    ) -> Self {
        let checks = outer.map(Self::cross_site).unwrap_or_default();
        Self {
            cross_site: checks.iter().cloned().chain(cross_site).collect(),
            opens_cross_site: Cell::new(outer.is_some_and(|outer| outer.opens_cross_site.get())),
            guarded: Cell::new(outer.is_some_and(|outer| outer.guarded.get())),
            ..Self::before(service, outer.and_then(Self::denies).or(denies))
        }
    }

    /// A trace for a check without a manager, which has recognized a request of another site.
    pub(crate) fn of_lone_check(
        parent: Option<Rc<Self>>,
        service: &'static str,
        reason: CrossSiteReason,
    ) -> Self {
        let manager = None;
        let check = CrossSiteRequest { manager, reason };
        let trace = Self::within(parent.as_deref(), service, None, Some(check));
        Self { parent, ..trace }
    }

    /// A trace that passes each declaration to `listener`.
    #[cfg(feature = "audit")]
    pub(crate) fn heard_by(listener: Rc<dyn Listener>) -> Self {
        Self {
            listener: Some(listener),
            ..Self::default()
        }
    }

    /// The innermost trace of a request.
    pub(crate) fn of(request: &ServiceRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Keeps a state for the layers around.
    pub(crate) fn keep_state(&self, state: Rc<dyn Any>) {
        if let Some(parent) = &self.parent {
            parent.keep_state(Rc::clone(&state));
        }
        let _ = self.state.set(state);
    }

    /// The kept state, if it is of this type.
    pub(crate) fn state<T: 'static>(&self) -> Option<Rc<T>> {
        match (self.state.get(), &self.parent) {
            (Some(state), _) => Rc::clone(state).downcast().ok(),
            (None, Some(parent)) => parent.state(),
            (None, None) => None,
        }
    }

    /// Notes a declaration, and says whether it came too late to count.
    pub(crate) fn note_declared(&self, opens: Opens) -> bool {
        let is_late = self
            .parent
            .as_ref()
            .is_some_and(|parent| parent.note_declared(opens));
        self.declared.set(true);
        match opens {
            Opens::Public => {}
            Opens::PublicCrossSite => self.opens_cross_site.set(true),
            Opens::Guarded => self.guarded.set(true),
        }
        is_late || self.decided.get()
    }

    pub(crate) fn note_decided(&self) {
        self.decided.set(true);
    }

    /// The type of the service behind the owner.
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    pub(crate) fn tell(&self, request: &ServiceRequest, what: impl FnOnce() -> Declaration) {
        if let Some(listener) = &self.listener {
            listener.declared(request, what());
        }
    }

    /// Notes the views of a scope that the request passes.
    pub(crate) fn note_views(&self, request: &ServiceRequest, views: &Rc<ScopeViews>) {
        let resolved = ResolvedViews::of(views.iter(), request.request());
        self.keep_views(views, resolved);
        if let Some(listener) = &self.listener {
            listener.has_views(request, views);
        }
    }

    fn keep_views(&self, views: &Rc<ScopeViews>, resolved: ResolvedViews) {
        if let Some(parent) = &self.parent {
            parent.keep_views(views, resolved.clone());
        }
        self.views.replace(Some((Rc::clone(views), resolved)));
    }

    /// The views of the innermost scope, and the addresses of those that are names of routes.
    pub(crate) fn views(&self) -> Option<(Rc<ScopeViews>, ResolvedViews)> {
        self.views.borrow().clone()
    }

    /// Whether anonymous clients are refused, as far as the request has come; `None` if nobody says.
    pub(crate) fn denies(&self) -> Option<bool> {
        self.denies.map(|denies| denies && !self.declared.get())
    }

    /// The checks that take this for a request of another site.
    pub(crate) fn cross_site(&self) -> &[CrossSiteRequest] {
        &self.cross_site
    }

    /// Whether the route is declared to take requests of other sites.
    pub(crate) fn takes_cross_site(&self) -> bool {
        self.opens_cross_site.get() && !self.guarded.get()
    }

    pub(crate) fn leave_to_gate(&self) {
        if let Some(parent) = &self.parent {
            parent.leave_to_gate();
        }
        self.gated.set(true);
    }

    pub(crate) fn is_left_to_gate(&self) -> bool {
        self.gated.get()
    }

    /// Whether the owner of the trace has nothing to decide.
    pub(crate) fn is_open(&self) -> bool {
        self.gated.get() || self.denies() != Some(true) && self.cross_site.is_empty()
    }
}
