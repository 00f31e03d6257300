//! Build folders and packages as they are found on a disk, and what goes to flash because of them.

use std::fs;
use std::path::{Path, PathBuf};

use guru_chip::{Chip, by_id};
use guru_image::{BuildOptions, Contents, Elf, ImageInfo, build};
use guru_project::{
    Board, BootloaderChoice, Build, Plan, Program, ProjectError, Request, Role, Roots, Settings,
    System, Table, find, open, plan,
};
use guru_store::{Parsed, Rules};
use guru_testkit::Scratch;
use guru_testkit::elf::{ElfWriter, Section};

const TABLE: &str = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n\
                     phy,data,phy,0xf000,0x1000\nfactory,app,factory,0x10000,1M\n\
                     ota_0,app,ota_0,,1M\nstorage,data,spiffs,,64K\n";

fn chip(id: &str) -> &'static Chip {
    by_id(id).expect("it is a chip")
}

/// The image of an ELF file.
fn image(chip: &'static Chip, elf: &[u8], options: &BuildOptions) -> Vec<u8> {
    let contents = Contents::from_bytes("elf", elf.to_vec()).expect("it is small");
    let elf = Elf::read(&contents).expect("it is whole");
    let mut bytes = Vec::new();
    for file in build(&elf, chip, options, &mut |_| {}).expect("it makes an image") {
        bytes.clear();
        file.write_to(&mut bytes).expect("it is in memory");
    }
    bytes
}

fn bootloader(chip: &'static Chip) -> Vec<u8> {
    let options = BuildOptions {
        size: "4MB".to_owned(),
        ..BuildOptions::default()
    };
    image(chip, &ElfWriter::in_ram(chip, 7).bytes(), &options)
}

fn table(csv: &str) -> Vec<u8> {
    let parsed = Parsed::from_csv(csv, &Rules::default(), &|_| None).expect("it is a table");
    parsed.table.to_binary().expect("it fits")
}

/// A build folder of ESP-IDF, and its ELF file.
fn esp_idf(folder: &Scratch, chip: &'static Chip) -> PathBuf {
    let boot = chip.image.bootloader_offset;
    let json = format!(
        r#"{{"flash_settings": {{"flash_mode": "dio", "flash_freq": "keep", "flash_size": "4MB"}},
        "flash_files": {{"{boot:#x}": "bootloader/bootloader.bin", "0x10000": "blink.bin",
            "0x8000": "partition_table/partition-table.bin", "0x210000": "storage.bin"}},
        "bootloader": {{"offset": "{boot:#x}", "file": "bootloader/bootloader.bin", "encrypted": "true"}},
        "app": {{"offset": "0x10000", "file": "blink.bin", "encrypted": "true"}},
        "partition-table": {{"offset": "0x8000", "file": "partition_table/partition-table.bin",
            "encrypted": "true"}},
        "extra_esptool_args": {{"chip": "{}"}}}}"#,
        chip.id
    );
    folder.file("build/flasher_args.json", json);
    folder.file("build/bootloader/bootloader.bin", bootloader(chip));
    folder.file("build/partition_table/partition-table.bin", table(TABLE));
    folder.file("build/storage.bin", [0x55; 5000]);
    let elf = ElfWriter::application(chip, 1).bytes();
    folder.file(
        "build/blink.bin",
        image(chip, &elf, &BuildOptions::default()),
    );
    folder.file("build/blink.elf", elf)
}

/// How a test asks.
struct Ask<'a> {
    program: &'a Path,
    build: Option<Build>,
    board: Board,
    roots: Roots,
    bootloader: BootloaderChoice,
    table: Option<Table>,
    partition: Option<&'a str>,
    settings: Settings,
}

impl<'a> Ask<'a> {
    fn new(program: &'a Path, chip: &'static Chip) -> Self {
        Self {
            program,
            build: find(program).expect("what is there can be used"),
            board: Board::unseen(chip, Some(4 << 20)),
            roots: Roots::default(),
            bootloader: BootloaderChoice::Find,
            table: None,
            partition: None,
            settings: Settings::default(),
        }
    }

    fn plan(&self) -> Result<Plan, ProjectError> {
        let program = Program::open(self.program)?;
        let request = Request {
            program: &program,
            build: self.build.as_ref(),
            bootloader: self.bootloader.clone(),
            table: self.table.clone(),
            table_offset: None,
            partition: self.partition,
            settings: self.settings.clone(),
            roots: &self.roots,
            force: false,
        };
        plan(&request, self.board)
    }

    fn error(&self) -> String {
        self.plan()
            .expect_err("it must not go to flash")
            .to_string()
    }
}

fn named(csv: &str) -> Table {
    let parsed = Parsed::from_csv(csv, &Rules::default(), &|_| None).expect("it is a table");
    Table {
        name: "my.csv".to_owned(),
        table: parsed.table,
        write: true,
    }
}

fn places(plan: &Plan) -> Vec<(u32, Role)> {
    plan.parts
        .iter()
        .map(|part| (part.address, part.role))
        .collect()
}

#[test]
fn a_folder_of_esp_idf_gives_every_part() {
    for id in ["esp32c3", "esp32", "esp32p4"] {
        let (folder, chip) = (Scratch::new(), chip(id));
        let elf = esp_idf(&folder, chip);
        let plan = Ask::new(&elf, chip).plan().unwrap();
        assert_eq!(
            places(&plan),
            [
                (chip.image.bootloader_offset, Role::Bootloader),
                (0x8000, Role::Table),
                (0x1_0000, Role::App),
                (0x21_0000, Role::Data),
            ]
        );
        assert_eq!(plan.target.unwrap().name, "factory");
        assert_eq!(plan.parts[2].file, Some(folder.path("build/blink.bin")));
        assert_eq!(plan.parts[0].from, "flasher_args.json of ESP-IDF");
        assert!(!plan.sets_size && plan.notes.is_empty());
        assert!(plan.parts.iter().all(|part| !part.encrypt));
    }
}

#[test]
fn an_image_of_another_elf_file_is_made_anew_and_keeps_what_the_project_asks_for() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    let other = ElfWriter::application(chip, 2).bytes();
    let options = BuildOptions {
        min_rev: 3,
        min_rev_full: 3,
        max_rev_full: 199,
        ..BuildOptions::default()
    };
    folder.file("build/blink.bin", image(chip, &other, &options));
    let plan = Ask::new(&elf, chip).plan().unwrap();
    assert_eq!(plan.parts[2].file, Some(elf.clone()));
    assert!(plan.notes[0].contains("blink.bin"), "{:?}", plan.notes);
    let info = ImageInfo::read(&plan.parts[2].contents, None).unwrap();
    assert_eq!(info.problems(), []);
    let header = info.extended.unwrap();
    assert_eq!((header.min_rev_full, header.max_rev_full), (3, 199));
    assert_eq!(
        (info.flash_mode(), info.flash_size()),
        (Some("DIO"), Some("4MB"))
    );
    let digest = info.app.unwrap().elf_sha256;
    let contents = Contents::open(&elf).unwrap();
    assert_eq!(digest, contents.sha256(0..contents.len()).unwrap());
}

#[test]
fn the_chip_revision_and_flash_must_be_those_of_the_build() {
    let (folder, c3) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, c3);
    let mut ask = Ask::new(&elf, chip("esp32c6"));
    assert_eq!(
        ask.error(),
        "flasher_args.json of ESP-IDF is for the ESP32-C3, and this chip is an ESP32-C6; name another \
         port, or build for it"
    );
    ask.board = Board::unseen(c3, Some(2 << 20));
    assert!(
        ask.error().contains("partition-table.bin"),
        "{}",
        ask.error()
    );
    ask.board = Board::unseen(c3, Some(4 << 20));
    folder.file(
        "build/bootloader/bootloader.bin",
        image(
            c3,
            &ElfWriter::in_ram(c3, 7).bytes(),
            &BuildOptions {
                size: "2MB".to_owned(),
                ..BuildOptions::default()
            },
        ),
    );
    // The list has another size for that header; else nothing is to change it.
    assert_eq!(ask.plan().unwrap().size.as_deref(), Some("4MB"));
    if let Some(build) = &mut ask.build {
        build.settings.size = None;
    }
    assert!(
        ask.error().contains("beyond the 2MB of flash"),
        "{}",
        ask.error()
    );
    ask.settings.size = Some("4MB".to_owned());
    assert!(ask.plan().is_ok());
    ask.settings.size = None;
    let late = BuildOptions {
        min_rev_full: 101,
        size: "4MB".to_owned(),
        ..BuildOptions::default()
    };
    let late = image(c3, &ElfWriter::in_ram(c3, 7).bytes(), &late);
    folder.file("build/bootloader/bootloader.bin", late);
    ask.board.revision = Some(guru_chip::Revision(4));
    assert!(
        ask.error().contains("requires chip revision v1.1"),
        "{}",
        ask.error()
    );
}

#[test]
fn what_a_build_lacks_or_has_damaged_is_named() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    let ask = Ask::new(&elf, chip);
    let storage = folder.path("build/storage.bin");
    fs::remove_file(&storage).unwrap();
    assert_eq!(
        ask.error(),
        format!(
            "'{}' is missing (flasher_args.json of ESP-IDF tells of it); build the project again",
            storage.display()
        )
    );
    folder.file("build/storage.bin", vec![0; 0x1_0001]);
    assert!(
        ask.error().contains("partition 'storage'"),
        "{}",
        ask.error()
    );
    folder.file("build/storage.bin", [0; 16]);
    let mut damaged = bootloader(chip);
    damaged[100] ^= 1;
    folder.file("build/bootloader/bootloader.bin", damaged);
    assert!(
        ask.error().contains("will not boot: the checksum"),
        "{}",
        ask.error()
    );
    folder.file("build/flasher_args.json", "{");
    let error = find(&elf).unwrap_err().to_string();
    assert!(
        error.contains("flasher_args.json") && error.contains("no JSON"),
        "{error}"
    );
}

#[test]
fn a_program_of_no_build_is_not_given_the_parts_of_one_above_it() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    esp_idf(&folder, chip);
    let other = folder.file(
        "build/tools/other.elf",
        ElfWriter::application(chip, 3).bytes(),
    );
    assert!(find(&other).unwrap().is_none());
    let boot = folder.file(
        "build/bootloader/bootloader.elf",
        ElfWriter::in_ram(chip, 7).bytes(),
    );
    let error = find(&boot).unwrap_err().to_string();
    assert!(error.contains("is the bootloader of the build"), "{error}");
    let build = open(&folder.path("build"), &other).unwrap();
    assert_eq!(build.system, System::EspIdf);
    let error = open(folder.folder(), &other).unwrap_err().to_string();
    assert!(error.contains("is no build folder"), "{error}");
}

#[test]
fn flash_args_do_where_there_is_no_json() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    fs::remove_file(folder.path("build/flasher_args.json")).unwrap();
    folder.file(
        "build/flash_args",
        "--flash_mode dio --flash_freq 80m --flash_size 4MB\n0x0 bootloader/bootloader.bin\n\
         0x10000 blink.bin\n0x8000 partition_table/partition-table.bin\n",
    );
    let plan = Ask::new(&elf, chip).plan().unwrap();
    assert_eq!(
        places(&plan),
        [
            (0, Role::Bootloader),
            (0x8000, Role::Table),
            (0x1_0000, Role::App)
        ]
    );
}

#[test]
fn platformio_arduino_and_rust_are_known_by_what_lies_beside_the_program() {
    let chip = chip("esp32");
    let elf = ElfWriter::application(chip, 1).bytes();
    let app = image(chip, &elf, &BuildOptions::default());
    for (system, program, files) in [
        (
            System::PlatformIo,
            ".pio/build/esp32dev/firmware.elf",
            [
                ".pio/build/esp32dev/bootloader.bin",
                ".pio/build/esp32dev/partitions.bin",
                ".pio/build/esp32dev/firmware.bin",
            ],
        ),
        (
            System::Arduino,
            "b/sketch.ino.elf",
            [
                "b/sketch.ino.bootloader.bin",
                "b/sketch.ino.partitions.bin",
                "b/sketch.ino.bin",
            ],
        ),
        (
            System::EspIdf,
            "target/xtensa-esp32-espidf/debug/blink",
            [
                "target/xtensa-esp32-espidf/debug/bootloader.bin",
                "target/xtensa-esp32-espidf/debug/partition-table.bin",
                "target/xtensa-esp32-espidf/debug/blink.bin",
            ],
        ),
    ] {
        let folder = Scratch::new();
        let program = folder.file(program, &elf);
        let [boot, partitions, beside] = files;
        folder.file(boot, bootloader(chip));
        folder.file(partitions, table(TABLE));
        let beside = folder.file(beside, &app);
        let ask = Ask::new(&program, chip);
        assert_eq!(ask.build.as_ref().unwrap().system, system);
        let plan = ask.plan().unwrap();
        assert_eq!(
            places(&plan),
            [
                (0x1000, Role::Bootloader),
                (0x8000, Role::Table),
                (0x1_0000, Role::App)
            ]
        );
        assert_eq!(plan.parts[2].file, Some(beside));
    }
}

#[test]
fn arduino_and_platformio_on_the_esp8266_have_one_file_for_the_start_of_the_flash() {
    let (folder, chip) = (Scratch::new(), chip("esp8266"));
    let elf = folder.file(
        ".pio/build/d1/firmware.elf",
        ElfWriter::application(chip, 1).bytes(),
    );
    let boot = bootloader(chip);
    let bin = folder.file(".pio/build/d1/firmware.bin", &boot);
    let plan = Ask::new(&elf, chip).plan().unwrap();
    assert_eq!(places(&plan), [(0, Role::App)]);
    assert_eq!(plan.parts[0].file, Some(bin));
    // Without a folder both files of a program for the ROM alone.
    let bare = folder.file("bare.elf", ElfWriter::application(chip, 1).bytes());
    let plan = Ask::new(&bare, chip).plan().unwrap();
    assert_eq!(places(&plan), [(0, Role::App), (0x1_0000, Role::App)]);
    // Behind a bootloader the application is one file, where the table says.
    let mut ask = Ask::new(&bare, chip);
    ask.bootloader = BootloaderChoice::File(folder.file("boot.bin", boot));
    ask.table = Some(named("app,app,factory,0x10000,512K\n"));
    let expected = [
        (0, Role::Bootloader),
        (0x8000, Role::Table),
        (0x1_0000, Role::App),
    ];
    assert_eq!(places(&ask.plan().unwrap()), expected);
}

#[test]
fn zephyr_starts_by_itself_or_behind_mcuboot() {
    let chip = chip("esp32");
    let elf = ElfWriter::application(chip, 1).bytes();
    let bin = image(chip, &elf, &BuildOptions::default());
    let runners = |address: u32| {
        format!(
            "config:\n  elf_file: zephyr.elf\n  bin_file: zephyr.bin\nargs:\n  esp32:\n    \
             - --esp-app-address={address:#x}\n"
        )
    };
    for (address, expected) in [
        (0x1000, &[(0x1000, Role::App)][..]),
        (
            0x2_0000,
            &[(0x1000, Role::Bootloader), (0x2_0000, Role::App)],
        ),
    ] {
        let folder = Scratch::new();
        let program = folder.file("b/app/zephyr/zephyr.elf", &elf);
        folder.file("b/app/zephyr/zephyr.bin", &bin);
        folder.file("b/app/zephyr/.config", "CONFIG_SOC=\"esp32\"\n");
        folder.file("b/app/zephyr/runners.yaml", runners(address));
        folder.file("b/mcuboot/zephyr/runners.yaml", runners(0x1000));
        folder.file("b/mcuboot/zephyr/zephyr.bin", bootloader(chip));
        let ask = Ask::new(&program, chip);
        assert_eq!(
            ask.build.as_ref().unwrap().chip.map(|chip| chip.id),
            Some("esp32")
        );
        assert_eq!(places(&ask.plan().unwrap()), expected);
    }
}

#[test]
fn a_bare_program_gets_an_installed_bootloader_and_a_table_as_large_as_the_flash() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = folder.file("blink", ElfWriter::application(chip, 1).bytes());
    let mut ask = Ask::new(&elf, chip);
    assert!(ask.build.is_none());
    ask.roots.cargo = vec![folder.path("cargo")];
    let error = ask.error();
    assert!(error.contains("no bootloader for the ESP32-C3"), "{error}");
    assert!(
        error.contains("/cargo'") && error.contains("--bootloader FILE"),
        "{error}"
    );
    let resources = "cargo/registry/src/x/espflash-4.7.0/resources/bootloaders";
    let mut damaged = bootloader(chip);
    damaged[60] ^= 1;
    folder.file(format!("{resources}/esp32c3-bootloader.bin"), damaged);
    assert!(
        ask.error().contains("will not do: the checksum"),
        "{}",
        ask.error()
    );
    let good = folder.file(
        "cargo/registry/src/x/espflash-4.5.0/resources/bootloaders/esp32c3-bootloader.bin",
        bootloader(chip),
    );
    for (flash, app) in [
        (4 << 20, 0x3F_0000),
        (2 << 20, 0x1F_0000),
        (32 << 20, 0xFF_0000),
    ] {
        ask.board.flash = Some(flash);
        let plan = ask.plan().unwrap();
        assert_eq!(
            places(&plan),
            [
                (0, Role::Bootloader),
                (0x8000, Role::Table),
                (0x1_0000, Role::App)
            ]
        );
        assert_eq!(plan.parts[0].file.as_ref(), Some(&good));
        assert_eq!(plan.target.unwrap().size, app);
        assert!(plan.sets_size);
    }
}

#[test]
fn options_count_more_than_what_is_found() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    let own = folder.file("own.bin", bootloader(chip));
    let mut ask = Ask::new(&elf, chip);
    ask.bootloader = BootloaderChoice::File(own.clone());
    ask.partition = Some("ota_0");
    let plan = ask.plan().unwrap();
    assert_eq!(plan.parts[0].file, Some(own));
    assert_eq!(
        (plan.parts[2].role, plan.parts[2].address),
        (Role::App, 0x11_0000)
    );
    ask.partition = Some("nvs");
    assert!(
        ask.error().contains("no application partition 'nvs'"),
        "{}",
        ask.error()
    );
    ask.partition = None;
    ask.table = Some(named("app,app,factory,0x20000,16K\n"));
    assert!(
        ask.error().contains("no application partition at 0x10000"),
        "{}",
        ask.error()
    );
    ask.partition = Some("app");
    assert!(
        ask.error().contains("needs a larger one"),
        "{}",
        ask.error()
    );
    ask.bootloader = BootloaderChoice::None;
    ask.table = Some(named("app,app,factory,0x20000,1M\n"));
    let plan = ask.plan().unwrap();
    let expected = [
        (0x8000, Role::Table),
        (0x2_0000, Role::App),
        (0x21_0000, Role::Data),
    ];
    assert_eq!(places(&plan), expected);
}

#[test]
fn programs_that_no_bootloader_starts_are_told_what_does() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let ram = folder.file("ram.elf", ElfWriter::in_ram(chip, 1).bytes());
    let error = Ask::new(&ram, chip).error();
    assert!(error.contains("guru load-ram"), "{error}");
    let mut direct = ElfWriter::application(chip, 1);
    let mut code = guru_testkit::noise(4096, 1);
    code[..8].copy_from_slice(&[0x1D, 0x04, 0xDB, 0xAE, 0x1D, 0x04, 0xDB, 0xAE]);
    direct
        .sections
        .push(Section::new(".direct", chip.irom.start, code));
    let direct = folder.file("direct.elf", direct.bytes());
    let error = Ask::new(&direct, chip).error();
    assert!(error.contains("direct boot"), "{error}");
    let text = folder.file("app.txt", "text");
    let error = Program::open(&text).unwrap_err().to_string();
    assert!(
        error.contains("neither an ELF file nor a firmware image"),
        "{error}"
    );
}

#[test]
fn a_bootloader_must_end_before_the_table() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = folder.file("blink.elf", ElfWriter::application(chip, 1).bytes());
    let mut large = ElfWriter::in_ram(chip, 1);
    large.sections[0].data = guru_testkit::noise(0x8000, 1);
    let large = image(chip, &large.bytes(), &BuildOptions::default());
    let mut ask = Ask::new(&elf, chip);
    ask.bootloader = BootloaderChoice::File(folder.file("large.bin", large));
    let error = ask.error();
    assert!(
        error.contains("runs into the partition table at 0x8000"),
        "{error}"
    );
}

#[test]
fn what_is_marked_is_encrypted_where_encryption_is_on_and_the_unsigned_is_refused_by_secure_boot() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    let mut ask = Ask::new(&elf, chip);
    ask.board.encrypts = true;
    let plan = ask.plan().unwrap();
    let encrypted: Vec<_> = plan.parts.iter().map(|part| part.encrypt).collect();
    assert_eq!(encrypted, [true, true, true, false]);
    ask.board.secure_boot = true;
    assert!(ask.error().contains("is not signed"), "{}", ask.error());
}

#[test]
fn the_flash_size_of_esp_idf_s_list_goes_into_the_header_of_its_bootloader() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    let json = fs::read_to_string(folder.path("build/flasher_args.json")).unwrap();
    let sizes = |size: &str| {
        folder.file("build/flasher_args.json", json.replace("4MB", size));
        let plan = Ask::new(&elf, chip).plan().unwrap();
        (plan.size, plan.sets_size)
    };
    // That is there already.
    assert_eq!(sizes("4MB"), (None, false));
    assert_eq!(sizes("8MB"), (Some("8MB".to_owned()), false));
    assert_eq!(sizes("detect"), (None, true));
    assert_eq!(sizes("keep"), (None, false));
    // The table ends behind 2 MB.
    folder.file("build/flasher_args.json", json.replace("4MB", "2MB"));
    let error = Ask::new(&elf, chip).error();
    assert!(error.contains("beyond the 2MB of flash"), "{error}");
}

#[test]
fn a_build_that_does_not_name_its_chip_has_images_that_do() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    fs::remove_file(folder.path("build/flasher_args.json")).unwrap();
    folder.file(
        "build/flash_args",
        "0x0 bootloader/bootloader.bin\n0x10000 blink.bin\n",
    );
    let build = find(&elf).unwrap().unwrap();
    assert!(build.chip.is_none());
    assert_eq!(build.chip().map(|chip| chip.id), Some("esp32c3"));
}

#[test]
fn a_build_that_lists_no_bootloader_does_not_get_a_common_one() {
    let (folder, chip) = (Scratch::new(), chip("esp32c3"));
    let elf = esp_idf(&folder, chip);
    // As ESP-IDF's list is with CONFIG_SECURE_BOOT.
    folder.file(
        "build/flasher_args.json",
        r#"{"flash_files": {"0x8000": "partition_table/partition-table.bin", "0x10000": "blink.bin"},
        "app": {"offset": "0x10000", "file": "blink.bin", "encrypted": "false"},
        "partition-table": {"offset": "0x8000", "file": "partition_table/partition-table.bin"},
        "extra_esptool_args": {"chip": "esp32c3"}}"#,
    );
    let installed = "cargo/registry/src/index/espflash-4.0.0/resources/bootloaders";
    folder.file(
        format!("{installed}/esp32c3-bootloader.bin"),
        bootloader(chip),
    );
    let mut ask = Ask::new(&elf, chip);
    ask.roots.cargo = vec![folder.path("cargo")];
    let plan = ask.plan().unwrap();
    assert_eq!(
        places(&plan),
        [(0x8000, Role::Table), (0x1_0000, Role::App)]
    );
    assert!(
        plan.notes[0].contains("the one in flash stays"),
        "{:?}",
        plan.notes
    );
    // A program of no build, on a board that starts signed ones alone.
    let elf = folder.file("bare.elf", ElfWriter::application(chip, 1).bytes());
    let mut ask = Ask::new(&elf, chip);
    ask.roots.cargo = vec![folder.path("cargo")];
    assert_eq!(places(&ask.plan().unwrap())[0], (0, Role::Bootloader));
    ask.board.secure_boot = true;
    let error = ask.error();
    assert!(
        error.contains("is not signed") && error.contains("--bootloader none"),
        "{error}"
    );
}

#[test]
fn the_board_of_a_sketch_tells_chip_and_flash() {
    let (folder, chip) = (Scratch::new(), chip("esp32s3"));
    let elf = folder.file("b/s.ino.elf", ElfWriter::application(chip, 1).bytes());
    folder.file("b/s.ino.bootloader.bin", bootloader(chip));
    folder.file("b/s.ino.partitions.bin", table(TABLE));
    let packages = folder.path("packages");
    let options = format!(
        r#"{{"fqbn": "esp32:esp32:my:FlashSize=8M", "hardwareFolders": "/none,{}"}}"#,
        packages.display()
    );
    folder.file("b/build.options.json", options);
    folder.file(
        "packages/esp32/hardware/esp32/3.2.1/boards.txt",
        "my.build.mcu=esp32s3\nmy.build.flash_mode=dio\nmy.build.flash_freq=80m\n\
         my.build.bootloader_addr=0x0\nmy.menu.FlashSize.4M.build.flash_size=4MB\n\
         my.menu.FlashSize.8M.build.flash_size=8MB\n",
    );
    let ask = Ask::new(&elf, chip);
    let build = ask.build.as_ref().unwrap();
    assert_eq!(build.chip.map(|chip| chip.id), Some("esp32s3"));
    assert_eq!(build.settings.frequency.as_deref(), Some("80m"));
    let plan = ask.plan().unwrap();
    let info = ImageInfo::read(&plan.parts[2].contents, None).unwrap();
    assert_eq!(
        (info.flash_size(), info.flash_frequency()),
        (Some("8MB"), Some("80m"))
    );
}
