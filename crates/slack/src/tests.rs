use std::time::Duration;

use outbound::clock::SystemClock;
use outbound::error::Kind;
use outbound::permit::Permit;
use outbound::secret::Secret;
use simulators::slack::{self as simulated, Fault};

use super::*;

const MARK: Mark<'static> = Mark { alert: "Q1", kind: "root" };

/// Now: what is posted in these tests is newer than that, but for the week that clocks may differ.
fn since() -> Timestamp {
    SystemClock::shared().now()
}

async fn both() -> (simulated::Slack, Slack) {
    let server = simulated::Slack::start(simulated::Setup::default()).await.unwrap();
    let client = client(&server, &server.token(), &server.channel());
    (server, client)
}

fn client(server: &simulated::Slack, token: &str, channel: &str) -> Slack {
    let settings = SlackSettings {
        api_url: server.api_url().parse().unwrap(),
        token: Secret::from(token),
        token_name: "SLACK_REGISTRY_TOKEN",
        channel: channel.to_owned(),
        channel_name: "SLACK_REGISTRY_CHANNEL",
    };
    Slack::new(settings, "Slack", SystemClock::shared()).unwrap()
}

fn permit() -> Permit {
    Permit::needless("a test")
}

#[tokio::test]
async fn a_message_is_posted_replied_to_edited_and_found_by_its_mark() {
    let (server, slack) = both().await;
    assert_eq!(slack.find(MARK, None, since()).await.unwrap(), None);
    let ts = slack.post(&permit(), MARK, "a &amp; b", None).await.unwrap();
    let reply = Mark { kind: "note:r1", ..MARK };
    let replied = slack.post(&permit(), reply, "more", Some(&ts)).await.unwrap();
    slack.update(&permit(), MARK, "the last", &ts).await.unwrap();
    assert_eq!(slack.find(MARK, None, since()).await.unwrap().as_deref(), Some(&*ts));
    assert_eq!(slack.find(reply, Some(&ts), since()).await.unwrap().as_deref(), Some(&*replied));
    assert_eq!(slack.find(reply, None, since()).await.unwrap(), None, "a reply is not in the channel's history");
    assert_eq!(slack.find(Mark { alert: "Q2", ..MARK }, None, since()).await.unwrap(), None);
    let messages = server.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].text.as_str(), messages[0].thread.as_deref()), ("the last", None));
    assert_eq!((messages[1].text.as_str(), messages[1].thread.as_deref()), ("more", Some(&*ts)));
    slack.identity().await.unwrap();
    slack.read_channel().await.unwrap();
}

#[tokio::test]
async fn a_message_is_found_behind_many_others() {
    let (server, slack) = both().await;
    let ts = slack.post(&permit(), MARK, "first", None).await.unwrap();
    server.chatter(450);
    assert_eq!(slack.find(MARK, None, since()).await.unwrap().as_deref(), Some(&*ts));
    server.chatter(6000);
    let error = slack.find(MARK, None, since()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Malformed, "it is not known: {error}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_not_known_and_a_429_waits_for_all() {
    let (server, slack) = both().await;
    server.fail("chat.postMessage", Fault::LostAnswer, 1);
    let error = slack.post(&permit(), MARK, "a", None).await.unwrap_err();
    assert_eq!(error.kind, Kind::Ambiguous, "{error}");
    assert!(slack.find(MARK, None, since()).await.unwrap().is_some());
    for (fault, kind) in [
        (Fault::Status(503), Kind::Ambiguous),
        (Fault::NotOk("internal_error"), Kind::Ambiguous),
        (Fault::NotOk("is_archived"), Kind::Refused(reqwest::StatusCode::OK)),
        (Fault::Garbage, Kind::Ambiguous),
    ] {
        server.fail("chat.postMessage", fault, 1);
        let error = slack.post(&permit(), MARK, "a", None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?} {error}");
    }
    server.fail("chat.update", Fault::TooMany(Some(17)), 1);
    let error = slack.update(&permit(), MARK, "a", "1.1").await.unwrap_err();
    assert_eq!(error.kind, Kind::Later(Some(Duration::from_secs(17))), "{error}");
    let before = server.requests();
    let error = slack.clone().identity().await.unwrap_err();
    assert!(matches!(error.kind, Kind::Later(Some(_))), "{error}");
    assert_eq!(server.requests(), before, "nothing is asked before then");
}

#[tokio::test]
async fn each_refusal_says_what_to_do_and_no_token() {
    let (server, slack) = both().await;
    let other = client(&server, "xoxb-wrong-token", &server.channel());
    let error = other.identity().await.unwrap_err();
    assert!(error.to_string().contains("Bot User OAuth Token") && !error.to_string().contains("xoxb-wrong"), "{error}");
    let elsewhere = client(&server, &server.token(), "C0NOWHERE");
    let error = elsewhere.read_channel().await.unwrap_err();
    assert!(error.to_string().contains("channel's id"), "{error}");
    for error in ["not_in_channel", "missing_scope", "channel_not_found", "is_archived", "invalid_auth"] {
        server.fail("chat.postMessage", Fault::NotOk(error), 1);
        let got = slack.post(&permit(), MARK, "a", None).await.unwrap_err();
        assert!(got.advice.is_some() && got.to_string().contains(error), "{got}");
    }
}

#[test]
fn what_no_retry_mends_is_told_from_what_passes() {
    let refused = Kind::Refused(reqwest::StatusCode::OK);
    for error in
        ["invalid_auth", "not_in_channel", "channel_not_found", "is_archived", "account_inactive", "msg_too_long"]
    {
        assert_eq!(error_kind(error), refused, "{error}");
    }
    assert_eq!(error_kind("ratelimited"), Kind::Later(None));
    assert_eq!(error_kind("fatal_error"), Kind::Ambiguous);
}
