//! Samples in the binary format of `COPY`: a header, for each row its number of columns and each column behind its
//! length, and a trailer. All numbers are big-endian.

use chrono::{DateTime, Utc};

use super::Sample;

/// Signature, flags (none), length of what follows in the header (nothing).
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The number of columns that no row has.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Bytes of a row: its number of columns, three times a length and 8 bytes.
const ROW: usize = 2 + 3 * (4 + 8);
/// 2000-01-01, from which Postgres counts microseconds, in those of 1970.
const EPOCH_US: i64 = 946_684_800_000_000;

/// The whole stream of one `COPY`.
pub(super) fn encode(samples: &[Sample]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(HEADER.len() + samples.len() * ROW + TRAILER.len());
    stream.extend_from_slice(HEADER);
    for sample in samples {
        stream.extend_from_slice(&row(sample));
    }
    stream.extend_from_slice(&TRAILER);
    stream
}

fn row(sample: &Sample) -> [u8; ROW] {
    let mut row = [0; ROW];
    row[..2].copy_from_slice(&3_i16.to_be_bytes());
    let columns = [
        sample.series_id.to_be_bytes(),
        microseconds(sample.at).to_be_bytes(),
        sample.value.to_be_bytes(),
    ];
    for (column, place) in columns.iter().zip(row[2..].chunks_exact_mut(12)) {
        place[..4].copy_from_slice(&8_i32.to_be_bytes());
        place[4..].copy_from_slice(column);
    }
    row
}

fn microseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros() - EPOCH_US
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).expect("digits are ASCII");
            u8::from_str_radix(text, 16).expect("pairs of digits are bytes")
        };
        digits.chunks(2).map(byte).collect()
    }

    /// What `psql` writes for `copy (select 258::int8, timestamptz '…', float8 '…') to stdout (format binary)`.
    fn check(at: &str, value: f64, row: &str) {
        let sample = Sample {
            series_id: 258,
            at: at.parse().expect("a time"),
            value,
        };
        let header = "5047434f50590aff0d0a00 00000000 00000000";
        let stream = format!("{header} 0003 00000008 0000000000000102 {row} ffff");
        assert_eq!(encode(&[sample]), bytes(&stream), "{at}, {value}");
    }

    #[test]
    fn rows_are_as_postgres_writes_them() {
        check(
            "2000-01-01T00:00:00Z",
            1.0,
            "00000008 0000000000000000 00000008 3ff0000000000000",
        );
        check(
            "2000-01-01T00:00:00.000257999Z",
            -0.5,
            "00000008 0000000000000101 00000008 bfe0000000000000",
        );
        check(
            "1999-12-31T23:59:59.999999Z",
            1e300,
            "00000008 ffffffffffffffff 00000008 7e37e43c8800759c",
        );
    }

    #[test]
    fn nothing_is_a_header_and_a_trailer() {
        assert_eq!(
            encode(&[]),
            bytes("5047434f50590aff0d0a00 00000000 00000000 ffff")
        );
    }
}
