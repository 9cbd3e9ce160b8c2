//! The campuses of this device, their cursors, and joins under way.

use std::net::SocketAddr;

use circles_protocol::{CampusId, Cursor, DeviceId, Epoch, PersonId, Pos, UnixMs, invite::url_of, lan::Fingerprint};
use rusqlite::{Connection, OptionalExtension, Row, params};
use url::Url;

use super::{Blob, number, search, set_aside, uuid};
use crate::error::ClientError;

/// A campus as it is stored.
#[derive(Clone, Debug)]
pub struct CampusRow {
    /// The campus.
    pub id: CampusId,
    /// Its name.
    pub name: String,
    /// Where its relay is.
    pub relay: Url,
    /// How it is known and found, if it is on the LAN.
    pub lan: Option<LanRow>,
    /// Who one is there.
    pub person: PersonId,
    /// On which device.
    pub device: DeviceId,
    /// Whether this app hosts it.
    pub hosted: bool,
    /// The stored cursor; none before the first event.
    pub cursor: Option<Cursor>,
    /// Events that were set aside.
    pub set_aside: u32,
}

#[cfg(test)]
impl CampusRow {
    /// A campus of which nothing was heard yet, on a relay that does not answer.
    pub fn of_test(eyes: super::views::Eyes) -> Self {
        Self {
            id: eyes.campus,
            name: "Maple Dorm".to_owned(),
            relay: "http://127.0.0.1:1/".parse().expect("an address"),
            lan: None,
            person: eyes.me,
            device: DeviceId::new(),
            hosted: false,
            cursor: None,
            set_aside: 0,
        }
    }
}

/// A relay on the LAN as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanRow {
    /// Its key. It never changes.
    pub key: Fingerprint,
    /// Where it was, the last first.
    pub addresses: Vec<SocketAddr>,
}

impl LanRow {
    fn text(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        addresses.join(" ")
    }
}

const COLUMNS: &str = "id, name, relay, person, device, hosted, epoch, pos, set_aside, lan_key, lan_addresses";

fn row(row: &Row<'_>) -> rusqlite::Result<CampusRow> {
    let relay: String = row.get(2)?;
    let conversion = |error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error)
    };
    let epoch: Option<String> = row.get(6)?;
    let epoch = epoch.map(|it| it.parse::<Epoch>().map_err(|error| conversion(error.into()))).transpose()?;
    let pos: Pos = number(row, 7)?;
    let key: Option<[u8; 32]> = row.get(9)?;
    let addresses: Option<String> = row.get(10)?;
    // An address that is none any more is no reason not to open a campus: there are others, and mDNS.
    let addresses = addresses.unwrap_or_default().split_whitespace().filter_map(|it| it.parse().ok()).collect();
    Ok(CampusRow {
        id: CampusId::from_uuid(uuid(row, 0)?),
        name: row.get(1)?,
        lan: key.map(|key| LanRow { key: Fingerprint::from_bytes(key), addresses }),
        relay: relay.parse().map_err(|error: url::ParseError| conversion(error.into()))?,
        person: PersonId::from_uuid(uuid(row, 3)?),
        device: DeviceId::from_uuid(uuid(row, 4)?),
        hosted: row.get(5)?,
        cursor: epoch.map(|epoch| Cursor { epoch, pos }),
        set_aside: row.get(8)?,
    })
}

/// All campuses, in the order in which they were joined.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<CampusRow>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM campus ORDER BY joined_at, id"))?.query_map([], row)?.collect()
}

/// One campus.
pub fn find(conn: &Connection, campus: CampusId) -> Result<CampusRow, ClientError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM campus WHERE id = ?1"))?
        .query_row(params![campus.blob()], row)
        .optional()?
        .ok_or(ClientError::NotFound("campus"))
}

/// Stores a campus that was just joined.
pub fn insert(conn: &Connection, it: &CampusRow, now: UnixMs) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO campus (id, name, relay, person, device, hosted, joined_at, lan_key, lan_addresses, opened_by, epoch, pos)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            it.id.blob(),
            it.name,
            it.relay.as_str(),
            it.person.blob(),
            it.device.blob(),
            it.hosted,
            now.0,
            it.lan.as_ref().map(|it| *it.key.bytes()),
            it.lan.as_ref().map(LanRow::text),
            set_aside::VERSION,
            it.cursor.as_ref().map(|it| it.epoch.as_str()),
            it.cursor.as_ref().map_or(0, |it| i64::from(it.pos))
        ],
    )?;
    Ok(())
}

/// Forgets everything of a campus.
pub fn delete(conn: &Connection, campus: CampusId) -> rusqlite::Result<()> {
    for table in [
        "person",
        "circle",
        "membership",
        "message",
        "reaction",
        "read_marker",
        "circle_head",
        "scope_head",
        "coverage",
        "set_aside",
        "not_understood",
        "mute",
        "draft",
        "outbox",
        "former",
        "unsettled",
        "away_head",
        "circle_held",
    ] {
        conn.execute(&format!("DELETE FROM {table} WHERE campus = ?1"), params![campus.blob()])?;
    }
    search::forget(conn, campus)?;
    conn.execute("DELETE FROM campus WHERE id = ?1", params![campus.blob()])?;
    Ok(())
}

/// Says where the relay is, and whether it is hosted here.
pub fn set_hosted(conn: &Connection, campus: CampusId, hosted: bool, relay: &Url) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE campus SET hosted = ?2, relay = ?3 WHERE id = ?1",
        params![campus.blob(), hosted, relay.as_str()],
    )?;
    Ok(())
}

/// Stores where a relay on the LAN is now. Its key is only looked at: it is what the campus was joined with.
pub fn set_place(conn: &Connection, campus: CampusId, place: &LanRow) -> rusqlite::Result<()> {
    let Some(first) = place.addresses.first() else { return Ok(()) };
    conn.execute(
        "UPDATE campus SET relay = ?3, lan_addresses = ?4 WHERE id = ?1 AND lan_key = ?2 AND lan_addresses <> ?4",
        params![campus.blob(), place.key.bytes(), url_of(*first).as_str(), place.text()],
    )?;
    Ok(())
}

/// Stores what `hello` says of the campus.
pub fn set_name(conn: &Connection, campus: CampusId, name: &str) -> rusqlite::Result<()> {
    conn.execute("UPDATE campus SET name = ?2 WHERE id = ?1 AND name <> ?2", params![campus.blob(), name])?;
    Ok(())
}

/// The stream is heard now, and perhaps up to a cursor, which only grows within an epoch (design 3.5). Returns where it
/// stands.
pub fn heard(conn: &Connection, campus: CampusId, cursor: Option<&Cursor>, now: UnixMs) -> rusqlite::Result<Pos> {
    conn.prepare_cached(
        "UPDATE campus SET heard_at = ?2, epoch = coalesce(?3, epoch),
             pos = CASE WHEN ?3 IS NULL THEN pos WHEN epoch = ?3 THEN max(pos, ?4) ELSE ?4 END
         WHERE id = ?1 RETURNING pos",
    )?
    .query_row(
        params![campus.blob(), now.0, cursor.map(|it| it.epoch.as_str()), cursor.map(|it| i64::from(it.pos))],
        |row| number(row, 0),
    )
}

/// When the stream was heard last, by this device's clock; none before the first time.
pub fn heard_at(conn: &Connection, campus: CampusId) -> rusqlite::Result<Option<UnixMs>> {
    let at: Option<i64> = conn
        .prepare_cached("SELECT heard_at FROM campus WHERE id = ?1")?
        .query_row([campus.blob()], |row| row.get(0))?;
    Ok(at.map(UnixMs))
}

/// Begins another history from its first position.
pub fn restart(conn: &Connection, campus: CampusId, epoch: &Epoch) -> rusqlite::Result<()> {
    conn.execute("UPDATE campus SET epoch = ?2, pos = 0 WHERE id = ?1", params![campus.blob(), epoch.as_str()])?;
    Ok(())
}

/// The ids of a join that is under way with this link: those of the attempt before, or these new ones.
pub fn pending_join(conn: &Connection, link: &str) -> rusqlite::Result<(PersonId, DeviceId)> {
    let (person, device) = (PersonId::new(), DeviceId::new());
    conn.execute(
        "INSERT INTO pending_join (link, person, device) VALUES (?1, ?2, ?3) ON CONFLICT (link) DO NOTHING",
        params![link, person.blob(), device.blob()],
    )?;
    conn.query_row("SELECT person, device FROM pending_join WHERE link = ?1", params![link], |row| {
        Ok((PersonId::from_uuid(uuid(row, 0)?), DeviceId::from_uuid(uuid(row, 1)?)))
    })
}

/// The join is done, or will not be tried again.
pub fn end_pending_join(conn: &Connection, link: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM pending_join WHERE link = ?1", params![link])?;
    Ok(())
}
