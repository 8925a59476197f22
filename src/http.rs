//! Station 1: HTTP. Who may say what, and in which form; no business rule lives here.

mod actions;
mod answers;
mod auth;
mod bodies;
mod compress;
mod lately;
mod limits;
mod live;
mod openapi;
mod problem;
mod proxied;
mod runs;
mod server;
mod session;
mod timeline;
mod tokens;
mod trace;
mod views;
mod webhook;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::chronicle::Chronicle;
use crate::config::Config;
use crate::doctor::Health;
use crate::inbox::orders::Orders;
use crate::inbox::subscription::Watched;
use crate::inbox::way_in::Refusals;
use outbound::clock::Clock;
use pagerduty::PagerDuty;
use runbook::run::Run;
use store::{Filter, Proved, Store, StoreError, UnreadableRun};

use lately::Lately;

pub use limits::Limits;
pub use problem::{Problem, ProblemDetails};
pub use server::serve;
pub use tokens::Tokens;

/// What requests are answered with.
#[derive(Clone, Debug)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// What is on disk.
    pub store: Store,
    /// Who may read, and who may act.
    pub tokens: Tokens,
    /// PagerDuty, for what operators ask of an incident.
    pub pagerduty: PagerDuty,
    /// The clock.
    pub clock: Clock,
    /// What is wrong with our webhook subscription, for `/readyz`.
    pub subscription: Watched,
    /// What the last self-check found.
    pub health: Health,
    /// Webhooks that were refused for their signature.
    pub refusals: Refusals,
    /// How long requests and streams may take.
    pub limits: Limits,
    /// Cancelled when the service stops: what streams ends then.
    stop: CancellationToken,
    /// What `/readyz` and `/metrics` look up in the database.
    readiness: Lately<Result<String, String>>,
    scrape: Lately<Result<Bytes, Problem>>,
    /// Places for streams.
    streams: Arc<Semaphore>,
    /// What streams of all runs look at.
    newest: Arc<live::any::Newest>,
    /// Places for sign-ins that are being slowed down.
    sign_ins: Arc<Semaphore>,
}

impl App {
    /// Where what people ask of an alert is brought.
    pub(crate) fn orders(&self) -> Orders<'_> {
        Orders { config: &self.config, store: &self.store, pagerduty: &self.pagerduty }
    }

    /// Who tells what happened to an alert.
    pub(crate) fn chronicle(&self) -> Chronicle<'_> {
        Chronicle { config: &self.config, store: &self.store, pagerduty: &self.pagerduty, clock: &self.clock }
    }

    /// A run as people are shown it, with its steps.
    pub(crate) async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        Ok(self.store.run(id).await?.map(|run| run.earlier(self.clock.ahead())))
    }

    /// Runs as people are shown them, newest first, without their steps.
    pub(crate) async fn runs(&self, filter: &Filter) -> Result<Vec<Run>, StoreError> {
        let ahead = self.clock.ahead();
        Ok(self.store.runs(filter).await?.into_iter().map(|run| run.earlier(ahead)).collect())
    }

    /// The newest runs and those that go on, as people are shown them, newest first, without their steps.
    pub(crate) async fn newest_and_active(&self, limit: i64) -> Result<Vec<Result<Run, UnreadableRun>>, StoreError> {
        let ahead = self.clock.ahead();
        let listed = self.store.newest_and_active(limit).await?;
        Ok(listed.into_iter().map(|run| run.map(|run| run.earlier(ahead))).collect())
    }

    /// Runs as people are shown them, newest first, without their steps; with those of which nothing can be shown.
    pub(crate) async fn list_runs(&self, filter: &Filter) -> Result<Vec<Result<Run, UnreadableRun>>, StoreError> {
        let ahead = self.clock.ahead();
        Ok(self.store.list_runs(filter).await?.into_iter().map(|run| run.map(|run| run.earlier(ahead))).collect())
    }

    /// The same, with what was done about their alerts.
    pub(crate) async fn list_runs_with_activity(
        &self,
        filter: &Filter,
    ) -> Result<Vec<Result<Run, UnreadableRun>>, StoreError> {
        let ahead = self.clock.ahead();
        let mut listed = self.store.list_runs(filter).await?;
        // Before their times are moved: what was done goes by service time.
        let mut runs: Vec<Run> = listed.iter().flatten().cloned().collect();
        self.store.fill_activity(&mut runs).await?;
        for (shown, run) in listed.iter_mut().flatten().zip(runs) {
            *shown = run.earlier(ahead);
        }
        Ok(listed)
    }

    /// What requests are answered with.
    pub fn new(config: Arc<Config>, store: Store, pagerduty: PagerDuty, clock: Clock) -> Self {
        let tokens = Tokens::new(config.operator_tokens.clone(), config.viewer_tokens.clone());
        let (streams, sign_ins) = (Semaphore::new(live::MOST_STREAMS), Semaphore::new(views::MOST_SIGN_INS));
        let (streams, sign_ins) = (Arc::new(streams), Arc::new(sign_ins));
        let subscription = Watched::default();
        Self {
            config,
            store,
            tokens,
            pagerduty,
            clock,
            subscription,
            health: Health::default(),
            refusals: Refusals::default(),
            limits: Limits::default(),
            stop: CancellationToken::new(),
            readiness: Lately::default(),
            scrape: Lately::default(),
            streams,
            newest: Arc::default(),
            sign_ins,
        }
    }

    /// The same within other limits.
    #[must_use]
    pub fn limited_to(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same, ending its streams when `stop` is cancelled: a stream has no end of its own that a stop could wait
    /// for.
    #[must_use]
    pub fn stopped_by(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }
}

/// What is answered where there is no route.
const NOTHING_HERE: &str = "there is nothing at this address";
/// Who asks whether we are ready rarely waits longer.
const READY_TIME: Duration = Duration::from_millis(2500);

/// What programs ask; each route is where its handler's description says.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(webhook::receive))
        .routes(routes!(actions::rerun))
        .routes(routes!(actions::escalate))
        .routes(routes!(runs::list))
        .routes(routes!(runs::one))
        .routes(routes!(timeline::one))
        .routes(routes!(live::events))
        .routes(routes!(live::any::all))
        .routes(routes!(alive))
        .routes(routes!(openapi::document))
        .routes(routes!(ready))
        .routes(routes!(metrics))
}

/// The service's endpoints.
pub fn router(app: App) -> Router {
    let ours = session::of_our_origin(&app.config);
    Router::from(api())
        .merge(Router::from(views::routes()).layer(ours.clone()))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, NOTHING_HERE) })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address doesn't take this method")
        })
        .layer(from_fn_with_state(app.clone(), bodies::whole))
        .layer(from_fn_with_state(ours, proxied::of_our_origin))
        .layer(from_fn(views::dress))
        .layer(compress::layer())
        .layer(from_fn(compress::asked))
        .layer(from_fn_with_state(app.clone(), proxied::recognize))
        .layer(trace::within())
        .layer(from_fn_with_state(app.clone(), trace::named))
        .with_state(app)
}

/// Whether the process is up.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "operations", responses(
    (status = 200, description = "It is", body = String, content_type = "text/plain"),
))]
async fn alive() -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], "ok\n").into_response()
}

/// Whether the database is reachable.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "operations", responses(
    (status = 200, description = "It is", body = String, content_type = "text/plain"),
    (status = 503, response = answers::Unavailable),
))]
async fn ready(State(app): State<App>) -> Response {
    match app.readiness.get(is_ready(&app)).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain")], text).into_response(),
        Err(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}")).into_response(),
    }
}

/// What else is wrong though we are ready; or why we are not.
async fn is_ready(app: &App) -> Result<String, String> {
    let answered = tokio::time::timeout(READY_TIME, app.store.ping()).await;
    match answered.unwrap_or(Err(StoreError::Slow)) {
        // The database alone decides; what PagerDuty doesn't send is looked for all the same.
        Ok(()) => {
            let mut trouble =
                app.subscription.trouble().map(|t| format!("webhook subscription: {t}\n")).unwrap_or_default();
            let canary = tokio::time::timeout(READY_TIME, app.store.canary()).await.ok().and_then(Result::ok).flatten();
            let canary = canary.and_then(|canary| canary.outcome).filter(|outcome| outcome.is_trouble());
            let canary = canary
                .map(|outcome| {
                    format!("canary reading: {outcome}; the log says why, /metrics when the last was good\n")
                })
                .unwrap_or_default();
            // Anybody may ask: which checks failed, and nothing of what they found.
            let seen = app.health.last();
            let failed: BTreeSet<(&str, &str)> =
                seen.iter().flat_map(|s| s.report.failed()).map(|c| (c.system.as_str(), c.name)).collect();
            for (system, name) in failed {
                trouble.push_str(&format!("self-check: {system} {name} failed\n"));
            }
            Ok(format!("ready\n{trouble}{canary}"))
        }
        // Asked every few seconds, by whoever wants to know: what is wrong is logged where it was met.
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "not ready");
            Err(error.to_string())
        }
    }
}

/// Whether the last proof shows that webhooks to our address reach us; `None` where that is not known, or never looked at.
fn is_ingest_proven(config: &Config, last: Option<&Proved>) -> Option<bool> {
    config.self_check_interval?;
    last.filter(|last| last.url == config.webhook_url())?.proof.outcome.is_proven()
}

/// What is counted and measured, as Prometheus' text: docs/metrics.md.
///
/// What waits is counted again at each scrape; where that can't be, a scrape that fails says so best.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations", responses(
    (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
    (status = 503, response = answers::Unavailable),
))]
async fn metrics(State(app): State<App>) -> Response {
    let scrape = async {
        let waiting = app.store.waiting().await?;
        let proven = is_ingest_proven(&app.config, waiting.way_in.as_ref());
        Ok(Bytes::from(crate::metrics::render(&waiting, proven)))
    };
    match app.scrape.get(scrape).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(problem) => problem.into_response(),
    }
}
