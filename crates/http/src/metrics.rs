//! `GET /metrics`: what operators want to see on a graph, in the OpenMetrics text format that Prometheus reads.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use authority::{Authority, CommitObserver, KeyState, Standing, State, UnixTime};
use hyper::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::counters::Counters;
use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::ROUTES;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The kinds of tokens that are minted, the most used first.
const KINDS: &[&str] = &["simple", "access_token", "custom"];

/// Upper bounds of the buckets of commits, in seconds.
const COMMITS: [f64; 12] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StandingLabel {
    standing: &'static str,
}

/// How the age of what is known stands to the limits, by name.
pub(crate) const STANDINGS: [(&str, Standing); 3] =
    [("fresh", Standing::Fresh), ("stale", Standing::Stale), ("refusing", Standing::Refusing)];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KeyLabel {
    algorithm: &'static str,
    state: &'static str,
    key_id: String,
}

/// Counts.
pub struct Metrics {
    registry: Registry,
    counters: Arc<Counters>,
    refused: Family<ReasonLabel, Counter>,
    revoked: Family<KindLabel, Counter>,
    revocations: Family<KindLabel, Gauge>,
    clients: Gauge,
    key_age: Family<KeyLabel, Gauge>,
    position: Gauge,
    view_age: Gauge<f64, AtomicU64>,
    view: Family<StandingLabel, Gauge>,
    commits: Arc<Histogram>,
    commit_failures: Counter,
    start: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("jotd"),
            counters: Arc::new(Counters::new(ROUTES, KINDS)),
            refused: Family::default(),
            revoked: Family::default(),
            revocations: Family::default(),
            clients: Gauge::default(),
            key_age: Family::default(),
            position: Gauge::default(),
            view_age: Gauge::default(),
            view: Family::default(),
            commits: Arc::new(Histogram::new(COMMITS)),
            commit_failures: Counter::default(),
            start: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register_collector(Box::new(Counted(Arc::clone(&metrics.counters))));
        registry.register("tokens_refused", "Tokens not minted or not accepted, by reason", metrics.refused.clone());
        registry.register("revoked", "Revocations made here", metrics.revoked.clone());
        registry.register("revocations", "Revocations in force", metrics.revocations.clone());
        registry.register("clients", "Clients", metrics.clients.clone());
        registry.register("key_age_seconds", "Time since a published key came into its state", metrics.key_age.clone());
        registry.register("store_position", "The position in the log of changes", metrics.position.clone());
        registry.register("view_age_seconds", "Age of what is known of the store", metrics.view_age.clone());
        registry.register("view_standing", "1 for how that age stands to the limits", metrics.view.clone());
        registry.register("store_commit_duration_seconds", "Time of a commit", (*metrics.commits).clone());
        registry.register("store_commit_failures", "Commits that failed", metrics.commit_failures.clone());
        registry.register("start_time_seconds", "When the process started", metrics.start.clone());
        metrics
    }
}

impl Metrics {
    /// Told by the authority how long each commit took.
    #[must_use]
    pub fn commit_observer(&self) -> CommitObserver {
        let (commits, failures) = (Arc::clone(&self.commits), self.commit_failures.clone());
        Box::new(move |duration, succeeded| {
            commits.observe(duration.as_secs_f64());
            if !succeeded {
                failures.inc();
            }
        })
    }

    pub(crate) fn started(&self, at: UnixTime) {
        self.start.set(at.0 as f64);
    }

    pub(crate) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.counters.answered(route, status, took);
    }

    pub(crate) fn minted(&self, kind: &'static str) {
        self.counters.minted(kind, 1);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn revoked(&self, kind: &'static str) {
        self.revoked.get_or_create(&KindLabel { kind }).inc();
    }

    /// What is not counted but measured when somebody looks.
    fn measure(&self, state: &State, now: UnixTime) {
        let count = |kind, count: usize| {
            self.revocations.get_or_create(&KindLabel { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        count("token", state.revoked_tokens());
        count("rule", state.rule_count());
        self.clients.set(i64::try_from(state.clients().count()).unwrap_or(i64::MAX));
        self.position.set(i64::try_from(state.position().0).unwrap_or(i64::MAX));
        self.key_age.clear();
        for key in
            state.keys().filter(|key| !matches!(key.state, KeyState::Retired { .. } | KeyState::Compromised { .. }))
        {
            let label = KeyLabel { algorithm: key.algorithm.name(), state: key.state.name(), key_id: key.id.clone() };
            self.key_age.get_or_create(&label).set(now.0.saturating_sub(key.state.since().0));
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>, authority: &Authority) -> Result<Response, Refusal> {
        request.must_read()?;
        self.measure(&authority.state(), authority.now());
        self.view_age.set(authority.age().as_secs_f64());
        for (name, standing) in STANDINGS {
            let standing = i64::from(standing == authority.standing());
            self.view.get_or_create(&StandingLabel { standing: name }).set(standing);
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry).map_err(|_| Refusal::from(Reason::Internal))?;
        Ok(Response::empty(StatusCode::OK).with_body(text.into_bytes()).with("content-type", MEDIA_TYPE))
    }
}

/// What is counted with every request, as it is when somebody looks.
struct Counted(Arc<Counters>);

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let none = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, u64>>;
        let mut requests = encoder.encode_descriptor("requests", "Requests answered", None, MetricType::Counter)?;
        for (route, status, count) in self.0.requests() {
            requests.encode_family(&Answered { route, status })?.encode_counter(&count, none)?;
        }
        let help = "From a request's head to its answer";
        let mut durations = encoder.encode_descriptor("request_duration_seconds", help, None, MetricType::Histogram)?;
        for (route, all) in self.0.durations() {
            let label = Route { route };
            let mut durations = durations.encode_family(&label)?;
            durations.encode_histogram::<NoLabelSet>(all.sum, all.count, &all.buckets, None)?;
        }
        let mut minted = encoder.encode_descriptor("tokens_minted", "Tokens minted", None, MetricType::Counter)?;
        for (kind, count) in self.0.tokens() {
            minted.encode_family(&KindLabel { kind })?.encode_counter(&count, none)?;
        }
        Ok(())
    }
}
