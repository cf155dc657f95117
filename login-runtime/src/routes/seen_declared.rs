//! Which routes have declared who may reach them, as far as a worker has seen.
//!
//! A gate may have to refuse a request that the route has already taken. So it keeps parts of each request,
//! and a copy of all headers costs more the more of them a client sends. At a route that is declared, the copy
//! is made in vain. This is where a worker remembers such routes, so that the gate keeps only a few parts of
//! the requests to them.
//!
//! **What is remembered decides nothing.** Whether a request has passed a declaration is noted in the request
//! itself, and a gate looks at nothing else. If a request to a route that was always declared passes no
//! declaration, because another guard of the application has found another route, it is judged like any other.
//! Only the parts for that are fewer; see [`StandIn`](crate::request::StandIn) for which.
//!
//! - **Filled** by requests that have passed a declaration, and by no others: a route counts once it was declared
//!   for [`ENOUGH`] requests.
//! - **Emptied** by each request that reaches an undeclared route. That route never counts again, and all
//!   workers forget the others too, in case they have met only its declared requests.
//! - **Bounded**: there are as many patterns as the application has routes. Paths that lead to a pattern are
//!   remembered in a table of [`PLACES`] places, up to [`LONGEST`] bytes each, so clients that ask for endless
//!   paths only replace each other's. A path without a place costs a search for its pattern.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    rc::Rc,
};

use actix_web::HttpRequest;

use crate::{
    events::{METHODS, SeenRoutes},
    manager::Manager,
    refusal::ResolvedViews,
    request::StandIn,
};

/// For how many requests in a row a route has to be declared. Until then, a request to another route of the
/// same path and method is found with all of its parts.
///
/// Raising it makes it less likely that a gate meets such a request with few parts; lowering it saves copies
/// after a start.
pub(crate) const ENOUGH: u8 = 16;

/// In place of a number of requests: at least one was to an undeclared route.
const NEVER: u8 = u8::MAX;

/// How many paths are remembered. Raising it helps applications with many paths in use at a time.
const PLACES: usize = 512;

/// The longest path that is remembered, in bytes.
const LONGEST: usize = 128;

/// What one service of one worker has seen.
pub(crate) struct SeenDeclared {
    /// Empty until the first path is remembered.
    paths: RefCell<Vec<Option<SeenPath>>>,
    patterns: RefCell<HashMap<String, Rc<SeenRoute>>>,
    /// So that clients cannot know which paths take each other's place.
    seed: u64,
    /// How many undeclared routes all workers together had seen when this was last emptied.
    known: Cell<usize>,
}

/// A path that leads to a route.
struct SeenPath {
    path: Box<str>,
    /// Whether it was asked for since another path wanted its place.
    in_use: Cell<bool>,
    route: Rc<SeenRoute>,
    views: ResolvedViews,
}

/// The routes of one pattern.
pub(crate) struct SeenRoute {
    /// `None` for a path without a pattern, which a middleware may have changed.
    pattern: Option<String>,
    /// For each method, how many requests were declared, or [`NEVER`].
    declared: [Cell<u8>; METHODS.len()],
}

/// Where a request goes, by its path.
pub(crate) struct Place {
    /// `None` if the path leads to no resource, and was not declared before.
    pub(crate) route: Option<Rc<SeenRoute>>,
    /// Of the manager's views, those that are names of routes.
    pub(crate) views: ResolvedViews,
    is_remembered: bool,
    /// The position of the method. Other methods are never remembered.
    method: Option<usize>,
}

impl SeenRoute {
    fn new(pattern: Option<String>) -> Rc<Self> {
        Rc::new(Self {
            pattern,
            declared: Default::default(),
        })
    }

    pub(crate) fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    fn count(&self, method: usize) -> Option<&Cell<u8>> {
        self.declared.get(method)
    }
}

impl Place {
    /// The pattern of the resource that the path leads to.
    pub(crate) fn pattern(&self) -> Option<&str> {
        self.route.as_ref()?.pattern()
    }

    /// Whether nothing is left to be remembered about a declared request.
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        self.is_remembered && self.was_declared()
    }

    /// Whether all requests there were declared, and enough of them.
    #[inline]
    pub(crate) fn was_declared(&self) -> bool {
        let route = self.route.as_ref().zip(self.method);
        let count = route.and_then(|(route, method)| route.count(method));
        count.is_some_and(|count| (ENOUGH..NEVER).contains(&count.get()))
    }
}

impl Default for SeenDeclared {
    fn default() -> Self {
        Self {
            paths: RefCell::default(),
            patterns: RefCell::default(),
            seed: RandomState::new().hash_one(0),
            known: Cell::default(),
        }
    }
}

impl SeenDeclared {
    /// Finds out where a request goes. Runs for each request, before its route is known.
    #[inline]
    pub(crate) fn place(&self, request: &HttpRequest, manager: &Manager) -> Place {
        let undeclared = manager.routes.undeclared.count();
        if undeclared != self.known.get() {
            self.forget(undeclared);
        }
        let method = METHODS.iter().position(|method| method == request.method());
        let path = request.path();
        if let Some(found) = self.paths.borrow().get(self.position(path))
            && let Some(found) = found
            && *found.path == *path
        {
            found.in_use.set(true);
            return Place {
                route: Some(Rc::clone(&found.route)),
                views: found.views.clone(),
                is_remembered: true,
                method,
            };
        }
        self.search(request, manager, method)
    }

    #[cold]
    fn search(&self, request: &HttpRequest, manager: &Manager, method: Option<usize>) -> Place {
        let pattern = request.resource_map().match_pattern(request.path());
        Place {
            route: pattern.map(|pattern| self.route(pattern, &manager.routes.undeclared)),
            views: ResolvedViews::of(manager.refusal.views(), request),
            is_remembered: false,
            method,
        }
    }

    fn route(&self, pattern: String, undeclared: &SeenRoutes) -> Rc<SeenRoute> {
        let mut patterns = self.patterns.borrow_mut();
        if let Some(known) = patterns.get(&pattern) {
            return Rc::clone(known);
        }
        let route = SeenRoute::new(Some(pattern.clone()));
        for (method, count) in METHODS.iter().zip(&route.declared) {
            if undeclared.contains(method, &pattern) {
                count.set(NEVER);
            }
        }
        patterns.insert(pattern, Rc::clone(&route));
        route
    }

    /// Notes that a request has passed a declaration, unless that is [known](Place::is_known).
    #[cold]
    pub(crate) fn note_declared(&self, place: &mut Place, stand_in: &mut StandIn) {
        let views = stand_in.take_views();
        self.remember(place, stand_in.path(), views);
    }

    fn remember(&self, place: &mut Place, path: &str, views: ResolvedViews) {
        let Some(method) = place.method else {
            return;
        };
        let route = place.route.take();
        let route = route.unwrap_or_else(|| SeenRoute::new(None));
        if let Some(count) = route.count(method)
            && count.get() < ENOUGH
        {
            count.set(count.get() + 1);
        }
        if place.is_remembered || path.len() > LONGEST {
            return;
        }
        let mut paths = self.paths.borrow_mut();
        if paths.is_empty() {
            paths.resize_with(PLACES, || None);
        }
        let Some(found) = paths.get_mut(self.position(path)) else {
            return;
        };
        // A path that is asked for often keeps its place, whatever a client asks for in between.
        if found.as_ref().is_some_and(|other| other.in_use.take()) {
            return;
        }
        *found = Some(SeenPath {
            path: path.into(),
            in_use: Cell::new(false),
            route,
            views,
        });
    }

    /// Notes that a request has passed no declaration.
    #[cold]
    pub(crate) fn note_undeclared(place: &Place) {
        if let Some(route) = &place.route
            && let Some(count) = place.method.and_then(|method| route.count(method))
        {
            count.set(NEVER);
        }
    }

    /// Forgets all, since some worker has met an undeclared route.
    #[cold]
    fn forget(&self, known: usize) {
        self.paths.take();
        self.patterns.take();
        self.known.set(known);
    }

    /// The place of a path.
    #[inline]
    fn position(&self, path: &str) -> usize {
        // Not for secrets: paths that share a place cost a search, and the whole path is compared.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |hash: u64, part: u64| (hash.rotate_left(23) ^ part).wrapping_mul(FACTOR);
        let (parts, rest) = path.as_bytes().as_chunks::<8>();
        let mut hash = self.seed;
        for part in parts {
            hash = mix(hash, u64::from_le_bytes(*part));
        }
        for byte in rest {
            hash = mix(hash, u64::from(*byte));
        }
        usize::try_from(hash >> 40).unwrap_or_default() % PLACES
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;

    use super::*;

    const GET: Option<usize> = Some(0);

    fn place(seen: &SeenDeclared, pattern: Option<&str>) -> Place {
        let undeclared = SeenRoutes::default();
        Place {
            route: pattern.map(|pattern| seen.route(pattern.to_owned(), &undeclared)),
            views: ResolvedViews::default(),
            is_remembered: false,
            method: GET,
        }
    }

    fn is_remembered(seen: &SeenDeclared, path: &str) -> bool {
        let paths = seen.paths.borrow();
        let found = paths.get(seen.position(path));
        found.is_some_and(|found| found.as_ref().is_some_and(|found| *found.path == *path))
    }

    fn held(seen: &SeenDeclared) -> (usize, usize, usize) {
        let paths = seen.paths.borrow();
        let bytes = paths.iter().flatten().map(|found| found.path.len()).sum();
        (paths.capacity(), bytes, seen.patterns.borrow().len())
    }

    #[test]
    fn a_million_paths_of_a_pattern_take_the_places_of_each_other() {
        let seen = SeenDeclared::default();
        for id in 0..1_000_000 {
            let mut place = place(&seen, Some("/user/{id}"));
            assert_eq!(place.was_declared(), id >= ENOUGH.into());
            seen.remember(&mut place, &format!("/user/{id}"), ResolvedViews::default());
        }
        let (places, bytes, patterns) = held(&seen);
        assert!(places <= PLACES && bytes <= PLACES * LONGEST);
        assert_eq!(patterns, 1);
    }

    #[test]
    fn a_million_paths_without_a_pattern_are_bounded_as_well() {
        let seen = SeenDeclared::default();
        for id in 0..1_000_000 {
            seen.remember(
                &mut place(&seen, None),
                &format!("/{id}"),
                ResolvedViews::default(),
            );
        }
        let (places, bytes, patterns) = held(&seen);
        assert!(places <= PLACES && bytes <= PLACES * LONGEST);
        assert_eq!(patterns, 0);
    }

    #[test]
    fn a_long_path_is_not_remembered() {
        let seen = SeenDeclared::default();
        for (length, expected) in [(LONGEST, true), (LONGEST + 1, false)] {
            let path = "/".repeat(length);
            seen.remember(
                &mut place(&seen, Some("/{path:.*}")),
                &path,
                ResolvedViews::default(),
            );
            assert_eq!(is_remembered(&seen, &path), expected);
        }
    }

    #[test]
    fn a_path_that_is_asked_for_again_keeps_its_place_once() {
        let seen = SeenDeclared::default();
        seen.remember(&mut place(&seen, None), "/home", ResolvedViews::default());
        let other = (0..)
            .map(|number| format!("/{number}"))
            .find(|path| seen.position(path) == seen.position("/home"));
        let other = other.unwrap();
        for (asked, kept) in [(true, true), (false, false)] {
            let paths = seen.paths.borrow();
            let found = paths.get(seen.position("/home")).unwrap().as_ref();
            found.unwrap().in_use.set(asked);
            drop(paths);
            seen.remember(&mut place(&seen, None), &other, ResolvedViews::default());
            assert_eq!(is_remembered(&seen, "/home"), kept);
        }
    }

    #[test]
    fn one_undeclared_request_ends_it_for_the_pattern_and_the_method() {
        let seen = SeenDeclared::default();
        for _ in 0..ENOUGH {
            seen.remember(
                &mut place(&seen, Some("/a")),
                "/a",
                ResolvedViews::default(),
            );
        }
        assert!(place(&seen, Some("/a")).was_declared());
        SeenDeclared::note_undeclared(&place(&seen, Some("/a")));
        for _ in 0..u16::from(NEVER) * 2 {
            seen.remember(
                &mut place(&seen, Some("/a")),
                "/a",
                ResolvedViews::default(),
            );
            assert!(!place(&seen, Some("/a")).was_declared());
        }
        let other = Place {
            method: Some(1),
            ..place(&seen, Some("/a"))
        };
        for _ in 0..ENOUGH {
            assert!(!other.was_declared());
            let mut noted = Place {
                method: Some(1),
                ..place(&seen, Some("/a"))
            };
            seen.remember(&mut noted, "/a", ResolvedViews::default());
        }
        assert!(other.was_declared());
    }

    #[test]
    fn a_route_that_another_worker_has_met_undeclared_never_counts() {
        let undeclared = SeenRoutes::default();
        assert!(undeclared.is_first(&Method::POST, "/a"));
        assert!(!undeclared.is_first(&Method::POST, "/a"));
        assert_eq!(undeclared.count(), 1);
        let seen = SeenDeclared::default();
        seen.remember(&mut place(&seen, None), "/b", ResolvedViews::default());
        seen.forget(undeclared.count());
        assert_eq!(held(&seen), (0, 0, 0));
        let route = seen.route("/a".to_owned(), &undeclared);
        let counts = route.declared.iter().map(Cell::get);
        let never = METHODS.iter().zip(counts);
        let never: Vec<_> = never.filter(|(_, count)| *count == NEVER).collect();
        assert_eq!(never, [(&Method::POST, NEVER)]);
    }

    #[test]
    fn other_methods_are_never_remembered() {
        let seen = SeenDeclared::default();
        for _ in 0..u16::from(ENOUGH) * 2 {
            let mut place = Place {
                method: None,
                ..place(&seen, Some("/a"))
            };
            assert!(!place.was_declared());
            seen.remember(&mut place, "/a", ResolvedViews::default());
        }
        assert!(!is_remembered(&seen, "/a"));
    }
}
