//! The same tables through `esp-idf-part`, an independent implementation of ESP-IDF's format, where
//! it agrees with ESP-IDF: it takes no partition beyond 16 MB and does not know the newest kinds.

use guru_store::{Kind, Parsed, Rules};
use proptest::prelude::*;

/// Rows that both take, with offsets left out or not; whether the table as a whole is valid is for
/// each of them to say.
fn csv() -> impl Strategy<Value = String> {
    let app = (
        prop::sample::select(vec!["test", "ota_0", "ota_7", "ota_15"]),
        1u32..32,
    );
    let app = app.prop_map(|(subtype, pages)| ("app", subtype, pages * 0x1_0000));
    let data = (
        prop::sample::select(vec![
            "phy", "nvs", "coredump", "nvs_keys", "efuse", "esphttpd", "fat", "spiffs", "littlefs",
        ]),
        3u32..64,
    );
    let data = data.prop_map(|(subtype, sectors)| ("data", subtype, sectors * 0x1000));
    let row = (prop_oneof![app, data], any::<bool>());
    prop::collection::vec(row, 1..8).prop_map(|rows| {
        let mut text = String::from("# one table\nfactory, app, factory, , 1M,\n");
        for (index, ((type_name, subtype, size), encrypted)) in rows.into_iter().enumerate() {
            let flags = if encrypted { "encrypted" } else { "" };
            text += &format!("p{index}, {type_name}, {subtype}, , 0x{size:x}, {flags}\n");
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_make_the_same_bytes_of_the_same_csv(csv in csv()) {
        let rules = Rules::default();
        let ours = Parsed::from_csv(&csv, &rules, &|_| None).unwrap();
        prop_assert!(ours.check(&rules).is_ok(), "{}", csv);
        let theirs = esp_idf_part::PartitionTable::try_from_str(csv.clone()).unwrap();
        let (ours, theirs) = (ours.table.to_binary().unwrap(), theirs.to_bin().unwrap());
        prop_assert_eq!(ours, theirs, "{}", csv);
    }

    #[test]
    fn it_reads_what_we_write(csv in csv()) {
        let table = Parsed::from_csv(&csv, &Rules::default(), &|_| None).unwrap().table;
        let theirs = esp_idf_part::PartitionTable::try_from_bytes(table.to_binary().unwrap()).unwrap();
        prop_assert_eq!(theirs.partitions().len(), table.partitions.len());
        for (theirs, ours) in theirs.partitions().iter().zip(&table.partitions) {
            prop_assert_eq!(theirs.name(), ours.name.clone());
            prop_assert_eq!((theirs.offset(), theirs.size()), (ours.offset, ours.size));
            prop_assert_eq!(theirs.flags().bits(), ours.flags.0);
            let is_app = matches!(theirs.ty(), esp_idf_part::Type::App);
            prop_assert_eq!(is_app, ours.kind.type_code == Kind::APP);
        }
    }
}

/// What ESP-IDF refuses, it refuses too.
#[test]
fn both_refuse_the_same_tables() {
    for csv in [
        "a, app, factory, 0x11000, 64K",
        "a, data, ota, , 0x1000",
        "a, data, fat, , 4K\na, data, fat, , 4K",
        "a, data, ota, , 0x2000\nb, data, ota, , 0x2000",
        "a, data, fat, 0x10000, 8K\nb, data, fat, 0x11000, 4K",
    ] {
        let theirs =
            esp_idf_part::PartitionTable::try_from_str(csv).and_then(|table| table.validate());
        assert!(theirs.is_err(), "{csv}");
        let rules = Rules::default();
        let ours = Parsed::from_csv(csv, &rules, &|_| None).and_then(|table| table.check(&rules));
        assert!(ours.is_err(), "{csv}");
    }
}
