//! A store on PostgreSQL, as one end of a move.

use std::future::Future;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::Client;

use super::tables::{Head, TABLES, Table};
use super::{End, Row};
use crate::failure::Failure;
use crate::postgres::failure::{corrupt, unavailable};
use crate::postgres::lead::Lead;
use crate::postgres::read::{number, position};
use crate::postgres::session::column;
use crate::postgres::{PostgresAddress, connect, copied, schema, session};

/// What is sent at once, in bytes.
const PIECE: usize = 64 << 10;

/// Something must come or go in so long.
const PROGRESS: Duration = Duration::from_secs(60);

const HEAD: &str = "SELECT coalesce(n.position, 0), n.at, h.trimmed, h.trimmed_mark, \
    coalesce(n.revoked_tokens, 0) - h.removed_tokens FROM head h \
    LEFT JOIN LATERAL (SELECT position, at, revoked_tokens FROM changes ORDER BY position DESC LIMIT 1) n ON true \
    FOR UPDATE OF h";

/// Both ends wait for each other, and whatever else is asked for is all of a table.
const SETTINGS: &str =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET enable_seqscan = on";

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE";

pub(super) struct PostgresEnd {
    client: Client,
    /// Moves bytes while something is waited for.
    runtime: Runtime,
}

impl PostgresEnd {
    /// Nobody else may be connected to the store, and nobody can as long as this is.
    pub(super) fn open(address: &PostgresAddress, is_target: bool) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unavailable(format!("starting a runtime: {error}")))?;
        let name = &address.schema;
        let client = runtime.block_on(async {
            let connect::Connected { client, .. } =
                connect::connect(address, &Lead::default(), &connect::deaf()).await?;
            session::set_up(&client, name).await?;
            client.batch_execute(SETTINGS).await?;
            if is_target {
                schema::migrate(&client, name, schema::MIGRATIONS).await?;
            } else {
                schema::see_newest(&client, name).await?;
            }
            schema::have_alone(&client, name).await?;
            client.batch_execute(BEGIN).await?;
            client.query(HEAD, &[]).await?;
            Ok::<_, Failure>(client)
        })?;
        Ok(Self { client, runtime })
    }

    fn wait<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let limited = async { timeout(PROGRESS, work).await };
        Ok(self.runtime.block_on(limited).map_err(|_| unavailable("no answer while moving"))??)
    }
}

fn columns(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

impl End for PostgresEnd {
    fn head(&mut self) -> Result<Head, Failure> {
        let rows = self.wait(self.client.query(HEAD, &[]))?;
        let row = rows.first().ok_or_else(|| corrupt("its head is gone"))?;
        Ok(Head {
            position: position(row, 0)?,
            at: column(row, 1)?,
            trimmed: position(row, 2)?,
            trimmed_mark: column(row, 3)?,
            revoked_tokens: u64::try_from(column::<i64>(row, 4)?).map_err(|_| corrupt("a negative count"))?,
        })
    }

    fn read(&mut self, table: &Table, each: &mut dyn FnMut(Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let copy = format!("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)", columns(table), table.name);
        let mut pieces = Box::pin(self.wait(self.client.copy_out(&copy))?);
        let mut rows = copied::Copied::default();
        while let Some(piece) = self.wait(pieces.try_next())? {
            rows.take(&piece, &mut |fields| each(fields.iter().map(|field| field.map(<[u8]>::to_vec)).collect()))?;
        }
        rows.finish()
    }

    fn is_empty(&mut self) -> Result<bool, Failure> {
        let exist: Vec<_> = TABLES.iter().map(|table| format!("EXISTS (SELECT 1 FROM {})", table.name)).collect();
        let query = format!("SELECT trimmed > 0 OR {} FROM head", exist.join(" OR "));
        let row = self.wait(self.client.query_one(&query, &[]))?;
        Ok(!column::<bool>(&row, 0)?)
    }

    fn write(&mut self, table: &Table, rows: &Receiver<Vec<Row>>) -> Result<(), Failure> {
        let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, columns(table));
        let mut sink = Box::pin(self.wait(self.client.copy_in::<_, Bytes>(&copy))?);
        let mut bytes = Vec::with_capacity(2 * PIECE);
        copied::begin(&mut bytes);
        for row in rows.iter().flatten() {
            copied::put(&mut bytes, row.iter().map(Option::as_deref));
            if bytes.len() >= PIECE {
                self.wait(sink.send(Bytes::from(std::mem::take(&mut bytes))))?;
            }
        }
        copied::end(&mut bytes);
        self.wait(sink.send(Bytes::from(bytes)))?;
        self.wait(sink.as_mut().finish()).map(drop)
    }

    fn set_head(&mut self, head: Head) -> Result<(), Failure> {
        let trimmed = number(head.trimmed);
        let update = "UPDATE head SET trimmed = $1, trimmed_mark = $2, removed_tokens = 0";
        self.wait(self.client.execute(update, &[&trimmed, &head.trimmed_mark]))?;
        let counted = i64::try_from(head.revoked_tokens).unwrap_or(i64::MAX);
        let update = "UPDATE changes SET revoked_tokens = $1 WHERE position = $2";
        self.wait(self.client.execute(update, &[&counted, &number(head.position)])).map(drop)
    }

    fn commit(self: Box<Self>) -> Result<(), Failure> {
        self.wait(self.client.batch_execute("COMMIT"))?;
        // What plans are made by, before anybody waits for them. It does not matter where it fails.
        drop(self.wait(self.client.batch_execute("ANALYZE records, revoked_tokens, changes, assertions, answers")));
        Ok(())
    }
}
