//! Hearing of changes: a connection on which the server tells of them. It is no more than a hint, and whoever is woken
//! looks for itself.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::postgres::connect::{self, Connected, Hear};
use crate::postgres::link::{Pause, Shared};
use crate::postgres::schema::quoted;
use crate::postgres::session::{DURABLE, LASTING, STEP};

/// Whoever was woken is not woken again for so long.
const REST: Duration = Duration::from_millis(10);

/// How often to see whether the connection still leads anywhere, at least.
const PING: Duration = Duration::from_secs(5);

/// For so long a commit that is held up is waited for, before another connection is tried.
const HELD_UP: Duration = Duration::from_secs(10);

/// Listens for ever, and wakes whoever is to be woken.
pub(crate) async fn keep(shared: &Arc<Shared>) {
    let heard = Arc::new(Notify::new());
    tokio::join!(wake(shared, &heard), listen(shared, &heard));
}

/// Wakes at once, and what comes soon afterwards once more.
async fn wake(shared: &Shared, heard: &Notify) {
    loop {
        heard.notified().await;
        let waker = shared.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker();
        }
        sleep(REST).await;
    }
}

async fn listen(shared: &Arc<Shared>, heard: &Arc<Notify>) {
    let (mut pause, mut is_told) = (Pause::new(), false);
    let hear: Hear = {
        let (shared, heard) = (Arc::clone(shared), Arc::clone(heard));
        Arc::new(move |pid| {
            // What this process has written it knows.
            if pid != shared.writer_pid() {
                heard.notify_one();
            }
        })
    };
    loop {
        match begin(shared, &hear).await {
            Ok(mut connected) => {
                (pause, is_told) = (Pause::new(), false);
                shared.proof.be_given(true);
                hear_on(shared, heard, &mut connected).await;
                shared.proof.be_given(false);
                connected.driver.abort();
            }
            Err(Failure(error)) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(code = error.code(), %error, "changes of others cannot be listened for; looking more often");
                }
            }
        }
        shared.listens.store(false, Ordering::Relaxed);
        sleep(pause.next()).await;
    }
}

/// As long as the connection is of use.
async fn hear_on(shared: &Shared, heard: &Notify, connected: &mut Connected) {
    loop {
        shared.listens.store(true, Ordering::Relaxed);
        // Whatever happened meanwhile was not told; and what is proven is to be known.
        heard.notify_one();
        tokio::select! {
            _ = &mut connected.driver => return,
            () = shared.proof.wanted() => {}
            () = sleep(PING) => {}
        }
        if !shared.lead.is_followed(connected.origin) || !prove(shared, connected).await {
            return;
        }
    }
}

/// Has the server prove that it takes changes. Answers whether the connection is still of use.
async fn prove(shared: &Shared, connected: &Connected) -> bool {
    let mut giving = pin!(shared.proof.give(&connected.client, &connected.warnings, connected.origin));
    if timeout(STEP, &mut giving).await.is_err() {
        // It tells of nothing while it waits. It is not told to give up soon: then it would warn whoever reads its log.
        shared.proof.hold_up();
        shared.listens.store(false, Ordering::Relaxed);
        if timeout(HELD_UP, giving).await.is_err() {
            // Else it would wait on, and so would the next one, until it has no room for connections.
            connected.canceller.cancel().await;
            if shared.address.places.len() > 1 {
                // It may have been replaced by one of the others.
                shared.lead.turn_away();
                shared.give_up("the server does not finish commits");
            }
            return false;
        }
    }
    !connected.client.is_closed()
}

async fn begin(shared: &Shared, hear: &Hear) -> Result<Connected, Failure> {
    let connected = connect::connect(&shared.address, &shared.lead, hear).await?;
    let listen = format!("SET client_min_messages = warning; {DURABLE}; {LASTING}; LISTEN {}", quoted(&shared.channel));
    match timeout(STEP, connected.client.batch_execute(&listen)).await {
        Ok(Ok(())) => Ok(connected),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            connected.driver.abort();
            Err(crate::postgres::failure::unavailable("no answer"))
        }
    }
}
