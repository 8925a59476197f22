//! Work that is one item's of the queue: a panic in it ends that, and nothing else.

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
