//! ESP-IDF's own tool on the same tables, and tables of real firmware.
//!
//! `GURU_ESP_IDF` names a checkout of ESP-IDF; its `gen_esp32part.py` runs with the Python that
//! `GURU_ESPTOOL` names (the newest needs packages that come with esptool), else with `python3`.
//! `GURU_TESTDATA` names the folder with real firmware. What is not there is reported as ignored.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use guru_store::{MAX_LEN, Md5Row, Parsed, PartitionTable, Rules, SecureBoot, Vocabulary};
use libtest_mimic::{Arguments, Failed, Trial};

type Check = Result<(), Box<dyn Error>>;

/// A check of what a variable names.
type Named = (&'static str, &'static str, fn(&Path) -> Check);

fn main() {
    let arguments = Arguments::from_args();
    let checks: [Named; 4] = [
        (
            "real_tables_are_read_and_written_as_they_are",
            "GURU_TESTDATA",
            real_tables_are_read_and_written_as_they_are,
        ),
        (
            "csv_becomes_the_bytes_that_esp_idf_makes",
            "GURU_ESP_IDF",
            csv_becomes_the_bytes_that_esp_idf_makes,
        ),
        (
            "bytes_become_the_csv_that_esp_idf_makes",
            "GURU_ESP_IDF",
            bytes_become_the_csv_that_esp_idf_makes,
        ),
        (
            "esp_idf_refuses_what_is_refused_here",
            "GURU_ESP_IDF",
            esp_idf_refuses_what_is_refused_here,
        ),
    ];
    let trials = checks.into_iter().map(|(name, needs, check)| {
        let found = env::var_os(needs).map(PathBuf::from);
        let ignored = found.is_none();
        let run = move || match found {
            Some(path) => check(&path).map_err(|error| Failed::from(error.to_string())),
            None => Err(format!("{needs} is not set").into()),
        };
        Trial::test(name, run)
            .with_kind(format!("needs {needs}"))
            .with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// Where the table lies in a file: at its start, or where it lies in flash when that is dumped from
/// 0 or from the ESP32's bootloader on.
fn table_in(bytes: &[u8]) -> Option<&[u8]> {
    [0, 0x8000, 0x7000]
        .iter()
        .filter_map(|at| bytes.get(*at..))
        .find(|bytes| guru_store::looks_like_table(bytes))
}

fn real_tables_are_read_and_written_as_they_are(testdata: &Path) -> Check {
    let mut found = 0;
    for entry in fs::read_dir(testdata.join("firmware"))? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let Some(bytes) = table_in(&bytes) else {
            continue;
        };
        let name = path.display();
        let parsed = Parsed::from_binary(bytes).map_err(|error| format!("{name}: {error}"))?;
        let rules = Rules::default();
        parsed
            .check(&rules)
            .map_err(|error| format!("{name}: {error}"))?;
        let written = parsed.table.to_binary()?;
        // Behind the end marker there may be anything.
        let end = (parsed.table.partitions.len() + 1) * 32;
        if written.get(..end) != bytes.get(..end) {
            return Err(format!("{name}: other bytes").into());
        }
        let again = Parsed::from_csv(&parsed.table.to_csv(&rules.names)?, &rules, &|_| None)?;
        if again.table.partitions != parsed.table.partitions {
            return Err(format!("{name}: another table by way of CSV").into());
        }
        found += 1;
    }
    // The 4 MB table is there as CSV, too.
    let csv = fs::read_to_string(testdata.join("firmware/partitions-4mb.csv"))?;
    let bytes = fs::read(testdata.join("firmware/partition-table-4mb.bin"))?;
    let made = Parsed::from_csv(&csv, &Rules::default(), &|_| None)?
        .table
        .to_binary()?;
    if bytes.get(..MAX_LEN) != Some(&made) {
        return Err("partitions-4mb.csv makes other bytes".into());
    }
    match found {
        0 => Err("no tables".into()),
        _ => Ok(()),
    }
}

/// Tables with everything that there is.
const TABLES: [(&str, &[&str]); 8] = [
    (
        "nvs, data, nvs, , 0x6000\nphy_init, data, phy, , 0x1000\nfactory, app, factory, , 1M",
        &[],
    ),
    (
        "nvs, data, nvs, , 0x4000\notadata, data, ota, , 0x2000\nphy_init, data, phy, , 0x1000\n\
         factory, app, factory, , 1M\nota_0, app, ota_0, , 1M\nota_1, app, ota_1, , 1M, encrypted",
        &[],
    ),
    (
        "a, APP, TEST, , 0x10K\nb, data, , , 1, readonly:encrypted\nc, 0x40, 7, , -0x200000\n\
         d, data, coredump, , 64k\ne, data, tee_ota, , 0x2000\nf, app, tee_0, , 0x1_0000",
        &[],
    ),
    (
        "big, data, littlefs, 16M, 48M\nbigger, data, fat, , -128M",
        &[],
    ),
    (
        "nvs, data, nvs, , 0x6000\na, app, factory, , 0x20000",
        &["--offset", "0x10000"],
    ),
    (
        "nvs, data, nvs, , 0x6000\na, app, factory, , 0x20000",
        &["--disable-md5sum"],
    ),
    ("a, app, factory, , 0x20000", &["--secure", "v1"]),
    ("abcdefghijklmnopqrst, data, fat, , 4K", &[]),
];

/// Rules for the options of a table.
fn rules(options: &[&str]) -> (Rules, Md5Row) {
    let mut rules = Rules::default();
    let mut md5_row = Md5Row::Present;
    match options {
        ["--offset", _] => rules.table_offset = 0x1_0000,
        ["--secure", _] => rules.secure_boot = SecureBoot::V1,
        ["--disable-md5sum"] => md5_row = Md5Row::Absent,
        _ => {}
    }
    (rules, md5_row)
}

fn table(csv: &str, options: &[&str]) -> Result<PartitionTable, Box<dyn Error>> {
    let (rules, md5_row) = rules(options);
    let parsed = Parsed::from_csv(csv, &rules, &|_| None)?;
    parsed.check(&rules)?;
    let mut table = parsed.table;
    table.md5_row = md5_row;
    Ok(table)
}

/// What ESP-IDF makes of a file.
fn converted(idf: &Path, input: &[u8], options: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("guru-store-{}-{number}", std::process::id());
    let folder = env::temp_dir().join(name);
    fs::create_dir_all(&folder)?;
    let (from, to) = (folder.join("in"), folder.join("out"));
    fs::write(&from, input)?;
    let _ = fs::remove_file(&to);
    let python = env::var_os("GURU_ESPTOOL").unwrap_or_else(|| "python3".into());
    let output = Command::new(python)
        .arg(idf.join("components/partition_table/gen_esp32part.py"))
        .args(options)
        .args([&from, &to])
        .output()?;
    let made = fs::read(&to);
    let _ = fs::remove_dir_all(&folder);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(made?)
}

fn csv_becomes_the_bytes_that_esp_idf_makes(idf: &Path) -> Check {
    for (csv, options) in TABLES {
        let theirs = converted(idf, csv.as_bytes(), options)?;
        if theirs != table(csv, options)?.to_binary()? {
            return Err(format!("other bytes: {csv}").into());
        }
    }
    Ok(())
}

fn bytes_become_the_csv_that_esp_idf_makes(idf: &Path) -> Check {
    for (csv, options) in TABLES {
        let table = table(csv, options)?;
        let theirs = converted(idf, &table.to_binary()?, options)?;
        let ours = table.to_csv(&Vocabulary::default())?;
        if theirs != ours.as_bytes() {
            return Err(format!("other CSV: {csv}:\n{ours}").into());
        }
    }
    Ok(())
}

fn esp_idf_refuses_what_is_refused_here(idf: &Path) -> Check {
    for csv in [
        "a, app, factory, 0x11000, 64K",
        "a, app, factory, , 0x11010",
        "a, app, , , 64K",
        "a, data, ota, , 0x1000",
        "a, data, ota, , 0x2000, readonly",
        "a, data, nvs, , 0x2000",
        "a, data, fat, , 4K\na, data, fat, , 4K",
        "a, data, ota, , 0x2000\nb, data, ota, , 0x2000",
        "a, data, fat, 0x20000, 8K\nb, data, fat, 0x10000, 4K",
        "a, data, fat, 0x8000, 4K",
        "a, data, fat, , 4K, secret",
        "a, data, fat, , 010",
        "b, bootloader, primary, , ",
    ] {
        if table(csv, &[]).is_ok() {
            return Err(format!("taken here: {csv}").into());
        }
        if converted(idf, csv.as_bytes(), &[]).is_ok() {
            return Err(format!("taken by ESP-IDF: {csv}").into());
        }
    }
    Ok(())
}
