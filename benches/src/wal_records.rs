//! The records of the server's log, by the relation that they are about.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::time::sleep;

use crate::Result;
use crate::server::Server;

/// Records, without the images of whole pages in them, and these images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    pub records: u64,
    pub bytes: u64,
    pub images: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.images += other.images;
    }
}

/// By what was written to, and by the kind of record.
#[derive(Default)]
pub struct Records(pub BTreeMap<(String, String), Count>);

impl Records {
    pub fn add(&mut self, other: Records) {
        other.0.into_iter().for_each(|(key, count)| *self.0.entry(key).or_default() += count);
    }

    pub fn total(&self) -> Count {
        let mut total = Count::default();
        self.0.values().for_each(|count| total += *count);
        total
    }
}

/// The log of a server of this machine.
pub struct Log {
    program: PathBuf,
    data: PathBuf,
    database: u32,
}

impl Log {
    pub async fn of(server: &Server) -> Result<Log> {
        let query = "select c.setting, current_setting('data_directory'), d.oid
                       from pg_config c, pg_database d where c.name = 'BINDIR' and d.datname = $1";
        let row = server.outside.query_one(query, &[&server.database()]).await?;
        let program = PathBuf::from(row.get::<_, &str>(0)).join("pg_waldump");
        Ok(Log { program, data: PathBuf::from(row.get::<_, &str>(1)), database: row.get(2) })
    }

    /// What was written since a position of it, for relations that still exist.
    pub async fn between(&self, server: &Server, from: i64) -> Result<Records> {
        let query = "select ('0/0'::pg_lsn + $1::bigint::numeric)::text, pg_current_wal_insert_lsn()::text";
        let row = server.outside.query_one(query, &[&from]).await?;
        let (from, to): (&str, &str) = (row.get(0), row.get(1));
        let flushed = format!("select pg_current_wal_flush_lsn() >= '{to}'");
        while !server.outside.query_one(&flushed, &[]).await?.get::<_, bool>(0) {
            sleep(Duration::from_millis(50)).await;
        }
        let mut command = Command::new(&self.program);
        let dump = command.arg("--path").arg(&self.data).args(["--start", from, "--end", to]).output()?;
        if !dump.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&dump.stderr)).into());
        }
        let parts = parts(server).await?;
        let mut records = Records::default();
        for line in String::from_utf8_lossy(&dump.stdout).lines() {
            let Some(record) = Record::read(line) else { return Err(format!("not understood: {line}").into()) };
            let part = match record.file {
                None => "no relation".to_owned(),
                Some((database, file)) if database == self.database => {
                    parts.get(&file).cloned().unwrap_or_else(|| "no such relation".to_owned())
                }
                Some(_) => "other databases".to_owned(),
            };
            let one = Count { records: 1, bytes: record.bytes, images: record.images };
            *records.0.entry((part, record.kind)).or_default() += one;
        }
        Ok(records)
    }
}

/// What each file belongs to.
async fn parts(server: &Server) -> Result<BTreeMap<u32, String>> {
    let query = "
with relation(oid, file, schema, name, kind, place) as (
  select c.oid, pg_relation_filenode(c.oid), n.nspname, coalesce(o.relname, c.relname), c.relkind,
         case c.relkind when 'i' then ': index' when 't' then ': toast' else '' end
    from pg_class c
    left join pg_index i on i.indexrelid = c.oid
    left join pg_class o on o.oid = i.indrelid or o.reltoastrelid = c.oid
    join pg_namespace n on n.oid = coalesce(o.relnamespace, c.relnamespace)
   where pg_relation_filenode(c.oid) is not null
)
select file,
       case when schema = 'pgtrickle_state' then 'nodes' when schema = 'pgtrickle_changes' then 'change buffers'
            when schema = 'pgtrickle' then name when schema like 'pg\\_%' then 'catalog'
            when exists (select from pgtrickle.pgt_stream_tables s join pg_class c on c.oid = s.pgt_relid
                          where c.relname = name and c.relnamespace::regnamespace::text = schema) then 'stream tables'
            else 'tables' end || place
  from relation";
    let session = server.session("public").await?;
    let rows = session.client.query(query, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// A line of pg_waldump.
#[derive(Debug, PartialEq)]
struct Record {
    kind: String,
    bytes: u64,
    images: u64,
    /// The database and the file of the first page.
    file: Option<(u32, u32)>,
}

impl Record {
    fn read(line: &str) -> Option<Record> {
        let (manager, rest) = line.strip_prefix("rmgr: ")?.split_once(' ')?;
        let (len, rest) = rest.trim_start().strip_prefix("len (rec/tot):")?.split_once(',')?;
        let (bytes, all) = len.split_once('/')?;
        let (bytes, all): (u64, u64) = (bytes.trim().parse().ok()?, all.trim().parse().ok()?);
        let (_, what) = rest.split_once("desc: ")?;
        let what: String = what.split([' ', ',']).next()?.to_owned();
        let file = match rest.split_once("blkref #0: rel ") {
            None => None,
            Some((_, file)) => {
                let mut numbers = file.split([' ', '/']).skip(1).map(str::parse);
                Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
            }
        };
        Some(Record { kind: format!("{manager} {what}"), bytes, images: all.checked_sub(bytes)?, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_written_where() {
        let line = "rmgr: Heap        len (rec/tot):     54/  7598, tx:        735, lsn: 0/01507A10, prev 0/01507988, \
                    desc: INSERT off 3 flags 0x00, blkref #0: rel 1663/5/1249 blk 57 FPW";
        let expected = Record { kind: "Heap INSERT".to_owned(), bytes: 54, images: 7544, file: Some((5, 1249)) };
        assert_eq!(Record::read(line), Some(expected));
        let line =
            "rmgr: Transaction len (rec/tot):     34/    34, tx: 737, lsn: 0/01, prev 0/00, desc: COMMIT 2026-11-30";
        let expected = Record { kind: "Transaction COMMIT".to_owned(), bytes: 34, images: 0, file: None };
        assert_eq!(Record::read(line), Some(expected));
        assert_eq!(Record::read("pg_waldump: error"), None);
    }
}
