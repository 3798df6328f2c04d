//! From a request to its route. A panic in a route answers 500 and takes nothing else down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use authority::SimpleMinter;
use authority::ports::{Clock, Randomness};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use crate::limits::Limits;
use crate::refusal::{Dialect, Reason, Refusal};
use crate::{health, openapi, simple};

/// Which routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of them.
    Public,
    /// Those for operators only.
    Admin,
}

/// The routes and what they work with.
pub struct Router {
    /// Mints the simple contract's tokens.
    pub minter: SimpleMinter,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Random bytes for token ids.
    pub randomness: Arc<dyn Randomness>,
    /// What one client may cost.
    pub limits: Limits,
}

#[derive(Debug, Clone, Copy)]
enum Route {
    GenerateToken,
    VerifyToken,
    Healthz,
    Openapi,
    Unknown,
}

impl Route {
    fn find(path: &str, surface: Surface) -> Self {
        match (path, surface) {
            ("/generateToken", Surface::Public) => Self::GenerateToken,
            ("/verifyToken", Surface::Public) => Self::VerifyToken,
            ("/openapi.json", Surface::Public) => Self::Openapi,
            ("/healthz", _) => Self::Healthz,
            _ => Self::Unknown,
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::GenerateToken | Self::VerifyToken => Dialect::Simple,
            Self::Healthz | Self::Openapi | Self::Unknown => Dialect::Problem,
        }
    }

    /// For logs: never the path as it was sent, which may hold anything.
    fn name(self) -> &'static str {
        match self {
            Self::GenerateToken => "/generateToken",
            Self::VerifyToken => "/verifyToken",
            Self::Healthz => "/healthz",
            Self::Openapi => "/openapi.json",
            Self::Unknown => "unknown",
        }
    }
}

impl Router {
    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>, surface: Surface) -> Response<Full<Bytes>> {
        let route = Route::find(request.uri().path(), surface);
        let started = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (tokio::time::Instant::now(), method_name(request.method())));

        let response = unless_it_panics(self.dispatch(route, request))
            .await
            .unwrap_or(Err(Reason::Internal.into()))
            .unwrap_or_else(|refusal| refusal.into_response(route.dialect()));

        if let Some((started, method_name)) = started {
            let micros = started.elapsed().as_micros() as u64;
            let (route, status) = (route.name(), response.status().as_u16());
            tracing::debug!(method = method_name, route, status, micros, "request");
        }
        response
    }

    async fn dispatch(&self, route: Route, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
        match route {
            Route::GenerateToken => simple::generate_token(self, request).await,
            Route::VerifyToken => simple::verify_token(self, request).await,
            Route::Healthz => health::healthz(request.method()),
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
