//! Traces, by OpenTelemetry's protocol (OTLP, protobuf over HTTP): a run is a trace, a request to another system a span in it. Built with
//! the feature `otel`, and sent where `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says: see
//! docs/operations.md#traces.

#[cfg(feature = "otel")]
mod sent;

use runbook::alert::Region;
use tracing::Span;

/// Says in the current span whose work it is: in the log too.
pub fn say_whose(incident_id: Option<&str>, region: &Region) {
    let span = Span::current();
    if let Some(id) = incident_id {
        span.record("incident.id", id);
    }
    span.record("region", region.as_str());
}

#[cfg(feature = "otel")]
pub use sent::{Traces, begin, of_run};

#[cfg(not(feature = "otel"))]
pub use unsent::{Traces, begin, of_run};

#[cfg(not(feature = "otel"))]
mod unsent {
    use tracing_subscriber::Layer;

    /// None are sent.
    #[derive(Debug)]
    pub struct Traces;

    impl Traces {
        /// No layer: nothing is traced.
        pub fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>> {
            None
        }
    }

    /// Nothing: it is built without the feature `otel`.
    ///
    /// # Errors
    /// None.
    pub fn begin() -> Result<Traces, String> {
        Ok(Traces)
    }

    /// Nothing.
    pub fn of_run(_span: &tracing::Span, _run_id: &str) {}
}
