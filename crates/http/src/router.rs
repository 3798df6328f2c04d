//! From a request to its route. A panic in a route answers 500 and takes nothing else down.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use authority::{Authority, Seen};
use hyper::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::failures::Failures;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::ready::LastProbe;
use crate::refusal::{Dialect, Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::turn::Turns;
use crate::v1_batch::{Batch, Kind};
use crate::{cors, forwarded, health, introspect, openapi, ready, revoke, simple, token, v1, v1_batch, well_known};

/// The names of all routes, the most used first.
pub(crate) const ROUTES: &[&str] = &[
    "/generateToken",
    "/verifyToken",
    "/oauth2/token",
    "/oauth2/introspect",
    "/oauth2/revoke",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/v1/tokens/mint",
    "/v1/tokens/verify",
    "/v1/tokens/mint-batch",
    "/v1/tokens/verify-batch",
    "/v1/keys",
    "/v1/keys/rotate",
    "/v1/keys/{id}",
    "/v1/keys/{id}/activate",
    "/v1/keys/{id}/retire",
    "/v1/keys/{id}/compromise",
    "/v1/slots",
    "/v1/slots/{algorithm}",
    "/v1/clients",
    "/v1/clients/{id}",
    "/v1/clients/{id}/secrets",
    "/v1/clients/{id}/secrets/{secret_id}",
    "/v1/revocations",
    "/v1/revocations/batch",
    "/v1/revocations/{id}",
    "/v1/audit",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "unknown",
];

/// Which routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of them, but for the metrics where there is a listener for operators.
    Public,
    /// Those for operators only.
    Admin,
}

/// The routes and what they work with.
pub struct Router {
    pub(crate) authority: Arc<Authority>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) failures: Arc<Failures>,
    pub(crate) last_probe: Arc<LastProbe>,
    /// Told to stop, and still serving.
    pub(crate) draining: Arc<AtomicBool>,
    /// Whose turn it is to keep this worker busy.
    pub(crate) turns: Turns,
    /// Bytes of answers over HTTP/2 that may wait for their clients.
    pub(crate) http2_room: Arc<Semaphore>,
    access: Access,
}

/// All answers together that clients of HTTP/2 have asked one worker for and not fetched, in bytes.
const MOST_UNFETCHED: usize = 64 * 1024 * 1024;

/// Who may see what.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Origins whose scripts may read answers; `*` is all of them.
    pub cors_origins: Vec<String>,
    /// Proxies that tell in `X-Forwarded-For` for whom they ask.
    pub trusted_proxies: Vec<IpAddr>,
    /// Whether the public listeners show the metrics.
    pub public_metrics: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    GenerateToken,
    VerifyToken,
    Token,
    Introspect,
    Revoke,
    Jwks,
    Metadata,
    V1(v1::Route<'p>),
    Healthz,
    Readyz,
    Metrics,
    Openapi,
    Unknown,
}

impl<'p> Route<'p> {
    fn find(path: &'p str, surface: Surface, access: &Access) -> Self {
        match (path, surface) {
            ("/generateToken", Surface::Public) => Self::GenerateToken,
            ("/verifyToken", Surface::Public) => Self::VerifyToken,
            ("/healthz", _) => Self::Healthz,
            ("/readyz", _) => Self::Readyz,
            ("/metrics", Surface::Admin) => Self::Metrics,
            ("/metrics", Surface::Public) if access.public_metrics => Self::Metrics,
            (_, Surface::Admin) => Self::Unknown,
            ("/oauth2/token", _) => Self::Token,
            ("/oauth2/introspect", _) => Self::Introspect,
            ("/oauth2/revoke", _) => Self::Revoke,
            ("/.well-known/jwks.json", _) => Self::Jwks,
            ("/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration", _) => Self::Metadata,
            ("/openapi.json", _) => Self::Openapi,
            _ => path.strip_prefix("/v1/").and_then(v1::Route::find).map_or(Self::Unknown, Self::V1),
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::GenerateToken | Self::VerifyToken => Dialect::Simple,
            Self::Token | Self::Introspect | Self::Revoke => Dialect::OAuth,
            _ => Dialect::Problem,
        }
    }

    /// Whether the answer comes from what this process knows of the store.
    fn uses_state(self) -> bool {
        !matches!(self, Self::Metadata | Self::Healthz | Self::Readyz | Self::Metrics | Self::Openapi | Self::Unknown)
    }

    /// Whether a success says what has become of the store, and not what is known of it here.
    fn changes(self, method: &str) -> bool {
        match self {
            Self::Revoke => true,
            Self::V1(route) => route.changes(method),
            _ => false,
        }
    }

    /// For logs and metrics: never the path as it was sent, which may hold anything.
    fn name(self) -> &'static str {
        match self {
            Self::GenerateToken => "/generateToken",
            Self::VerifyToken => "/verifyToken",
            Self::Token => "/oauth2/token",
            Self::Introspect => "/oauth2/introspect",
            Self::Revoke => "/oauth2/revoke",
            Self::Jwks => "/.well-known/jwks.json",
            Self::Metadata => "/.well-known/oauth-authorization-server",
            Self::V1(route) => route.name(),
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Openapi => "/openapi.json",
            Self::Unknown => "unknown",
        }
    }
}

impl Router {
    /// Routes over an authority that is set up.
    #[must_use]
    pub fn new(authority: Arc<Authority>, limits: Limits, metrics: Arc<Metrics>, access: Access) -> Self {
        metrics.started(authority.now());
        let failures = Arc::new(Failures::new(limits.auth_failures));
        let http2_room = Arc::new(Semaphore::new(MOST_UNFETCHED));
        Self {
            authority,
            limits,
            metrics,
            failures,
            last_probe: Arc::default(),
            draining: Arc::default(),
            turns: Turns::default(),
            http2_room,
            access,
        }
    }

    /// The same routes for one more worker.
    pub(crate) fn for_worker(&self) -> Self {
        Self {
            authority: Arc::clone(&self.authority),
            limits: self.limits.clone(),
            metrics: Arc::clone(&self.metrics),
            failures: Arc::clone(&self.failures),
            last_probe: Arc::clone(&self.last_probe),
            draining: Arc::clone(&self.draining),
            turns: Turns::default(),
            http2_room: Arc::new(Semaphore::new(MOST_UNFETCHED)),
            access: self.access.clone(),
        }
    }

    /// The route of a path.
    pub(crate) fn route<'p>(&self, path: &'p str, surface: Surface) -> Route<'p> {
        Route::find(path, surface, &self.access)
    }

    /// How long a body may be.
    pub(crate) fn body_limit(&self, route: Route<'_>) -> usize {
        match route {
            Route::GenerateToken => self.limits.generate_body_bytes,
            Route::VerifyToken => self.limits.verify_body_bytes,
            Route::V1(v1::Route::Batch(_) | v1::Route::RevocationBatch) => self.limits.batch_body_bytes,
            _ => self.limits.api_body_bytes,
        }
    }

    /// Whether the body of a request is only read when its head is known to be good: those that may be long are.
    pub(crate) fn checks_head_first(route: Route<'_>) -> bool {
        matches!(route, Route::V1(v1::Route::Batch(_) | v1::Route::RevocationBatch))
    }

    /// What is to be done with each line of a request that is answered line by line.
    pub(crate) fn streams(route: Route<'_>, request: &Request<'_>) -> Option<Kind> {
        match route {
            Route::V1(v1::Route::Batch(kind)) if v1_batch::is_stream(request) => Some(kind),
            _ => None,
        }
    }

    /// Begins to answer line by line, or refuses.
    pub(crate) async fn begin_stream(&self, kind: Kind, request: &Request<'_>) -> Result<Batch, Response> {
        let seen = self.authority.seen();
        let admitted = Batch::admit(self, kind, &self.behind_proxies(request)).await;
        let admitted = self.see_usable(seen).and(admitted);
        admitted.map_err(|refusal| refusal.into_response(Dialect::Problem))
    }

    /// The request as whoever really sent it.
    fn behind_proxies<'r>(&self, request: &Request<'r>) -> Request<'r> {
        let address = forwarded::client_address(&self.access.trusted_proxies, request.headers, request.address);
        Request { address, ..*request }
    }

    /// Answers a request that takes no waiting; `None` when it may.
    pub(crate) fn answer_at_once(&self, route: Route<'_>, request: &Request<'_>) -> Option<Response> {
        let started = Instant::now();
        let answer = match route {
            Route::GenerateToken => simple::generate_token,
            Route::VerifyToken => simple::verify_token,
            _ => return None,
        };
        let seen = self.authority.seen();
        let outcome = catch_unwind(AssertUnwindSafe(|| answer(self, request)));
        let outcome = self.see_usable(seen).and(outcome.unwrap_or(Err(Reason::Internal.into())));
        let response = outcome.unwrap_or_else(|refusal| refusal.into_response(Dialect::Simple));
        self.note(route, request, &response, started);
        Some(response)
    }

    /// Answers any request.
    pub(crate) async fn answer(&self, route: Route<'_>, request: &Request<'_>) -> Response {
        let started = Instant::now();
        let origin = cors::allowed_origin(&self.access.cors_origins, request.headers);
        let mut response = if origin.is_some() && cors::is_preflight(request) {
            cors::preflight()
        } else {
            unless_it_panics(self.dispatch_on_state(route, self.behind_proxies(request)))
                .await
                .unwrap_or(Err(Reason::Internal.into()))
                .unwrap_or_else(|refusal| refusal.into_response(route.dialect()))
        };
        if let Some(origin) = origin {
            response = cors::admit(response, origin);
        }
        self.note(route, request, &response, started);
        response
    }

    /// Counts the refusal of what is no request.
    pub(crate) fn note_unread(&self, response: &Response) {
        self.metrics.answered("unknown", response.status.as_u16(), Duration::ZERO);
        tracing::debug!(status = response.status.as_u16(), "what came is no request");
    }

    /// Counts and logs an answer.
    pub(crate) fn note(&self, route: Route<'_>, request: &Request<'_>, response: &Response, started: Instant) {
        if response.status == StatusCode::CONTINUE {
            return;
        }
        let (took, route, status) = (started.elapsed(), route.name(), response.status.as_u16());
        debug_assert!(ROUTES.contains(&route), "{route} is not counted");
        self.metrics.answered(route, status, took);
        let method = || method_name(request.method);
        tracing::debug!(method = method(), route, status, micros = took.as_micros() as u64, "request");
    }

    /// Refuses where the answer would come from a state that is too old: before anything is done, and when the answer is
    /// about to leave, because the process may have been stopped in between. What has become of a change is told however long
    /// it took: whoever made it would not know that it was made.
    async fn dispatch_on_state(&self, route: Route<'_>, request: Request<'_>) -> Result<Response, Refusal> {
        if !route.uses_state() {
            return self.dispatch(route, request).await;
        }
        let seen = self.authority.seen();
        self.see_usable(seen)?;
        let outcome = self.dispatch(route, request).await;
        if route.changes(request.method) && outcome.as_ref().err().is_none_or(Refusal::is_by_store) {
            return outcome;
        }
        self.see_usable(seen).and(outcome)
    }

    /// Whether an answer may leave that comes from the state as it was after `seen`.
    pub(crate) fn see_usable(&self, seen: Seen) -> Result<(), Refusal> {
        if self.authority.may_use(seen) {
            return Ok(());
        }
        self.metrics.refused(Reason::Stale.code());
        Err(Reason::Stale.into())
    }

    async fn dispatch(&self, route: Route<'_>, request: Request<'_>) -> Result<Response, Refusal> {
        let request = &request;
        // What is not asked for most takes no room in the state of what is.
        match route {
            Route::GenerateToken => simple::generate_token(self, request),
            Route::VerifyToken => simple::verify_token(self, request),
            Route::Token => token::token(self, request).await,
            Route::Introspect => introspect::introspect(self, request).await,
            Route::Revoke => Box::pin(revoke::revoke(self, request)).await,
            Route::Jwks => well_known::jwks(self, request),
            Route::Metadata => well_known::metadata(self, request),
            Route::V1(route) => Box::pin(v1::answer(self, route, request)).await,
            Route::Healthz => health::healthz(request),
            Route::Readyz => Box::pin(ready::readyz(self, request)).await,
            Route::Metrics => self.metrics.answer(request, &self.authority),
            Route::Openapi => openapi::openapi(request),
            Route::Unknown => Err(Reason::NotFound.into()),
        }
    }
}

/// For logs: a method can be any word that a client makes up, a token for example.
fn method_name(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| method == *known).unwrap_or("other")
}

/// The outcome of `future`, or `None` when it panicked. The panic hook has logged it by then.
async fn unless_it_panics<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
        Err(_) => Poll::Ready(None),
    })
    .await
}
