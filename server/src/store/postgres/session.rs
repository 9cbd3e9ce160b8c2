//! A transaction of Postgres. Its calls block the thread while the runtime talks to the server.
//!
//! Statements whose answer nobody needs yet wait here, and go out together with the next one whose answer is: a pipeline,
//! one way to the server and back for all of them. A failure among them is that of the call which sends them.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use deadpool_postgres::Client;
use futures::{
    future::{maybe_done, try_join_all},
    poll,
};
use tokio::time::timeout;
use tokio_postgres::{
    Statement,
    error::SqlState,
    types::{IsNull, ToSql, Type},
};

use super::Database;
use crate::{
    limits::{POSTGRES_ANSWER_MAX, POSTGRES_PIPELINE_MAX},
    store::{
        StoreError, StoreResult,
        session::{Next, Param, Question, Row, Session, Value},
    },
};

/// The key of the advisory lock under which instances that start together do it one after the other ("circles").
const START_LOCK: i64 = 0x0063_6972_636c_6573;

/// A statement that takes longer than this is given up by the server, so that a stuck lock does not hold up the relay for
/// ever. Set in each transaction: a pooler takes no such options of a connection, and gives it to others.
const TIME_LIMITS: &str = "SET LOCAL statement_timeout = '8s'; SET LOCAL lock_timeout = '8s'";

/// How long a transaction may do nothing until the server undoes it. One that reads holds up nobody, and one of a start only
/// those that start with it; either may wait for the file of a backup.
const IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '30s'";

/// One that writes holds the campus's lock, and its instance may have been frozen, or cut off, in the middle. It waits for
/// nothing but the way to the server and back; and this is shorter than others wait for the lock.
const WRITER_IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// The head row is the lock of the campus (design section 5).
const LOCK_CAMPUS: &str = "SELECT head FROM campus FOR UPDATE";

/// A connection, lent by the pool.
pub struct Link {
    database: Database,
    client: Option<Client>,
    /// A transaction is open.
    open: Cell<bool>,
    /// How long an answer may take; none while instances start, which wait for one another.
    patience: Cell<Option<Duration>>,
    /// Nothing is to be expected from this connection any more.
    given_up: Cell<bool>,
    /// A statement of it failed: it can only be rolled back, and its `COMMIT` would do that without a word.
    failed: Cell<bool>,
    touched: Cell<u64>,
    waiting: RefCell<Vec<Waiting>>,
}

/// What is to be sent.
enum Waiting {
    Script(String),
    Run(Sql, Vec<Value>),
}

/// The text of a statement, or the statement that the server has prepared of it.
#[derive(Clone)]
enum Sql {
    Text(Arc<str>),
    Prepared(Statement),
}

impl Link {
    pub fn new(database: Database, client: Client) -> Self {
        Self {
            database,
            client: Some(client),
            open: Cell::new(false),
            patience: Cell::new(None),
            given_up: Cell::new(false),
            failed: Cell::new(false),
            touched: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    /// Begins a transaction for what instances do as they start, one at a time, and for as long as it takes.
    pub fn begin_to_start(&self) -> StoreResult<()> {
        let sql = format!(
            "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; {IDLE}; \
             SELECT pg_advisory_xact_lock({START_LOCK})"
        );
        self.begin(sql, None)
    }

    /// Waits until no other transaction writes to the campus.
    pub fn lock_campus(&self) -> StoreResult<()> {
        self.script(LOCK_CAMPUS)
    }

    /// Ends a transaction that only read, without waiting for the server: nothing can come of it.
    pub fn end_read(&self) {
        if self.waiting.take().is_empty() {
            let mut commit = Box::pin(self.client().batch_execute("COMMIT"));
            // Polled once it is on its way; the connection throws the answer away.
            drop(self.database.runtime.block_on(async { poll!(commit.as_mut()) }));
        }
        self.open.set(false);
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is taken away at the end only")
    }

    fn prepared(&self, sql: &str) -> StoreResult<Sql> {
        let sql = numbered(sql);
        if self.database.pooled {
            // The next transaction may find another connection behind this one.
            return Ok(Sql::Text(sql.into()));
        }
        let prepared = self.database.runtime.block_on(self.answered(self.client().prepare_cached(&sql)));
        self.noted(prepared.and_then(|it| self.taken(it))).map(Sql::Prepared)
    }

    /// Waits for an answer, but not for ever: the server, or something on the way to it, may hang while its kernel goes on to
    /// say that all is well.
    async fn answered<T>(&self, it: impl Future<Output = T>) -> StoreResult<T> {
        let Some(patience) = self.patience.get() else { return Ok(it.await) };
        timeout(patience, it).await.map_err(|_| {
            self.give_up();
            StoreError::Unavailable(format!("no answer for {} s", patience.as_secs()))
        })
    }

    /// An answer. A server that only reads was the main one once, before a failover: there is another behind the same address.
    fn taken<T>(&self, answer: Result<T, tokio_postgres::Error>) -> StoreResult<T> {
        if answer.as_ref().is_err_and(|it| it.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)) {
            self.give_up();
        }
        Ok(answer?)
    }

    fn give_up(&self) {
        self.given_up.set(true);
        self.database.leave_idle();
    }

    /// Sends what waits and then the rest, without waiting in between. Gives what came of the rest.
    fn send<T>(&self, rest: impl Future<Output = Result<T, tokio_postgres::Error>>) -> StoreResult<T> {
        let waiting = self.waiting.take();
        let done = self.database.runtime.block_on(async {
            let sent = waiting.iter().map(|it| Box::pin(maybe_done(self.one(it))));
            let mut sent: Vec<_> = sent.collect();
            let mut rest = Box::pin(maybe_done(rest));
            // A request goes out when it is polled for the first time: in this order.
            for it in &mut sent {
                let _ = poll!(it.as_mut());
            }
            let _ = poll!(rest.as_mut());
            let mut failure = Ok(());
            for it in &mut sent {
                self.answered(it.as_mut()).await?;
                failure = failure.and(it.as_mut().take_output().expect("it is done"));
            }
            self.answered(rest.as_mut()).await?;
            self.taken(failure.and(rest.as_mut().take_output().expect("it is done")))
        });
        self.noted(done)
    }

    async fn one(&self, it: &Waiting) -> Result<(), tokio_postgres::Error> {
        match it {
            Waiting::Script(sql) => self.client().batch_execute(sql).await,
            Waiting::Run(statement, values) => {
                let params: Vec<Param<'_>> = values.iter().map(Value::param).collect();
                self.rows(statement, &params).await.map(drop)
            }
        }
    }

    async fn rows(&self, sql: &Sql, params: &[Param<'_>]) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        let params = params.iter().map(|it| (it as &(dyn ToSql + Sync), it.kind()));
        match sql {
            Sql::Text(sql) => self.client().query_typed(sql, &params.collect::<Vec<_>>()).await,
            Sql::Prepared(statement) => {
                self.client().query(statement, &params.map(|(it, _)| it).collect::<Vec<_>>()).await
            }
        }
    }

    fn noted<T>(&self, done: StoreResult<T>) -> StoreResult<T> {
        if done.is_err() {
            self.failed.set(true);
            self.touched.set(self.touched.get() + 1);
        }
        done
    }

    fn begin(&self, sql: String, patience: Option<Duration>) -> StoreResult<()> {
        self.settle()?;
        self.patience.set(patience);
        self.failed.set(false);
        self.open.set(true);
        self.waiting.borrow_mut().push(Waiting::Script(sql));
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Its transaction is open, after a panic, or it is of no use: nobody else may find it in the pool.
        if (self.open.get() || self.given_up.get())
            && let Some(client) = self.client.take()
        {
            drop(Client::take(client));
        }
    }
}

impl Session for Link {
    fn query(
        &self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> StoreResult<Next>,
    ) -> StoreResult<()> {
        let statement = self.prepared(sql)?;
        let rows = self.send(self.rows(&statement, params))?;
        for row in &rows {
            if each(&Row::Postgres(row))? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn ask(&self, questions: &[&dyn Question]) -> StoreResult<()> {
        let mut all = Vec::new();
        for question in questions.iter().filter(|it| !it.lists().is_empty()) {
            let statement = self.prepared(question.sql())?;
            all.extend(question.lists().iter().enumerate().map(|(at, list)| (question, at, statement.clone(), list)));
        }
        for some in all.chunks(POSTGRES_PIPELINE_MAX) {
            let queries = some.iter().map(async |(question, at, statement, list)| {
                let params: Vec<Param<'_>> = list.iter().map(Value::param).collect();
                Ok((question, at, self.rows(statement, &params).await?))
            });
            for (question, at, rows) in self.send(try_join_all(queries))? {
                if let Some(row) = rows.first() {
                    question.take(*at, &Row::Postgres(row))?;
                }
            }
        }
        Ok(())
    }

    fn run(&self, sql: &str, params: &[Param<'_>]) -> StoreResult<()> {
        let statement = self.prepared(sql)?;
        let values = params.iter().map(|it| Value::from(*it)).collect();
        self.touched.set(self.touched.get() + 1);
        self.waiting.borrow_mut().push(Waiting::Run(statement, values));
        let is_full = self.waiting.borrow().len() >= POSTGRES_PIPELINE_MAX;
        if is_full { self.settle() } else { Ok(()) }
    }

    fn settle(&self) -> StoreResult<()> {
        let is_settled = self.waiting.borrow().is_empty();
        if is_settled { Ok(()) } else { self.send(std::future::ready(Ok(()))) }
    }

    fn touched(&self) -> u64 {
        self.touched.get()
    }

    fn script(&self, sql: &str) -> StoreResult<()> {
        match sql {
            // What waits is part of what is undone.
            _ if sql.starts_with("ROLLBACK") => self.waiting.borrow_mut().clear(),
            // Not in one go: the server would answer a failed transaction's `COMMIT` by rolling it back, as if all were well.
            "COMMIT" => {
                self.settle()?;
                if self.failed.get() {
                    return Err(StoreError::Broken(
                        "a transaction with a failed statement was to be committed".to_owned(),
                    ));
                }
            }
            _ => {}
        }
        let done = self.send(self.client().batch_execute(sql));
        match sql {
            "COMMIT" | "ROLLBACK" => self.open.set(done.is_err()),
            _ => {}
        }
        if sql.starts_with("ROLLBACK") && done.is_ok() {
            self.failed.set(false);
        }
        done
    }

    fn is_open(&self) -> bool {
        // A failed statement leaves the transaction to be rolled back; a lost connection leaves nothing.
        self.open.get() && !self.given_up.get() && !self.client().is_closed()
    }

    fn begin_read(&self) -> StoreResult<()> {
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {TIME_LIMITS}; {IDLE}");
        self.begin(sql, Some(POSTGRES_ANSWER_MAX))
    }

    fn begin_write(&self) -> StoreResult<()> {
        self.begin(format!("BEGIN; {TIME_LIMITS}; {WRITER_IDLE}; {LOCK_CAMPUS}"), Some(POSTGRES_ANSWER_MAX))
    }
}

/// `?` as `$1`, `$2` …: none of our statements has a question mark otherwise.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    for (index, part) in sql.split('?').enumerate() {
        if index > 0 {
            out.push('$');
            out.push_str(&index.to_string());
        }
        out.push_str(part);
    }
    out
}

impl Param<'_> {
    /// The type in Postgres; for null whatever fits.
    fn kind(&self) -> Type {
        match self {
            Self::Null => Type::UNKNOWN,
            Self::Int(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Bytes(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
            Self::Bytes(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA, Type::UNKNOWN].contains(kind)
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered() {
        assert_eq!(numbered("SELECT 1 WHERE a = ? AND b > ?"), "SELECT 1 WHERE a = $1 AND b > $2");
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
