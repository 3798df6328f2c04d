//! A connection that is ready for use: set up, its statements prepared. One that did not answer in time is never used
//! again, for what it would answer later belongs to what was asked before.

use std::future::Future;
use std::sync::{OnceLock, Weak};
use std::time::Duration;

use authority::error::StoreError;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, Row, Statement};

use crate::failure::Failure;
use crate::postgres::connect::Warnings;
use crate::postgres::failure::{corrupt, unavailable};
use crate::postgres::lead::Origin;
use crate::postgres::link::Shared;
use crate::postgres::pipeline::Pipeline;
use crate::postgres::{read, schema, sweep, write};

/// How long the server may take for a step that waits for nobody.
pub(crate) const STEP: Duration = Duration::from_secs(5);

/// How long to wait for whoever writes. Longer than a writer may be idle, so that those who wait outlast one that hangs.
const LOCK_TIMEOUT: Duration = Duration::from_secs(6);

/// How long a writer may be idle with the right to write, which others wait for.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(4);

/// As [`STEP`], where others may have to be waited for.
pub(crate) const LOCKED_STEP: Duration = Duration::from_secs(8);

/// How long the server itself lets a statement run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) reading: read::Statements,
    pub(crate) writing: write::Statements,
    pub(crate) sweeping: sweep::Statements,
    /// Of the server's process.
    pub(crate) pid: i32,
    pub(crate) warnings: Warnings,
    /// The server that it leads to.
    pub(crate) origin: Option<Origin>,
    /// All connections of the store.
    others: Weak<Shared>,
    driver: AbortHandle,
    /// Why it is not used any more.
    ended: OnceLock<String>,
}

impl Session {
    /// Makes a connection ready that leads to a migrated store.
    pub(crate) async fn prepare(
        client: Client,
        driver: AbortHandle,
        warnings: Warnings,
        origin: Option<Origin>,
        others: Weak<Shared>,
    ) -> Result<Self, Failure> {
        let reading = read::Statements::prepare(&client).await?;
        let writing = write::Statements::prepare(&client).await?;
        let sweeping = sweep::Statements::prepare(&client).await?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        let pid = column(&row, 0)?;
        let ended = OnceLock::new();
        Ok(Self { client, reading, writing, sweeping, pid, warnings, origin, others, driver, ended })
    }

    /// Sees that it is still of use.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.ended.get() {
            Some(why) => Err(not_connected(why)),
            None => Ok(()),
        }
    }

    /// Does something that takes no longer than `limit`, or gives the connection up.
    pub(crate) async fn within<T, E>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        match timeout(limit, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                if self.client.is_closed() {
                    self.end(&failure.0.to_string());
                }
                Err(failure)
            }
            Err(_) => {
                let why = format!("no answer within {} s", limit.as_secs());
                self.end(&why);
                if let Some(others) = self.others.upgrade() {
                    others.give_up(&why);
                }
                Err(unavailable(why))
            }
        }
    }

    /// Gives the connection up. Answers why it was, the first time.
    pub(crate) fn end(&self, why: &str) -> String {
        // Before whoever waits for its end sees that, and has a reason of its own.
        let why = self.ended.get_or_init(|| why.to_owned()).clone();
        self.driver.abort();
        why
    }
}

/// There is no connection now.
pub(crate) fn not_connected(why: &str) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL is not connected: {why}"))
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A commit is answered when it is durable, and where standbys must have it, when they do.
pub(crate) const DURABLE: &str = "SELECT set_config('synchronous_commit', \
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// A connection on which nothing happens stays. Servers before version 14 have no such limit.
pub(crate) const LASTING: &str =
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'";

/// Settings that the store relies on, whatever the server's are.
///
/// Plans do not depend on statistics, which may be old: everything that is asked for often is found by an index.
pub(crate) async fn set_up(client: &Client, schema: &str) -> Result<(), Error> {
    let (idle, lock) = (IDLE_IN_TRANSACTION.as_millis(), LOCK_TIMEOUT.as_millis());
    let statement = STATEMENT_TIMEOUT.as_millis();
    client
        .batch_execute(&format!(
            "SET search_path TO {};
             SET idle_in_transaction_session_timeout = {idle};
             SET lock_timeout = {lock};
             SET statement_timeout = {statement};
             SET client_min_messages = warning;
             {LASTING};
             SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
             SET enable_mergejoin = off; SET enable_material = off; SET jit = off; SET plan_cache_mode = force_generic_plan;
             {DURABLE}",
            schema::quoted(schema)
        ))
        .await
}

/// Prepares statements, all with one round trip.
pub(crate) async fn prepare_all<const N: usize>(client: &Client, texts: [&str; N]) -> Result<[Statement; N], Failure> {
    let mut pipeline = Pipeline::new();
    for text in texts {
        pipeline.send(client.prepare(text)).await;
    }
    let prepared = pipeline.finish().await.map_err(|(_, error)| error)?;
    prepared.try_into().map_err(|_| unavailable("a statement was not prepared"))
}

/// A column of a row, which holds what the schema says.
pub(crate) fn column<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, Failure> {
    row.try_get(index).map_err(|error| corrupt(&error.to_string()))
}
