//! Hearing of changes: a connection on which the server tells of them. It is no more than a hint, and whoever is woken
//! looks for itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::postgres::connect::{self, Connected, Hear};
use crate::postgres::link::{Pause, Shared};
use crate::postgres::schema::quoted;
use crate::postgres::session::STEP;

/// Whoever was woken is not woken again for so long.
const REST: Duration = Duration::from_millis(10);

/// How often to see whether the connection still leads anywhere.
const PING: Duration = Duration::from_secs(5);

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
    let mut pause = Pause::new();
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
        if let Ok(Connected { client, mut driver, origin, .. }) = begin(shared, &hear).await {
            pause = Pause::new();
            shared.listens.store(true, Ordering::Relaxed);
            // Whatever happened meanwhile was not told.
            heard.notify_one();
            loop {
                tokio::select! {
                    _ = &mut driver => break,
                    () = sleep(PING) => {}
                }
                let is_followed = shared.lead.is_followed(origin);
                if !is_followed || !matches!(timeout(STEP, client.batch_execute("")).await, Ok(Ok(()))) {
                    break;
                }
            }
            driver.abort();
        }
        shared.listens.store(false, Ordering::Relaxed);
        sleep(pause.next()).await;
    }
}

async fn begin(shared: &Shared, hear: &Hear) -> Result<Connected, Failure> {
    let connected = connect::connect(&shared.address, &shared.lead, hear).await?;
    let listen = format!("LISTEN {}", quoted(&shared.channel));
    match timeout(STEP, connected.client.batch_execute(&listen)).await {
        Ok(Ok(())) => Ok(connected),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            connected.driver.abort();
            Err(crate::postgres::failure::unavailable("no answer"))
        }
    }
}
