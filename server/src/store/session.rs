//! One transaction with the database, whichever it is.
//!
//! SQLite and Postgres run the same text of SQL: `?` for parameters, 64-bit integers also for flags, bytes for ids. So
//! each query stands in one place, in the file of its noun, and the same stories prove both.

use std::{cell::RefCell, fmt};

use super::{StoreError, StoreResult};

/// A connection with an open transaction. Calls block the thread; they run on threads that may.
pub trait Session {
    /// Runs a query and hands over its rows until the callee has enough.
    fn query(
        &self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> StoreResult<Next>,
    ) -> StoreResult<()>;

    /// Asks several questions, all at once where the database is elsewhere.
    fn ask(&self, questions: &[&dyn Question]) -> StoreResult<()>;

    /// Runs a statement that writes. It may go out without waiting: then its failure comes with a later call, with
    /// [`Session::settle`] at the latest.
    fn run(&self, sql: &str, params: &[Param<'_>]) -> StoreResult<()>;

    /// Waits for all that was run; the first failure of it.
    fn settle(&self) -> StoreResult<()>;

    /// Grows with each statement that writes and with each that fails: whether there may be something to undo.
    fn touched(&self) -> u64;

    /// Runs statements without parameters.
    fn script(&self, sql: &str) -> StoreResult<()>;

    /// Whether the transaction still stands: a full or failing disk ends it by itself.
    fn is_open(&self) -> bool;

    /// Begins a transaction that reads one snapshot of the database.
    fn begin_read(&self) -> StoreResult<()>;

    /// Begins a transaction that writes, and waits until it is the only one of the campus: whoever then reads the head
    /// sees all changes below it, so that commit order is the order of positions (design section 5).
    fn begin_write(&self) -> StoreResult<()>;
}

/// Whether a query's callee wants more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    More,
    Enough,
}

impl dyn Session + '_ {
    /// The first row of a query; none if there is none.
    pub fn one<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        map: impl FnOnce(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        let (mut map, mut found) = (Some(map), None);
        self.query(sql, params, &mut |row| {
            if let Some(map) = map.take() {
                found = Some(map(row)?);
            }
            Ok(Next::Enough)
        })?;
        Ok(found)
    }

    /// The only row of a query that always has one.
    pub fn get<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        map: impl FnOnce(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.one(sql, params, map)?.ok_or_else(|| StoreError::Broken(format!("no row: {sql}")))
    }

    /// Whether a query has a row.
    pub fn any(&self, sql: &str, params: &[Param<'_>]) -> StoreResult<bool> {
        Ok(self.one(sql, params, |_| Ok(()))?.is_some())
    }

    /// What a lookup of one key finds.
    pub fn look_up<K, T>(&self, lookup: Lookup<K, T>) -> StoreResult<Option<T>> {
        self.ask(&[&lookup])?;
        Ok(lookup.found().next().and_then(|(_, found)| found))
    }

    /// All rows of a query. It is the query that bounds them.
    pub fn all<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut map: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let mut all = Vec::new();
        self.query(sql, params, &mut |row| {
            all.push(map(row)?);
            Ok(Next::More)
        })?;
        Ok(all)
    }
}

/// A query that is asked with several lists of parameters.
pub trait Question {
    fn sql(&self) -> &str;

    fn lists(&self) -> &[Vec<Value>];

    /// Takes the first row for a list.
    fn take(&self, list: usize, row: &Row<'_>) -> StoreResult<()>;
}

/// The first row of a query for each of some keys. It is a question, and keeps the answers.
pub struct Lookup<K, T> {
    sql: &'static str,
    keys: Vec<K>,
    lists: Vec<Vec<Value>>,
    map: fn(&Row<'_>) -> StoreResult<T>,
    found: RefCell<Vec<Option<T>>>,
}

impl<K, T> Lookup<K, T> {
    /// Of keys, how they stand in the query's parameters, and how a row is read.
    pub fn new<P: ToParams>(
        sql: &'static str,
        keys: Vec<K>,
        params: impl Fn(&K) -> P,
        map: fn(&Row<'_>) -> StoreResult<T>,
    ) -> Self {
        let lists: Vec<_> = keys.iter().map(|it| params(it).params().into_iter().map(Value::from).collect()).collect();
        let found = RefCell::new(lists.iter().map(|_| None).collect());
        Self { sql, keys, lists, map, found }
    }

    /// Each key with what was found; none where there is no row.
    pub fn found(self) -> impl Iterator<Item = (K, Option<T>)> {
        self.keys.into_iter().zip(self.found.into_inner())
    }

    /// What was found for the only key, for which there always is a row.
    pub fn only(self) -> StoreResult<T> {
        let broken = StoreError::Broken(format!("no row: {}", self.sql));
        self.found.into_inner().pop().flatten().ok_or(broken)
    }
}

impl<K, T> Question for Lookup<K, T> {
    fn sql(&self) -> &str {
        self.sql
    }

    fn lists(&self) -> &[Vec<Value>] {
        &self.lists
    }

    fn take(&self, list: usize, row: &Row<'_>) -> StoreResult<()> {
        self.found.borrow_mut()[list] = Some((self.map)(row)?);
        Ok(())
    }
}

/// A value on its way into a statement.
#[derive(Clone, Copy)]
pub enum Param<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Says nothing of the value: the library for Postgres prints parameters into the log if that is at `debug`, and they are
/// what people wrote, and hashes of their tokens.
impl fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// A value that is kept: read for another database, or waiting to be sent or asked with.
pub enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    pub fn param(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(value) => Param::Int(*value),
            Self::Text(value) => Param::Text(value),
            Self::Bytes(value) => Param::Bytes(value),
        }
    }
}

impl From<Param<'_>> for Value {
    fn from(param: Param<'_>) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Int(value) => Self::Int(value),
            Param::Text(value) => Self::Text(value.to_owned()),
            Param::Bytes(value) => Self::Bytes(value.to_owned()),
        }
    }
}

/// What can be a parameter.
pub trait ToParam {
    fn param(&self) -> Param<'_>;
}

macro_rules! integers {
    ($($type:ty)+) => {
        $(impl ToParam for $type {
            fn param(&self) -> Param<'_> {
                Param::Int(i64::from(*self))
            }
        })+
    };
}

integers!(i64 i32 u32 u16 bool);

/// What a list of parameters can be made of, for one key of a lookup.
pub trait ToParams {
    fn params(&self) -> Vec<Param<'_>>;
}

impl ToParams for () {
    fn params(&self) -> Vec<Param<'_>> {
        Vec::new()
    }
}

impl<const N: usize> ToParams for [u8; N] {
    fn params(&self) -> Vec<Param<'_>> {
        vec![self.param()]
    }
}

impl<A: ToParam, B: ToParam> ToParams for (A, B) {
    fn params(&self) -> Vec<Param<'_>> {
        vec![self.0.param(), self.1.param()]
    }
}

impl ToParam for str {
    fn param(&self) -> Param<'_> {
        Param::Text(self)
    }
}

impl ToParam for String {
    fn param(&self) -> Param<'_> {
        Param::Text(self)
    }
}

impl ToParam for Vec<u8> {
    fn param(&self) -> Param<'_> {
        Param::Bytes(self)
    }
}

impl<const N: usize> ToParam for [u8; N] {
    fn param(&self) -> Param<'_> {
        Param::Bytes(self)
    }
}

impl<T: ToParam> ToParam for Option<T> {
    fn param(&self) -> Param<'_> {
        self.as_ref().map_or(Param::Null, ToParam::param)
    }
}

impl<T: ToParam + ?Sized> ToParam for &T {
    fn param(&self) -> Param<'_> {
        (**self).param()
    }
}

/// Values as parameters, in their order.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::session::ToParam::param(&$value)),*]
    };
}
pub(crate) use params;

/// A row of a query.
pub enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The value of a column.
    pub fn get<T: Column>(&self, column: usize) -> StoreResult<T> {
        T::at(self, column)?.ok_or_else(|| broken(column, "null"))
    }

    /// The value of a column that may be null.
    pub fn maybe<T: Column>(&self, column: usize) -> StoreResult<Option<T>> {
        T::at(self, column)
    }

    fn int(&self, column: usize) -> StoreResult<Option<i64>> {
        Ok(match self {
            Self::Sqlite(row) => row.get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    fn text(&self, column: usize) -> StoreResult<Option<&str>> {
        Ok(match self {
            Self::Sqlite(row) => row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    fn bytes(&self, column: usize) -> StoreResult<Option<&[u8]>> {
        Ok(match self {
            Self::Sqlite(row) => row.get_ref(column)?.as_blob_or_null().map_err(rusqlite::Error::from)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// The value; none for null.
    fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>>;
}

impl Column for i64 {
    fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>> {
        row.int(column)
    }
}

impl Column for bool {
    fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>> {
        Ok(row.int(column)?.map(|it| it != 0))
    }
}

macro_rules! smaller {
    ($($type:ty)+) => {
        $(impl Column for $type {
            fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>> {
                let value = row.int(column)?;
                value.map(|it| Self::try_from(it).map_err(|_| broken(column, "out of range"))).transpose()
            }
        })+
    };
}

smaller!(u32 u16);

impl Column for String {
    fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>> {
        Ok(row.text(column)?.map(str::to_owned))
    }
}

impl Column for Vec<u8> {
    fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>> {
        Ok(row.bytes(column)?.map(<[u8]>::to_vec))
    }
}

impl<const N: usize> Column for [u8; N] {
    fn at(row: &Row<'_>, column: usize) -> StoreResult<Option<Self>> {
        let bytes = row.bytes(column)?;
        bytes.map(|it| Self::try_from(it).map_err(|_| broken(column, "of another length"))).transpose()
    }
}

/// The error for a stored value that is of no use.
pub fn broken(column: usize, what: &str) -> StoreError {
    StoreError::Broken(format!("column {column}: {what}"))
}
