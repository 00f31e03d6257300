//! Each rule that ESP-IDF has for a partition table, and where its breach is said to be.

use guru_store::{
    Field, Flags, Kind, Md5Row, Parsed, Place, Problem, Remark, Rules, SecureBoot, TableError,
};

fn read(csv: &str, rules: &Rules) -> Result<(Parsed, Vec<Remark>), TableError> {
    let parsed = Parsed::from_csv(csv, rules, &|name| {
        (name == "SIZE").then(|| "0x4000".to_owned())
    })?;
    let remarks = parsed.check(rules)?;
    Ok((parsed, remarks))
}

fn good(csv: &str) -> Parsed {
    good_with(csv, &Rules::default())
}

fn good_with(csv: &str, rules: &Rules) -> Parsed {
    let (parsed, remarks) = read(csv, rules).unwrap_or_else(|error| panic!("{csv}: {error}"));
    assert_eq!(remarks, [], "{csv}");
    parsed
}

fn refused(csv: &str) -> TableError {
    refused_with(csv, &Rules::default())
}

fn refused_with(csv: &str, rules: &Rules) -> TableError {
    match read(csv, rules) {
        Ok(_) => panic!("taken: {csv}"),
        Err(error) => error,
    }
}

/// Offsets and sizes, in the table's order.
fn laid_out(csv: &str) -> Vec<(u32, u32)> {
    let partitions = good(csv).table.partitions;
    partitions
        .iter()
        .map(|one| (one.offset, one.size))
        .collect()
}

#[test]
fn offsets_that_are_left_out_follow_each_other_aligned_by_type() {
    let csv = "
# Name, Type, SubType, Offset, Size
nvs,      data, nvs,     ,        0x6000
phy_init, data, phy,     ,        0x1234
more,     data, 0x40,    ,        1
own,      0x40, 0,       ,        1
factory,  app,  factory, ,        1M
storage,  data, fat,     0x200000, 24k
";
    assert_eq!(
        laid_out(csv),
        [
            (0x9000, 0x6000),
            (0xF000, 0x1234),
            (0x1_1000, 1),
            (0x1_2000, 1),
            (0x2_0000, 0x10_0000),
            (0x20_0000, 0x6000),
        ]
    );
}

#[test]
fn the_first_offset_follows_the_table_wherever_that_is() {
    let rules = Rules {
        table_offset: 0x1_0000,
        ..Rules::default()
    };
    let parsed = good_with("nvs, data, nvs,, 0x6000", &rules);
    assert_eq!(parsed.table.partitions[0].offset, 0x1_1000);
}

#[test]
fn a_negative_size_says_where_the_partition_ends() {
    assert_eq!(
        laid_out("a, app, factory, , -0x200000\nb, data, fat, , -4M"),
        [(0x1_0000, 0x1F_0000), (0x20_0000, 0x20_0000)]
    );
    let error = refused("a, data, fat, 0x10000, -0x9000");
    assert_eq!(
        (error.place, error.field),
        (Place::Line(1), Some(Field::Size))
    );
    assert!(matches!(error.problem, Problem::EndsBeforeItBegins { .. }));
}

#[test]
fn flash_beyond_16_mb_is_laid_out_as_any_other() {
    assert_eq!(
        laid_out("a, app, factory, 0x10000, 32M\nb, data, spiffs, , -128M"),
        [(0x1_0000, 0x200_0000), (0x201_0000, 0x5FF_0000)]
    );
}

#[test]
fn a_partition_ends_within_4_gib() {
    good("a, data, fat, 0xfffff000, 0x1000");
    let error = refused("a, data, fat, 0xfffff000, 0x1001");
    assert_eq!(error.problem, Problem::BeyondAddressSpace);
    let error = refused("a, data, fat, 0xfffff000, 0x1000\nb, data, fat, , 0x1000");
    assert_eq!(error.place, Place::Line(2));
    assert_eq!(error.problem, Problem::BeyondAddressSpace);
    for (csv, field) in [
        ("a, data, fat, 0x100000000, 1", Field::Offset),
        ("a, data, fat, -1, 1", Field::Offset),
        ("a, data, fat, , 4194304K", Field::Size),
    ] {
        let error = refused(csv);
        assert_eq!(error.field, Some(field), "{csv}");
        assert!(matches!(error.problem, Problem::OutOfRange { .. }), "{csv}");
    }
}

#[test]
fn types_and_subtypes_are_names_in_any_case_or_numbers() {
    let kinds = |csv| -> Vec<Kind> {
        let partitions = good(csv).table.partitions;
        partitions.iter().map(|one| one.kind).collect()
    };
    assert_eq!(
        kinds(
            "a, app, factory,, 64K\nb, APP, OTA_15,, 64K\nc, 0, 0x20,, 64K\nd, app, tee_1,, 64K\n\
             e, data, ota,, 0x2000\nf, 1, 6,, 1\ng, data, ,, 1\nh, 0xfe, 0xff,, 1\ni, 64, ,, 1"
        ),
        [
            Kind::FACTORY,
            Kind::new(0, 0x1F),
            Kind::TEST,
            Kind::new(0, 0x31),
            Kind::OTA_DATA,
            Kind::UNDEFINED,
            Kind::UNDEFINED,
            Kind::new(0xFE, 0xFF),
            Kind::new(0x40, 6),
        ]
    );
}

#[test]
fn a_project_may_add_subtypes() {
    let csv = "mine, data, log,, 0x1000";
    assert!(matches!(refused(csv).problem, Problem::NotANumber { .. }));
    let mut rules = Rules::default();
    rules.names.add("data,log,0x41").unwrap();
    let parsed = good_with(csv, &rules);
    assert_eq!(parsed.table.partitions[0].kind, Kind::new(1, 0x41));
    let text = parsed.table.to_csv(&rules.names).unwrap();
    assert!(text.contains("mine,data,log,0x9000,4K,\n"), "{text}");
}

#[test]
fn a_field_that_is_missing_or_makes_no_sense_is_named() {
    for (csv, field, part) in [
        ("a", Field::Type, "empty"),
        ("a, app, , , 64K", Field::Subtype, "empty"),
        ("a, data, nvs", Field::Size, "empty"),
        (
            "a, dta, nvs, , 0x6000",
            Field::Type,
            "'dta' is no number and none of app, data",
        ),
        (
            "a, data, ota_0, , 0x6000",
            Field::Subtype,
            "'ota_0' is no number and none of ota, phy",
        ),
        (
            "a, 0x40, nvs, , 0x6000",
            Field::Subtype,
            "'nvs' is no number",
        ),
        ("a, 256, 0, , 0x6000", Field::Type, "the limit is 0xff"),
        ("a, data, -1, , 0x6000", Field::Subtype, "the limit is 0xff"),
        ("a, data, nvs, x, 0x6000", Field::Offset, "'x' is no number"),
        ("a, data, nvs, , 6000h", Field::Size, "'6000h' is no number"),
        ("a, data, nvs, , 010", Field::Size, "'010' is no number"),
        (
            "a, data, nvs, , 0x6000, encrypt",
            Field::Flags,
            "'encrypt' is no flag",
        ),
        (
            "a, data, nvs, , 0x6000, # all",
            Field::Flags,
            "'# all' is no flag",
        ),
    ] {
        let error = refused(&format!("# one\n\n{csv}\n"));
        assert_eq!(error.place, Place::Line(3), "{csv}");
        assert_eq!(error.field, Some(field), "{csv}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("line 3: {field}: ")) && text.contains(part),
            "{csv}: {text}"
        );
    }
}

#[test]
fn flags_are_names_with_colons_between_them() {
    let flags = |text: &str| good(&format!("a, data, fat, , 1, {text}")).table.partitions[0].flags;
    assert_eq!(flags(""), Flags::default());
    assert_eq!(flags("encrypted"), Flags::ENCRYPTED);
    assert_eq!(flags("readonly"), Flags::READONLY);
    assert_eq!(
        flags("readonly:encrypted,, what follows does not count"),
        Flags(3)
    );
    assert_eq!(flags(":encrypted:"), Flags::ENCRYPTED);
}

#[test]
fn variables_stand_for_their_values() {
    assert_eq!(laid_out("a, data, fat, , $SIZE"), [(0x9000, 0x4000)]);
    assert_eq!(laid_out("a, data, fat, , ${SIZE}"), [(0x9000, 0x4000)]);
    good("# $NONE in a comment");
    for csv in ["a, data, fat, , $NONE", "$NONE, data, fat, , 1"] {
        let error = refused(csv);
        assert_eq!(error.place, Place::Line(1));
        assert!(matches!(error.problem, Problem::UnknownVariable { .. }));
    }
}

#[test]
fn files_of_every_system_and_encoding_are_read() {
    let csv = "nvs, data, nvs, , 0x6000\r\nphy, data, phy, , 0x1000\rå, data, fat, , 1";
    let rules = Rules::default();
    let expected = good(csv).table;
    assert_eq!(expected.partitions.len(), 3);
    let utf8 = [&[0xEF, 0xBB, 0xBF], csv.as_bytes()].concat();
    let wide = |mark: u16, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(mark)
            .chain(csv.encode_utf16())
            .flat_map(order)
            .collect()
    };
    for bytes in [
        csv.as_bytes().to_vec(),
        utf8,
        wide(0xFEFF, u16::to_le_bytes),
        wide(0xFEFF, u16::to_be_bytes),
    ] {
        let parsed = Parsed::from_bytes(&bytes, &rules, &|_| None).unwrap();
        assert_eq!(parsed.table, expected);
    }
    let error = Parsed::from_bytes(&[0x80, 0x81], &rules, &|_| None).unwrap_err();
    assert_eq!(error.problem, Problem::NotATable);
}

#[test]
fn partitions_stand_in_the_order_of_their_offsets() {
    let error = refused("a, data, fat, 0x20000, 0x1000\nb, data, fat, 0x10000, 0x1000");
    assert_eq!(
        (error.place, error.field),
        (Place::Line(2), Some(Field::Offset))
    );
    let text = error.to_string();
    assert!(text.contains("0x21000, where 'a' above it ends"), "{text}");
}

#[test]
fn partitions_begin_behind_the_table() {
    let error = refused("a, data, fat, 0x8000, 0x1000");
    let text = error.to_string();
    assert!(
        text.contains("0x9000, where the partition table ends"),
        "{text}"
    );
    let rules = Rules {
        table_offset: 0x1_0000,
        ..Rules::default()
    };
    let csv = "a, data, fat, 0x9000, 0x1000";
    let table = good(csv).table;
    let error = table.check(&rules).unwrap_err();
    assert_eq!(error.place, Place::Record(0));
    assert!(matches!(
        error.problem,
        Problem::BelowTable {
            first: 0x1_1000,
            ..
        }
    ));
}

#[test]
fn partitions_do_not_overlap() {
    let mut table = good("a, data, fat, 0x10000, 0x2000\nb, data, fat, 0x12000, 0x1000").table;
    table.partitions[1].offset = 0x1_1000;
    let error = table.check(&Rules::default()).unwrap_err();
    assert_eq!(error.place, Place::Record(1));
    assert!(
        matches!(error.problem, Problem::Overlap { end: 0x1_1FFF, .. }),
        "{error}"
    );
    // The order in the table does not matter.
    table.partitions.swap(0, 1);
    let error = table.check(&Rules::default()).unwrap_err();
    assert_eq!(error.place, Place::Record(0));
}

#[test]
fn applications_begin_at_64_kb_and_the_rest_at_sectors() {
    for (csv, alignment) in [
        ("a, app, factory, 0x11000, 64K", 0x1_0000),
        ("a, app, 0x55, 0x11000, 64K", 0x1_0000),
        ("a, data, nvs, 0x9010, 0x3000", 0x1000),
        ("a, 0x40, 0, 0x9010, 0x3000", 0x1000),
    ] {
        let error = refused(csv);
        assert_eq!(error.field, Some(Field::Offset), "{csv}");
        assert!(
            matches!(error.problem, Problem::Unaligned { alignment: found, .. } if found == alignment),
            "{csv}"
        );
    }
}

#[test]
fn sizes_of_applications_are_whole_sectors_or_with_secure_boot_1_whole_pages() {
    let rules = |secure_boot| Rules {
        secure_boot,
        ..Rules::default()
    };
    let sector = "a, app, factory, , 0x11000";
    good(sector);
    good_with(sector, &rules(SecureBoot::V2));
    good_with("a, app, factory, , 0x20000", &rules(SecureBoot::V1));
    good("a, data, fat, , 0x1001");
    for (csv, secure_boot) in [
        (sector, SecureBoot::V1),
        ("a, app, factory, , 0x11010", SecureBoot::None),
        ("a, app, factory, , 0x11010", SecureBoot::V2),
    ] {
        let error = refused_with(csv, &rules(secure_boot));
        assert_eq!(error.field, Some(Field::Size));
        assert!(matches!(error.problem, Problem::Unaligned { .. }));
    }
}

#[test]
fn names_are_unique() {
    let error = refused("a, data, fat, , 0x1000\nb, data, fat, , 0x1000\na, data, nvs, , 0x6000");
    assert_eq!(
        (error.place, error.field),
        (Place::Line(3), Some(Field::Name))
    );
    assert!(matches!(error.problem, Problem::DuplicateName { .. }));
}

#[test]
fn names_are_cut_to_16_bytes_which_is_said() {
    let rules = Rules::default();
    let (parsed, remarks) = read("\nabcdefghijklmnopq, data, fat, , 1", &rules).unwrap();
    assert_eq!(parsed.table.partitions[0].name, "abcdefghijklmnop");
    assert!(matches!(&remarks[..], [Remark::NameCut { line: 2, .. }]));
    // Two names that are the same when they are cut.
    let error = refused("abcdefghijklmnopq, data, fat, , 1\nabcdefghijklmnopr, data, fat, , 1");
    assert!(matches!(error.problem, Problem::DuplicateName { .. }));
    // A cut through the middle of a letter.
    let error = refused("abcdefghijklmnoå, data, fat, , 1");
    assert_eq!(
        (error.field, error.problem),
        (Some(Field::Name), Problem::NotUtf8)
    );
    good("abcdefghijklmnop, data, fat, , 1");
}

#[test]
fn names_that_say_something_else_than_the_fields_are_remarked_on() {
    let remarks = |csv| read(csv, &Rules::default()).unwrap().1;
    assert!(matches!(
        &remarks("app, data, fat, , 1")[..],
        [Remark::NamedLikeType { .. }]
    ));
    assert!(matches!(
        &remarks("nvs, data, fat, , 1")[..],
        [Remark::NamedLikeSubtype { .. }]
    ));
    assert!(matches!(
        &remarks("ota_0, app, ota_1, , 64K")[..],
        [Remark::NamedLikeSubtype { .. }]
    ));
    good("data, data, fat, , 1");
    good("factory, app, factory, , 64K");
    good("ota, data, ota, , 0x2000");
}

#[test]
fn otadata_are_one_partition_of_two_sectors() {
    for (subtype, what) in [("ota", "otadata"), ("tee_ota", "TEE otadata")] {
        good(&format!("a, data, {subtype}, , 0x2000"));
        let error = refused(&format!("a, data, {subtype}, , 0x1000"));
        assert_eq!(
            (error.place, error.field),
            (Place::Line(1), Some(Field::Size))
        );
        assert!(
            error
                .to_string()
                .contains(&format!("for {what} has 0x2000"))
        );
        let error = refused(&format!(
            "a, data, {subtype}, , 0x2000\nb, data, {subtype}, , 0x2000"
        ));
        assert_eq!(error.place, Place::Line(2));
        assert!(matches!(error.problem, Problem::SecondOtaData { .. }));
    }
}

#[test]
fn what_the_system_writes_cannot_be_readonly() {
    for csv in [
        "a, data, ota, , 0x2000, readonly",
        "a, data, coredump, , 64K, readonly",
    ] {
        let error = refused(csv);
        assert_eq!(error.field, Some(Field::Flags), "{csv}");
        assert!(matches!(error.problem, Problem::AlwaysWritten { .. }));
    }
    good("a, data, nvs, , 0x6000, readonly");
}

#[test]
fn small_nvs_must_be_readonly() {
    let error = refused("a, data, nvs, , 0x2000");
    assert_eq!(error.field, Some(Field::Size));
    assert!(matches!(
        error.problem,
        Problem::SmallNvs { size: 0x2000, .. }
    ));
    good("a, data, nvs, , 0x2000, readonly");
    good("a, data, nvs, , 0x3000");
    good("a, data, nvs_keys, , 0x1000");
}

#[test]
fn the_partitions_end_within_the_flash() {
    let rules = |flash_size| Rules {
        flash_size: Some(flash_size),
        ..Rules::default()
    };
    let csv = "a, app, factory, , -4M";
    good_with(csv, &rules(4 << 20));
    let error = refused_with(csv, &rules(2 << 20));
    assert_eq!(
        error.problem,
        Problem::BeyondFlash {
            end: 4 << 20,
            flash: 2 << 20
        }
    );
}

#[test]
fn bootloaders_and_tables_may_have_entries() {
    let csv = "
bootloader,     bootloader,      primary,  N/A, N/A
ptable,         partition_table, primary,  N/A, N/A
recoveryBloader, bootloader,     recovery, N/A, N/A
ota_boot,       bootloader,      ota,      ,    N/A
ota_table,      partition_table, ota,      ,    N/A
nvs,            data,            nvs,      ,    0x6000
";
    let rules = Rules {
        primary_bootloader: Some(0x1000),
        recovery_bootloader: Some(0x20_0000),
        ..Rules::default()
    };
    let table = good_with(csv, &rules).table;
    let places: Vec<_> = table
        .partitions
        .iter()
        .map(|one| (one.offset, one.size))
        .collect();
    assert_eq!(
        places,
        [
            (0x1000, 0x7000),
            (0x8000, 0x1000),
            (0x20_0000, 0x7000),
            (0x20_7000, 0x7000),
            (0x20_E000, 0x1000),
            (0x20_F000, 0x6000),
        ]
    );
}

#[test]
fn where_bootloaders_lie_must_be_known_and_be_below_the_table() {
    let error = refused("b, bootloader, primary, , ");
    assert_eq!(
        error.problem,
        Problem::BootloaderOffset { which: "primary" }
    );
    let known = Rules {
        primary_bootloader: Some(0),
        ..Rules::default()
    };
    let error = refused_with("b, bootloader, recovery, , ", &known);
    assert_eq!(
        error.problem,
        Problem::BootloaderOffset { which: "recovery" }
    );
    let above = Rules {
        primary_bootloader: Some(0x8000),
        ..Rules::default()
    };
    let error = refused_with("nvs, data, nvs, , 0x6000", &above);
    assert!(matches!(
        error.problem,
        Problem::BootloaderAboveTable { .. }
    ));
}

#[test]
fn a_table_has_room_for_94_partitions_and_the_digest_or_95_without() {
    let rows = |count: usize| -> String {
        (0..count)
            .map(|index| format!("p{index}, data, fat, , 0x1000\n"))
            .collect()
    };
    let table = |count, md5_row| {
        let mut table = good(&rows(count)).table;
        table.md5_row = md5_row;
        table.to_binary()
    };
    assert_eq!(table(94, Md5Row::Present).unwrap().len(), 0xC00);
    assert_eq!(table(95, Md5Row::Absent).unwrap().len(), 0xC00);
    for (count, md5_row) in [(95, Md5Row::Present), (96, Md5Row::Absent)] {
        let error = table(count, md5_row).unwrap_err();
        assert!(matches!(error.problem, Problem::TooMany { .. }));
    }
}
