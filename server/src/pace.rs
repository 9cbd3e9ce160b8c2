//! Where the work of the database runs, which blocks: on threads of its own, or in place for a simulation.

use std::sync::Arc;

use futures::future::BoxFuture;

/// Waited for before and after each piece of work that is done in place. In simulated time work then takes time too, in an
/// order that a seed decides, and the relay may end in the middle of it.
pub type Pace = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Runs a piece of work in place.
pub async fn in_place<T>(pace: &Pace, work: impl FnOnce() -> T) -> T {
    pace().await;
    let done = work();
    pace().await;
    done
}
