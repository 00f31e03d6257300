//! The numbers of a chip as the stub's sources and the linker want them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Result;

/// How far the UART's CLKDIV lies behind its first register, on every chip.
const CLKDIV: u32 = 0x14;

/// Grows down from the end of the RAM.
const STACK_LEN: u32 = 0x1000;

/// What of chips/NAME.toml counts here.
#[derive(Deserialize)]
pub struct Entry {
    architecture: String,
    spi: Spi,
    uart: Uart,
    watchdogs: Option<Watchdogs>,
    flash: Flash,
    rom: Rom,
    /// `spi` of chips/registers/NAME.toml.
    #[serde(skip)]
    hold: Option<Bit>,
    /// None where the chip stays with its ROM.
    #[serde(default)]
    pub stub: Vec<Stub>,
}

#[derive(Deserialize)]
struct Spi {
    base: u32,
    usr: u32,
    usr1: u32,
    usr2: u32,
    mosi_dlen: Option<u32>,
    miso_dlen: Option<u32>,
    w0: u32,
    address_msb: bool,
}

/// What of chips/registers/NAME.toml counts here.
#[derive(Deserialize)]
struct Registers {
    spi: SpiRegisters,
}

#[derive(Deserialize)]
struct SpiRegisters {
    hold: Option<String>,
}

/// A bit of a register, whose address counts from the first one.
struct Bit {
    offset: u32,
    number: u32,
}

impl Bit {
    /// As in `0x34[10]`.
    fn parse(text: &str) -> Result<Self> {
        let parts = text
            .strip_prefix("0x")
            .and_then(|text| text.strip_suffix(']')?.split_once('['));
        let (offset, number) = parts.ok_or_else(|| format!("{text:?} is no bit"))?;
        Ok(Self {
            offset: u32::from_str_radix(offset, 16)?,
            number: number.parse()?,
        })
    }
}

#[derive(Deserialize)]
struct Uart {
    clkdiv: u32,
}

#[derive(Deserialize)]
struct Watchdogs {
    config0: u32,
    protect: u32,
    key: u32,
    swd: Option<SuperWatchdog>,
}

#[derive(Deserialize)]
struct SuperWatchdog {
    config: u32,
    auto_feed: u32,
    protect: u32,
    key: u32,
}

#[derive(Deserialize)]
struct Flash {
    address_32bit: bool,
    encrypted_align: u32,
}

#[derive(Deserialize)]
struct Rom {
    security_info: String,
}

/// One `[[stub]]`; `chips/README.md` says what the keys mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stub {
    pub blob: String,
    pub min_revision: Option<u32>,
    pub max_revision: Option<u32>,
    pub text: [u32; 2],
    pub ram: [u32; 2],
    uart_fifo: Option<Fifo>,
    uart_update: Option<u32>,
    usb_jtag: Option<u32>,
    reset: Reset,
    rom: RomFunctions,
}

/// Addresses of what the stub calls in the ROM.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RomFunctions {
    attach: u32,
    spi_config: Option<u32>,
    select_pads: Option<u32>,
    set_params: Option<u32>,
    write_encrypted: Option<u32>,
    security_info: Option<u32>,
    security_info_eco7: Option<u32>,
    eco: Option<u32>,
    set_user_start: Option<u32>,
    user_code: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fifo {
    read: u32,
    write: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    register: u32,
    bit: u32,
}

impl Entry {
    pub fn is_riscv(&self) -> bool {
        self.architecture == "riscv32"
    }

    /// Bytes of the ROM's answer to GET_SECURITY_INFO.
    fn security_info_len(&self) -> Result<u32> {
        match self.rom.security_info.as_str() {
            "none" => Ok(0),
            "short" => Ok(12),
            "long" => Ok(20),
            other => Err(format!("security_info = {other:?}").into()),
        }
    }

    /// Whether the ROM's functions are called by rotating the register window: all Xtensa chips but
    /// the ESP8266.
    fn has_windowed_rom(&self) -> bool {
        !self.is_riscv() && self.architecture != "xtensa-lx106"
    }
}

/// All chips, in the order of their names.
pub fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut paths: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    let mut entries = Vec::new();
    for path in paths {
        let is_chip = |name: &str| name.starts_with("esp") && name.ends_with(".toml");
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_chip)
        {
            let mut entry: Entry = parse(&path)?;
            if let Some(name) = path.file_name() {
                let registers: Registers = parse(&folder.join("registers").join(name))?;
                entry.hold = registers
                    .spi
                    .hold
                    .map(|text| Bit::parse(&text))
                    .transpose()?;
            }
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    Ok(toml::from_str(&fs::read_to_string(path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?)
}

/// chip.h.
pub fn header(entry: &Entry, stub: &Stub) -> Result<String> {
    let (spi, uart) = (&entry.spi, entry.uart.clkdiv - CLKDIV);
    let (read, write) = stub
        .uart_fifo
        .as_ref()
        .map_or((uart, uart), |fifo| (fifo.read, fifo.write));
    let mut numbers = vec![
        ("UART_BASE", uart),
        ("UART_FIFO_READ", read),
        ("UART_FIFO_WRITE", write),
        ("SPI_BASE", spi.base),
        ("SPI_USR", spi.usr),
        ("SPI_USR1", spi.usr1),
        ("SPI_USR2", spi.usr2),
        ("SPI_W0", spi.w0),
        ("SPI_ADDRESS_MSB", u32::from(spi.address_msb)),
        ("FLASH_32BIT", u32::from(entry.flash.address_32bit)),
        ("ENCRYPTED_ALIGN", entry.flash.encrypted_align),
        ("SECURITY_INFO_LEN", entry.security_info_len()?),
    ];
    if let Some(hold) = &entry.hold {
        numbers.push(("SPI_MISC", hold.offset));
        numbers.push(("SPI_HOLD_BIT", bit(hold.number)?));
    }
    if let Some((mosi, miso)) = spi.mosi_dlen.zip(spi.miso_dlen) {
        numbers.push(("SPI_MOSI_DLEN", mosi));
        numbers.push(("SPI_MISO_DLEN", miso));
    }
    if let Some(dogs) = &entry.watchdogs {
        numbers.push(("WDT_CONFIG0", dogs.config0));
        numbers.push(("WDT_PROTECT", dogs.protect));
        numbers.push(("WDT_KEY", dogs.key));
        if let Some(swd) = &dogs.swd {
            numbers.push(("SWD_CONFIG", swd.config));
            numbers.push(("SWD_AUTO_FEED", swd.auto_feed));
            numbers.push(("SWD_PROTECT", swd.protect));
            numbers.push(("SWD_KEY", swd.key));
        }
    }
    numbers.push(("RESET_REGISTER", stub.reset.register));
    numbers.push(("RESET_BIT", bit(stub.reset.bit)?));
    if entry.has_windowed_rom() {
        numbers.push(("ROM_WINDOWED", 1));
    }
    let rom = &stub.rom;
    for (name, number) in [
        ("UART_UPDATE", stub.uart_update),
        ("USB_JTAG_BASE", stub.usb_jtag),
        ("ROM_ATTACH", Some(rom.attach)),
        ("ROM_SPI_CONFIG", rom.spi_config),
        ("ROM_SELECT_PADS", rom.select_pads),
        ("ROM_SET_PARAMS", rom.set_params),
        ("ROM_WRITE_ENCRYPTED", rom.write_encrypted),
        ("ROM_SECURITY_INFO", rom.security_info),
        ("ROM_SECURITY_INFO_ECO7", rom.security_info_eco7),
        ("ROM_ECO", rom.eco),
        ("ROM_SET_USER_START", rom.set_user_start),
        ("ROM_USER_CODE", rom.user_code),
    ] {
        numbers.extend(number.map(|number| (name, number)));
    }
    let mut text = "// Made by `cargo xtask stub`.\n#pragma once\n".to_owned();
    for (name, number) in numbers {
        writeln!(text, "#define {name} {number:#x}u")?;
    }
    Ok(text)
}

fn bit(number: u32) -> Result<u32> {
    Ok(1_u32.checked_shl(number).ok_or("a register has 32 bits")?)
}

/// Code into the one range; constants, variables and stack into the other, since the Xtensa chips
/// read their instruction RAM by whole words only.
pub fn linker_script(stub: &Stub) -> String {
    let ([text, text_end], [ram, ram_end]) = (stub.text, stub.ram);
    let (text_len, ram_len) = (text_end - text, ram_end - ram);
    format!(
        "/* Made by `cargo xtask stub`. */
ENTRY(stub_entry)
MEMORY {{
  text : ORIGIN = {text:#x}, LENGTH = {text_len:#x}
  ram : ORIGIN = {ram:#x}, LENGTH = {ram_len:#x}
}}
PHDRS {{ text PT_LOAD; data PT_LOAD; bss PT_LOAD; }}
SECTIONS {{
  text_start = ORIGIN(text);
  .text : ALIGN(4) {{
    *(.text.entry.literal .literal .literal.*)
    KEEP(*(.text.entry))
    *(.text .text.*)
    . = ALIGN(4);
  }} > text : text
  text_end = .;
  ram_start = ORIGIN(ram);
  .data : ALIGN(4) {{
    *(.rodata .rodata.* .srodata .srodata.* .data .data.* .sdata .sdata.*)
    . = ALIGN(4);
  }} > ram : data
  .bss (NOLOAD) : ALIGN(16) {{
    bss_start = .;
    *(.bss .bss.* .sbss .sbss.* COMMON)
    . = ALIGN(4);
    bss_end = .;
  }} > ram : bss
  stack_top = ORIGIN(ram) + LENGTH(ram);
  ram_end = stack_top;
  ASSERT(bss_end + {STACK_LEN:#x} <= stack_top, \"no room for the stack\")
  /DISCARD/ : {{ *(.comment .note* .eh_frame* .riscv.attributes .xtensa.info .xt.*) }}
}}
"
    )
}
