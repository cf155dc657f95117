//! Instructions per request, counted by callgrind, of every contender in every scenario.
//!
//! Before the count begins, the application is built, users are logged in and memory pools are filled.

#![allow(
    missing_docs,
    reason = "the macros of the harness make undocumented items"
)]

mod deterministic;

use std::any::Any;

use actix_rt::SystemRunner;
use gungraun::{Callgrind, prelude::*};
use login_benches::{
    contenders::{self, AnyClient, Contender, Setup},
    scenario::Scenario,
};

const REQUESTS: usize = login_benches::counts::REQUESTS as usize;
/// How many requests come before the count, to fill the memory pools that later requests use.
const WARM_UP: usize = 20;

struct Work {
    system: SystemRunner,
    client: Box<dyn AnyClient>,
    requests: Box<dyn Any>,
}

/// The rest of a [`Work`], which is returned so that dropping it is not counted.
type Done = (SystemRunner, Box<dyn AnyClient>);

impl Work {
    fn run(self) -> Done {
        self.system.block_on(self.client.answer(self.requests));
        (self.system, self.client)
    }
}

fn prepare((contender, scenario): (Contender, Scenario)) -> Work {
    deterministic::check();
    let system = actix_rt::System::new();
    let (client, requests) = system.block_on(async {
        let client = contenders::start(contender, &Setup::default()).await;
        let mut asks =
            contenders::asks(&*client, scenario, contender.headers(), REQUESTS + WARM_UP).await;
        let requests = client.requests(&asks.split_off(WARM_UP));
        client.answer(client.requests(&asks)).await;
        (client, requests)
    });
    Work {
        system,
        client,
        requests,
    }
}

macro_rules! contender {
    ($name:ident, $contender:ident) => {
        #[library_benchmark(setup = prepare)]
        #[bench::public((Contender::$contender, Scenario::Public))]
        #[bench::public_known((Contender::$contender, Scenario::PublicKnown))]
        #[bench::refused((Contender::$contender, Scenario::Refused))]
        #[bench::protected((Contender::$contender, Scenario::Protected))]
        #[bench::log_in((Contender::$contender, Scenario::LogIn))]
        #[bench::log_out((Contender::$contender, Scenario::LogOut))]
        fn $name(work: Work) -> Done {
            work.run()
        }
    };
    (with modes: $name:ident, $contender:ident) => {
        #[library_benchmark(setup = prepare)]
        #[bench::public((Contender::$contender, Scenario::Public))]
        #[bench::public_known((Contender::$contender, Scenario::PublicKnown))]
        #[bench::refused((Contender::$contender, Scenario::Refused))]
        #[bench::protected((Contender::$contender, Scenario::Protected))]
        #[bench::log_in((Contender::$contender, Scenario::LogIn))]
        #[bench::log_out((Contender::$contender, Scenario::LogOut))]
        #[bench::thrice((Contender::$contender, Scenario::Thrice))]
        #[bench::restored((Contender::$contender, Scenario::Restored))]
        fn $name(work: Work) -> Done {
            work.run()
        }
    };
}

contender!(floor, Floor);
#[cfg(feature = "peers")]
contender!(bare, Bare);
#[cfg(feature = "peers")]
contender!(floor_memory, FloorMemory);
contender!(floor_few, FloorFew);
contender!(with modes: readme, Readme);
contender!(with modes: readme_cookie, ReadmeCookie);
contender!(readme_uuid, ReadmeUuid);
contender!(readme_few, ReadmeFew);
contender!(with modes: ours, Ours);
contender!(ours_hashed, OursHashed);
contender!(ours_denying, OursDenying);
contender!(ours_denying_few, OursDenyingFew);
contender!(with modes: ours_cookie, OursCookie);
contender!(with modes: ours_cookie_memory, OursCookieMemory);
contender!(with modes: ours_memory, OursMemory);
#[cfg(feature = "peers")]
contender!(identity, Identity);
#[cfg(feature = "peers")]
contender!(axum, Axum);

library_benchmark_group!(
    name = counts,
    benchmarks = [
        floor,
        floor_few,
        readme,
        readme_cookie,
        readme_uuid,
        readme_few,
        ours,
        ours_hashed,
        ours_denying,
        ours_denying_few,
        ours_cookie,
        ours_cookie_memory,
        ours_memory
    ]
);
#[cfg(feature = "peers")]
library_benchmark_group!(
    name = peers,
    benchmarks = [bare, floor_memory, identity, axum]
);

/// The profile lists instructions by address. The first instruction of a function runs once for each
/// call, while the calls that callgrind counts include those before the count begins.
fn config() -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::with_args(["--dump-instr=yes"]));
    config
}

#[cfg(feature = "peers")]
main!(
    config = config(),
    library_benchmark_groups = [counts, peers]
);
#[cfg(not(feature = "peers"))]
main!(config = config(), library_benchmark_groups = counts);
