//! What many logins have in common: kept once, and for as long as one of them is.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    packed::{Texts, pack},
    shards::Shards,
};

/// How credentials were checked, and what the client calls itself.
#[derive(Clone)]
pub(super) struct Common(Arc<Counted>);

struct Counted {
    packed: Box<str>,
    /// How many logins have it. Only changed while the part that it is in is locked: who finds that
    /// nobody has it can be sure that nobody takes it meanwhile.
    logins: AtomicUsize,
}

impl Common {
    /// Method and user agent.
    pub(super) fn texts(&self) -> Texts<'_> {
        Texts::of(&self.0.packed)
    }
}

impl Hash for Common {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.packed.hash(state);
    }
}

impl PartialEq for Common {
    fn eq(&self, other: &Self) -> bool {
        self.0.packed == other.0.packed
    }
}

impl Eq for Common {}

impl Borrow<str> for Common {
    fn borrow(&self) -> &str {
        &self.0.packed
    }
}

/// Everything that some logins have in common. Clients have a say in it, so it is hashed with a key:
/// nobody can have all of it collide.
pub(super) type Commons = Shards<Common, (), RandomState>;

impl Commons {
    /// For one more login.
    pub(super) fn share(&self, method: &str, user_agent: &str) -> Common {
        let packed = pack(&[method, user_agent]);
        let mut part = self.part(&*packed);
        if let Some((common, ())) = part.get_key_value(&*packed) {
            common.0.logins.fetch_add(1, Ordering::Relaxed);
            return common.clone();
        }
        let common = Common(Arc::new(Counted {
            packed,
            logins: AtomicUsize::new(1),
        }));
        part.insert(common.clone(), ());
        common
    }

    /// Called once for each login that had it.
    pub(super) fn release(&self, common: &Common) {
        let mut part = self.part(&*common.0.packed);
        if common.0.logins.fetch_sub(1, Ordering::Relaxed) == 1 {
            part.remove(common);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_kept_once() {
        let commons = Commons::default();
        let first = commons.share("password", "browser/1");
        let second = commons.share("password", "browser/1");
        assert!(Arc::ptr_eq(&first.0, &second.0));
        assert_eq!(commons.len(), 1);
    }

    #[test]
    fn what_differs_is_kept_apart() {
        let commons = Commons::default();
        let all = [("", ""), ("a", "b"), ("ab", ""), ("", "ab"), ("a", "B")];
        let shared = all.map(|(method, user_agent)| commons.share(method, user_agent));
        for ((method, user_agent), common) in all.into_iter().zip(shared) {
            assert!(common.texts().eq([method, user_agent]));
        }
        assert_eq!(commons.len(), all.len());
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let commons = Commons::default();
        let first = commons.share("password", "browser/1");
        let second = commons.share("password", "browser/1");
        commons.release(&first);
        assert_eq!(commons.len(), 1, "somebody still has it");
        commons.release(&second);
        assert_eq!(commons.len(), 0);
        // Those who looked it up before may still read it, and it can come back.
        assert!(first.texts().eq(["password", "browser/1"]));
        let third = commons.share("password", "browser/1");
        assert!(!Arc::ptr_eq(&first.0, &third.0));
        commons.release(&third);
        assert_eq!(commons.len(), 0);
    }

    #[test]
    fn nothing_is_left_of_many_at_once() {
        let commons = Commons::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let commons = &commons;
                scope.spawn(move || {
                    for round in 0..1000 {
                        let own = commons.share("password", &format!("{thread} {round}"));
                        let shared = commons.share("password", &format!("{}", round % 3));
                        commons.release(&own);
                        commons.release(&shared);
                    }
                });
            }
        });
        assert_eq!(commons.len(), 0);
    }
}
