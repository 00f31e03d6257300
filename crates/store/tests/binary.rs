//! The binary form: bytes that ESP-IDF makes, records that it refuses, and round trips.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

use guru_store::{
    Flags, Kind, MAX_LEN, Md5Row, Parsed, Partition, PartitionTable, Place, Problem, Remark, Rules,
    Vocabulary,
};
use proptest::prelude::*;

/// The single-app table of ESP-IDF.
const SINGLE_APP: &str = "\
nvs,      data, nvs,     ,        0x6000,
phy_init, data, phy,     ,        0x1000,
factory,  app,  factory, ,        1M,
";

fn single_app() -> PartitionTable {
    Parsed::from_csv(SINGLE_APP, &Rules::default(), &|_| None)
        .unwrap()
        .table
}

fn parse(bytes: &[u8]) -> Result<Parsed, (Place, Problem)> {
    Parsed::from_binary(bytes).map_err(|error| (error.place, error.problem))
}

#[test]
fn the_single_app_table_has_the_bytes_that_esp_idf_makes() {
    let bytes = single_app().to_binary().unwrap();
    let record = |at: usize| &bytes[at..at + 32];
    assert_eq!(
        record(0),
        b"\xAA\x50\x01\x02\x00\x90\x00\x00\x00\x60\x00\x00nvs\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    );
    assert_eq!(
        record(64),
        b"\xAA\x50\x00\x00\x00\x00\x01\x00\x00\x00\x10\x00factory\0\0\0\0\0\0\0\0\0\0\0\0\0"
    );
    assert_eq!(
        &bytes[96..112],
        b"\xEB\xEB\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
    );
    // As `gen_esp32part.py` makes it.
    assert_eq!(
        &bytes[112..128],
        b"\xF4\xAD\x4F\x45\x38\x56\x4B\x5D\x74\x35\xB6\x2C\x75\xB6\x95\x24",
    );
    assert!(bytes[128..].iter().all(|byte| *byte == 0xFF));
    assert_eq!(bytes.len(), MAX_LEN);
}

#[test]
fn the_single_app_table_has_the_csv_that_esp_idf_makes() {
    assert_eq!(
        single_app().to_csv(&Vocabulary::default()).unwrap(),
        "# ESP-IDF Partition Table\n\
         # Name, Type, SubType, Offset, Size, Flags\n\
         nvs,data,nvs,0x9000,24K,\n\
         phy_init,data,phy,0xf000,4K,\n\
         factory,app,factory,0x10000,1M,\n"
    );
}

#[test]
fn what_follows_the_end_marker_does_not_count() {
    let mut bytes = single_app().to_binary().unwrap();
    bytes.extend([0; 0x400]);
    assert_eq!(parse(&bytes).unwrap().table, single_app());
    bytes[160] = 0;
    assert_eq!(parse(&bytes).unwrap().table, single_app());
}

#[test]
fn a_table_without_digest_is_read_and_written_without() {
    let mut table = single_app();
    table.md5_row = Md5Row::Absent;
    let bytes = table.to_binary().unwrap();
    assert_eq!(&bytes[96..128], [0xFF; 32]);
    assert_eq!(parse(&bytes).unwrap().table, table);
}

#[test]
fn a_digest_of_other_records_is_refused() {
    let mut bytes = single_app().to_binary().unwrap();
    bytes[8] ^= 1;
    let (place, problem) = parse(&bytes).unwrap_err();
    assert_eq!(place, Place::Record(3));
    assert!(matches!(problem, Problem::Md5 { .. }));
}

#[test]
fn a_second_digest_is_refused_as_the_bootloader_does() {
    let mut bytes = single_app().to_binary().unwrap();
    bytes.copy_within(96..128, 128);
    assert_eq!(
        parse(&bytes).unwrap_err(),
        (Place::Record(4), Problem::SecondMd5)
    );
}

#[test]
fn a_table_that_is_cut_or_has_no_end_is_refused() {
    let bytes = single_app().to_binary().unwrap();
    for length in (1..128).filter(|length| length % 32 != 0) {
        assert_eq!(
            parse(&bytes[..length]).unwrap_err().1,
            Problem::Truncated,
            "{length}"
        );
    }
    assert_eq!(
        parse(&bytes[..128]).unwrap_err(),
        (Place::Whole, Problem::NoEnd)
    );
    let endless = bytes[..32].repeat(200);
    assert_eq!(parse(&endless).unwrap_err().1, Problem::NoEnd);
    assert_eq!(parse(&[]).unwrap_err().1, Problem::NoEnd);
    assert_eq!(parse(&[0xFF; 0xC00]).unwrap_err().1, Problem::Erased);
}

#[test]
fn a_record_of_another_kind_is_refused() {
    let mut bytes = single_app().to_binary().unwrap();
    bytes[32] = 0;
    assert_eq!(
        parse(&bytes).unwrap_err(),
        (Place::Record(1), Problem::Magic { found: 0x5000 })
    );
    // Nearly an end marker.
    let mut bytes = single_app().to_binary().unwrap();
    bytes[159] = 0;
    assert_eq!(
        parse(&bytes).unwrap_err(),
        (Place::Record(4), Problem::Magic { found: 0xFFFF })
    );
}

#[test]
fn a_name_that_is_no_text_is_refused() {
    let mut table = single_app();
    table.md5_row = Md5Row::Absent;
    let mut bytes = table.to_binary().unwrap();
    bytes[32 + 12] = 0x80;
    assert_eq!(
        parse(&bytes).unwrap_err(),
        (Place::Record(1), Problem::NotUtf8)
    );
}

#[test]
fn flags_without_meaning_are_kept_and_said() {
    let mut table = single_app();
    table.partitions[0].flags = Flags(0x8000_0001);
    let bytes = table.to_binary().unwrap();
    let parsed = parse(&bytes).unwrap();
    assert_eq!(parsed.table, table);
    let remarks = parsed.check(&Rules::default()).unwrap();
    assert!(matches!(
        &remarks[..],
        [Remark::UnknownFlags {
            flags: 0x8000_0000,
            ..
        }]
    ));
}

#[test]
fn a_name_that_csv_would_change_is_not_written_as_csv() {
    for name in [" nvs", "nvs ", "#nvs", "a,b", "$HOME", "a\nb"] {
        let mut table = single_app();
        table.partitions[1].name = name.to_owned();
        let error = table.to_csv(&Vocabulary::default()).unwrap_err();
        assert_eq!(error.place, Place::Record(1), "{name:?}");
        assert!(matches!(error.problem, Problem::NotCsv { .. }));
    }
}

fn partition() -> impl Strategy<Value = Partition> {
    let name = "[a-zA-Z_åπ][a-z0-9_ å.]{0,4}[a-z]";
    (
        name,
        0u8..=255,
        any::<u8>(),
        any::<u32>(),
        any::<u32>(),
        0u32..4,
    )
        .prop_map(
            |(name, type_code, subtype, offset, size, flags)| Partition {
                name,
                // Sizes of bootloaders and tables are not free.
                kind: Kind::new(
                    if matches!(type_code, 2 | 3) {
                        1
                    } else {
                        type_code
                    },
                    subtype,
                ),
                offset,
                size,
                flags: Flags(flags),
            },
        )
}

/// Partitions one behind the other.
fn ordered_table() -> impl Strategy<Value = PartitionTable> {
    prop::collection::vec((partition(), 0u32..0x1000, 0u32..0x100_0000), 0..90).prop_map(|rows| {
        let mut free = 0x9000;
        let mut partitions = Vec::new();
        for (mut partition, gap, size) in rows {
            partition.offset = free + gap;
            partition.size = size;
            free = partition.offset + size;
            partitions.push(partition);
        }
        PartitionTable {
            partitions,
            md5_row: Md5Row::Present,
        }
    })
}

proptest! {
    #[test]
    fn what_was_written_reads_the_same(
        partitions in prop::collection::vec(partition(), 1..94),
        md5 in any::<bool>(),
    ) {
        let md5_row = if md5 { Md5Row::Present } else { Md5Row::Absent };
        let table = PartitionTable { partitions, md5_row };
        let bytes = table.to_binary().unwrap();
        let parsed = Parsed::from_binary(&bytes).unwrap();
        prop_assert_eq!(&parsed.table, &table);
        prop_assert_eq!(parsed.table.to_binary().unwrap(), bytes);
    }

    #[test]
    fn csv_reads_as_the_table_that_it_was_made_of(table in ordered_table()) {
        let text = table.to_csv(&Vocabulary::default()).unwrap();
        let parsed = Parsed::from_csv(&text, &Rules::default(), &|_| None).unwrap();
        prop_assert_eq!(&parsed.table, &table);
        prop_assert_eq!(parsed.table.to_csv(&Vocabulary::default()).unwrap(), text);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
        let rules = Rules::default();
        if let Ok(parsed) = Parsed::from_bytes(&bytes, &rules, &|_| None) {
            let _ = parsed.check(&rules);
        }
    }
}
