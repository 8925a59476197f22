//! A build's wait in Jenkins' queue.

use super::BuildLog;
use super::attempt::Attempt;
use super::follower::Trouble;
use jenkins::ItemState;
use outbound::retry::by_deadline;
use runbook::span::after;

impl<L: BuildLog> Attempt<'_, L> {
    /// Waits until the item has left the queue, and gives the build's number.
    pub(super) async fn wait_in_queue(&mut self, id: u64) -> Result<u64, Trouble> {
        let jenkins = self.task.jenkins;
        let clock = jenkins.clock();
        let (mut gone_since, mut pace) = (None, jenkins.pace());
        loop {
            pace.pause(clock).await;
            let number = match self.follower.bear(jenkins.queue_item(id, self.until.deadline).await)? {
                Some(Some(item)) => match item.state {
                    ItemState::Left(number) => Some(number),
                    ItemState::Cancelled => {
                        return Err(Trouble::Other("somebody took it out of Jenkins' queue".into()));
                    }
                    ItemState::Waiting { why, stuck } => {
                        self.say_waiting(id, why.as_deref(), stuck).await;
                        None
                    }
                    ItemState::Leaving => None,
                },
                Some(None) => match self.follower.bear(jenkins.builds(self.until.deadline).await)? {
                    Some(builds) => {
                        let since = *gone_since.get_or_insert(clock.now());
                        let number = builds.iter().find(|build| build.queue_id == Some(id)).map(|build| build.number);
                        if number.is_none() && clock.now() >= after(since, jenkins.lag()) {
                            let what = format!("queue item {id} is gone, and none of the last builds came of it");
                            return Err(Trouble::Other(what));
                        }
                        number
                    }
                    None => None,
                },
                None => None,
            };
            if let Some(number) = number {
                self.record.number = Some(number);
                self.remember().await?;
                return Ok(number);
            }
        }
    }

    async fn say_waiting(&mut self, id: u64, why: Option<&str>, stuck: bool) {
        let jenkins = self.task.jenkins;
        // For people only: no reading is lost where it can't be told.
        let soon = after(jenkins.clock().now(), jenkins.settings().poll).min(self.until.deadline);
        let queue = by_deadline(jenkins.clock(), soon, "asking for the queue", jenkins.queue(soon)).await;
        let before = queue.map(|items| {
            items.iter().filter(|item| item.id < id && matches!(item.state, ItemState::Waiting { .. })).count()
        });
        let before = match before {
            Ok(n @ 1..) => format!(" ({n} before us)"),
            _ => String::new(),
        };
        let stuck = if stuck { ", which Jenkins calls stuck" } else { "" };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        self.follower.say(format!("Jenkins: waiting in the queue{before}{stuck}{why}"));
    }
}
