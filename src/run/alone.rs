//! Work that is one item's of the queue: a panic in it ends that, and nothing else.

use tracing::Instrument as _;

tokio::task_local! {
    static ITEM: ();
}

/// Does what is one item's: a panic in it ends that, and nothing else.
pub async fn alone<F: Future>(work: F) -> F::Output {
    ITEM.scope((), work).await
}

/// Whether the current task does what is one item's.
pub fn is_alone() -> bool {
    ITEM.try_with(|()| ()).is_ok()
}

/// Does it to its end, in a task of its own: also where whoever waits for it is cut off, since the claim is lost.
pub async fn to_its_end<F>(work: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    match tokio::spawn(alone(work.in_current_span())).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends: whoever waits here ends with it.
            Err(_) => std::future::pending().await,
        },
    }
}
