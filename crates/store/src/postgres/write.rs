//! The transaction in which mutations and their entries in the log are written.
//!
//! It begins by locking the head, and so nobody else writes until it ends. What is written is kept until the end, or
//! until something must be read back, and then goes in a few statements with one round trip, the commit with it.

use std::collections::{HashMap, HashSet};
use std::mem;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Answer, Changed, Draft, Expected, Kind, Position, Put, RevocationId, Transaction};
use tokio_postgres::{Client, Statement};

use crate::failure::Failure;
use crate::postgres::drafts::{Changes, Drafts, Tokens};
use crate::postgres::failure::unavailable;
use crate::postgres::marks::Marks;
use crate::postgres::pipeline::Pipeline;
use crate::postgres::read::{self, number, text};
use crate::postgres::session::{STEP, Session, column, prepare_all};
use crate::postgres::turn::{Head, Turn};

const LOCK: &str = "SELECT version, oldest, identity FROM head FOR UPDATE";

/// As a statement of its own: one that waits for the lock does not see what the one before has written.
const NEWEST: &str = "SELECT position, at, mark FROM changes ORDER BY position DESC LIMIT 1";

const APPEND: &str = "INSERT INTO changes (position, at, actor, action, kind, id, detail, mark, revoked_tokens) \
    SELECT g.position, g.at, g.actor, g.action, g.kind, g.id, g.detail, $8, \
        coalesce((SELECT revoked_tokens FROM changes ORDER BY position DESC LIMIT 1), 0) \
    FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]) \
    AS g (position, at, actor, action, kind, id, detail)";

const PUT_RECORDS: &str = "INSERT INTO records (kind, id, body) \
    SELECT g.kind, g.id, g.body FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS g (kind, id, body) \
    ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body";

const REMOVE_RECORDS: &str = "DELETE FROM records r USING unnest($1::text[], $2::bytea[]) AS g (kind, id) \
    WHERE r.kind = g.kind AND r.id = g.id";

/// Adds those that are new and counts them. Those that were there before are extended: to the later time, where none is
/// the latest, and to the key by whose retirement such an entry goes. All parts see the table as it was before.
const PUT_TOKENS: &str = "WITH given AS MATERIALIZED ( \
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bigint[]) \
        AS g (id, expires_at, key_id, revoked_at, actor, reason, position)), \
    added AS (INSERT INTO revoked_tokens (id, expires_at, key_id, revoked_at, actor, reason, position) \
        SELECT id, expires_at, key_id, revoked_at, actor, reason, position FROM given \
        ON CONFLICT (id) DO NOTHING RETURNING 1), \
    extended AS (UPDATE revoked_tokens t SET \
        expires_at = CASE WHEN t.expires_at IS NOT NULL AND g.expires_at IS NOT NULL \
            THEN greatest(t.expires_at, g.expires_at) END, \
        key_id = CASE WHEN g.expires_at IS NULL THEN coalesce(g.key_id, t.key_id) ELSE coalesce(t.key_id, g.key_id) END \
        FROM given g WHERE t.id = g.id) \
    UPDATE changes SET revoked_tokens = revoked_tokens + (SELECT count(*) FROM added) WHERE position = $8";

const PUT_ANSWERS: &str = "INSERT INTO answers (key, request, created, expires_at) \
    SELECT g.key, g.request, g.created, g.expires_at \
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) AS g (key, request, created, expires_at) \
    ON CONFLICT (key) DO UPDATE \
    SET request = excluded.request, created = excluded.created, expires_at = excluded.expires_at";

const NOTIFY: &str = "SELECT pg_notify($1, '')";

const PUT_ASSERTIONS: &str = "INSERT INTO assertions (id, expires_at) \
    SELECT g.id, g.expires_at FROM unnest($1::bytea[], $2::bigint[]) AS g (id, expires_at) ON CONFLICT (id) DO NOTHING";

const FIND_ASSERTIONS: &str = "SELECT id FROM assertions WHERE id = ANY ($1)";

const FIND_ANSWERS: &str = "SELECT key, request, created, expires_at FROM answers WHERE key = ANY ($1)";

const TEND: &str = "SELECT pg_try_advisory_xact_lock($1, hashtext('tend ' || current_schema()))";

/// Ends sessions that have locked the head and keep the server waiting for a while.
const EVICT: &str = "SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'relation' AND l.relation = 'head'::regclass \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.mode = 'RowShareLock' AND l.granted \
    AND a.usename = current_user AND a.wait_event = 'ClientRead' \
    AND greatest(a.xact_start, a.query_start, a.state_change) < clock_timestamp() - interval '5 s'";

pub(crate) struct Statements {
    pub(crate) lock: Statement,
    pub(crate) newest: Statement,
    append: Statement,
    put_records: Statement,
    remove_records: Statement,
    put_tokens: Statement,
    put_answers: Statement,
    pub(crate) notify: Statement,
    put_assertions: Statement,
    find_assertions: Statement,
    find_answers: Statement,
    pub(crate) tend: Statement,
    pub(crate) evict: Statement,
}

impl Statements {
    pub(crate) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [
            lock,
            newest,
            append,
            put_records,
            remove_records,
            put_tokens,
            put_answers,
            notify,
            put_assertions,
            find_assertions,
            find_answers,
            tend,
            evict,
        ] = prepare_all(
            client,
            [
                LOCK,
                NEWEST,
                APPEND,
                PUT_RECORDS,
                REMOVE_RECORDS,
                PUT_TOKENS,
                PUT_ANSWERS,
                NOTIFY,
                PUT_ASSERTIONS,
                FIND_ASSERTIONS,
                FIND_ANSWERS,
                TEND,
                EVICT,
            ],
        )
        .await?;
        Ok(Self {
            lock,
            newest,
            append,
            put_records,
            remove_records,
            put_tokens,
            put_answers,
            notify,
            put_assertions,
            find_assertions,
            find_answers,
            tend,
            evict,
        })
    }
}

/// What was looked up, perhaps before it was asked for: nobody else can change it meanwhile.
#[derive(Debug, Default)]
struct Ahead {
    answers: HashMap<String, Option<Answer>>,
    /// Whether they are known.
    assertions: HashMap<RevocationId, bool>,
}

/// A transaction that has the right to write.
pub(crate) struct Writing<'s> {
    turn: Turn<'s>,
    head: Head,
    /// Of all changes of this transaction.
    mark: i64,
    /// What others have changed was handed out up to here, and this transaction's own.
    marks: Marks,
    drafts: Drafts,
    ahead: Ahead,
    /// Whether the head was moved.
    has_moved: bool,
    /// After an error nothing is written any more, nor committed: the server has given the transaction up.
    failed: Option<StoreError>,
}

impl<'s> Writing<'s> {
    pub(crate) fn new(turn: Turn<'s>, head: Head, marks: Marks) -> Self {
        let (drafts, mark) = (Drafts::default(), crate::random::number().cast_signed());
        Self { turn, head, mark, marks, drafts, ahead: Ahead::default(), has_moved: false, failed: None }
    }

    /// Writes what is left to be written, and commits. Fails with what went wrong, even where the one who wrote went on.
    pub(crate) fn finish(mut self) -> Result<Marks, Failure> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let (link, session, head) = (self.turn.link, self.turn.session, self.head);
        let has_moved = self.has_moved || !self.drafts.changes.positions.is_empty();
        self.turn.commit(async |pipeline| {
            send(session, pipeline, self.drafts, head).await;
            if has_moved {
                let (client, notify) = (&session.client, &session.writing.notify);
                pipeline.send(async move { client.execute(notify, &[&link.channel()]).await }).await;
            }
        })?;
        if has_moved {
            self.marks.note(head.position, head.mark);
        }
        Ok(self.marks)
    }

    /// Does a step with the server, unless something has failed before.
    fn attempt<T>(&mut self, act: impl AsyncFnOnce(&Session) -> Result<T, Failure>) -> Result<T, StoreError> {
        self.attempt_all(async |session, _| session.within(STEP, act(session)).await)
    }

    /// The same in several steps, each of which takes care of its time.
    fn attempt_all<T>(
        &mut self,
        act: impl AsyncFnOnce(&Session, &mut Marks) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let (link, session) = (self.turn.link, self.turn.session);
        link.wait(act(session, &mut self.marks)).map_err(|Failure(error)| {
            if error != StoreError::Trimmed {
                self.failed = Some(error.clone());
            }
            error
        })
    }

    /// Lets the server know what was written so far.
    fn flush(&mut self) -> Result<(), StoreError> {
        if self.drafts.is_empty() {
            return Ok(());
        }
        let (drafts, head) = (mem::take(&mut self.drafts), self.head);
        self.has_moved |= !drafts.changes.positions.is_empty();
        self.attempt(async |session| {
            let mut pipeline = Pipeline::new();
            send(session, &mut pipeline, drafts, head).await;
            Ok(pipeline.finish().await.map(drop).map_err(|(_, error)| error)?)
        })
    }
}

impl Transaction for Writing<'_> {
    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError> {
        // The head was read when it was locked, and nobody has moved it since but this transaction.
        if position == self.head.position && self.failed.is_none() {
            let is_known = self.marks.agree(position, Some(self.head.mark));
            return if is_known { Ok(Vec::new()) } else { Err(StoreError::Trimmed) };
        }
        self.flush()?;
        let known = self.turn.link.known();
        self.attempt_all(async |session, marks| read::changes_after(session, position, known, marks).await)
    }

    fn write(&mut self, at: UnixTime, actor: &str, draft: &Draft) -> Result<Position, StoreError> {
        let is_record_of_token = match &draft.put {
            Put::Record(record) => record.kind == Kind::Token,
            Put::Remove(kind, _) => *kind == Kind::Token,
            Put::Token(_) => false,
        };
        self.attempt(
            async |_| {
                if is_record_of_token { Err(unavailable("a revoked token is not a record")) } else { Ok(()) }
            },
        )?;
        // The clocks of those who write may differ; the log's times never go back.
        let at = self.head.at.map_or(at, |newest| newest.max(at));
        let position = Position(self.head.position.0 + 1);
        self.head = Head { position, at: Some(at), mark: self.mark };
        self.drafts.take(position, at, actor, draft);
        Ok(position)
    }

    fn expect(&mut self, expected: &[Expected]) -> Result<(), StoreError> {
        let (mut keys, mut ids) = (Vec::new(), Vec::new());
        for expected in expected {
            match expected {
                Expected::Answer(key) => keys.push(key.as_bytes()),
                Expected::Assertion(id) => ids.push(&id.0[..]),
            }
        }
        let (answers, assertions) = self.attempt(async |session| {
            let (client, statements) = (&session.client, &session.writing);
            let mut pipeline = Pipeline::new();
            pipeline.send(async { client.query(&statements.find_answers, &[&keys]).await }).await;
            pipeline.send(async { client.query(&statements.find_assertions, &[&ids]).await }).await;
            let found = pipeline.finish().await.map_err(|(_, error)| error)?;
            let [answers, assertions] = &*found else { return Err(unavailable("no answer")) };
            let answers = answers.iter().map(|row| {
                let (key, request, created) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
                Ok((key.clone(), Answer { key, request, created, expires_at: UnixTime(column(row, 3)?) }))
            });
            let assertions = assertions.iter().map(|row| read::id(column(row, 0)?));
            Ok((
                answers.collect::<Result<HashMap<_, _>, Failure>>()?,
                assertions.collect::<Result<HashSet<_>, Failure>>()?,
            ))
        })?;
        for expected in expected {
            match expected {
                Expected::Answer(key) => {
                    self.ahead.answers.entry(key.clone()).or_insert_with(|| answers.get(key).cloned());
                }
                Expected::Assertion(id) => {
                    self.ahead.assertions.entry(*id).or_insert_with(|| assertions.contains(id));
                }
            }
        }
        Ok(())
    }

    fn remember_assertion(&mut self, id: RevocationId, expires_at: UnixTime) -> Result<bool, StoreError> {
        if !self.ahead.assertions.contains_key(&id) {
            self.expect(&[Expected::Assertion(id)])?;
        }
        self.failed.clone().map_or(Ok(()), Err)?;
        let is_known = self.ahead.assertions.insert(id, true).unwrap_or_default();
        if !is_known {
            self.drafts.assertions.push((id, expires_at));
        }
        Ok(!is_known)
    }

    fn find_answer(&mut self, key: &str, now: UnixTime) -> Result<Option<Answer>, StoreError> {
        if !self.ahead.answers.contains_key(key) {
            self.expect(&[Expected::Answer(key.to_owned())])?;
        }
        self.failed.clone().map_or(Ok(()), Err)?;
        let found = self.ahead.answers.get(key).and_then(Option::as_ref);
        Ok(found.filter(|answer| answer.expires_at > now).cloned())
    }

    fn remember_answer(&mut self, answer: &Answer) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        self.ahead.answers.insert(answer.key.clone(), Some(answer.clone()));
        self.drafts.answers.insert(answer.key.clone(), answer.clone());
        Ok(())
    }
}

/// Sends what was drafted, up to where the head is then.
async fn send<'p>(session: &'p Session, pipeline: &mut Pipeline<'p, u64>, drafts: Drafts, head: Head) {
    let (client, statements) = (&session.client, &session.writing);
    let changes = drafts.changes;
    if !changes.positions.is_empty() {
        let append = async move {
            let Changes { positions, times, actors, actions, kinds, ids, details } = &changes;
            let append = &statements.append;
            client.execute(append, &[positions, times, actors, actions, kinds, ids, details, &head.mark]).await
        };
        pipeline.send(append).await;
    }
    let (mut put, mut removed) = ((vec![], vec![], vec![]), (vec![], vec![]));
    for ((kind, id), body) in drafts.records {
        if let Some(body) = body {
            put.0.push(kind);
            put.1.push(id);
            put.2.push(body);
        } else {
            removed.0.push(kind);
            removed.1.push(id);
        }
    }
    if !put.0.is_empty() {
        let put = async move { client.execute(&statements.put_records, &[&put.0, &put.1, &put.2]).await };
        pipeline.send(put).await;
    }
    if !removed.0.is_empty() {
        let remove = async move { client.execute(&statements.remove_records, &[&removed.0, &removed.1]).await };
        pipeline.send(remove).await;
    }
    for tokens in drafts.tokens {
        let put = async move {
            let Tokens { ids, expiries, keys, times, actors, reasons, positions, .. } = &tokens;
            let last = number(head.position);
            let put = &statements.put_tokens;
            client.execute(put, &[ids, expiries, keys, times, actors, reasons, positions, &last]).await
        };
        pipeline.send(put).await;
    }
    if !drafts.answers.is_empty() {
        let answers: Vec<_> = drafts.answers.into_values().collect();
        let put = async move {
            let texts = |text: fn(&Answer) -> &str| answers.iter().map(|a| text(a).as_bytes()).collect::<Vec<_>>();
            let (keys, requests) = (texts(|answer| &answer.key), texts(|answer| &answer.request));
            let created = texts(|answer| &answer.created);
            let expiries: Vec<i64> = answers.iter().map(|answer| answer.expires_at.0).collect();
            client.execute(&statements.put_answers, &[&keys, &requests, &created, &expiries]).await
        };
        pipeline.send(put).await;
    }
    if !drafts.assertions.is_empty() {
        let ids: Vec<_> = drafts.assertions.iter().map(|(id, _)| id.0.to_vec()).collect();
        let expiries: Vec<_> = drafts.assertions.iter().map(|(_, expires_at)| expires_at.0).collect();
        let put = async move { client.execute(&statements.put_assertions, &[&ids, &expiries]).await };
        pipeline.send(put).await;
    }
}
