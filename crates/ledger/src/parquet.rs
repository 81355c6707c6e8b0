//! A file of Apache Parquet: flat columns, plain values, one page for each column of a row group, compressed with
//! Zstandard. Writes only. Every reader of Parquet takes this much of it; what it lacks (dictionaries, statistics,
//! nesting) would make files smaller or queries quicker, not other.

use std::io::{self, Write};

/// Zstandard's level: columns of alike text compress well at the lowest already.
const LEVEL: i32 = 3;
const MAGIC: &[u8; 4] = b"PAR1";
/// Numbers of the format: the codec `ZSTD`, the encodings `PLAIN` and `RLE`.
const ZSTD: i64 = 6;
const PLAIN: i64 = 0;
const RLE: i64 = 3;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An integer.
    Integer,
    /// A time, in microseconds since 1970, UTC.
    Time,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// The format's number of the physical type.
    fn physical(self) -> i64 {
        match self {
            Self::Integer | Self::Time => 2,
            Self::Text | Self::Bytes => 6,
        }
    }

    /// The format's number of what that stands for.
    fn converted(self) -> Option<i64> {
        match self {
            Self::Text => Some(0),
            Self::Time => Some(10),
            Self::Integer | Self::Bytes => None,
        }
    }
}

/// The values of one column in a row group; any may be absent.
struct Column {
    name: &'static str,
    kind: Kind,
    /// One bit for each row: whether there is a value.
    there: Vec<u8>,
    values: Vec<u8>,
}

/// A column of a row group, as it was written.
struct Chunk {
    offset: u64,
    raw_bytes: u64,
    packed_bytes: u64,
}

struct Group {
    rows: u64,
    chunks: Vec<Chunk>,
}

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
}

/// Writes a file, one row after the other.
pub(crate) struct Writer<W> {
    out: W,
    written: u64,
    columns: Vec<Column>,
    rows: u64,
    groups: Vec<Group>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut out: W, columns: &[(&'static str, Kind)]) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        let column =
            |&(name, kind): &(&'static str, Kind)| Column { name, kind, there: Vec::new(), values: Vec::new() };
        let columns = columns.iter().map(column).collect();
        Ok(Self { out, written: MAGIC.len() as u64, columns, rows: 0, groups: Vec::new() })
    }

    /// Adds a row: a value or none for each column, in their order. A value of another kind counts as none.
    pub(crate) fn row(&mut self, values: &[Option<Value<'_>>]) {
        let bit = 1 << (self.rows % 8);
        for (place, column) in self.columns.iter_mut().enumerate() {
            if self.rows.is_multiple_of(8) {
                column.there.push(0);
            }
            match (values.get(place).copied().flatten(), column.kind) {
                (Some(Value::Integer(value)), Kind::Integer | Kind::Time) => {
                    column.values.extend_from_slice(&value.to_le_bytes());
                }
                (Some(Value::Bytes(bytes)), Kind::Text | Kind::Bytes) => {
                    column.values.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    column.values.extend_from_slice(bytes);
                }
                _ => continue,
            }
            if let Some(bits) = column.there.last_mut() {
                *bits |= bit;
            }
        }
        self.rows += 1;
    }

    /// How many bytes wait in memory for [`Writer::flush`].
    pub(crate) fn waiting(&self) -> usize {
        self.columns.iter().map(|column| column.values.len() + column.there.len()).sum()
    }

    /// Writes the rows so far as a row group.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let page = page(column);
            let packed = zstd::bulk::compress(&page, LEVEL)?;
            let head = page_head(rows, page.len(), packed.len());
            self.out.write_all(&head)?;
            self.out.write_all(&packed)?;
            let head = head.len() as u64;
            let (raw_bytes, packed_bytes) = (head + page.len() as u64, head + packed.len() as u64);
            chunks.push(Chunk { offset: self.written, raw_bytes, packed_bytes });
            self.written += packed_bytes;
        }
        self.groups.push(Group { rows, chunks });
        Ok(())
    }

    /// Writes what is left and the file's end, with these words about the file.
    pub(crate) fn finish(mut self, about: &[(&str, String)]) -> io::Result<W> {
        self.flush()?;
        let mut end = Thrift::default();
        end.integer(1, 1);
        end.list(2, STRUCT, self.columns.len() + 1);
        schema(&mut end, &self.columns);
        end.long(3, self.groups.iter().map(|group| group.rows).sum());
        end.list(4, STRUCT, self.groups.len());
        for group in &self.groups {
            group_end(&mut end, group, &self.columns);
        }
        end.list(5, STRUCT, about.len());
        for (key, value) in about {
            end.open();
            end.bytes(1, key.as_bytes());
            end.bytes(2, value.as_bytes());
            end.close();
        }
        end.bytes(6, concat!("bailiwick ", env!("CARGO_PKG_VERSION")).as_bytes());
        end.out.push(0);
        self.out.write_all(&end.out)?;
        self.out.write_all(&(end.out.len() as u32).to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        Ok(self.out)
    }
}

/// A column's page, which leaves the column empty: which rows have a value, bit-packed, then the values.
fn page(column: &mut Column) -> Vec<u8> {
    let (there, values) = (std::mem::take(&mut column.there), std::mem::take(&mut column.values));
    let mut levels = Vec::with_capacity(there.len() + 8);
    varint(&mut levels, (there.len() as u64) << 1 | 1);
    levels.extend_from_slice(&there);
    let mut page = Vec::with_capacity(4 + levels.len() + values.len());
    page.extend_from_slice(&(levels.len() as u32).to_le_bytes());
    page.extend_from_slice(&levels);
    page.extend_from_slice(&values);
    page
}

fn page_head(rows: u64, raw: usize, packed: usize) -> Vec<u8> {
    let mut head = Thrift::default();
    head.integer(1, 0);
    head.integer(2, raw as i64);
    head.integer(3, packed as i64);
    head.field(5, STRUCT);
    head.open();
    head.integer(1, rows as i64);
    head.integer(2, PLAIN);
    head.integer(3, RLE);
    head.integer(4, RLE);
    head.close();
    head.out.push(0);
    head.out
}

fn schema(end: &mut Thrift, columns: &[Column]) {
    end.open();
    end.bytes(4, b"entry");
    end.integer(5, columns.len() as i64);
    end.close();
    for column in columns {
        end.open();
        end.integer(1, column.kind.physical());
        // Any value may be absent.
        end.integer(3, 1);
        end.bytes(4, column.name.as_bytes());
        column.kind.converted().into_iter().for_each(|number| end.integer(6, number));
        end.close();
    }
}

fn group_end(end: &mut Thrift, group: &Group, columns: &[Column]) {
    end.open();
    end.list(1, STRUCT, group.chunks.len());
    for (chunk, column) in group.chunks.iter().zip(columns) {
        end.open();
        end.long(2, chunk.offset);
        end.field(3, STRUCT);
        end.open();
        end.integer(1, column.kind.physical());
        end.list(2, INTEGER, 2);
        end.element(PLAIN);
        end.element(RLE);
        end.list(3, BYTES, 1);
        end.element_bytes(column.name.as_bytes());
        end.integer(4, ZSTD);
        end.long(5, group.rows);
        end.long(6, chunk.raw_bytes);
        end.long(7, chunk.packed_bytes);
        end.long(9, chunk.offset);
        end.close();
        end.close();
    }
    end.long(2, group.chunks.iter().map(|chunk| chunk.raw_bytes).sum());
    end.long(3, group.rows);
    end.close();
}

const INTEGER: u8 = 5;
const LONG: u8 = 6;
const BYTES: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Thrift's compact protocol, in which the format writes what is no value.
#[derive(Default)]
struct Thrift {
    out: Vec<u8>,
    /// The last field of the structure that is being written.
    last: u8,
    outer: Vec<u8>,
}

impl Thrift {
    /// INVARIANT: fields come in the order of their numbers, which are smaller than 16.
    fn field(&mut self, number: u8, kind: u8) {
        self.out.push((number - self.last) << 4 | kind);
        self.last = number;
    }

    fn integer(&mut self, number: u8, value: i64) {
        self.field(number, INTEGER);
        self.element(value);
    }

    fn long(&mut self, number: u8, value: u64) {
        self.field(number, LONG);
        self.element(value as i64);
    }

    fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.field(number, BYTES);
        self.element_bytes(bytes);
    }

    fn list(&mut self, number: u8, kind: u8, len: usize) {
        self.field(number, LIST);
        match u8::try_from(len) {
            Ok(short) if short < 15 => self.out.push(short << 4 | kind),
            _ => {
                self.out.push(0xf0 | kind);
                varint(&mut self.out, len as u64);
            }
        }
    }

    fn element(&mut self, value: i64) {
        varint(&mut self.out, (value << 1 ^ value >> 63) as u64);
    }

    fn element_bytes(&mut self, bytes: &[u8]) {
        varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn open(&mut self) {
        self.outer.push(std::mem::take(&mut self.last));
    }

    fn close(&mut self) {
        self.out.push(0);
        self.last = self.outer.pop().unwrap_or(0);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
