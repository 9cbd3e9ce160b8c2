//! What is held of each scope and what is missing (design 3.4). A change's `prev` proves that nothing lies between.

use std::collections::HashMap;

use circles_protocol::{CampusId, Pos, Scope};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Blob, number};
use crate::coverage::{Coverage, Stretch};

/// The coverage of the scopes that one transaction touches: read once, written once.
#[derive(Default)]
pub struct Ledger {
    scopes: HashMap<Scope, Entry>,
}

struct Entry {
    coverage: Coverage,
    stored: Coverage,
    head: Pos,
    stored_head: Pos,
}

impl Ledger {
    fn entry(&mut self, conn: &Connection, campus: CampusId, scope: Scope) -> rusqlite::Result<&mut Entry> {
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.scopes.entry(scope) {
            let coverage = coverage(conn, campus, scope)?;
            let head = head(conn, campus, scope)?;
            vacant.insert(Entry { stored: coverage.clone(), coverage, head, stored_head: head });
        }
        Ok(self.scopes.get_mut(&scope).expect("it was just inserted"))
    }

    /// Everything of the scope in the stretch is now held.
    pub fn cover(
        &mut self,
        conn: &Connection,
        campus: CampusId,
        scope: Scope,
        after: Pos,
        until: Pos,
    ) -> rusqlite::Result<()> {
        let entry = self.entry(conn, campus, scope)?;
        if let Some(stretch) = Stretch::new(after, until) {
            entry.coverage.cover(stretch);
        }
        entry.head = entry.head.max(until);
        Ok(())
    }

    /// The scope has a change at this position: what is not covered below it is missing.
    pub fn reach(&mut self, conn: &Connection, campus: CampusId, scope: Scope, head: Pos) -> rusqlite::Result<()> {
        let entry = self.entry(conn, campus, scope)?;
        entry.head = entry.head.max(head);
        Ok(())
    }

    /// Whether anything is missing of a scope that was touched.
    pub fn has_gaps(&self) -> bool {
        self.scopes.values().any(|entry| !entry.coverage.gaps(entry.head).is_empty())
    }

    /// Writes what changed.
    pub fn store(self, conn: &Connection, campus: CampusId) -> rusqlite::Result<()> {
        for (scope, entry) in self.scopes {
            let name = scope.to_string();
            if entry.head != entry.stored_head {
                conn.prepare_cached("INSERT OR REPLACE INTO scope_head (campus, scope, pos) VALUES (?1, ?2, ?3)")?
                    .execute(params![campus.blob(), name, i64::from(entry.head)])?;
            }
            if entry.coverage == entry.stored {
                continue;
            }
            conn.prepare_cached("DELETE FROM coverage WHERE campus = ?1 AND scope = ?2")?
                .execute(params![campus.blob(), name])?;
            let mut insert =
                conn.prepare_cached("INSERT INTO coverage (campus, scope, after, until) VALUES (?1, ?2, ?3, ?4)")?;
            for held in entry.coverage.stretches() {
                insert.execute(params![campus.blob(), name, i64::from(held.after), i64::from(held.until)])?;
            }
        }
        Ok(())
    }
}

/// What is held of a scope.
pub fn coverage(conn: &Connection, campus: CampusId, scope: Scope) -> rusqlite::Result<Coverage> {
    let mut query =
        conn.prepare_cached("SELECT after, until FROM coverage WHERE campus = ?1 AND scope = ?2 ORDER BY after")?;
    let stretches = query.query_map(params![campus.blob(), scope.to_string()], |row| {
        Ok(Stretch { after: number(row, 0)?, until: number(row, 1)? })
    })?;
    Ok(Coverage::of(stretches.collect::<Result<Vec<_>, _>>()?))
}

/// A stretch that was held is missing from now on.
pub fn uncover(conn: &Connection, campus: CampusId, scope: Scope, stretch: Stretch) -> rusqlite::Result<()> {
    let mut ledger = Ledger::default();
    ledger.entry(conn, campus, scope)?.coverage.uncover(stretch);
    ledger.store(conn, campus)
}

/// The scope's last change, as far as known.
pub fn head(conn: &Connection, campus: CampusId, scope: Scope) -> rusqlite::Result<Pos> {
    Ok(conn
        .prepare_cached("SELECT pos FROM scope_head WHERE campus = ?1 AND scope = ?2")?
        .query_row(params![campus.blob(), scope.to_string()], |row| number(row, 0))
        .optional()?
        .unwrap_or(Pos::ZERO))
}

/// What is missing of a scope, ascending.
pub fn gaps(conn: &Connection, campus: CampusId, scope: Scope) -> rusqlite::Result<Vec<Stretch>> {
    Ok(coverage(conn, campus, scope)?.gaps(head(conn, campus, scope)?))
}

/// How many positions lie in a gap of any of these scopes. Others' positions may be among them: an upper bound.
pub fn missing(conn: &Connection, campus: CampusId, scopes: impl IntoIterator<Item = Scope>) -> rusqlite::Result<u64> {
    let mut missing = Coverage::default();
    for scope in scopes {
        // Between the changes of one circle lie those of others: their gaps overlap, and each position counts once.
        gaps(conn, campus, scope)?.into_iter().for_each(|gap| missing.cover(gap));
    }
    Ok(missing.stretches().iter().map(|it| it.positions()).sum())
}

#[cfg(test)]
mod tests {
    use circles_protocol::CircleId;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::empty;

    proptest! {
        #[test]
        fn what_several_scopes_miss_is_counted_once(
            of in prop::collection::vec((0..40_u64, prop::collection::vec((0..40_u64, 0..40_u64), 0..4)), 0..5),
        ) {
            let (conn, campus) = (empty(), CampusId::new());
            let scopes: Vec<Scope> = of.iter().map(|_| Scope::Circle(CircleId::new())).collect();
            let pos = |value: u64| Pos::try_from(value).expect("small");
            let mut missing = std::collections::BTreeSet::new();
            for (scope, (head, held)) in scopes.iter().zip(&of) {
                let mut ledger = Ledger::default();
                ledger.reach(&conn, campus, *scope, pos(*head)).unwrap();
                for (after, until) in held {
                    ledger.cover(&conn, campus, *scope, pos(*after), pos((*until).max(*after))).unwrap();
                }
                ledger.store(&conn, campus).unwrap();
                let gaps = gaps(&conn, campus, *scope).unwrap();
                missing.extend(gaps.iter().flat_map(|it| it.after.get() + 1..=it.until.get()));
            }
            prop_assert_eq!(super::missing(&conn, campus, scopes).unwrap(), missing.len() as u64);
        }
    }
}
