//! Whether PagerDuty's webhooks reach us: with each self-check PagerDuty is asked to ping each of our webhook subscriptions,
//! and as many new pings have to come back, signed. What that came to, and what to do about it.

use std::time::Duration;

use strum::{EnumMessage, VariantArray, VariantNames};

use crate::span::show_duration;

/// The event that PagerDuty sends when it is asked to ping a subscription.
pub const PING: &str = "pagey.ping";
/// How long the pings may be on their way.
pub const WITHIN: Duration = Duration::from_secs(60);

crate::words! { Outcome: "outcome of a proof of the way in"; }

/// What a proof came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Each ping came back, signed.
    Proven,
    /// PagerDuty was asked for each, and one at least did not come.
    Failed,
    /// PagerDuty could not be asked for each, and one at least did not come.
    NotAsked,
    /// The token may not ask for it.
    NotAllowed,
    /// No subscription delivers to us.
    NoSubscription,
}

impl Outcome {
    /// Whether the way in is proven; `None` where nothing could be proved: there is no subscription, or the token may not ask.
    pub fn is_proven(self) -> Option<bool> {
        match self {
            Self::Proven => Some(true),
            Self::Failed | Self::NotAsked => Some(false),
            Self::NotAllowed | Self::NoSubscription => None,
        }
    }
}

/// One of our subscriptions, and what PagerDuty said when it was asked to ping it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinged {
    /// The subscription's id.
    pub id: String,
    /// Whether PagerDuty has disabled it for a while, since three webhooks in a row were refused.
    pub is_disabled: bool,
    /// Whether somebody has turned it off.
    pub is_off: bool,
    /// What was answered.
    pub answer: Answer,
}

/// What PagerDuty answers to a wish for a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It sends one.
    Sent,
    /// The subscription is gone meanwhile.
    Gone,
    /// The token may not ask: what was answered.
    NotAllowed(String),
    /// It could not be asked, or was asked and perhaps does not send one: what was answered.
    Unknown(String),
}

/// What came of a proof, with what people should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What it came to.
    pub outcome: Outcome,
    /// What was found, in words.
    pub detail: String,
    /// How to fix it; empty where nothing is to be fixed.
    pub fix: String,
}

impl Proof {
    /// Subscriptions could not be listed: what was answered, and whether that is since the token may not.
    pub fn without_list(why: &str, not_allowed: bool) -> Self {
        let detail = format!("whether webhooks reach this service is not known: {why}");
        match not_allowed {
            true => Self { outcome: Outcome::NotAllowed, detail, fix: KEY.to_owned() },
            false => Self { outcome: Outcome::NotAsked, detail, fix: AGAIN.to_owned() },
        }
    }

    /// Of what PagerDuty answered for each subscription that delivers to `url`, and of what came back: `came` new pings that
    /// were signed as they should be, and `refused` webhooks that were not, as far as the process that looked has seen.
    pub fn of(url: &str, pinged: &[Pinged], came: usize, refused: u64) -> Self {
        let there: Vec<&Pinged> = pinged.iter().filter(|one| one.answer != Answer::Gone).collect();
        if there.is_empty() {
            return Self {
                outcome: Outcome::NoSubscription,
                detail: format!(
                    "no webhook subscription of PagerDuty delivers to {url}, as far as this token shows: nothing tells this \
                     service of alerts"
                ),
                fix: "make one with `se-responder subscribe`, or set WEBHOOK_URL to the address that it has".to_owned(),
            };
        }
        let answered = |wanted: fn(&Answer) -> Option<&str>| {
            there.iter().find_map(|one| wanted(&one.answer).map(|why| (one.id.as_str(), why)))
        };
        let not_allowed = answered(|answer| match answer {
            Answer::NotAllowed(why) => Some(why),
            _ => None,
        });
        if let Some((id, why)) = not_allowed {
            let detail =
                format!("PAGERDUTY_API_TOKEN may not have PagerDuty ping the webhook subscription {id}: {why}");
            return Self { outcome: Outcome::NotAllowed, detail, fix: KEY.to_owned() };
        }
        let ids = there.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ");
        if came >= there.len() {
            let (pings, of) = match there.len() {
                1 => ("the ping".to_owned(), "the webhook subscription"),
                all => (format!("all {all} pings"), "the webhook subscriptions"),
            };
            let detail = format!("{pings} that PagerDuty was asked for came back signed, by {of} {ids}");
            return Self { outcome: Outcome::Proven, detail, fix: String::new() };
        }
        let unknown = answered(|answer| match answer {
            Answer::Unknown(why) => Some(why),
            _ => None,
        });
        if let Some((id, why)) = unknown {
            let detail = format!("PagerDuty did not take the request to ping the webhook subscription {id}: {why}");
            return Self { outcome: Outcome::NotAsked, detail, fix: AGAIN.to_owned() };
        }
        let (all, within) = (there.len(), show_duration(WITHIN));
        let seen = match refused {
            0 => String::new(),
            1 => "; 1 webhook came meanwhile whose signature is wrong".to_owned(),
            refused => format!("; {refused} webhooks came meanwhile whose signatures are wrong"),
        };
        let detail = format!(
            "{came} of {all} pings that PagerDuty was asked to send to {url} ({ids}) came back signed within {within}{seen}: \
             alerts are found late, by asking"
        );
        Self { outcome: Outcome::Failed, detail, fix: fixes(&there, refused > 0).join("; ") }
    }
}

const KEY: &str = "set PAGERDUTY_API_TOKEN to a key that is not read-only and may see webhook subscriptions";
const AGAIN: &str = "nothing where PagerDuty is unreachable: it is asked again with the next self-check";

/// What to look at, the most likely first. Of a subscription that is off nothing comes, whatever else is wrong; what comes and is
/// refused has found its way.
fn fixes(there: &[&Pinged], is_refused: bool) -> Vec<String> {
    let ids = |is: fn(&Pinged) -> bool| {
        let ids: Vec<&str> = there.iter().filter(|one| is(one)).map(|one| one.id.as_str()).collect();
        (!ids.is_empty()).then(|| ids.join(", "))
    };
    let secret = "put the subscription's secret into PAGERDUTY_WEBHOOK_SECRETS";
    let proxy = "a proxy in front must pass the body on byte by byte";
    let way = "WEBHOOK_URL must lead from the internet to this service (DNS, TLS certificate, firewall, proxy)";
    let mut fixes = Vec::new();
    if let Some(ids) = ids(|one| one.is_disabled) {
        fixes.push(format!(
            "PagerDuty has disabled {ids} since three webhooks in a row were refused: fix the cause, then turn it on in \
             PagerDuty or set WEBHOOK_REENABLE=true"
        ));
    }
    if let Some(ids) = ids(|one| one.is_off && !one.is_disabled) {
        fixes.push(format!("{ids} is turned off: turn it on in PagerDuty, or delete it where another has its place"));
    }
    let more: &[&str] = if is_refused { &[secret, proxy] } else { &[way, secret, proxy] };
    fixes.extend(more.iter().map(|fix| (*fix).to_owned()));
    fixes
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://se.example.com/webhooks/pagerduty";

    fn pinged(id: &str, answer: Answer) -> Pinged {
        Pinged { id: id.to_owned(), is_disabled: false, is_off: false, answer }
    }

    fn of(answers: &[Answer], came: usize) -> Proof {
        let all: Vec<Pinged> =
            answers.iter().enumerate().map(|(n, answer)| pinged(&format!("PSUB{n}"), answer.clone())).collect();
        Proof::of(URL, &all, came, 0)
    }

    #[test]
    fn it_is_proven_when_each_came_and_not_known_where_nobody_could_be_asked() {
        use Answer::{Gone, NotAllowed, Sent, Unknown};
        let (no, lost) = (NotAllowed("403 Forbidden".into()), Unknown("no answer in time".into()));
        for (answers, came, outcome, proven) in [
            (vec![Sent], 1, Outcome::Proven, Some(true)),
            (vec![Sent], 2, Outcome::Proven, Some(true)),
            (vec![Sent, Sent], 2, Outcome::Proven, Some(true)),
            (vec![Sent, Sent], 1, Outcome::Failed, Some(false)),
            (vec![Sent], 0, Outcome::Failed, Some(false)),
            // One that is gone meanwhile is none of ours any more.
            (vec![Sent, Gone], 1, Outcome::Proven, Some(true)),
            (vec![Gone], 0, Outcome::NoSubscription, None),
            (vec![], 0, Outcome::NoSubscription, None),
            (vec![no.clone()], 0, Outcome::NotAllowed, None),
            (vec![Sent, no.clone()], 1, Outcome::NotAllowed, None),
            (vec![lost.clone(), no], 0, Outcome::NotAllowed, None),
            // An answer that is lost does not say that nothing was sent.
            (vec![lost.clone()], 1, Outcome::Proven, Some(true)),
            (vec![lost.clone()], 0, Outcome::NotAsked, Some(false)),
            (vec![Sent, lost], 1, Outcome::NotAsked, Some(false)),
        ] {
            let proof = of(&answers, came);
            assert_eq!((proof.outcome, proof.outcome.is_proven()), (outcome, proven), "{answers:?} {came}: {proof:?}");
            assert_eq!(proof.fix.is_empty(), outcome == Outcome::Proven, "{proof:?}");
        }
        assert_eq!(Proof::without_list("403", true).outcome, Outcome::NotAllowed);
        assert_eq!(Proof::without_list("no answer", false).outcome, Outcome::NotAsked);
    }

    #[test]
    fn the_fix_begins_with_what_is_known() {
        let fix = |is_disabled, is_off, refused| {
            let one = Pinged { is_disabled, is_off, ..pinged("PSUB", Answer::Sent) };
            Proof::of(URL, &[one], 0, refused).fix
        };
        assert!(fix(false, false, 0).starts_with("WEBHOOK_URL must lead from the internet"));
        assert!(fix(true, false, 0).starts_with("PagerDuty has disabled PSUB"));
        assert!(fix(false, true, 0).starts_with("PSUB is turned off"));
        let refused = fix(false, false, 2);
        assert!(refused.starts_with("put the subscription's secret into PAGERDUTY_WEBHOOK_SECRETS"), "{refused}");
        assert!(
            refused.contains("byte by byte") && !refused.contains("WEBHOOK_URL"),
            "it has found its way: {refused}"
        );
    }

    #[test]
    fn what_was_found_is_said_in_numbers() {
        let two = [pinged("PA", Answer::Sent), pinged("PB", Answer::Sent)];
        assert_eq!(
            Proof::of(URL, &two, 2, 0).detail,
            "all 2 pings that PagerDuty was asked for came back signed, by the webhook subscriptions PA, PB"
        );
        assert_eq!(
            Proof::of(URL, &two, 1, 1).detail,
            "1 of 2 pings that PagerDuty was asked to send to https://se.example.com/webhooks/pagerduty (PA, PB) came back \
             signed within 1 min; 1 webhook came meanwhile whose signature is wrong: alerts are found late, by asking"
        );
    }
}
