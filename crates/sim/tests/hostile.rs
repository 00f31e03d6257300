//! Whatever a client sends, the chip neither panics nor grows.

use std::time::Duration;

use guru_chip::CHIPS;
use guru_link::{Instant, Lines};
use guru_sim::{Device, SimOptions};
use guru_wire::{Command, slip};
use proptest::prelude::*;

fn packet() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        any::<u32>(),
        0_u32..0x2000,
        Just(u32::MAX),
        (0_u32..0x400).prop_map(|sector| sector * 0x1000),
    ];
    let words = prop::collection::vec(word, 0..9);
    (any::<bool>(), 0_u8..0x20, words, any::<[u8; 6]>()).prop_map(|(fits, opcode, words, rest)| {
        let mut packet = vec![0, opcode];
        packet.extend(rest);
        packet.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        if fits {
            let len = (packet.len() - 8) as u16;
            packet[2..4].copy_from_slice(&len.to_le_bytes());
        }
        packet
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_packet_breaks_the_loader(
        chip in 0..CHIPS.len(),
        packets in prop::collection::vec(packet(), 1..40),
        noise: Vec<u8>,
        fault in prop_oneof![
            Just(""),
            Just("corrupt:both:1/50,drop:both:1/70,duplicate:both:1/90"),
            Just("power-loss:erase@2,power-loss:program@3"),
            Just("stuck-flash:@5"),
        ],
    ) {
        let mut options = SimOptions::new(CHIPS[chip]);
        options.faults = fault.parse().unwrap();
        let mut device = Device::new(&options).unwrap();
        let mut now = Instant(Duration::from_millis(100));
        let mut output = Vec::new();
        for _ in 0..2 {
            device.write(now, &slip::encode(&Command::Sync.encode()));
            now = now + Duration::from_millis(50);
        }
        device.write(now, &noise);
        for packet in packets {
            device.write(now, &slip::encode(&packet));
            now = now + Duration::from_secs(1);
            device.poll(now, &mut output);
        }
        device.set_lines(now, Lines::both(false, true));
        device.set_lines(now, Lines::both(true, false));
        now = now + Duration::from_secs(1_000_000);
        output.clear();
        device.poll(now, &mut output);
        prop_assert!(output.len() < 2 << 20);
    }
}
