//! A transaction of SQLite.

use rusqlite::{
    Connection, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use crate::store::{
    StoreError, StoreResult,
    session::{Next, Param, Question, Row, Session, Value},
};

impl Session for Connection {
    fn query(
        &self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> StoreResult<Next>,
    ) -> StoreResult<()> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            if each(&Row::Sqlite(row))? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn ask(&self, questions: &[&dyn Question]) -> StoreResult<()> {
        for question in questions {
            for (at, list) in question.lists().iter().enumerate() {
                let params: Vec<Param<'_>> = list.iter().map(Value::param).collect();
                self.query(question.sql(), &params, &mut |row| question.take(at, row).map(|()| Next::Enough))?;
            }
        }
        Ok(())
    }

    fn run(&self, sql: &str, params: &[Param<'_>]) -> StoreResult<()> {
        self.prepare_cached(sql)?.execute(rusqlite::params_from_iter(params))?;
        Ok(())
    }

    fn settle(&self) -> StoreResult<()> {
        // Nothing waits.
        Ok(())
    }

    fn touched(&self) -> u64 {
        // A statement that fails undoes itself.
        self.total_changes()
    }

    fn script(&self, sql: &str) -> StoreResult<()> {
        // The beginning and the end of each transaction are always the same.
        if sql.contains(';') { Ok(self.execute_batch(sql)?) } else { self.query(sql, &[], &mut |_| Ok(Next::More)) }
    }

    fn is_open(&self) -> bool {
        !self.is_autocommit()
    }

    fn begin_read(&self) -> StoreResult<()> {
        self.script("BEGIN")
    }

    fn begin_write(&self) -> StoreResult<()> {
        self.script("BEGIN IMMEDIATE")
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as E;
        match error.sqlite_error_code() {
            Some(E::DiskFull) => Self::Full,
            Some(
                E::DatabaseBusy
                | E::DatabaseLocked
                | E::SystemIoFailure
                | E::OutOfMemory
                | E::OperationInterrupted
                | E::CannotOpen
                | E::ReadOnly
                | E::FileLockingProtocolFailed,
            ) => Self::Unavailable(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}
