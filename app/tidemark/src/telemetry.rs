//! Logs, traces and metrics.

pub mod event_spans;
pub mod metrics;
pub mod trace_context;

use std::{error::Error, fmt};

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::configuration::{LogFormat, TelemetryConfiguration};

/// An error with all its causes in one line, as logs want it.
pub struct WithCauses<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(fault) = cause {
            write!(f, ": {fault}")?;
            cause = fault.source();
        }
        Ok(())
    }
}

/// Keeps what is needed to send the last spans when the process stops.
pub struct Telemetry {
    tracer_provider: Option<SdkTracerProvider>,
}

/// Starts logging and, if an endpoint is configured, sending spans as those of `service`. Call once, inside the
/// runtime.
pub fn start(
    configuration: &TelemetryConfiguration,
    service: &str,
    instance: &str,
) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&configuration.log_level).context("LOG_LEVEL is not a log filter")?;
    let lines = match configuration.log_format {
        LogFormat::Human => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let tracer_provider = configuration
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| tracer_provider(endpoint, service, instance))
        .transpose()?;
    let spans = tracer_provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("tidemark"))
            .with_filter(EnvFilter::new("tidemark=info"))
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init()?;
    Ok(Telemetry { tracer_provider })
}

fn tracer_provider(endpoint: &str, service: &str, instance: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used")?;
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // Every span belongs to a context, which says whether it is recorded.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .with_resource(resource)
        .build())
}

impl Telemetry {
    /// Sends the spans that are still waiting.
    pub fn stop(self) {
        if let Some(provider) = self.tracer_provider
            && let Err(fault) = provider.shutdown()
        {
            tracing::warn!(error = %WithCauses(&fault), "the last spans were not sent");
        }
    }
}
