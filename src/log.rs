//! The log, on standard error; and beside it the [traces], where they are wanted.

use runbook::text::Visible;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::commands::wants_colour;
use crate::config::{Environment, Problems};
use crate::traces::{self, Traces};

/// Crates of ours, which log under their own names.
const OUR_CRATES: &[&str] = &["runbook", "outbound", "pagerduty", "jenkins", "clusters", "simulators"];

/// Begins to log what `RUST_LOG` says, else what `default` does, and to send traces where the environment says so. They are sent until
/// what it gives is dropped.
///
/// # Errors
/// `RUST_LOG` or `LOG_FORMAT` can't be read, or traces can't be sent as it says.
pub fn begin(environment: &Environment, default: &str) -> Result<Traces, Problems> {
    let filter = environment.get("RUST_LOG").unwrap_or(default);
    // kube quotes whole answers that it can't read, a sign-in page's say; its errors come with ours anyway.
    let quiet = if filter.contains("kube_client") { String::new() } else { ",kube_client=error".to_owned() };
    let filter = EnvFilter::try_new(format!("{filter}{}{quiet}", of_our_crates(filter)))
        .map_err(|e| format!("RUST_LOG: {filter:?}: {e}"));
    let json = match environment.get("LOG_FORMAT").unwrap_or("text") {
        "text" => Ok(false),
        "json" => Ok(true),
        other => Err(format!("LOG_FORMAT: {other:?} is neither text nor json")),
    };
    let (filter, json, traces) = match (filter, json, traces::begin()) {
        (Ok(filter), Ok(json), Ok(traces)) => (filter, json, traces),
        (filter, json, traces) => {
            return Err(Problems(filter.err().into_iter().chain(json.err()).chain(traces.err()).collect()));
        }
    };
    match traces.layer() {
        None => registry().with(filter).with(shown(json)).init(),
        // Each has its own filter: what is logged does not say what is traced.
        Some(layer) => registry().with(shown(json).with_filter(filter)).with(layer).init(),
    }
    Ok(traces)
}

/// As people or machines read it.
fn shown<S>(json: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    // It would say on standard error that nothing can be said there, and panic.
    let layer = fmt::layer().with_writer(|| Visible(std::io::stderr())).log_internal_errors(false);
    if json { layer.json().boxed() } else { layer.with_ansi(wants_colour(&std::io::stderr())).boxed() }
}

/// What is said of `se_responder`, said of our other crates too: to whoever reads the log they are one.
fn of_our_crates(filter: &str) -> String {
    let levels = filter.split(',').filter_map(|part| part.trim().strip_prefix("se_responder="));
    levels.flat_map(|level| OUR_CRATES.iter().map(move |name| format!(",{name}={level}"))).collect()
}
