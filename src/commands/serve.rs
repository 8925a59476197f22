//! `serve`: the service itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::backtest::earned;
use crate::config::Config;
use crate::http::{App, Limits, router};
use crate::inbox::reconcile::Reconciler;
use crate::inbox::subscription;
use crate::inbox::way_in::Prover;
use crate::run::context::Context;
use crate::run::watcher::Watcher;
use crate::run::{alone, canary, early_words, worker};
use outbound::clock::Clock;
use store::{Keep, Store, patiently, retention, watch_health};

/// A service that is ready: its database is open and its address bound, but nothing is answered yet.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    app: App,
    context: Context,
    grace: Duration,
    /// How long PagerDuty's pings may be on their way; `None`: as long as promised.
    pings_within: Option<Duration>,
}

impl Service {
    /// Opens the database, and only then binds the address: until the service is ready it refuses connections, since
    /// an early 404 would count against the webhook subscription.
    ///
    /// # Errors
    /// What could not be opened or bound, and why.
    pub async fn prepare(config: Config, clock: Clock) -> anyhow::Result<Self> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(warning) = earned::warning(&config, clock.now()) {
            tracing::warn!("{warning}");
        }
        crate::metrics::install()?;
        let grace = config.shutdown_grace;
        let addr = config.listen_addr;
        let store = Store::open(&config.database_url.reveal()?, clock.clone()).await?;
        patiently(|| store.in_time(store.set_time())).await?;
        let key = patiently(|| store.in_time(store.key("links"))).await?;
        let listener = TcpListener::bind(addr)
            .await
            .with_context(|| format!("listening on LISTEN_ADDR {addr} failed: does another process use it?"))?;
        // Port 0 is any free one; links need the one that it became.
        let config = Arc::new(config.listening_on(listener.local_addr()?).signing_by(key));
        let context = Context::new(config.clone(), store.clone(), clock.clone())?;
        let limits = Limits::default().within_the_file_limit();
        let app = App::new(config, store, context.pagerduty.clone(), clock).limited_to(limits);
        Ok(Self { listener, app, context, grace, pings_within: None })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The same service with other limits for its connections.
    #[must_use]
    pub fn limited_to(self, limits: Limits) -> Self {
        Self { app: self.app.limited_to(limits), ..self }
    }

    /// The same service, which waits so long for the pings that prove the way in.
    #[must_use]
    pub fn waiting_for_pings(self, within: Duration) -> Self {
        Self { pings_within: Some(within), ..self }
    }

    /// Its settings, as it uses them.
    pub fn config(&self) -> Arc<Config> {
        self.app.config.clone()
    }

    /// The store, for `demo` and the tests to look into.
    pub fn store(&self) -> &Store {
        &self.app.store
    }

    /// Answers and works until `stop`, then ends within `SHUTDOWN_GRACE`.
    ///
    /// # Errors
    /// A part of it died.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, app, context, grace, pings_within } = self;
        tracing::info!(addr = %listener.local_addr()?, runs = app.config.page_url("…"), "listening");
        let (store, over) = (context.store.clone(), stop.clone());
        let keep = Keep { runs: context.config.retention, evidence: context.config.evidence_retention };
        let witness = context.pagerduty.clone();
        let subscription = subscription::watch(context.clone(), app.subscription.clone(), stop.clone());
        let early_words = early_words::watch(context.clone(), stop.clone());
        let self_check = crate::doctor::watch(context.clone(), app.health.clone(), stop.clone());
        let keeper = tokio::spawn(async move {
            tokio::join!(
                retention(store.clone(), keep, move || witness.time(), over.clone()),
                watch_health(store, over),
                subscription,
                self_check,
                early_words
            );
        });
        let (kept, refusals) = (context.store.clone(), app.refusals.clone());
        let (limits, proxies) = (app.limits, app.config.trusted_proxies.clone());
        let router = router(app.stopped_by(stop.clone()));
        let server = tokio::spawn(crate::http::serve(listener, router, limits, proxies, stop.clone()));
        let store = context.store.clone();
        let mut watchers = watchers(&context.config);
        if let Some(prover) = Prover::new(&context.config, refusals, pings_within) {
            watchers.push(Arc::new(prover));
        }
        let worker = tokio::spawn(worker::work(context, watchers, stop.clone()));
        let all = async {
            let (server, worker, keeper) = tokio::join!(
                // Whichever ends first takes the other down: half a service is none.
                async {
                    let _guard = stop.clone().drop_guard();
                    server.await
                },
                async {
                    let _guard = stop.clone().drop_guard();
                    worker.await
                },
                async {
                    let _guard = stop.clone().drop_guard();
                    keeper.await
                },
            );
            server.context("the server died")?.context("the server failed")?;
            keeper.context(
                "what watches the database, the subscription and the other systems, or looks for early notes, died: this is a \
                 bug",
            )?;
            worker.context("the worker died")?.context("a run died: this is a bug")
        };
        // So that what is on disk is one file, as backups and the next start like it.
        let all = async {
            let ended = all.await;
            if kept.is_shared()
                && let Err(error) = kept.leave().await
            {
                tracing::debug!(error = &error as &dyn std::error::Error, "the lease could not be given back");
            }
            if let Err(error) = kept.set_time().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the time could not be noted at the end");
            }
            kept.close().await;
            ended
        };
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            result = all => result,
            () = store.keep_time() => Ok(()),
            () = crate::metrics::keep_small(store.clock().clone()) => Ok(()),
            () = overdue => {
                tracing::warn!(grace_s = grace.as_secs_f32(), "not everything ended within SHUTDOWN_GRACE");
                Ok(())
            }
        }
    }
}

/// What this process may look after for all that share its database.
fn watchers(config: &Config) -> Vec<Arc<dyn Watcher>> {
    let mut all: Vec<Arc<dyn Watcher>> = vec![Arc::new(early_words::Writer)];
    if let Some(reconciler) = Reconciler::new(config) {
        all.push(Arc::new(reconciler));
    }
    if let Some(canary) = canary::Watching::new(config) {
        all.push(Arc::new(canary));
    }
    all
}

/// From now on a panic in whatever task or thread ends the process with exit code 1, but in what is one run's, page's,
/// task's or watcher's own. A service that goes on without a
/// part of itself would be believed to watch; whoever restarts it makes it whole, and nothing is lost by that.
pub fn die_of_panics() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        if alone::is_alone() {
            // That one is tried again, by itself.
            tracing::error!(%panic, "a bug");
            return;
        }
        tracing::error!(%panic, "a bug: the service ends, to be started again whole");
        std::process::exit(1);
    }));
}

/// Serves until `SIGTERM` or `SIGINT`.
///
/// # Errors
/// It can't start, or a part of it died.
pub async fn serve(config: Config, clock: Clock) -> anyhow::Result<()> {
    die_of_panics();
    let stop = CancellationToken::new();
    // First of all: whoever is told to stop while it starts has not failed.
    stop_on_signal(stop.clone())?;
    let service = tokio::select! {
        service = Service::prepare(config, clock) => service?,
        () = stop.cancelled() => return Ok(()),
    };
    service.run(stop).await
}

/// Cancels `stop` on `SIGTERM` or `SIGINT`.
///
/// # Errors
/// Signals can't be listened to.
pub fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM failed")?;
    let mut int = signal(SignalKind::interrupt()).context("listening for SIGINT failed")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = int.recv() => tracing::info!("SIGINT: stopping"),
        }
        stop.cancel();
    });
    Ok(())
}
