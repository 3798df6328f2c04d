//! Connecting to one of the servers: the first that can be reached, lets us in and can be written.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use authority::error::StoreError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::error::Severity;
use tokio_postgres::tls::{NoTls, TlsStream};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Connection, Error, Socket};

use crate::failure::Failure;
use crate::postgres::address::{Address, Place, Security};
use crate::postgres::failure::unavailable;
use crate::postgres::lead::{Lead, Origin};
use crate::postgres::session::STEP;
use crate::postgres::tls::Tls;

/// What moves the bytes of a connection; ends with it.
pub(crate) type Driver = JoinHandle<Result<(), Error>>;

/// Called with the server's process that has told of a change.
pub(crate) type Hear = Arc<dyn Fn(i32) + Send + Sync>;

/// For a connection on which nothing is told.
pub(crate) fn deaf() -> Hear {
    Arc::new(|_| ())
}

/// A connection and what drives it.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) driver: Driver,
    pub(crate) warnings: Warnings,
    /// Where it leads to.
    pub(crate) origin: Option<Origin>,
    pub(crate) canceller: Canceller,
}

/// Breaks off what the server does for a connection, by another one to the same place.
pub(crate) struct Canceller {
    token: CancelToken,
    tls: Option<Tls>,
}

impl Canceller {
    /// Asks for it once. Nobody is told whether it was done.
    pub(crate) async fn cancel(&self) {
        let asked = async {
            match &self.tls {
                Some(tls) => self.token.cancel_query(tls.clone()).await,
                None => self.token.cancel_query(NoTls).await,
            }
        };
        drop(timeout(STEP, asked).await);
    }
}

/// How often the server has said that it broke off its wait for standbys. It is counted before the answer that comes
/// after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warnings(Arc<AtomicU64>);

impl Warnings {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Tries each place in turn, all within the time that there is, but for those that were replaced.
pub(crate) async fn connect(address: &Address, lead: &Lead, hear: &Hear) -> Result<Connected, Failure> {
    let until = Instant::now() + address.connect_timeout;
    let (mut failures, mut denied) = (Vec::new(), false);
    for (index, place) in lead.order(address.places.len()).filter_map(|place| address.places.get(place)).enumerate() {
        // One that does not answer leaves the others their share.
        let left = u32::try_from(address.places.len() - index).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        let connecting = async {
            let mut connected = connect_to(address, place, share, hear).await?;
            match lead.find(&connected.client).await {
                Ok(origin) => connected.origin = origin,
                Err(failure) => {
                    connected.driver.abort();
                    return Err(failure);
                }
            }
            Ok(connected)
        };
        let failure = match timeout(share, connecting).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(Failure(error))) => error,
            Err(_) => StoreError::Unavailable("no answer".to_owned()),
        };
        let what = match failure {
            StoreError::Denied(what) => {
                denied = true;
                what
            }
            StoreError::Unavailable(what) => what,
            error => error.to_string(),
        };
        failures.push(format!("{place}: {what}"));
    }
    let failures = failures.join("; ");
    Err(if denied { StoreError::Denied(failures).into() } else { unavailable(failures) })
}

async fn connect_to(address: &Address, place: &Place, share: Duration, hear: &Hear) -> Result<Connected, Failure> {
    let (config, hear, warnings) = (address.config(place, share), Arc::clone(hear), Warnings::default());
    if place.security == Security::Plain {
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(drive(connection, hear, warnings.clone()));
        let canceller = Canceller { token: client.cancel_token(), tls: None };
        return Ok(Connected { client, driver, warnings, origin: None, canceller });
    }
    // Read anew each time: authorities may have changed.
    let tls = Tls::trusting(address.roots.as_deref())
        .map_err(|error| unavailable(format!("the certificates to trust cannot be read: {error}")))?;
    let (client, connection) = config.connect(tls.clone()).await?;
    let driver = tokio::spawn(drive(connection, hear, warnings.clone()));
    let canceller = Canceller { token: client.cancel_token(), tls: Some(tls) };
    Ok(Connected { client, driver, warnings, origin: None, canceller })
}

/// Moves bytes until the connection ends.
async fn drive<T: TlsStream + Unpin>(
    mut connection: Connection<Socket, T>,
    hear: Hear,
    warnings: Warnings,
) -> Result<(), Error> {
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message? {
            AsyncMessage::Notification(notification) => hear(notification.process_id()),
            // By the place in the server: the text is in its language, and there is no code of its own.
            AsyncMessage::Notice(notice) if notice.routine() == Some("SyncRepWaitForLSN") => {
                tracing::warn!(warning = notice.message(), "PostgreSQL warns");
                warnings.0.fetch_add(1, Ordering::SeqCst);
            }
            // What else it warns of is in its own log, for those who run it.
            AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                tracing::debug!(warning = notice.message(), "PostgreSQL warns");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Waits until a connection has ended, and answers why.
pub(crate) async fn ended(driver: Driver) -> String {
    match driver.await {
        Ok(Ok(())) => "the connection was closed".to_owned(),
        Ok(Err(error)) => match Failure::from(error).0 {
            StoreError::Unavailable(what) => what,
            error => error.to_string(),
        },
        Err(_) => "the connection was given up".to_owned(),
    }
}
