//! The images under examples/, which the README's first command writes.

use std::path::Path;

use guru_image::{Compatibility, Contents, Firmware, Form, Image, compatibility};

fn example(id: &str) -> Contents {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/hello")
        .join(format!("{id}.bin"));
    let mut parts = Firmware::open(&path)
        .expect("the image is in the repository")
        .parts;
    assert_eq!(parts.len(), 1);
    parts.remove(0).contents
}

#[test]
fn the_examples_are_whole_images_for_their_chip() {
    for id in ["esp32c3", "esp32"] {
        let chip = guru_chip::by_id(id).unwrap();
        let contents = example(id);
        let image = Image::parse(&contents, Form::of(&chip.image)).unwrap();
        image.verify(&contents).unwrap();
        assert!(image.digest().is_some());
        assert_eq!(
            compatibility(&contents, &chip.image, None).unwrap(),
            Compatibility::Fits
        );
    }
}

#[test]
fn the_examples_run_from_ram_where_their_entry_point_lies() {
    for id in ["esp32c3", "esp32"] {
        let chip = guru_chip::by_id(id).unwrap();
        let contents = example(id);
        let image = Image::parse(&contents, Form::of(&chip.image)).unwrap();
        let in_memory = |name: &str, address: u32| {
            let mut ranges = chip.memory.iter().filter(|memory| memory.name == name);
            ranges.any(|memory| memory.range.contains(&address))
        };
        for segment in &image.segments {
            let last = segment.address + segment.data.len() as u32 - 1;
            for address in [segment.address, last] {
                assert!(
                    in_memory("IRAM", address) || in_memory("DRAM", address),
                    "{id}: {address:#x}"
                );
            }
        }
        let entry = image.header.entry;
        assert!(in_memory("IRAM", entry));
        assert!(image.segments.iter().any(|segment| {
            (segment.address..segment.address + segment.data.len() as u32).contains(&entry)
        }));
    }
}
