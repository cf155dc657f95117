//! Properties: the rules of this folder, compared with models that are slow and obvious.
//!
//! `cargo test` tries the same few inputs each time. `PROPTEST_CASES=100000 cargo test -p login-runtime
//! core::tests` tries so many others. Inputs that broke a property are in `proptest-regressions`, and are
//! tried first.

use proptest::test_runner::{Config, RngSeed};

mod forwarded;
mod limits;
mod next;
mod remember;
mod throttle;

/// A run that nobody has asked for has the same inputs each time, so that no change fails by chance.
fn config() -> Config {
    const USUAL: u32 = 256;
    // It reads `PROPTEST_CASES` and `PROPTEST_RNG_SEED`.
    let mut config = Config::default();
    if config.cases == USUAL && config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}
