//! Our webhook subscription: watched, turned on again, made.

use outbound::clock::SystemClock;
use simulators::pagerduty::{Endpoint, Fault, Setup, Subscription};
use simulators::world::World;

use crate::harness::{Answer, Stage, quick, settings_of, until};
use crate::process::{Process, run};

const URL: &str = "https://se.example.com/webhooks/pagerduty";
const PUBLIC: (&str, &str) = ("PUBLIC_URL", "https://se.example.com");

fn disabled() -> Subscription {
    Subscription {
        id: "PSUB1".into(),
        service_id: Setup::REGISTRY.into(),
        url: URL.into(),
        events: ["incident.triggered", "incident.reopened", "incident.resolved", "incident.annotated"]
            .map(str::to_owned)
            .to_vec(),
        active: true,
        temporarily_disabled: true,
        secret: "a secret".into(),
    }
}

/// What `/readyz` says.
async fn ready(stage: &Stage) -> String {
    let answer = Answer::of(stage.front.http.get(format!("{}/readyz", stage.front.url))).await;
    answer.is(200).body.as_str().expect("text").to_owned()
}

#[tokio::test]
async fn one_that_pagerduty_has_disabled_is_reported_prominently() {
    let mut stage = Stage::quick(&[PUBLIC]).await;
    stage.world.pagerduty.subscriptions(|all| all.push(disabled()));
    stage.restart(&[]).await;
    until("it to be said", async || ready(&stage).await.contains("PSUB1 is temporarily disabled").then_some(())).await;
    assert!(stage.world.pagerduty.subscriptions(|all| all[0].temporarily_disabled), "nobody may turn it on unasked");
    assert!(ready(&stage).await.starts_with("ready\n"), "it works all the same: what isn't sent is looked for");
}

/// In a process of its own, whose log and metrics nobody else has a part in.
#[tokio::test]
async fn one_that_pagerduty_has_disabled_is_in_the_log_once_and_in_the_metrics() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    world.pagerduty.subscriptions(|all| all.push(disabled()));
    let process = Process::serve(&settings_of(&world, &[PUBLIC])).await;
    let metrics = async || process.front.get_as("", "/metrics").await.is(200).body.as_str().map(str::to_owned);
    let trouble = "se_responder_webhook_subscription_trouble 1";
    until("the metric", async || metrics().await?.lines().any(|line| line == trouble).then_some(())).await;
    let said = process.said();
    assert_eq!(said.matches("OUR WEBHOOK SUBSCRIPTION").count(), 1, "{said}");
}

#[tokio::test]
async fn it_is_turned_on_again_where_that_is_wished() {
    let mut stage = Stage::quick(&[PUBLIC]).await;
    stage.world.pagerduty.subscriptions(|all| all.push(disabled()));
    stage.restart(&[("WEBHOOK_REENABLE", "true")]).await;
    until("it to be on", async || {
        stage.world.pagerduty.subscriptions(|all| !all[0].temporarily_disabled).then_some(())
    })
    .await;
    until("all to be well", async || (ready(&stage).await == "ready\n").then_some(())).await;
}

#[tokio::test]
async fn a_token_that_may_not_see_it_changes_nothing() {
    let mut stage = Stage::quick(&[PUBLIC]).await;
    stage.world.pagerduty.subscriptions(|all| all.push(disabled()));
    stage.world.pagerduty.fail(Endpoint::Subscriptions, Fault::Status(403), 99);
    stage.restart(&[("WEBHOOK_REENABLE", "true")]).await;
    let asked = |stage: &Stage| stage.world.pagerduty.requests().iter().any(|r| r.path == "/webhook_subscriptions");
    until("it to be asked for", async || asked(&stage).then_some(())).await;
    assert_eq!(stage.diagnosed().await["state"], "done");
    assert_eq!(ready(&stage).await, "ready\n");
}

#[tokio::test]
async fn subscribe_makes_one_and_prints_its_secret_once() {
    let stage = Stage::quick(&[]).await;
    let only = ["PAGERDUTY_API_URL", "PAGERDUTY_API_TOKEN", "PAGERDUTY_FROM"];
    let mut settings = settings_of(&stage.world, &[]);
    settings.retain(|(name, _)| only.contains(&name.as_str()));
    let arguments = ["subscribe", "--service", Setup::REGISTRY, "--url", URL];
    let made = run(&arguments, &settings, "").await;
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), "secret-of-1\n"), "{}", made.stderr);
    stage.world.pagerduty.subscriptions(|all| {
        assert_eq!((all.len(), all[0].url.as_str(), all[0].service_id.as_str()), (1, URL, Setup::REGISTRY));
        assert_eq!(all[0].events.len(), 4);
    });
    let again = run(&arguments, &settings, "").await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""));
    assert!(again.stderr.contains("delivers to") && !again.stderr.contains("secret-of"), "{}", again.stderr);
    let nowhere = run(&["subscribe", "--service", "PNOBODY", "--url", URL], &settings, "").await;
    assert_eq!(nowhere.code, Some(1));
    let plain =
        run(&["subscribe", "--service", Setup::REGISTRY, "--url", "http://se.example.com/x"], &settings, "").await;
    assert_eq!(plain.code, Some(2), "{}", plain.stderr);
    // On this machine there may be a stand-in that delivers without TLS: then it is PagerDuty's to refuse.
    let loopback = "http://127.0.0.1:8080/webhooks/pagerduty";
    let local = run(&["subscribe", "--service", Setup::REGISTRY, "--url", loopback], &settings, "").await;
    assert_eq!((local.code, local.stderr.contains("400 Bad Request")), (Some(1), true), "{}", local.stderr);
    // Without --url to WEBHOOK_URL, else to PUBLIC_URL's, else to where it listens, which PagerDuty takes of nobody.
    let short = ["subscribe", "--service", Setup::REGISTRY];
    for (name, value, made_for) in [
        ("WEBHOOK_URL", "https://hooks.example.com/of/pagerduty", "https://hooks.example.com/of/pagerduty"),
        ("PUBLIC_URL", "https://public.example.com/", "https://public.example.com/webhooks/pagerduty"),
    ] {
        let with = [settings.clone(), vec![(name.to_owned(), value.to_owned())]].concat();
        let made = run(&short, &with, "").await;
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let url = stage.world.pagerduty.subscriptions(|all| all.pop().expect("a subscription").url);
        assert_eq!(url, made_for);
    }
    let here = run(&short, &settings, "").await;
    assert_eq!((here.code, here.stderr.contains("400 Bad Request")), (Some(1), true), "{}", here.stderr);
    let anywhere = [settings.clone(), vec![("LISTEN_ADDR".to_owned(), "0.0.0.0:8080".to_owned())]].concat();
    let anywhere = run(&short, &anywhere, "").await;
    assert_eq!((anywhere.code, anywhere.stderr.contains("0.0.0.0:8080")), (Some(2), true), "{}", anywhere.stderr);
    let unset = run(&arguments, &[], "").await;
    assert_eq!(unset.code, Some(2));
    for name in ["PAGERDUTY_API_TOKEN", "PAGERDUTY_FROM"] {
        assert!(unset.stderr.contains(name), "{}", unset.stderr);
    }
    assert_eq!(stage.world.pagerduty.subscriptions(|all| all.len()), 1);
}
