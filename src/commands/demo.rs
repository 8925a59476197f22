//! `demo`: simulated upstreams, the real service in front of them, and the note.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::output::{aside, print};
use super::serve::{Service, stop_on_signal};
use super::watch::Watch;
use crate::backtest::{self, Arguments};
use crate::config::{BacktestConfig, Config, Environment};
use outbound::clock::Clock;
use outbound::http::http_client;
use runbook::run::{Run, State};
use runbook::span::{between, show_duration};
use runbook::text::closest;
use simulators::course::{self, Course, Stagehand};
use simulators::scenario::{SCENARIOS, Scenario};
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN, World};
use simulators::year::{SINCE, UNTIL, Year};

/// How often the run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest a scenario may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The scenario that is a whole year, and what it shows.
const YEAR: (&str, &str) = ("backtest", "a past year of sixty alerts, replayed as auto would have gone: the report");

/// Runs one scenario, or lists them all.
///
/// # Errors
/// There is no such scenario, something can't be started, or the run did not end with its note.
pub async fn demo(name: &str, exit: bool, clock: Clock) -> anyhow::Result<()> {
    if name == "list" {
        let width = SCENARIOS.iter().map(|s| s.name.len()).max().unwrap_or_default();
        for (name, about) in SCENARIOS.iter().map(|s| (s.name, s.about)).chain([YEAR]) {
            print(&format!("{name:width$}  {about}"))?;
        }
        return Ok(());
    }
    if name == YEAR.0 {
        return year(&clock).await;
    }
    let Some(scenario) = Scenario::named(name) else {
        let meant = closest(name, SCENARIOS.iter().map(|scenario| scenario.name));
        let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        return Err(crate::config::Problems(vec![format!(
            "--scenario: there is no scenario {name:?}{meant}; `demo --scenario list` names them all"
        )])
        .into());
    };
    let world = World::start(scenario, clock.clone()).await.context("starting the simulated upstreams")?;
    let self_check = ("SELF_CHECK_INTERVAL".to_owned(), "10s".to_owned());
    let config = Config::load(&Environment::of(world.settings().into_iter().chain([self_check])))?;
    let service = Service::prepare(config, clock.clone()).await?;
    let config = service.config();
    let page_of = |run_id: &str| config.run_url(run_id);
    let url = format!("http://{}", service.local_addr()?);
    // Its pings come back: that webhooks reach the service is proven.
    world.subscribe(&url);
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let serving = tokio::spawn(service.run(stop.clone()));

    aside(format_args!("Scenario {}: {}", scenario.name, scenario.about));
    if let Some(course) = course::of(scenario) {
        live(&world, course, &url, &clock, &page_of).await?;
        if exit {
            stop.cancel();
        } else {
            aside(format_args!("The service stays up; Ctrl-C ends it. Look around:"));
            aside(format_args!("  {url}/ in a browser, signed in with {OPERATOR_TOKEN}"));
        }
        return serving.await.context("the service died")?;
    }
    let run = watch(&world, &url, &clock, &page_of).await?;
    let notes = world.pagerduty.notes_of(&world.alert);
    for note in &notes {
        print(&format!("\n──── note on incident {} ────────────────────────────────────────", world.alert))?;
        print(note.content.trim_end())?;
    }
    for page in world.pagerduty.pages() {
        print(&format!("\n──── page {} on Cloud Service Endpoint ──────────────────────────", page.id))?;
        print(&format!("{}\n\n{}", page.title, page.body.as_deref().unwrap_or_default().trim_end()))?;
    }
    print("")?;
    if exit {
        stop.cancel();
    } else {
        aside(format_args!("The service stays up; Ctrl-C ends it. Look around:"));
        aside(format_args!(
            "  {page} in a browser; to act there, sign in with {OPERATOR_TOKEN}",
            page = page_of(&run.id)
        ));
        aside(format_args!("  curl -H 'Authorization: Bearer {VIEWER_TOKEN}' {url}/api/runs/{}", run.id));
        let body = format!("{{\"incident_id\":\"{}\"}}", world.alert);
        aside(format_args!("  curl -H 'Authorization: Bearer {OPERATOR_TOKEN}' -d '{body}' {url}/rerun"));
        aside(format_args!("  curl -H 'Authorization: Bearer {OPERATOR_TOKEN}' -d '{body}' {url}/escalate"));
    }
    serving.await.context("the service died")??;
    if run.state != State::Done || notes.is_empty() {
        bail!("the run ended {} without its note: {}", run.state, run.reason.unwrap_or_default());
    }
    Ok(())
}

/// Has a year pass, replays it, and prints the report.
async fn year(clock: &Clock) -> anyhow::Result<()> {
    aside(format_args!("Scenario {}: {}", YEAR.0, YEAR.1));
    let year = Year::begin().await.context("having the simulated year happen")?;
    let config = BacktestConfig::load(&Environment::of(year.settings()))?;
    let until: Timestamp = UNTIL.parse().context("the year's end")?;
    let since: Timestamp = SINCE.parse().context("the year's begin")?;
    let arguments = Arguments {
        since: between(since, until),
        until: Some(until),
        consoles: Some(year.path("consoles")),
        labels: Some(year.path("labels.csv")),
        json: false,
    };
    let watch = Watch::new();
    let done = backtest::run(&config, &arguments, &year.path("backtest.state"), clock, |line| watch.say(line)).await;
    watch.end();
    let done = done?;
    print(done.report.text(&done.notes).trim_end())?;
    let came = done.report.alerts.iter().map(|line| (line.incident_id.as_str(), line.outcome, line.truth));
    if !came.eq(year.expected.iter().map(|alert| (alert.incident_id.as_str(), alert.outcome, alert.truth))) {
        bail!("something else came of it than is expected");
    }
    done.forget()
}

/// Plays a course, and shows what happens as it happens.
async fn live(
    world: &World,
    course: Course,
    url: &str,
    clock: &Clock,
    page_of: &impl Fn(&str) -> String,
) -> anyhow::Result<()> {
    let began = clock.now();
    let tell = |words: &str| {
        let at = between(began, clock.now()).as_secs_f32();
        // Whoever reads has left, where this fails; the course goes on to its end all the same.
        let _ = print(&format!("{at:>6.1} s  {words}"));
    };
    aside(format_args!("  watch it in a browser: {url}/, signed in with {VIEWER_TOKEN}"));
    let mut hand = Stagehand::new(world, url, clock.clone(), tell).map_err(anyhow::Error::msg)?;
    course(&mut hand).await.map_err(anyhow::Error::msg)?;
    for run in hand.runs(&world.alert).await.map_err(anyhow::Error::msg)? {
        aside(format_args!("  run {}: {}, {}", run.id, run.state, page_of(&run.id)));
    }
    Ok(())
}

/// Sends the webhook and shows each step until the run has ended.
async fn watch(world: &World, url: &str, clock: &Clock, page_of: &impl Fn(&str) -> String) -> anyhow::Result<Run> {
    let watch = Watch::new();
    let began = clock.now();
    let (status, answer) = world.send(url, "incident.triggered").await.context("sending the webhook")?;
    if status != 202 {
        bail!("the webhook was answered {status}: {answer}");
    }
    let at = |time| format!("{:>6.1} s", between(began, time).as_secs_f32());
    watch.keep(&format!("{}  webhook signed, sent, answered {status} {answer}", at(clock.now())));
    let http = http_client()?;
    let get = async |path: String| -> anyhow::Result<serde_json::Value> {
        let answer = http.get(format!("{url}{path}")).bearer_auth(VIEWER_TOKEN).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    };
    let mut told: Vec<String> = Vec::new();
    let mut told_where = false;
    loop {
        let runs = get(format!("/api/runs?incident_id={}", world.alert)).await?;
        let id = runs["runs"][0]["id"].as_str().context("the webhook started no run")?.to_owned();
        if !told_where {
            told_where = true;
            watch.keep(&format!("          watch it in a browser: {}", page_of(&id)));
        }
        let run: Run = serde_json::from_value(get(format!("/api/runs/{id}")).await?)?;
        for step in &run.steps {
            let Some(ended) = step.finished_at else {
                watch.say(&step.name);
                continue;
            };
            let key = format!("{} {}", step.name, step.started_at);
            if !told.contains(&key) {
                let took = show_duration(between(step.started_at, ended));
                let trouble = step.error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
                watch.keep(&format!("{}  {} ({took}){trouble}", at(ended), step.name));
                told.push(key);
            }
        }
        if !run.state.is_active() {
            watch.keep(&format!("{}  {}", at(run.finished_at.unwrap_or(began)), run.state));
            watch.end();
            return Ok(run);
        }
        if between(began, clock.now()) > PATIENCE {
            watch.end();
            bail!("the run has not ended after {}", show_duration(PATIENCE));
        }
        clock.sleep(LOOK_EVERY).await;
    }
}
