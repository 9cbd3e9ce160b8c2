//! A transaction of Postgres. Its calls block the thread while the runtime talks to the server.

use std::{cell::Cell, error::Error};

use bytes::BytesMut;
use deadpool_postgres::Client;
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::store::{
    StoreResult,
    session::{Next, Param, Row, Session},
};

/// A connection, lent by the pool.
pub struct Link {
    runtime: Handle,
    client: Option<Client>,
    /// A transaction is open.
    open: Cell<bool>,
}

impl Link {
    pub fn new(runtime: Handle, client: Client) -> Self {
        Self { runtime, client: Some(client), open: Cell::new(false) }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is taken away at the end only")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A panic left its transaction open: nobody else may find it in the pool.
        if self.open.get()
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
        let rows = self.runtime.block_on(async {
            let statement = self.client().prepare_cached(&numbered(sql)).await?;
            self.client().query(&statement, &as_dyn(params)).await
        })?;
        for row in &rows {
            if each(&Row::Postgres(row))? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn run(&self, sql: &str, params: &[Param<'_>]) -> StoreResult<u64> {
        Ok(self.runtime.block_on(async {
            let statement = self.client().prepare_cached(&numbered(sql)).await?;
            self.client().execute(&statement, &as_dyn(params)).await
        })?)
    }

    fn script(&self, sql: &str) -> StoreResult<()> {
        let done = self.runtime.block_on(self.client().batch_execute(sql));
        match sql {
            "COMMIT" | "ROLLBACK" => self.open.set(done.is_err()),
            _ if sql.starts_with("BEGIN") => self.open.set(true),
            _ => {}
        }
        Ok(done?)
    }

    fn is_open(&self) -> bool {
        // A failed statement leaves the transaction to be rolled back; a lost connection leaves nothing.
        self.open.get() && !self.client().is_closed()
    }

    fn begin_read(&self) -> StoreResult<()> {
        self.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    fn begin_write(&self) -> StoreResult<()> {
        // The head row is the lock of the campus (design section 5).
        self.script("BEGIN; SELECT head FROM campus FOR UPDATE")
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

fn as_dyn<'a>(params: &'a [Param<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|it| it as &(dyn ToSql + Sync)).collect()
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
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
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
