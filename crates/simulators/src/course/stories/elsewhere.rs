//! Who else is told: both Slack workspaces, and GHE.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::course::{Result, Stagehand, expect};
use crate::pagerduty::Setup;
use crate::slack::{Message, REGISTRY, SERVICE_ENDPOINT};

/// Registry's channel reads the alert's life in one thread, the Service Endpoint team's one message of its page; then an issue.
pub fn slack<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        it.done(&alert, 1).await?;
        let page = it.until("the page", async |it| Ok(it.world.pagerduty.pages().into_iter().next())).await?;
        let told = it.until("the Service Endpoint team's channel", async |it| {
            Ok(it.world.slack.messages_in(SERVICE_ENDPOINT).into_iter().next())
        });
        let told = told.await?;
        it.say(&shown("Service Endpoint team's Slack", &told));
        expect(
            told.text.contains(&format!("/incidents/{}>", page.id)),
            format!("it has the page's link: {}", told.text),
        )?;
        expect(told.text.contains("-vm-"), format!("it has the Magic Box IDs: {}", told.text))?;
        it.world.pagerduty.acknowledge(&page.id, Setup::ENGINEER);
        it.say("Earline Greenholt acknowledges the page");
        root(it, "acknowledged by Earline Greenholt").await?;
        it.world.pagerduty.resolve(&alert, None);
        it.webhook("incident.resolved", &alert).await?;
        let last = root(it, "prod-us-south: resolved").await?;
        let thread = it.until("the thread", async |it| {
            let messages = it.world.slack.messages_in(REGISTRY);
            let notes = it.our_notes(&alert).len();
            Ok((messages.len() == notes).then_some(messages))
        });
        let thread = thread.await?;
        it.say(&shown("Registry's Slack, the thread's root as it stands", &last));
        for reply in thread.iter().filter(|message| message.thread.is_some()) {
            it.say(&shown("… and a reply", reply));
        }
        expect(thread.iter().filter(|m| m.thread.is_none()).count() == 1, "one root message")?;
        expect(thread.iter().all(|m| m.thread.as_ref().is_none_or(|ts| *ts == last.ts)), "all in its thread")?;
        let issue = it.until("the issue", async |it| Ok(it.world.github.issues().into_iter().next())).await?;
        it.say(&format!("── issue {}: {}\n{}\n──", issue.number, issue.title, issue.body.trim_end()));
        expect(issue.body.contains(&format!("<!-- se-responder:rca:{alert} -->")), "its marker")?;
        expect(it.world.slack.messages_in(SERVICE_ENDPOINT).len() == 1, "one message of the page")?;
        expect(it.world.github.issues().len() == 1, "one issue")
    }
    .boxed_local()
}

/// The root message, once it says this.
async fn root(it: &mut Stagehand<'_>, words: &str) -> Result<Message> {
    it.until(&format!("the root message to say {words:?}"), async |it| {
        let messages = it.world.slack.messages_in(REGISTRY);
        Ok(messages.into_iter().find(|m| m.kind() == "root" && m.text.contains(words)))
    })
    .await
}

fn shown(place: &str, message: &Message) -> String {
    format!("── {place}\n{}\n──", message.text)
}
