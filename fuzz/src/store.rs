use guru_store::{
    OtaData, OtaState, Parsed, Rules, SelectEntry, Slice, Target, Update, Vocabulary, map, number,
};

/// Rules under which every kind of partition has its place.
fn rules() -> Rules {
    Rules {
        primary_bootloader: Some(0x1000),
        recovery_bootloader: Some(0x3F_0000),
        ..Rules::default()
    }
}

/// A partition table as flash holds it: what was read is written as it was, but for what the
/// digest's record has to spare.
pub fn partition_table(bytes: &[u8]) {
    let Ok(parsed) = Parsed::from_binary(bytes) else {
        return;
    };
    let _ = parsed.check(&rules());
    let table = &parsed.table;
    let written = table.to_binary().expect("as many partitions as were read");
    let again = Parsed::from_binary(&written).map(|parsed| parsed.table);
    assert_eq!(again.as_ref(), Ok(table));
    let _ = table.to_csv(&rules().names);
    let mut at = 0;
    for stretch in map(table, Rules::TABLE_OFFSET, Some(0x1000), None) {
        // Partitions that overlap follow each other as they begin.
        assert!(stretch.range().start >= at || table.check(&rules()).is_err());
        at = stretch.range().end;
    }
}

/// A partition table as people write it: one that is valid survives both forms.
pub fn partition_csv(bytes: &[u8]) {
    words(bytes);
    let rules = rules();
    let variable = |name: &str| (name == "SIZE").then(|| "0x1000".to_owned());
    let Ok(parsed) = Parsed::from_bytes(bytes, &rules, &variable) else {
        return;
    };
    if parsed.check(&rules).is_err() {
        return;
    }
    let table = &parsed.table;
    let Ok(binary) = table.to_binary() else {
        return;
    };
    if !table.partitions.is_empty() {
        let again = Parsed::from_binary(&binary).map(|parsed| parsed.table);
        assert_eq!(again.as_ref(), Ok(table));
    }
    // CSV has no unknown flags, and wants the partitions in order.
    let in_order = table
        .partitions
        .is_sorted_by_key(|partition| partition.offset);
    let is_csv = !guru_store::looks_like_table(bytes);
    if let Ok(text) = table.to_csv(&rules.names)
        && in_order
        && is_csv
    {
        let again = Parsed::from_csv(&text, &rules, &variable).map(|parsed| parsed.table);
        assert_eq!(again.as_ref(), Ok(table));
    }
}

/// What people write about a table on the command line: a slice, a subtype, a slot.
fn words(bytes: &[u8]) {
    let csv = "nvs,data,nvs,,0x6000\na,app,factory,,64K\nb,app,ota_0,,64K";
    let Ok(parsed) = Parsed::from_csv(csv, &Rules::default(), &|_| None) else {
        return;
    };
    for line in String::from_utf8_lossy(bytes).lines() {
        let read = |text: &str| {
            let value = number(text).and_then(|value| u32::try_from(value).ok());
            value.ok_or_else(|| "no number".to_owned())
        };
        if let Ok(slice) = Slice::parse(line, read)
            && let Ok((partition, range)) = slice.resolve(&parsed.table)
        {
            let inside = partition.range();
            assert!(!range.is_empty() && inside.start <= range.start.into());
            assert!(u64::from(range.end) <= inside.end);
        }
        let _ = Vocabulary::default().add(line);
        let _ = Target::find(&parsed.table, line);
    }
}

/// Two entries of otadata, one behind the other: a choice is made, and is what counts then.
pub fn otadata(bytes: &[u8]) {
    if let Ok(data) = OtaData::from_bytes(bytes) {
        let _ = data.erase();
    }
    let (entries, _) = bytes.as_chunks();
    let [first, second, ..] = entries else {
        return;
    };
    let mut data = OtaData {
        entries: [first, second].map(SelectEntry::from_bytes),
    };
    assert_eq!(&data.entries[0].to_bytes(), first);
    let csv = "o,data,ota,,0x2000\na,app,ota_0,,64K\nb,app,ota_1,,64K\nc,app,ota_2,,64K";
    let Ok(parsed) = Parsed::from_csv(csv, &Rules::default(), &|_| None) else {
        return;
    };
    let _ = data.next_boot(&parsed.table);
    let active = data.active();
    let update = data.select(&parsed.table, Target::Slot(1), OtaState::Undefined);
    match update {
        Ok(Update::Write { sector, entry }) => {
            assert_ne!(Some(sector), active);
            data.entries[sector] = entry;
        }
        Ok(_) => {}
        Err(_) => return,
    }
    let next = data.next_boot(&parsed.table).partition;
    assert_eq!(next.map(|partition| partition.name.as_str()), Some("b"));
}
