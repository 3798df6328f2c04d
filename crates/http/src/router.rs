//! From a request to its route. A panic in a route answers 500 and takes nothing else down.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use authority::Authority;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use tokio::time::Instant;

use crate::failures::Failures;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::ready::LastProbe;
use crate::refusal::{Dialect, Reason, Refusal};
use crate::{cors, forwarded, health, introspect, openapi, ready, revoke, simple, token, v1, well_known};

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
    pub(crate) failures: Failures,
    pub(crate) last_probe: LastProbe,
    access: Access,
}

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
enum Route<'p> {
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
            ("/healthz", _) => Self::Healthz,
            ("/readyz", _) => Self::Readyz,
            ("/metrics", Surface::Admin) => Self::Metrics,
            ("/metrics", Surface::Public) if access.public_metrics => Self::Metrics,
            (_, Surface::Admin) => Self::Unknown,
            ("/generateToken", _) => Self::GenerateToken,
            ("/verifyToken", _) => Self::VerifyToken,
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
        let failures = Failures::new(limits.auth_failures);
        Self { authority, limits, metrics, failures, last_probe: LastProbe::default(), access }
    }

    /// Answers one request that came from `peer`.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        surface: Surface,
        peer: IpAddr,
    ) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let uri = request.uri().clone();
        let route = Route::find(uri.path(), surface, &self.access);
        let method = method_name(request.method());
        let is_simple = route.dialect() == Dialect::Simple;
        let origin = if is_simple { None } else { cors::allowed_origin(&self.access.cors_origins, request.headers()) };
        let address = forwarded::client_address(&self.access.trusted_proxies, request.headers(), peer);

        let mut response = if origin.is_some() && cors::is_preflight(&request) {
            cors::preflight()
        } else {
            unless_it_panics(self.dispatch(route, request, address))
                .await
                .unwrap_or(Err(Reason::Internal.into()))
                .unwrap_or_else(|refusal| refusal.into_response(route.dialect()))
        };
        if let Some(origin) = origin {
            cors::admit(&mut response, origin);
        }

        let (took, route, status) = (started.elapsed(), route.name(), response.status().as_u16());
        self.metrics.answered(route, status, took);
        tracing::debug!(method, route, status, micros = took.as_micros() as u64, "request");
        response
    }

    async fn dispatch(
        &self,
        route: Route<'_>,
        request: Request<Incoming>,
        address: IpAddr,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        match route {
            Route::GenerateToken => simple::generate_token(self, request).await,
            Route::VerifyToken => simple::verify_token(self, request).await,
            Route::Token => token::token(self, request, address).await,
            Route::Introspect => introspect::introspect(self, request, address).await,
            Route::Revoke => revoke::revoke(self, request, address).await,
            Route::Jwks => well_known::jwks(self, &request),
            Route::Metadata => well_known::metadata(self, &request),
            Route::V1(route) => v1::answer(self, route, request, address).await,
            Route::Healthz => health::healthz(request.method()),
            Route::Readyz => ready::readyz(self, request.method()).await,
            Route::Metrics => self.metrics.answer(request.method(), &self.authority.state(), self.authority.now()),
            Route::Openapi => openapi::openapi(request.method()),
            Route::Unknown => Err(Reason::NotFound.into()),
        }
    }
}

/// For logs: a method can be any word that a client makes up, a token for example.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| method == known).unwrap_or("other")
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
