//! A program that gcc links, and what binutils say of it. `GURU_RISCV_GCC` names the compiler; the
//! other tools lie beside it. Without it these tests are ignored, or, with `GURU_REQUIRE_PEERS=1`,
//! fail.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use guru_chip::ESP32C3;
use guru_image::{Contents, Elf};
use guru_size::{By, LinkerMap, Program, Row, Size};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Check = Result<(), Box<dyn Error>>;

const SOURCES: [(&str, &str); 4] = [
    (
        "components/blink/blink.c",
        "static int state = 7; static int counts[33];\n\
         __attribute__((noinline)) int blink(int x) { counts[x & 31] += state; return counts[1] * x; }\n\
         int blink_alias(int) __attribute__((alias(\"blink\")));\n",
    ),
    (
        "components/driver/uart.c",
        "const char table[57] = \"a table that has a name\"; unsigned char buffer[300];\n\
         __attribute__((noinline)) int uart(int x) { return table[x] + buffer[x]; }\n",
    ),
    (
        "components/driver/start.s",
        ".section .text.start,\"ax\"\n.global no_size\nno_size: nop\n nop\n nop\n ret\n",
    ),
    (
        "main/main.c",
        "int blink(int); int uart(int); void no_size(void);\n\
         const char *text = \"text without a name\";\n\
         __attribute__((section(\".iram\"))) int fast(int x) { return x * 3; }\n\
         int app_main(void) { no_size(); return blink(3) + uart(4) + fast(5) + text[0]; }\n",
    ),
];

const SCRIPT: &str = "ENTRY(app_main)\nSECTIONS {\n\
    . = 0x3c000020; .flash.rodata : { *(.rodata .rodata.* .srodata .srodata.*) }\n\
    . = 0x3fc80000; .dram0.data : { *(.data .data.* .sdata .sdata.*) }\n\
    . = ALIGN(16); .dram0.bss (NOLOAD) : { *(.bss .bss.* .sbss .sbss.* COMMON) }\n\
    . = 0x40380000; .iram0.text : { *(.iram) }\n\
    . = 0x42010020; .flash.text : { *(.text .text.*) }\n\
    /DISCARD/ : { *(.eh_frame) }\n}\n";

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (name, check) in [
        (
            "sections_are_as_large_as_size_says",
            sections_are_as_large_as_size_says as fn(&Linked) -> Check,
        ),
        (
            "symbols_have_the_bytes_that_nm_says",
            symbols_have_the_bytes_that_nm_says,
        ),
        (
            "the_map_and_debugging_information_agree",
            the_map_and_debugging_information_agree,
        ),
    ] {
        trials.push(Trial::ignorable_test(name, move || {
            match env::var_os("GURU_RISCV_GCC") {
                Some(gcc) => {
                    let linked = Linked::new(name, Path::new(&gcc));
                    let outcome = linked.and_then(|linked| check(&linked));
                    outcome.map_err(|error| Failed::from(error.to_string()))?;
                    Ok(Completion::Completed)
                }
                None if env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
                    Err("GURU_RISCV_GCC is not set".into())
                }
                None => Ok(Completion::ignored_with("GURU_RISCV_GCC is not set")),
            }
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A linked program and its map.
struct Linked {
    /// What the tools' paths begin with.
    tools: String,
    elf: PathBuf,
    map: PathBuf,
}

impl Linked {
    fn new(name: &str, gcc: &Path) -> Result<Self, Box<dyn Error>> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let gcc = gcc.to_str().ok_or("the compiler's path is odd")?;
        let tools = gcc.strip_suffix("gcc").ok_or("it is not named gcc")?;
        let linked = Self {
            tools: tools.to_owned(),
            elf: folder.join("app.elf"),
            map: folder.join("app.map"),
        };
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("app.ld"), SCRIPT)?;
        let mut inputs = Vec::new();
        for (source, text) in SOURCES {
            let path = folder.join(source);
            fs::create_dir_all(path.parent().ok_or("it is in a folder")?)?;
            fs::write(&path, text)?;
            let object = format!("{}.o", source.replace('/', "-"));
            linked.run(
                &folder,
                "gcc",
                &[
                    "-march=rv32imc_zicsr",
                    "-mabi=ilp32",
                    "-O1",
                    "-g",
                    "-ffunction-sections",
                    "-c",
                    source,
                    "-o",
                    &object,
                ],
            )?;
            inputs.push(object);
        }
        let archive = ["rcs", "libdriver.a", &inputs[1], &inputs[2]];
        linked.run(&folder, "ar", &archive)?;
        linked.run(&folder, "ar", &["rcs", "libblink.a", &inputs[0]])?;
        linked.run(
            &folder,
            "ld",
            &[
                "-melf32lriscv",
                "--no-relax",
                "-T",
                "app.ld",
                "-Map=app.map",
                &inputs[3],
                "libblink.a",
                "libdriver.a",
                "-o",
                "app.elf",
            ],
        )?;
        Ok(linked)
    }

    fn run(&self, folder: &Path, tool: &str, args: &[&str]) -> Result<String, Box<dyn Error>> {
        let mut command = Command::new(format!("{}{tool}", self.tools));
        let output = command.args(args).current_dir(folder).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)?),
            false => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    }

    fn say(&self, tool: &str, options: &[&str]) -> Result<String, Box<dyn Error>> {
        let elf = self.elf.to_str().ok_or("the folder's name is odd")?;
        self.run(Path::new("."), tool, &[options, &[elf]].concat())
    }

    fn rows(&self, by: By, with_map: bool) -> Result<Vec<Row>, Box<dyn Error>> {
        let elf = Elf::read(&Contents::open(&self.elf)?)?;
        let map = LinkerMap::read(&Contents::open(&self.map)?)?;
        let program = Program::read(&elf, with_map.then_some(&map))?;
        Ok(Size::on(&ESP32C3, &elf, &program)?.rows(by))
    }
}

/// Bytes in memory, of what is of somebody.
fn bytes(rows: Vec<Row>) -> BTreeMap<String, u64> {
    let claimed = rows.into_iter().filter(|row| !row.name.starts_with('['));
    let bytes = |row: Row| {
        let memory = guru_size::Memory::ALL.iter();
        let sum = memory.map(|memory| row.usage.of(*memory)).sum();
        (row.name, sum)
    };
    claimed.map(bytes).collect()
}

fn sections_are_as_large_as_size_says(linked: &Linked) -> Check {
    let mut expected = BTreeMap::new();
    for line in linked.say("size", &["-A"])?.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [name, size, address] = words[..]
            && let (Ok(size), Ok(1..)) = (size.parse::<u64>(), address.parse::<u64>())
        {
            expected.insert(name.to_owned(), size);
        }
    }
    assert_eq!(expected.len(), 5, "{expected:?}");
    assert_eq!(bytes(linked.rows(By::Section, false)?), expected);
    Ok(())
}

fn symbols_have_the_bytes_that_nm_says(linked: &Linked) -> Check {
    // Names of the same place are alternatives.
    let mut places: HashMap<(String, u64), Vec<String>> = HashMap::new();
    for line in linked.say("nm", &["-S", "--defined-only"])?.lines() {
        if let [address, size, kind, name] = line.split_whitespace().collect::<Vec<_>>()[..]
            && kind != "N"
        {
            let size = u64::from_str_radix(size, 16)?;
            let names = places.entry((address.to_owned(), size)).or_default();
            names.push(name.to_owned());
        }
    }
    let found = bytes(linked.rows(By::Symbol, false)?);
    assert_eq!(found.len(), places.len(), "{found:?} {places:?}");
    for ((_, size), names) in &places {
        let of_it: Vec<_> = names.iter().filter_map(|name| found.get(name)).collect();
        assert_eq!(of_it, [size], "{names:?}");
    }
    Ok(())
}

fn the_map_and_debugging_information_agree(linked: &Linked) -> Check {
    let by_map = bytes(linked.rows(By::Archive, true)?);
    let names: Vec<_> = by_map.keys().map(String::as_str).collect();
    assert_eq!(names, ["(program)", "libblink.a", "libdriver.a"]);
    let by_folder = bytes(linked.rows(By::Archive, false)?);
    for (archive, folder, nameless) in [
        ("(program)", "main", "text without a name".len() as u64 + 1),
        ("libblink.a", "blink", 0),
        ("libdriver.a", "driver", 0),
    ] {
        // A text has no entry there; padding behind functions belongs to the object file.
        let (map, debug) = (by_map[archive], by_folder[folder] + nameless);
        assert!(
            (debug..debug + 16).contains(&map),
            "{archive}: {map} {debug}"
        );
    }
    let objects = bytes(linked.rows(By::Object, true)?);
    let of_blink = objects["libblink.a(components-blink-blink.c.o)"];
    assert_eq!(of_blink, by_map["libblink.a"]);
    Ok(())
}
