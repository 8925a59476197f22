//! Slack and GHE are told too: each once, whatever instant is struck.

use std::collections::HashSet;

use simulators::github::Fault as GheFault;
use simulators::pagerduty::Setup;
use simulators::scenario::Scenario;
use simulators::slack::{Fault, REGISTRY, SERVICE_ENDPOINT};
use simulators::world::World;

use futures::FutureExt as _;

use super::{PAGED, PLAIN, Story, auto, base};
use crate::life::{Life, until_or_say};

/// told.md: each message once over crashes and lost answers: a thread, a page's message, an issue.
/// The page is opened, the alert resolves; answers of both are lost, both say that there was too much, and Slack fails by
/// itself.
pub(crate) const TOLD: Story = Story {
    name: "Slack and GHE are told, and answers are lost, limited and failed",
    scenario: || Scenario { elsewhere: true, ..base() },
    settings: &[("ESCALATION_MODE", "auto")],
    tell: |life| told(life).boxed_local(),
    ends: &[PAGED],
    also: |world, _| once_each(world, 1),
    ..PLAIN
};

async fn told(life: &Life) {
    let (slack, github) = (&life.world.slack, &life.world.github);
    slack.fail("chat.postMessage", Fault::LostAnswer, 2);
    slack.fail("chat.postMessage", Fault::TooMany(Some(1)), 1);
    slack.fail("chat.postMessage", Fault::NotOk("fatal_error"), 1);
    slack.fail("chat.update", Fault::NotOk("ratelimited"), 1);
    slack.fail("conversations.history", Fault::TooMany(Some(1)), 1);
    github.fail("POST", GheFault::LostAnswer, 1);
    github.fail("GET", GheFault::Limited(1), 1);
    resolved(life, 1).await;
}

/// told.md: an `ok: false` that no retry fixes ends its message, and no other: there is no page's message, and all the rest once.
/// The bot is not in the Service Endpoint team's channel.
pub(crate) const REFUSED: Story = Story {
    name: "Slack refuses one channel for good",
    scenario: || Scenario { elsewhere: true, ..base() },
    settings: &[("ESCALATION_MODE", "auto")],
    tell: |life| refused(life).boxed_local(),
    ends: &[PAGED],
    also: |world, _| {
        once_each(world, 0)?;
        // Tried once, looked for once where a blow fell between; a life that was struck may do so once more.
        match world.slack.refusals() {
            1..=4 => Ok(()),
            tries => Err(format!("it asked {tries} times in a channel that refuses it")),
        }
    },
    ..PLAIN
};

async fn refused(life: &Life) {
    life.world.slack.put_out(SERVICE_ENDPOINT);
    resolved(life, 0).await;
}

/// From the alert to its resolution, until all is told.
async fn resolved(life: &Life, of_page: usize) {
    auto(life).await;
    let pagerduty = &life.world.pagerduty;
    pagerduty.resolve(&life.world.alert, None);
    life.webhook(&pagerduty.webhook_body("incident.resolved", &life.world.alert)).await;
    let look = async || {
        // Whoever is dead is started again by being asked.
        life.runs(&life.world.alert).await?;
        let refused = of_page == 1 || life.world.slack.refusals() > 0;
        (refused && once_each(&life.world, of_page).is_ok()).then_some(())
    };
    until_or_say("all to be told", look, || format!("{:?}\n{}", once_each(&life.world, of_page), life.said())).await;
}

/// All is told, and nothing twice: so many messages of the page.
fn once_each(world: &World, of_page: usize) -> Result<(), String> {
    let thread = world.slack.messages_in(REGISTRY);
    let notes = world.pagerduty.notes_of(&world.alert);
    let ours = notes.iter().filter(|note| note.user_id == Setup::RESPONDER).count();
    let kinds: HashSet<&str> = thread.iter().map(|message| message.kind()).collect();
    let root = thread.iter().find(|message| message.kind() == "root").ok_or("there is no root message")?;
    let found =
        (thread.len(), kinds.len(), world.slack.messages_in(SERVICE_ENDPOINT).len(), world.github.issues().len());
    if found != (ours, ours, of_page, 1) {
        return Err(format!("(messages, kinds, of the page, issues) {found:?}, and {ours} notes: {thread:#?}"));
    }
    if !root.text.contains("prod-us-south: resolved")
        || thread.iter().any(|m| m != root && m.thread.as_ref() != Some(&root.ts))
    {
        return Err(format!("the thread is not whole: {thread:#?}"));
    }
    Ok(())
}
