//! Values out of rows.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{ColumnIndex, Decode, Postgres, Row, Type};

use crate::ports::store::{PAGE_MAX, StoreError, StoreResult};

/// A value out of a row.
pub(super) fn get<'r, T, I>(row: &'r PgRow, column: I) -> StoreResult<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
    I: ColumnIndex<PgRow>,
{
    row.try_get(column).map_err(|error| StoreError::Failed(error.into()))
}

/// A number that the schema keeps from being negative.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn page(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_MAX))
}

/// Pairs of id and number by id, for lists in the order of the question.
pub(super) fn numbers(rows: &[PgRow]) -> StoreResult<BTreeMap<i64, i64>> {
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}
