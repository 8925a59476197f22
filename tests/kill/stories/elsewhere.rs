//! Slack and GHE are told too: each once, whatever instant is struck.

use std::collections::HashSet;

use simulators::pagerduty::Setup;
use simulators::scenario::Scenario;
use simulators::slack::{Fault, REGISTRY, SERVICE_ENDPOINT};
use simulators::world::World;

use futures::FutureExt as _;

use super::{PAGED, PLAIN, Story, auto, base};
use crate::life::{Life, until_or_say};

/// told.md: each message once over crashes and lost answers: a thread, a page's message, an issue.
/// The page is opened, the alert resolves, and answers of Slack are lost.
pub(crate) const TOLD: Story = Story {
    name: "Slack and GHE are told, and answers are lost",
    scenario: || Scenario { elsewhere: true, ..base() },
    settings: &[("ESCALATION_MODE", "auto")],
    tell: |life| told(life).boxed_local(),
    ends: &[PAGED],
    also: |world, _| once_each(world),
    ..PLAIN
};

async fn told(life: &Life) {
    life.world.slack.fail("chat.postMessage", Fault::LostAnswer, 2);
    auto(life).await;
    let pagerduty = &life.world.pagerduty;
    pagerduty.resolve(&life.world.alert, None);
    life.webhook(&pagerduty.webhook_body("incident.resolved", &life.world.alert)).await;
    let look = async || {
        // Whoever is dead is started again by being asked.
        life.runs(&life.world.alert).await?;
        once_each(&life.world).is_ok().then_some(())
    };
    until_or_say("all to be told", look, || format!("{:?}\n{}", once_each(&life.world), life.said())).await;
}

/// All is told, and nothing twice.
fn once_each(world: &World) -> Result<(), String> {
    let thread = world.slack.messages_in(REGISTRY);
    let notes = world.pagerduty.notes_of(&world.alert);
    let ours = notes.iter().filter(|note| note.user_id == Setup::RESPONDER).count();
    let kinds: HashSet<&str> = thread.iter().map(|message| message.kind()).collect();
    let root = thread.iter().find(|message| message.kind() == "root").ok_or("there is no root message")?;
    let found =
        (thread.len(), kinds.len(), world.slack.messages_in(SERVICE_ENDPOINT).len(), world.github.issues().len());
    if found != (ours, ours, 1, 1) {
        return Err(format!("(messages, kinds, of the page, issues) {found:?}, and {ours} notes: {thread:#?}"));
    }
    if !root.text.contains("prod-us-south: resolved")
        || thread.iter().any(|m| m != root && m.thread.as_ref() != Some(&root.ts))
    {
        return Err(format!("the thread is not whole: {thread:#?}"));
    }
    Ok(())
}
