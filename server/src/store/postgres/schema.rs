//! The version of the schema.

use refinery::Migration;
use refinery_core::{
    Migrate,
    traits::sync::{Query, Transaction},
};
use time::OffsetDateTime;

use super::session::Link;
use crate::store::{
    OpenError, StoreError, StoreResult,
    session::{Session, broken, params},
};

mod migrations {
    refinery::embed_migrations!("src/store/migrations/postgres");
}

/// Brings the schema to the present version, in the open transaction.
pub fn migrate(link: &Link) -> Result<(), OpenError> {
    let (found, known) = (version(link)?, known_version());
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    runner().run(&mut Schema(link))?;
    Ok(())
}

/// The version of the schema; zero if there is none.
pub fn version(link: &Link) -> StoreResult<i64> {
    let session: &dyn Session = link;
    if !session.any("SELECT 1 WHERE to_regclass('refinery_schema_history') IS NOT NULL", params![])? {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0)::BIGINT FROM refinery_schema_history";
    session.get(newest, params![], |row| row.get(0))
}

/// The newest version that this program knows.
pub fn known_version() -> i64 {
    runner().get_migrations().iter().map(|it| i64::from(it.version())).max().expect("there is a first migration")
}

fn runner() -> refinery::Runner {
    migrations::migrations::runner().set_abort_missing(true)
}

/// The schema as refinery changes it. Given a connection it would begin transactions of its own, which end the lock under
/// which instances start, and prepare statements, which a pooler loses.
struct Schema<'a>(&'a Link);

impl Transaction for Schema<'_> {
    type Error = StoreError;

    fn execute<'a, T: Iterator<Item = &'a str>>(&mut self, queries: T) -> StoreResult<usize> {
        let mut count = 0;
        for query in queries {
            self.0.script(query)?;
            count += 1;
        }
        Ok(count)
    }
}

impl Query<Vec<Migration>> for Schema<'_> {
    fn query(&mut self, query: &str) -> StoreResult<Vec<Migration>> {
        let session: &dyn Session = self.0;
        session.all(query, params![], |row| {
            let version = i32::try_from(row.get::<i64>(0)?).map_err(|_| broken(0, "no version"))?;
            let checksum = row.get::<String>(2)?.parse().map_err(|_| broken(2, "no checksum"))?;
            // Nobody asks since when.
            Ok(Migration::applied(version, row.get(1)?, OffsetDateTime::UNIX_EPOCH, checksum))
        })
    }
}

impl Migrate for Schema<'_> {
    fn get_applied_migrations_query(table: &str) -> String {
        format!("SELECT version::BIGINT, name, checksum FROM {table} ORDER BY version")
    }
}
