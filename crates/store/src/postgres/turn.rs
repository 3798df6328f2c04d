//! A transaction on the connection for writing, which never outlives whoever began it: what was not committed is rolled
//! back, or else the connection is given up.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::Position;
use tokio_postgres::{Error, Row};

use crate::failure::Failure;
use crate::postgres::failure::{corrupt, is_refusal, unavailable};
use crate::postgres::link::Link;
use crate::postgres::pipeline::Pipeline;
use crate::postgres::read::position;
use crate::postgres::schema::{Known, LOCKS};
use crate::postgres::session::{LOCKED_STEP, STEP, Session, column};

/// READ COMMITTED whatever the database's default is: whoever waited for the head sees what the one before wrote.
/// The limit is for all waits of one statement: `lock_timeout` counts for each lock by itself, and there are two.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = '7 s'";

/// The newest change, as it is while nobody else writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) position: Position,
    pub(crate) at: Option<UnixTime>,
    pub(crate) mark: i64,
}

/// An open transaction.
pub(crate) struct Turn<'s> {
    pub(crate) link: &'s Link,
    pub(crate) session: &'s Session,
    is_open: bool,
}

impl<'s> Turn<'s> {
    /// Begins, and waits until nobody else writes.
    pub(crate) fn begin(link: &'s Link, session: &'s Session) -> Result<(Self, Head), Failure> {
        let turn = Self { link, session, is_open: true };
        let (client, known) = (&session.client, link.known());
        let head = async {
            let mut pipeline = Pipeline::new();
            pipeline.send(async { client.batch_execute(BEGIN).await.map(|()| Vec::new()) }).await;
            lock(session, &mut pipeline).await;
            head(&pipeline.finish().await.map_err(|(_, error)| error)?, known)
        };
        let head = turn.waited(link.wait(session.within(LOCKED_STEP, head)))?;
        Ok((turn, head))
    }

    /// Begins what one process does at a time; `None` where another is at it. Waits for nobody.
    pub(crate) fn begin_alone(link: &'s Link, session: &'s Session) -> Result<Option<Self>, Failure> {
        let turn = Self { link, session, is_open: true };
        let client = &session.client;
        let alone = async {
            let mut pipeline = Pipeline::new();
            pipeline.send(async { client.batch_execute(BEGIN).await.map(|()| Vec::new()) }).await;
            pipeline.send(client.query(&session.writing.tend, &[&LOCKS])).await;
            let answers = pipeline.finish().await.map_err(|(_, error)| error)?;
            let row = answers.last().and_then(|rows| rows.first()).ok_or_else(|| unavailable("no answer"))?;
            column::<bool>(row, 0)
        };
        Ok(link.wait(session.within(STEP, alone))?.then_some(turn))
    }

    /// Waits until nobody else writes, in a transaction that has begun.
    pub(crate) fn lock(&self) -> Result<Head, Failure> {
        let (session, known) = (self.session, self.link.known());
        let head = async {
            let mut pipeline = Pipeline::new();
            lock(session, &mut pipeline).await;
            head(&pipeline.finish().await.map_err(|(_, error)| error)?, known)
        };
        self.waited(self.link.wait(self.session.within(LOCKED_STEP, head)))
    }

    /// Where waiting was in vain, throws out whoever has the right to write and does nothing with it. The server does so
    /// by itself, but not with one that froze while it was sending.
    fn waited(&self, head: Result<Head, Failure>) -> Result<Head, Failure> {
        if matches!(&head, Err(Failure(StoreError::Busy))) && self.session.check().is_ok() {
            let client = &self.session.client;
            let evict = async {
                client.batch_execute("ROLLBACK").await?;
                client.execute(&self.session.writing.evict, &[]).await
            };
            if self.link.wait(self.session.within(STEP, evict)).is_ok_and(|evicted| evicted > 0) {
                tracing::warn!("a session had the right to write and was silent; it was ended");
            }
        }
        head
    }

    /// Sends what `fill` puts into the pipeline, and the commit with it.
    pub(crate) fn commit<'p>(mut self, fill: impl AsyncFnOnce(&mut Pipeline<'p, u64>)) -> Result<(), Failure>
    where
        's: 'p,
    {
        let client = &self.session.client;
        if client.is_closed() {
            return Err(unavailable("the connection was lost before anything was committed"));
        }
        let (mut is_answered, warnings) = (false, self.session.warnings.count());
        let sent = async {
            let mut pipeline = Pipeline::new();
            fill(&mut pipeline).await;
            let statements = pipeline.len();
            pipeline.send(async { client.batch_execute("COMMIT").await.map(|()| 0) }).await;
            let answers = pipeline.finish().await;
            is_answered = true;
            // The commit of a transaction in which a statement has failed is none, and no error; but that statement's is.
            answers.map(drop).map_err(|(index, error)| outcome(index == statements, error))
        };
        let committed = self.link.wait(self.session.within(STEP, sent));
        self.is_open = committed.is_err();
        committed.map_err(|failure| if is_answered { failure } else { unknown(&failure) })?;
        // Committed here, but the wait for the standbys was broken off: whoever takes over may not have it.
        if self.session.warnings.count() == warnings {
            Ok(())
        } else {
            Err(unknown(&unavailable("the wait for the standbys was broken off")))
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_open && self.session.check().is_ok() {
            let rollback = self.session.within(STEP, self.session.client.batch_execute("ROLLBACK"));
            if let Err(Failure(error)) = self.link.wait(rollback) {
                self.session.end(&error.to_string());
            }
        }
    }
}

/// What an error says while committing: nothing was written where the server says so before it comes to the commit, or
/// goes on afterwards.
fn outcome(is_of_commit: bool, error: Error) -> Failure {
    let is_known = if is_of_commit { is_refusal(&error) } else { error.as_db_error().is_some() };
    let failure = Failure::from(error);
    if is_known { failure } else { unknown(&failure) }
}

fn unknown(failure: &Failure) -> Failure {
    StoreError::Uncertain(format!("the commit was not answered: {}", failure.0)).into()
}

async fn lock<'p>(session: &'p Session, pipeline: &mut Pipeline<'p, Vec<Row>>) {
    for statement in [&session.writing.lock, &session.writing.newest] {
        pipeline.send(session.client.query(statement, &[])).await;
    }
}

/// From the answers to those two.
fn head(answers: &[Vec<Row>], known: &Known) -> Result<Head, Failure> {
    let [.., locked, newest] = answers else { return Err(unavailable("no answer")) };
    known.see(locked.first().ok_or_else(|| corrupt("its head is gone"))?)?;
    let Some(row) = newest.first() else { return Ok(Head { position: Position(0), at: None, mark: 0 }) };
    Ok(Head { position: position(row, 0)?, at: Some(UnixTime(column(row, 1)?)), mark: column(row, 2)? })
}
