//! Otadata: what the bootloader makes of the two entries, and what is written to choose another
//! application.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

use guru_store::{
    ENTRY_LEN, NextBoot, OtaData, OtaError, OtaState, Parsed, PartitionTable, Rules, SECTOR,
    SelectEntry, Selected, Target, Update, Why,
};
use proptest::prelude::*;

fn table(csv: &str) -> PartitionTable {
    Parsed::from_csv(csv, &Rules::default(), &|_| None)
        .unwrap()
        .table
}

/// Factory and `slots` OTA slots.
fn with_slots(slots: u8) -> PartitionTable {
    let slots: String = (0..slots)
        .map(|slot| format!("ota_{slot}, app, ota_{slot}, , 64K\n"))
        .collect();
    table(&format!(
        "otadata, data, ota, , 0x2000\nfactory, app, factory, , 64K\n{slots}"
    ))
}

fn erased() -> SelectEntry {
    SelectEntry::from_bytes(&[0xFF; ENTRY_LEN])
}

fn data(first: SelectEntry, second: SelectEntry) -> OtaData {
    OtaData {
        entries: [first, second],
    }
}

fn entry(sequence: u32) -> SelectEntry {
    SelectEntry::new(sequence, OtaState::Undefined)
}

fn name<'t>(next: &NextBoot<'t>) -> Option<&'t str> {
    next.partition.map(|partition| partition.name.as_str())
}

#[test]
fn an_entry_has_the_bytes_that_esp_idf_writes() {
    let bytes = entry(1).to_bytes();
    assert_eq!(&bytes[..4], b"\x01\0\0\0");
    assert_eq!(&bytes[4..28], [0xFF; 24]);
    // As at the end of every first entry that an update leaves.
    assert_eq!(&bytes[28..], b"\x9A\x98\x43\x47");
    assert_eq!(&entry(2).to_bytes()[28..], b"\x74\x37\xF6\x55");
}

#[test]
fn the_second_entry_stands_in_the_second_sector() {
    let mut bytes = vec![0xFF; 2 * SECTOR as usize];
    bytes[SECTOR as usize..][..ENTRY_LEN].copy_from_slice(&entry(7).to_bytes());
    assert_eq!(OtaData::from_bytes(&bytes), Ok(data(erased(), entry(7))));
    assert!(matches!(
        OtaData::from_bytes(&bytes[..SECTOR as usize + 31]),
        Err(OtaError::Truncated { .. })
    ));
}

#[test]
fn the_valid_entry_with_the_higher_number_counts() {
    let mut broken = entry(9);
    broken.crc ^= 1;
    for (first, second, active) in [
        (erased(), erased(), None),
        (entry(1), erased(), Some(0)),
        (erased(), entry(1), Some(1)),
        (entry(2), entry(3), Some(1)),
        (entry(3), entry(2), Some(0)),
        (entry(3), entry(3), Some(0)),
        (entry(3), broken, Some(0)),
        (broken, broken, None),
        (entry(3), SelectEntry::new(4, OtaState::Aborted), Some(0)),
        (SelectEntry::new(4, OtaState::Invalid), entry(3), Some(1)),
        (
            entry(3),
            SelectEntry::new(4, OtaState::PendingVerify),
            Some(1),
        ),
        (entry(u32::MAX), entry(1), Some(1)),
    ] {
        assert_eq!(data(first, second).active(), active, "{first:?} {second:?}");
    }
}

#[test]
fn the_number_less_1_modulo_the_slots_is_the_slot() {
    for (sequence, slots, expected) in [
        (1, 2, "ota_0"),
        (2, 2, "ota_1"),
        (7, 3, "ota_0"),
        (0, 2, "ota_1"),
    ] {
        let table = with_slots(slots);
        let next = data(entry(sequence), erased()).next_boot(&table);
        assert_eq!(name(&next), Some(expected), "{sequence} of {slots}");
        assert!(matches!(next.why, Why::Entry(Selected { sector: 0, .. })));
    }
}

#[test]
fn without_a_choice_the_factory_application_or_the_first_slot_is_started() {
    let empty = data(erased(), erased());
    let full = with_slots(2);
    let next = empty.next_boot(&full);
    assert_eq!((name(&next), next.why), (Some("factory"), Why::Empty));
    let slots = table("o, data, ota, , 0x2000\na, app, ota_0, , 64K\nb, app, ota_1, , 64K");
    assert_eq!(name(&empty.next_boot(&slots)), Some("a"));
    let single = table("f, app, factory, , 64K");
    let next = data(entry(2), erased()).next_boot(&single);
    assert_eq!((name(&next), next.why), (Some("f"), Why::NoChoice));
}

#[test]
fn broken_otadata_fall_back_to_the_factory_application_or_to_anything() {
    let mut broken = entry(2);
    broken.crc = 0;
    let full = with_slots(2);
    let next = data(broken, erased()).next_boot(&full);
    assert_eq!((name(&next), next.why), (Some("factory"), Why::Broken));
    let slots = table("o, data, ota, , 0x2000\na, app, ota_0, , 64K\nb, app, ota_1, , 64K");
    let next = data(broken, erased()).next_boot(&slots);
    assert_eq!((name(&next), next.why), (None, Why::Broken));
}

#[test]
fn what_is_chosen_already_is_not_written_again() {
    let table = with_slots(2);
    let data = data(entry(2), erased());
    let again = data.select(&table, Target::Slot(1), OtaState::Undefined);
    assert_eq!(again, Ok(Update::Nothing));
    // With another state it is, into the other sector.
    let pending = data.select(&table, Target::Slot(1), OtaState::New);
    let entry = SelectEntry::new(4, OtaState::New);
    assert_eq!(pending, Ok(Update::Write { sector: 1, entry }));
}

#[test]
fn the_first_choice_is_as_esp_idf_writes_it() {
    let update = data(erased(), erased()).select(&with_slots(3), Target::Slot(2), OtaState::New);
    let entry = SelectEntry::new(3, OtaState::New);
    assert_eq!(update, Ok(Update::Write { sector: 0, entry }));
}

#[test]
fn erasing_leaves_what_counts_to_the_last() {
    assert_eq!(data(entry(2), entry(1)).erase(), Update::Erase([1, 0]));
    assert_eq!(data(entry(1), entry(2)).erase(), Update::Erase([0, 1]));
    assert_eq!(data(erased(), erased()).erase(), Update::Nothing);
}

#[test]
fn what_cannot_be_chosen_is_said() {
    let none = data(erased(), erased());
    let choose =
        |table: &PartitionTable, slot| none.select(table, Target::Slot(slot), OtaState::New);
    assert!(matches!(
        choose(&with_slots(2), 2),
        Err(OtaError::NoSuchSlot { .. })
    ));
    assert_eq!(choose(&with_slots(0), 0), Err(OtaError::NoSlots));
    assert_eq!(
        choose(&table("f, app, factory, , 64K\na, app, ota_0, , 64K"), 0),
        Err(OtaError::NoOtaData)
    );
    let gap = table("o, data, ota, , 0x2000\na, app, ota_0, , 64K\nb, app, ota_2, , 64K");
    assert_eq!(choose(&gap, 0), Err(OtaError::Gap { missing: 1 }));
    let last = data(entry(u32::MAX - 1), erased());
    assert!(matches!(
        last.select(&with_slots(2), Target::Slot(0), OtaState::New),
        Err(OtaError::Exhausted { .. })
    ));
}

#[test]
fn a_target_is_a_name_a_slot_or_a_number() {
    let table = table(
        "o, data, ota, , 0x2000\nmain, app, factory, , 64K\na, app, ota_0, , 64K\nb, app, ota_1, , 64K",
    );
    for (text, target) in [
        ("factory", Target::Factory),
        ("main", Target::Factory),
        ("a", Target::Slot(0)),
        ("ota_1", Target::Slot(1)),
        ("1", Target::Slot(1)),
    ] {
        assert_eq!(Target::find(&table, text), Ok(target), "{text}");
    }
    for text in ["o", "ota_2", "2", "", "x"] {
        let error = Target::find(&table, text).unwrap_err().to_string();
        assert!(error.contains("there are main, a, b"), "{text}: {error}");
    }
}

fn any_entry() -> impl Strategy<Value = SelectEntry> {
    let state = (0u32..6).prop_map(OtaState::from_code);
    prop_oneof![
        Just(erased()),
        (0u32..1000, state).prop_map(|(sequence, state)| SelectEntry::new(sequence, state)),
        any::<[u8; ENTRY_LEN]>().prop_map(|bytes| SelectEntry::from_bytes(&bytes)),
    ]
}

proptest! {
    /// The bootloader starts what was chosen; and when the power fails with the sector half
    /// written, what counted before.
    #[test]
    fn what_is_chosen_is_started_and_the_old_choice_survives_a_power_failure(
        first in any_entry(),
        second in any_entry(),
        slots in 1u8..=16,
        slot in 0u8..16,
        torn in any::<[u8; ENTRY_LEN]>(),
    ) {
        let table = with_slots(slots);
        let slot = slot % slots;
        let before = data(first, second);
        let update = before.select(&table, Target::Slot(slot), OtaState::Undefined);
        let Ok(update) = update else { return Ok(()) };
        let mut after = before;
        if let Update::Write { sector, entry } = update {
            after.entries[sector] = entry;
            if let Some(active) = before.active() {
                prop_assert_ne!(sector, active);
                let mut half = before;
                half.entries[sector] = SelectEntry::from_bytes(&torn);
                half.entries[sector].crc = !entry.crc;
                if !half.entries[sector].crc_matches() {
                    prop_assert_eq!(half.active(), Some(active));
                }
                half.entries[sector] = erased();
                prop_assert_eq!(half.active(), Some(active));
            }
        }
        let expected = format!("ota_{slot}");
        prop_assert_eq!(name(&after.next_boot(&table)), Some(expected.as_str()));
    }

    #[test]
    fn entries_are_written_as_they_were_read(bytes: [u8; ENTRY_LEN]) {
        prop_assert_eq!(SelectEntry::from_bytes(&bytes).to_bytes(), bytes);
    }
}

#[test]
fn every_slot_is_reached_from_every_number() {
    for slots in 1..=5 {
        let table = with_slots(slots);
        for sequence in (0..12).chain([u32::MAX - 12]) {
            for slot in 0..slots {
                let mut data = data(entry(sequence), erased());
                let update = data.select(&table, Target::Slot(slot), OtaState::Valid);
                let Ok(Update::Write { sector: 1, entry }) = update else {
                    panic!("{update:?} from {sequence} of {slots} to {slot}");
                };
                data.entries[1] = entry;
                let expected = format!("ota_{slot}");
                assert_eq!(
                    name(&data.next_boot(&table)),
                    Some(&*expected),
                    "{sequence}"
                );
            }
        }
    }
}
