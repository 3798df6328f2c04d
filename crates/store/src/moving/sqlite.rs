//! A store in a file, as one end of a move.

use std::path::Path;
use std::sync::mpsc::Receiver;

use authority::error::StoreError;
use authority::store::Position;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::tables::{Column, Head, Sort, TABLES, Table};
use super::{End, Row, Value};
use crate::failure::Failure;
use crate::random;
use crate::sqlite::{connection, read, schema};

pub(super) struct SqliteEnd {
    connection: Connection,
    version: u32,
    /// Of all changes: this history begins here.
    mark: i64,
}

impl SqliteEnd {
    /// Nobody else may have the file open.
    pub(super) fn open(path: &Path, is_target: bool) -> Result<Self, Failure> {
        let connection = if is_target { connection::open_or_create(path)? } else { connection::open(path)? };
        let version = schema::version(&connection)?;
        connection.busy_timeout(std::time::Duration::from_millis(500))?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", (), |_| Ok(()))?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(Self { connection, version, mark: random::number().cast_signed() })
    }

    /// A column as it is selected.
    fn selected(&self, table: &Table, column: &Column) -> String {
        // The first version had none.
        let is_missing = self.version < 2 && table.name == "revoked_tokens" && column.name == "position";
        if is_missing { "0".to_owned() } else { column.name.to_owned() }
    }
}

/// Those that a file has.
fn columns(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.is_content())
}

impl End for SqliteEnd {
    fn head(&mut self) -> Result<Head, Failure> {
        let newest = read::newest(&self.connection)?;
        let counted = match read::revoked_tokens(&self.connection)? {
            Some(counted) => counted,
            None => {
                let count = "SELECT count(*) FROM revoked_tokens";
                self.connection.query_row(count, (), |row| row.get::<_, i64>(0))?.unsigned_abs()
            }
        };
        let trimmed = read::trimmed(&self.connection)?;
        Ok(Head {
            position: newest.position,
            at: newest.at.map(|at| at.0),
            trimmed,
            trimmed_mark: if trimmed == Position(0) { 0 } else { self.mark },
            revoked_tokens: counted,
        })
    }

    fn read(&mut self, table: &Table, each: &mut dyn FnMut(Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let names: Vec<_> = columns(table).map(|column| self.selected(table, column)).collect();
        let mut statement = self.connection.prepare(&format!("SELECT {} FROM {}", names.join(", "), table.name))?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let mut values = Vec::with_capacity(table.columns.len());
            for (index, column) in table.columns.iter().enumerate() {
                values.push(match column.sort {
                    Sort::Mark => Some(self.mark.to_be_bytes().to_vec()),
                    Sort::Count => Some(0_i64.to_be_bytes().to_vec()),
                    _ => match row.get_ref(index)? {
                        ValueRef::Null => None,
                        ValueRef::Integer(number) => Some(number.to_be_bytes().to_vec()),
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
                        ValueRef::Real(_) => return Err(StoreError::Corrupt("a fraction".to_owned()).into()),
                    },
                });
            }
            each(values)?;
        }
        Ok(())
    }

    fn is_empty(&mut self) -> Result<bool, Failure> {
        for table in TABLES {
            let query = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
            if self.connection.query_row(&query, (), |row| row.get(0))? {
                return Ok(false);
            }
        }
        Ok(read::trimmed(&self.connection)? == Position(0))
    }

    fn write(&mut self, table: &Table, rows: &Receiver<Vec<Row>>) -> Result<(), Failure> {
        let names: Vec<_> = columns(table).map(|column| column.name).collect();
        let places = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO {} ({}) VALUES ({places})", table.name, names.join(", "));
        let mut statement = self.connection.prepare(&insert)?;
        for row in rows.iter().flatten() {
            let values = table.columns.iter().zip(&row).filter(|(column, _)| column.is_content());
            let values: Vec<_> = values.map(|(column, value)| stored(column, value)).collect::<Result<_, _>>()?;
            statement.execute(params_from_iter(values))?;
        }
        Ok(())
    }

    fn set_head(&mut self, head: Head) -> Result<(), Failure> {
        let numbers = [
            ("trimmed", read::number(head.trimmed)),
            ("revoked_tokens", i64::try_from(head.revoked_tokens).unwrap_or(i64::MAX)),
        ];
        for (name, value) in numbers {
            self.connection.execute("UPDATE meta SET value = ?2 WHERE name = ?1", (name, value))?;
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), Failure> {
        self.connection.execute_batch("COMMIT")?;
        Ok(self.connection.close().map_err(|(_, error)| error)?)
    }
}

/// A value as a file has it.
fn stored<'v>(column: &Column, value: &'v Value) -> Result<ToSqlOutput<'v>, Failure> {
    let Some(bytes) = value else { return Ok(ToSqlOutput::Borrowed(ValueRef::Null)) };
    Ok(ToSqlOutput::Borrowed(match column.sort {
        Sort::Number | Sort::Mark | Sort::Count => {
            let number = bytes.as_slice().try_into().map(i64::from_be_bytes);
            ValueRef::Integer(number.map_err(|_| StoreError::Corrupt("a number of another size".to_owned()))?)
        }
        Sort::Word | Sort::Text => ValueRef::Text(bytes),
        Sort::Bytes => ValueRef::Blob(bytes),
    }))
}
