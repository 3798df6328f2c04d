//! `GET /readyz`: whether this process does its work: the store takes changes, a key signs, the clock is not behind what was
//! recorded, what is known here is young enough, and it is not about to stop. One node of several whose store is out of reach still does, for a while.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use authority::{Authority, Standing, State};
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

/// What was looked at, and what is wrong with it where anything is.
struct Check {
    name: &'static str,
    problem: Option<String>,
    /// Whether no requests should be sent here because of it.
    is_grave: bool,
}

pub(crate) async fn readyz(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    request.must_read()?;
    let authority = &router.authority;
    let standing = authority.standing();
    let store = if authority.is_shared() {
        // Others are as far from it as this one, or go on for this one: tokens are minted and verified without it. It is not
        // asked, so that whoever asks here is answered at once.
        let problem = match (authority.follows(), authority.takes_changes()) {
            (false, _) => Some("changes of others cannot be taken in, and changes are refused; the log says why"),
            (true, false) => Some("the newest change could not be stored; the log says why"),
            (true, true) => None,
        };
        Check { name: "store", problem: problem.map(str::to_owned), is_grave: false }
    } else {
        let works = router.last_probe.is_writable(router).await && authority.follows();
        let problem = "the store does not take changes, or those of others are not taken in";
        Check { name: "store", problem: (!works).then(|| problem.to_owned()), is_grave: true }
    };
    let state = authority.state();
    let keys = (!state.has_active_key()).then(|| "no key of the default algorithm signs".to_owned());
    let clock = clock(authority, &state);
    let view = (standing != Standing::Fresh).then(|| age(authority, standing));
    let stay = router.draining.load(Ordering::Relaxed).then(|| "this server is about to stop".to_owned());
    let checks = [
        store,
        Check { name: "keys", problem: keys, is_grave: true },
        clock,
        Check { name: "view", problem: view, is_grave: standing == Standing::Refusing },
        Check { name: "stay", problem: stay, is_grave: true },
    ];
    let is_ready = !checks.iter().any(|check| check.is_grave && check.problem.is_some());
    let status = match standing {
        _ if !is_ready => "unready",
        Standing::Fresh => "ready",
        Standing::Stale | Standing::Refusing => "stale",
    };
    let checks: Vec<_> = checks.into_iter().map(Check::into_json).collect();
    let body = json!({ "status": status, "checks": checks });
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Response::json(body.to_string().into_bytes()).with_status(status))
}

/// On one machine nobody else has written what is newest, so the clock went back. Of several it may be another's that is
/// ahead, and one node with a wrong clock must not take all others out of service.
fn clock(authority: &Authority, state: &State) -> Check {
    let is_shared = authority.is_shared();
    let leeway = if is_shared { state.terms_in_force().leeway } else { 0 };
    let is_behind = authority.now().plus(leeway) < state.newest_change();
    let problem = "the clock is behind the newest recorded change";
    Check { name: "clock", problem: is_behind.then(|| problem.to_owned()), is_grave: !is_shared }
}

fn age(authority: &Authority, standing: Standing) -> String {
    let age = authority.age().as_secs();
    let limit = authority.staleness().refuse_after.map(|limit| limit.as_secs());
    match (standing, limit) {
        (Standing::Refusing, _) => format!("what is known here is {age} s old, too old to answer by it"),
        (_, Some(limit)) => {
            format!("what is known here is {age} s old; it is not answered by when it is {limit} s old")
        }
        (_, None) => format!("what is known here is {age} s old"),
    }
}

impl Check {
    fn into_json(self) -> serde_json::Value {
        match self.problem {
            None => json!({ "name": self.name, "ok": true }),
            Some(problem) => json!({ "name": self.name, "ok": false, "detail": problem }),
        }
    }
}
