use std::ffi::OsString;

use clap::{Args, ValueEnum};
use guru_link::block_on;
use guru_loader::{Compress, Skip, Verify, WriteJob, WriteRequest};

use super::flash::{FlashArgs, HeaderArgs};
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::files;
use crate::many::{self, BoardsArgs, Which};
use crate::partitions::{Placed, TableArgs, Use};
use crate::ui::Report;

/// Write files to flash
///
/// Each file is preceded by the flash address of its first byte. An Intel HEX file brings its own
/// addresses; the one before it does not count. Of an ELF file the image is written that elf2image
/// makes of it without options.
///
///     guru write-flash 0x0 bootloader.bin 0x8000 partitions.bin 0x10000 app.bin
///     guru write-flash ota_1 app.bin nvs settings.bin
///
/// In the place of an address there may be the name of a partition, or a part of one, such as
/// storage+0x1000:0x2000. The names are those of the table in the device, or in --partition-table. A
/// file that is longer than its partition is refused before anything is erased.
///
/// What the flash holds already is found by digest and left alone. The rest is erased in whole
/// sectors of 4096 bytes, written, compressed where the chip can, and verified by digest. A flasher
/// stub does that where it pays; without one (--no-stub) an ESP8266 has no digest, and the result is
/// verified only with --verify, which reads everything back on any chip.
///
/// Before anything is erased it is checked that the files fit into the flash, do not overlap, and
/// that an image at the bootloader's place is for this chip and revision. --force overrides that,
/// and the guards for chips with secure boot or flash encryption.
///
/// Several boards are written to at the same time when several --port, or --all, say so; with
/// --loop one after the other as they are plugged in. Each succeeds or fails by itself, and the exit
/// code is 100 and the number of those that failed:
///
///     guru write-flash --port /dev/ttyUSB0 --port /dev/ttyUSB1 0x0 firmware.bin
///     guru write-flash --loop --port-filter vid=0x303A 0x0 firmware.bin
///
/// On Ctrl-C it is said which range of the flash may be partly written.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct WriteFlash {
    /// Address in flash or partition, and file, as often as needed
    #[arg(required = true, num_args = 1.., value_name = "ADDR|NAME FILE")]
    pub files: Vec<OsString>,

    /// Erase the whole flash first
    #[arg(short, long)]
    erase_all: bool,

    /// Do not show progress
    #[arg(long)]
    pub no_progress: bool,

    /// Override guards and compatibility checks; may leave a board that does not start
    #[arg(long)]
    force: bool,

    /// Compress where the chip can and where it pays (the default)
    #[arg(short = 'z', long, conflicts_with = "no_compress")]
    compress: bool,

    /// Send data as they are
    #[arg(short = 'u', long)]
    no_compress: bool,

    /// Look only at whole files for what is in the flash already
    #[arg(long, conflicts_with = "no_skip")]
    skip_flashed: bool,

    /// Write everything, even what is in the flash already
    #[arg(long)]
    no_skip: bool,

    /// Read everything back, besides the digest or in its place (ESP8266), which is slow; or, as 'rom',
    /// take the last digest by the ROM loader, whoever has written
    #[arg(
        long,
        conflicts_with = "no_verify",
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "read-back"
    )]
    verify: Option<VerifyHow>,

    /// Do not verify
    #[arg(long)]
    no_verify: bool,

    /// Compare digests of what lies outside of the written ranges before and after
    #[arg(long)]
    guard: bool,

    /// Let the chip encrypt what it writes (flash encryption must be set up)
    #[arg(long, conflicts_with = "encrypt_files")]
    encrypt: bool,

    /// Address and file that the chip shall encrypt, as often as needed
    #[arg(long, num_args = 1.., value_name = "ADDR FILE")]
    encrypt_files: Vec<OsString>,

    /// Write encrypted although eFuse does not look prepared for it
    #[arg(long)]
    ignore_flash_enc_efuse: bool,

    /// What was written last time, file by file ('skip' for none): only sectors that differ from it
    /// are written
    #[arg(
        long,
        num_args = 1,
        value_name = "FILE",
        conflicts_with = "skip_flashed"
    )]
    diff_with: Vec<OsString>,

    /// Believe without asking that what --diff-with names is in the flash
    #[arg(long, requires = "diff_with")]
    trust_flash_content: bool,

    #[command(flatten)]
    header: HeaderArgs,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

/// `--verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VerifyHow {
    /// Everything is read back.
    ReadBack,
    /// By digest, and by the ROM.
    Rom,
}

impl WriteFlash {
    pub(super) fn run(mut self, context: &mut Context) -> Result<(), Error> {
        // No address is called so: the value was meant for the option before it.
        if self.verify.is_some()
            && let Some(at) = self.files.iter().position(|word| word == "rom")
        {
            self.files.remove(at);
            self.verify = Some(VerifyHow::Rom);
        }
        let chip = context.globals.chip.named();
        let flash = self.flash.options();
        let mut files = Placed::open(&self.files, context.mode)?;
        for part in files.parts() {
            part.encrypt = self.encrypt;
        }
        let surplus = files::compare(files.parts(), &self.diff_with)
            .map_err(|error| error.in_option("--diff-with"))?;
        if surplus > 0 && context.mode == Mode::Guru {
            return Err(Error::Usage(format!(
                "--diff-with names {surplus} more than there are files to write; name one for each \
                 of them, in their order, or skip"
            )));
        }
        let encrypted = files::open(&self.encrypt_files, true)
            .map_err(|error| error.in_option("--encrypt-files"))?;
        files.add(encrypted);
        let table = self.table.of_file()?;
        let known = files.known(table.as_ref(), chip, &flash.size, Use::Write)?;
        let (mode, frequency) = self.header.parameters();
        let by_stub = context.globals.uses_stub();
        let request = WriteRequest {
            files: Vec::new(),
            flash,
            mode,
            frequency,
            erase_all: self.erase_all,
            force: self.force,
            ignore_encryption_efuse: self.ignore_flash_enc_efuse,
            trust_flash_content: self.trust_flash_content,
            compress: match context.mode {
                _ if self.no_compress => Compress::Never,
                Mode::Esptool if !self.compress && !by_stub => Compress::Never,
                _ => Compress::Auto,
            },
            skip: match context.mode {
                _ if self.no_skip => Skip::Never,
                _ if self.skip_flashed => Skip::Files,
                Mode::Esptool => Skip::Never,
                _ => Skip::Parts,
            },
            verify: match (self.verify, self.no_verify) {
                (_, true) => Verify::Never,
                (Some(VerifyHow::ReadBack), _) => Verify::ReadBack,
                (Some(VerifyHow::Rom), _) => Verify::Rom,
                _ => Verify::Digest,
            },
            guard: self.guard,
            by_stub,
        };
        // Compression begins now and goes on while the port opens and the chip resets.
        let job = match (known, self.boards.which(&context.globals)?) {
            (None, _) => Err(request),
            (Some(files), Which::One) => {
                Ok(WriteJob::new(WriteRequest { files, ..request }, chip)?)
            }
            (Some(files), _) => {
                let request = WriteRequest { files, ..request };
                Ok(WriteJob::for_several(request, chip)?)
            }
        };
        many::with_devices(context, &self.boards, |device, observer| {
            let job = match &job {
                Ok(job) => job.clone(),
                Err(request) => {
                    let mut request = request.clone();
                    let table = (&self.table, table.as_ref());
                    let flash = &request.flash;
                    request.files = files.of_device(table, device, flash, Use::Write, observer)?;
                    WriteJob::new(request, Some(device.chip()))?
                }
            };
            let report = block_on(device.write_flash(job, observer))?;
            Ok(Report::WriteFlash(report))
        })
    }
}
