//! A flat table in Apache Parquet, compressed with Zstandard. Writes only; what the columns mean is `export`'s matter.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

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
    fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Time)
    }

    /// Any value may be absent.
    fn column(self, name: &str) -> Result<Type> {
        let (physical, stands_for) = match self {
            Self::Integer => (Physical::INT64, ConvertedType::NONE),
            Self::Time => (Physical::INT64, ConvertedType::TIMESTAMP_MICROS),
            Self::Text => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
            Self::Bytes => (Physical::BYTE_ARRAY, ConvertedType::NONE),
        };
        let column = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        column.with_converted_type(stands_for).build()
    }
}

/// The values of one column in a row group.
struct Column {
    kind: Kind,
    /// For each row 1 if there is a value, else 0.
    there: Vec<i16>,
    numbers: Vec<i64>,
    bytes: Vec<ByteArray>,
}

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
}

/// Writes a file, one row after the other.
pub(crate) struct Writer<W: Write> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    waiting: usize,
}

impl<W: Write + Send> Writer<W> {
    pub(crate) fn new(out: W, columns: &[(&'static str, Kind)]) -> Result<Self> {
        let fields = columns.iter().map(|(name, kind)| kind.column(name).map(Arc::new)).collect::<Result<_>>()?;
        let schema = Type::group_type_builder("entry").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("bailiwick ", env!("CARGO_PKG_VERSION")).to_owned());
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        let column =
            |&(_, kind): &(&str, Kind)| Column { kind, there: Vec::new(), numbers: Vec::new(), bytes: Vec::new() };
        Ok(Self { file, columns: columns.iter().map(column).collect(), waiting: 0 })
    }

    /// Adds a row: a value or none for each column, in their order. A value of another kind counts as none.
    pub(crate) fn row(&mut self, values: &[Option<Value<'_>>]) {
        for (place, column) in self.columns.iter_mut().enumerate() {
            let there = match values.get(place).copied().flatten() {
                Some(Value::Integer(value)) if column.kind.is_number() => {
                    column.numbers.push(value);
                    self.waiting += size_of::<i64>();
                    1
                }
                Some(Value::Bytes(bytes)) if !column.kind.is_number() => {
                    column.bytes.push(ByteArray::from(bytes.to_vec()));
                    self.waiting += bytes.len() + size_of::<ByteArray>();
                    1
                }
                _ => 0,
            };
            column.there.push(there);
        }
    }

    /// How many bytes wait in memory for [`Writer::flush`].
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Writes the rows so far as a row group.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.columns.first().is_none_or(|column| column.there.is_empty()) {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            if let Some(mut writer) = group.next_column()? {
                column.write(&mut writer)?;
                writer.close()?;
            }
        }
        group.close()?;
        self.waiting = 0;
        Ok(())
    }

    /// Writes what is left and the file's end, with these words about the file.
    pub(crate) fn finish(mut self, about: &[(&str, String)]) -> Result<W> {
        self.flush()?;
        for (key, value) in about {
            self.file.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.file.into_inner()
    }
}

impl Column {
    /// Writes the values, which leaves the column empty.
    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let there = std::mem::take(&mut self.there);
        if self.kind.is_number() {
            let numbers = std::mem::take(&mut self.numbers);
            writer.typed::<Int64Type>().write_batch(&numbers, Some(&there), None)?;
        } else {
            let bytes = std::mem::take(&mut self.bytes);
            writer.typed::<ByteArrayType>().write_batch(&bytes, Some(&there), None)?;
        }
        Ok(())
    }
}
