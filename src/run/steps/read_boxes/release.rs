//! Letting go of a build that took too long.

use std::time::Duration;

use super::BuildRecord;
use crate::run::progress::Progress;
use jenkins::{ItemState, Jenkins};
use outbound::error::Error;
use outbound::permit::Permit;
use runbook::span::after;

/// How long letting go may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// Stops what we started and nobody else waits for. When in doubt it is left alone: a build too many costs an executor
/// for a while, a stopped one may cost somebody their answer. Failures are only logged.
pub(super) async fn release(jenkins: &Jenkins, permit: &Permit, record: &BuildRecord, progress: &Progress) {
    if record.shared {
        return;
    }
    let result = tokio::select! {
        result = stop_or_cancel(jenkins, permit, record, progress) => result,
        () = jenkins.clock().sleep(GOODBYE) => return,
    };
    if let Err(error) = result {
        tracing::info!(error = %error, zone = %record.zone, "could not stop a build that took too long");
    }
}

async fn stop_or_cancel(
    jenkins: &Jenkins,
    permit: &Permit,
    record: &BuildRecord,
    progress: &Progress,
) -> Result<(), Error> {
    let until = after(jenkins.clock().now(), GOODBYE);
    let is_ours = |causes: &[Option<String>], cluster: Option<&str>| {
        jenkins.is_ours_alone(causes) && cluster == Some(record.zone.as_str())
    };
    let mut number = record.number;
    if let (None, Some(id)) = (number, record.queue_id) {
        let Some(item) = jenkins.queue_item(id, until).await? else { return Ok(()) };
        match item.state {
            ItemState::Waiting { .. } if is_ours(&item.caused_by, item.cluster.as_deref()) => {
                progress.say("Jenkins: leaving the queue, which took too long");
                return jenkins.cancel(permit, id).await;
            }
            // It left the queue at the last moment.
            ItemState::Left(build) => number = Some(build),
            _ => return Ok(()),
        }
    }
    let Some(number) = number else { return Ok(()) };
    if jenkins.is_followed(number) {
        return Ok(());
    }
    let Some(build) = jenkins.build(number, until).await? else { return Ok(()) };
    let ours = is_ours(&build.caused_by, build.cluster.as_deref()) && build.queue_id == record.queue_id;
    if build.building && ours {
        progress.say(&format!("Jenkins: stopping build #{number}, which took too long"));
        jenkins.stop(permit, number).await?;
    }
    Ok(())
}
