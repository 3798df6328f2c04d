//! `GET /readyz`: whether this process does its work: the store takes changes, a key signs, and the clock is not behind
//! what was recorded.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::refusal::Refusal;
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;

/// The store is asked no more often than this, however many ask us.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What the store said last, and when.
#[derive(Default)]
pub(crate) struct LastProbe(Mutex<Option<(Instant, bool)>>);

impl LastProbe {
    async fn is_writable(&self, router: &Router) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, writable)) = last
            && at.elapsed() < ASK_EVERY
        {
            return writable;
        }
        let probed = router.authority.probe().await;
        if let Err(error) = &probed {
            tracing::error!(code = error.code(), %error, "the store does not take changes");
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), probed.is_ok()));
        probed.is_ok()
    }
}

pub(crate) async fn readyz(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    request.must_read()?;
    let store = router.last_probe.is_writable(router).await && router.authority.follows();
    let state = router.authority.state();
    let checks = [
        ("store", store, "the store does not take changes, or those of others are not taken in"),
        ("keys", state.has_active_key(), "no key of the default algorithm signs"),
        ("clock", router.authority.now() >= state.newest_change(), "the clock is behind the newest recorded change"),
    ];
    let ready = checks.iter().all(|(_, ok, _)| *ok);
    let checks: Vec<_> = checks
        .into_iter()
        .map(|(name, ok, detail)| {
            if ok {
                json!({ "name": name, "ok": true })
            } else {
                json!({ "name": name, "ok": false, "detail": detail })
            }
        })
        .collect();
    let body = json!({ "status": if ready { "ready" } else { "unready" }, "checks": checks });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Response::json(body.to_string().into_bytes()).with_status(status))
}
