//! Checks one password, with the same work whatever is stored.
//!
//! 1. Each check runs argon2 until as much work is done as the dearest known hash takes. A cheaper hash is
//!    followed by the rest; what cannot be checked, or belongs to no user, is replaced by all of it.
//! 2. Each check runs each check of a foreign form once: with the stored hash, or with the form's decoy.
//! 3. The result says why a password was refused. It goes to the log, and never into the answer.

use std::{
    error::Error,
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{
    Algorithm, Argon2, Block, KeyId, Params, ParamsBuilder, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};

use memchr::memmem;

use crate::{
    core::costs::Costs,
    error::{BoxError, Causes},
    keys,
};

/// How many bytes of a secret in a row, in the text of an error, show the secret.
const SHOWN_LEN: usize = 12;

/// The length of the output of a new hash.
const OUTPUT_LEN: usize = 32;

/// The length of the salt of a new hash, as NIST SP 800-63B §3.1.1.2 and argon2's authors recommend.
const SALT_LEN: usize = 16;

/// The salt of work that has no result.
const NO_SALT: [u8; SALT_LEN] = [0; SALT_LEN];

/// What checks need to know; a setting of the verifier changes it before the first check.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) costs: Costs,
    /// The dearest costs among the stored hashes.
    pub(super) dearest: Costs,
    pub(super) pepper: Option<Pepper>,
    pub(super) fallback_peppers: Vec<Pepper>,
    pub(super) foreign: Vec<Arc<Foreign>>,
}

/// A secret that is an input of hashes, and is not stored with them (RFC 9106 §3.1, input K).
#[derive(Clone)]
pub(super) struct Pepper {
    /// Stored with each hash, so that a check needs to try only one pepper.
    id: KeyId,
    secret: Arc<[u8]>,
}

impl Pepper {
    /// `None` if the secret is too short, or no secret.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        let id = KeyId::new(&keys::pepper_id(secret)?).ok()?;
        Some(Self {
            id,
            secret: secret.into(),
        })
    }
}

/// Hashes of another form than argon2's.
pub(super) struct Foreign {
    pub(super) recognises: Box<dyn Fn(&str) -> bool + Send + Sync>,
    pub(super) decoy: String,
    #[expect(clippy::type_complexity, reason = "named only here")]
    pub(super) check: Box<dyn Fn(&str, &str) -> Result<bool, BoxError> + Send + Sync>,
}

impl Foreign {
    /// Whether a stored hash is of this form. Code of the application: it may panic, for instance when it
    /// cuts a short text, and then only this user must not be able to log in.
    pub(super) fn recognises(&self, stored: &str) -> bool {
        catch_unwind(AssertUnwindSafe(|| (self.recognises)(stored))).unwrap_or_default()
    }

    pub(super) fn check(&self, password: &str, stored: &str) -> Result<bool, BoxError> {
        catch_unwind(AssertUnwindSafe(|| (self.check)(password, stored)))
            .unwrap_or_else(|_| Err("the check panicked".into()))
    }
}

/// Why a password was refused, if not because it is wrong.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no such user.
    UnknownUser,
    /// The user has no password.
    NoPassword,
    Wrong,
    /// The password is right, and the user may not log in.
    Inactive,
    /// The stored hash has no known form.
    Malformed(&'static str, Option<password_hash::Error>),
    /// The stored hash was made with a pepper that is not known.
    UnknownPepper,
    /// There was no memory for the check. Whoever is checked gets the same answer then.
    OutOfMemory,
    /// The stored hash takes more work than is done for anybody.
    TooDear(Costs),
    /// The check of a foreign form failed, with this error.
    Foreign(String),
}

/// A checked password.
pub(super) struct Checked {
    /// For a right password, the new hash if the stored one has to be renewed.
    pub(super) result: Result<Option<String>, Refused>,
    /// Why a new hash could not be made.
    pub(super) not_renewed: Option<password_hash::Error>,
    /// The costs of the stored hash, if no dearer one was known.
    pub(super) new_dearest: Option<Costs>,
}

/// Checks and makes hashes.
pub(super) struct Checks {
    pub(super) settings: Settings,
    /// The dearest costs that the settings name or that a check has met.
    dearest: Mutex<Costs>,
    work: AtomicU64,
}

/// A stored hash.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one at a time, on the stack"
)]
enum Stored<'a> {
    Argon2 {
        hash: PasswordHash,
        costs: Costs,
        pepper: Option<&'a Pepper>,
    },
    /// Of the foreign form at this position.
    Foreign(usize),
    Uncheckable(Refused),
}

impl Checks {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            dearest: Mutex::new(settings.costs.or_dearer(settings.dearest)),
            work: AtomicU64::new(0),
            settings,
        }
    }

    /// How many KiB argon2 has written in all passes since the start.
    pub(super) fn work(&self) -> u64 {
        self.work.load(Ordering::Relaxed)
    }

    /// A new hash with a new salt.
    pub(super) fn hash(&self, password: &str) -> password_hash::Result<String> {
        let Settings { costs, pepper, .. } = &self.settings;
        let mut params = ParamsBuilder::new();
        params
            .m_cost(costs.memory_kib)
            .t_cost(costs.passes)
            .p_cost(costs.lanes);
        if let Some(pepper) = pepper {
            params.keyid(pepper.id);
        }
        let argon2 = argon2(pepper.as_ref(), params.build()?)?;
        let hash = argon2.hash_password(password.as_bytes())?;
        self.count(*costs);
        Ok(hash.to_string())
    }

    /// Checks the password of a user; `stored` is the user's hash. `may_log_in` says whether the right
    /// password is accepted.
    pub(super) fn check(
        &self,
        stored: Result<&str, Refused>,
        password: &str,
        may_log_in: bool,
    ) -> Checked {
        let settings = &self.settings;
        let text = stored.as_ref().copied().unwrap_or_default();
        let stored = match stored {
            Ok(text) => self.read(text),
            Err(reason) => Stored::Uncheckable(reason),
        };
        let (dearest, new_dearest) = self.dearest(&stored);
        let own_form = match stored {
            Stored::Foreign(position) => Some(position),
            _ => None,
        };
        let mut done = 0;
        let mut is_current = false;
        let mut result = match stored {
            Stored::Argon2 {
                hash,
                costs,
                pepper,
            } => {
                is_current = self.is_current(&hash, costs, pepper);
                let result = compare(&hash, pepper, password);
                if matches!(result, Ok(()) | Err(Refused::Wrong)) {
                    self.count(costs);
                    done += costs.work();
                }
                result
            }
            Stored::Foreign(_) => Err(Refused::Wrong),
            Stored::Uncheckable(reason) => Err(reason),
        };
        for (position, foreign) in settings.foreign.iter().enumerate() {
            if own_form != Some(position) {
                let _ = black_box(foreign.check(password, &foreign.decoy));
                continue;
            }
            result = match foreign.check(password, text) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Refused::Wrong),
                Err(error) => Err(Refused::Foreign(without(&[password, text], &*error))),
            };
        }
        if result.is_ok() && !may_log_in {
            result = Err(Refused::Inactive);
        }
        let mut not_renewed = None;
        let mut result = result.map(|()| {
            if is_current {
                return None;
            }
            match self.hash(password) {
                Ok(hash) => {
                    done += settings.costs.work();
                    Some(hash)
                }
                Err(error) => {
                    not_renewed = Some(error);
                    None
                }
            }
        });
        if let Err(password_hash::Error::OutOfMemory) = self.do_rest(dearest, done, password) {
            result = Err(Refused::OutOfMemory);
        }
        Checked {
            result,
            not_renewed,
            new_dearest,
        }
    }

    /// Finds out what a stored hash is.
    fn read(&self, stored: &str) -> Stored<'_> {
        if stored.is_empty() {
            return Stored::Uncheckable(Refused::NoPassword);
        }
        let mut forms = self.settings.foreign.iter();
        if let Some(position) = forms.position(|form| form.recognises(stored)) {
            return Stored::Foreign(position);
        }
        // As in /etc/shadow and in Django, these start a text that is no hash of a password.
        if stored.starts_with(['!', '*']) {
            return Stored::Uncheckable(Refused::NoPassword);
        }
        self.read_argon2(stored).unwrap_or_else(Stored::Uncheckable)
    }

    fn read_argon2(&self, stored: &str) -> Result<Stored<'_>, Refused> {
        let mut hash = PasswordHash::new(stored)
            .map_err(|_| Refused::Malformed("the stored text is not in PHC form", None))?;
        // A hash without a version is from before there were two.
        hash.version.get_or_insert(Version::V0x10.into());
        if Algorithm::try_from(hash.algorithm.as_str()).is_err() {
            return Err(Refused::Malformed("the algorithm is not argon2", None));
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(Refused::Malformed("the salt or the hash is missing", None));
        }
        let params = Params::try_from(&hash)
            .map_err(|error| Refused::Malformed("the costs are invalid", Some(error)))?;
        let costs = costs_of(&params);
        if !costs.is_affordable(self.settings.costs.or_dearer(self.settings.dearest)) {
            return Err(Refused::TooDear(costs));
        }
        let mut peppers = self.peppers();
        let pepper = match params.keyid() {
            [] => None,
            id => Some(
                peppers
                    .find(|pepper| pepper.id.as_bytes() == id)
                    .ok_or(Refused::UnknownPepper)?,
            ),
        };
        Ok(Stored::Argon2 {
            hash,
            costs,
            pepper,
        })
    }

    fn peppers(&self) -> impl Iterator<Item = &Pepper> {
        let current = self.settings.pepper.iter();
        current.chain(&self.settings.fallback_peppers)
    }

    /// The costs up to which this check works, and the costs of the stored hash if they are new.
    fn dearest(&self, stored: &Stored<'_>) -> (Costs, Option<Costs>) {
        let mut dearest = self.dearest.lock().unwrap_or_else(PoisonError::into_inner);
        match stored {
            Stored::Argon2 { costs, .. } if costs.work() > dearest.work() => {
                *dearest = *costs;
                (*costs, Some(*costs))
            }
            _ => (*dearest, None),
        }
    }

    /// Works until as much is done as `dearest` takes.
    fn do_rest(&self, dearest: Costs, done: u64, password: &str) -> password_hash::Result<()> {
        let stand_in = dearest.stand_in(self.settings.costs, done);
        if let Some(costs) = stand_in {
            self.do_work(costs, costs.memory_kib, password)?;
        }
        let done = stand_in.map_or(done, Costs::work);
        match dearest.rest(done) {
            Some(rest) => self.do_work(rest, dearest.memory_kib, password),
            None => Ok(()),
        }
    }

    /// Works without a result, after writing to this much memory: to get so much from the system takes up to
    /// as long as the work in it, and a check of the dearest hash does that too.
    fn do_work(&self, costs: Costs, memory_kib: u32, password: &str) -> password_hash::Result<()> {
        let params = Params::new(costs.memory_kib, costs.passes, costs.lanes, None)?;
        let argon2 = argon2(self.settings.pepper.as_ref(), params)?;
        // A block has 1 KiB.
        let blocks = usize::try_from(memory_kib.max(costs.memory_kib)).unwrap_or(usize::MAX);
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(blocks)
            .map_err(|_| password_hash::Error::OutOfMemory)?;
        memory.resize(blocks, Block::default());
        let mut output = [0; OUTPUT_LEN];
        argon2.hash_password_into_with_memory(
            password.as_bytes(),
            &NO_SALT,
            &mut output,
            &mut memory,
        )?;
        // So that the compiler does not leave out work without a result.
        black_box(output);
        self.count(costs);
        Ok(())
    }

    fn count(&self, costs: Costs) {
        self.work.fetch_add(costs.work(), Ordering::Relaxed);
    }

    /// Whether a hash is as new ones are.
    fn is_current(&self, hash: &PasswordHash, costs: Costs, pepper: Option<&Pepper>) -> bool {
        let id = |pepper: &Pepper| pepper.id;
        let len = |len: Option<usize>| len.unwrap_or_default();
        hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && costs == self.settings.costs
            && len(hash.salt.as_ref().map(|salt| salt.len())) >= SALT_LEN
            && len(hash.hash.as_ref().map(|output| output.len())) >= OUTPUT_LEN
            && pepper.map(id) == self.settings.pepper.as_ref().map(id)
    }
}

/// An error with its causes, unless its text contains one of these secrets: some libraries show the hash
/// that they cannot read.
fn without(secrets: &[&str], error: &(dyn Error + 'static)) -> String {
    let text = Causes(error).to_string();
    let shows = |secret: &&str| {
        let secret = secret.as_bytes();
        let mut parts = secret.windows(secret.len().clamp(1, SHOWN_LEN));
        parts.any(|part| memmem::find(text.as_bytes(), part).is_some())
    };
    if secrets.iter().any(shows) {
        "not shown, because it contains the hash or the password".to_owned()
    } else {
        text
    }
}

fn argon2(pepper: Option<&Pepper>, params: Params) -> password_hash::Result<Argon2<'_>> {
    let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
    Ok(match pepper {
        None => Argon2::new(algorithm, version, params),
        Some(pepper) => Argon2::new_with_secret(&pepper.secret, algorithm, version, params)?,
    })
}

/// Compares a password with a hash, which says with what costs and algorithm.
fn compare(hash: &PasswordHash, pepper: Option<&Pepper>, password: &str) -> Result<(), Refused> {
    let argon2 = argon2(pepper, Params::default());
    let compared = argon2.and_then(|argon2| argon2.verify_password(password.as_bytes(), hash));
    compared.map_err(|error| match error {
        password_hash::Error::PasswordInvalid => Refused::Wrong,
        password_hash::Error::OutOfMemory => Refused::OutOfMemory,
        error => Refused::Malformed("argon2 cannot compute the hash again", Some(error)),
    })
}

/// Whether argon2 allows these costs.
pub(super) fn are_allowed(costs: Costs) -> bool {
    // argon2 multiplies without a check.
    let lanes_fit = costs.lanes <= Params::MAX_P_COST;
    lanes_fit && Params::new(costs.memory_kib, costs.passes, costs.lanes, None).is_ok()
}

fn costs_of(params: &Params) -> Costs {
    Costs {
        memory_kib: params.m_cost(),
        passes: params.t_cost(),
        lanes: params.p_cost(),
    }
}
