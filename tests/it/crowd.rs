//! Many browsers at once.

use futures_util::future::join_all;
use login_runtime::test::Browser;
use tokio::{
    runtime::Handle,
    task::{LocalSet, spawn_blocking},
};

use crate::world::{BoxedApp, Parts};

const THREADS: usize = 4;
const IN_EACH: usize = 16;

/// How many they are.
pub(crate) const CROWD: usize = THREADS * IN_EACH;

/// Has each of [`CROWD`] browsers do the same at once, on several threads with an application each,
/// as a server has them.
pub(crate) async fn crowd<T: Send + 'static>(
    parts: &Parts,
    work: impl AsyncFn(Browser<'_, BoxedApp>) -> T + Clone + Send + 'static,
) -> Vec<T> {
    // Connections that are opened here live on with the runtime of the test.
    let runtime = Handle::current();
    let threads = (0..THREADS).map(|_| {
        let (parts, runtime, work) = (parts.clone(), runtime.clone(), work.clone());
        spawn_blocking(move || {
            runtime.block_on(LocalSet::new().run_until(async {
                let app = parts.node().await;
                let browsers = (0..IN_EACH).map(|_| Browser::new(&app));
                join_all(browsers.map(|browser| work(browser))).await
            }))
        })
    });
    let done = join_all(threads.collect::<Vec<_>>()).await;
    done.into_iter().flat_map(Result::unwrap).collect()
}
