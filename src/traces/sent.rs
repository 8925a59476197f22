//! Traces are sent, by a thread of their own: a collector that is unreachable or slow delays nothing, and costs what it was not given in time.

use std::cell::Cell;
use std::env::var_os;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Where they go: OpenTelemetry's own names, which its library reads with all its others.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The spans that are sent: work that ends, and what it asks. A watch goes on as long as the process.
const SENT: [&str; 7] = ["run", "alert", "task", "notify", "early_note", "run.step", "upstream"];
/// Whose they are: ours, not those of libraries.
const OURS: [&str; 2] = ["se_responder", "outbound"];

/// Has spans sent; what is still to be sent is sent when it is dropped, within five seconds.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// What takes spans to be sent; `None`: nobody wants them.
    pub fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.0.as_ref()?.tracer(env!("CARGO_PKG_NAME"));
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        // Where in the code, and by which thread, is nothing to whoever looks for what took so long.
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        Some(layer.with_filter(filter_fn(is_sent)).boxed())
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|provider| provider.shutdown()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last traces were not sent");
        }
    }
}

fn is_sent(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && *metadata.level() <= Level::DEBUG && OURS.contains(&krate) && SENT.contains(&metadata.name())
}

/// Begins to send, where the environment says where to.
///
/// # Errors
/// What it says can't be read.
pub fn begin() -> Result<Traces, String> {
    let is_off = var_os("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(name) = ENDPOINTS.into_iter().find(|name| var_os(name).is_some_and(|value| !value.is_empty())) else {
        return Ok(Traces(None));
    };
    if is_off {
        return Ok(Traces(None));
    }
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.map_err(|e| format!("{name}: traces can't be sent there: {e}"))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(Ids::default())
        .with_resource(resource())
        .build();
    Ok(Traces(Some(provider)))
}

/// Who sends them; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` count more.
fn resource() -> Resource {
    let named = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    let given = Resource::builder_empty()
        .with_detector(Box::new(opentelemetry_sdk::resource::EnvResourceDetector::new()))
        .build();
    let name = var_os("OTEL_SERVICE_NAME").and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty());
    Resource::builder_empty()
        .with_attributes(named.iter().chain(given.iter()).map(|(k, v)| KeyValue::new(k.clone(), v.clone())))
        .with_attributes(name.map(|name| KeyValue::new("service.name", name)))
        .build()
}

thread_local! {
    /// The trace of the span that is begun on this thread now, where it is known.
    static TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Begins a run's span in the trace that has the run's id (a UUID is as long): whoever has one has the other, and each process that
/// works on the run adds to the same.
pub fn of_run(span: &Span, run_id: &str) {
    let Ok(id) = uuid::Uuid::parse_str(run_id) else { return };
    TRACE.set(Some(TraceId::from_bytes(id.into_bytes())));
    // Begun here, and not when it is first entered.
    let _ = span.context();
    TRACE.set(None);
}

/// Ids as the library makes them, but for a trace that is known.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
