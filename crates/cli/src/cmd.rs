//! The commands, one file each. The doc comment of a command is its manual.

mod certificate;
mod chip_id;
mod completions;
mod config;
mod dump_mem;
mod elf2image;
mod erase_flash;
mod erase_region;
mod explain;
pub(crate) mod flash;
mod flash_id;
mod flash_program;
mod flash_status;
mod get_security_info;
mod image_info;
mod load_ram;
mod man;
mod merge_bin;
mod nand;
mod ota;
mod partitions;
mod ports;
mod read_flash;
mod read_flash_sfdp;
mod read_mac;
mod read_mem;
pub mod reset;
mod run;
mod sim;
mod size;
mod split_bin;
mod verify_flash;
mod version;
mod write_flash;
mod write_mem;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::context::Context;
use crate::error::Error;
use crate::globals::Globals;
use crate::many::BoardsArgs;

pub use merge_bin::{MergeFormat, PAD_SIZES};
pub use nand::NEEDS_STUB;

// The program without its commands; the comment is its help.
/// Flashes and inspects Espressif chips.
///
/// A chip is reached through a serial port, over a network (rfc2217://, socket://), or is a
/// simulated one inside the program (sim://esp32c3), which is enough to try everything without a
/// board:
///
///     guru write-flash --port sim://esp32c3 0x0 firmware.bin
///
/// Started under the name esptool, or as 'guru esptool', the program takes that tool's command
/// lines.
///
/// Numbers are decimal, or start with 0x, 0o or 0b; k and M behind them mean 1024 and 1024 * 1024.
#[derive(Debug, Parser)]
#[command(
    name = "guru",
    version,
    verbatim_doc_comment,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    term_width = 100
)]
pub struct Frame {
    /// Options that every command takes.
    #[command(flatten)]
    pub globals: Globals,
}

/// A command line.
#[derive(Debug)]
pub struct Cli {
    /// Options that every command takes.
    pub globals: Globals,
    /// What to do.
    pub command: Command,
}

impl Cli {
    /// What reads the command line of a command. It knows that one alone if there is one with this name:
    /// clap gives each that it knows a copy of every option of [`Globals`], which is most of what a start
    /// takes.
    pub fn reader(name: Option<&str>) -> clap::Command {
        let commands = Command::augment_subcommands(clap::Command::new("guru"));
        match name.and_then(|name| commands.find_subcommand(name)) {
            Some(command) => Frame::command().subcommand(command.clone()),
            // What describes the program comes last: it stands for what describes the commands.
            None => Frame::augment_args(commands).subcommand_required(true),
        }
    }
}

impl CommandFactory for Cli {
    fn command() -> clap::Command {
        Self::reader(None)
    }

    fn command_for_update() -> clap::Command {
        Self::command()
    }
}

impl FromArgMatches for Cli {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            globals: Globals::from_arg_matches(matches)?,
            command: Command::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Parser for Cli {}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Flash(flash_program::FlashProgram),
    WriteFlash(write_flash::WriteFlash),
    ReadFlash(read_flash::ReadFlash),
    VerifyFlash(verify_flash::VerifyFlash),
    EraseFlash(erase_flash::EraseFlash),
    EraseRegion(erase_region::EraseRegion),
    Partitions(partitions::Partitions),
    #[command(subcommand)]
    Ota(ota::Ota),
    FlashId(flash_id::FlashId),
    ReadFlashStatus(flash_status::ReadFlashStatus),
    WriteFlashStatus(flash_status::WriteFlashStatus),
    ReadFlashSfdp(read_flash_sfdp::ReadFlashSfdp),
    GetSecurityInfo(get_security_info::GetSecurityInfo),
    ReadSdcChipInfo(certificate::ReadSdcChipInfo),
    VerifySdcCertificate(certificate::VerifySdcCertificate),
    ChipId(chip_id::ChipId),
    ReadMac(read_mac::ReadMac),
    ReadMem(read_mem::ReadMem),
    WriteMem(write_mem::WriteMem),
    DumpMem(dump_mem::DumpMem),
    Elf2image(elf2image::Elf2image),
    LoadRam(load_ram::LoadRam),
    #[command(name = "image-info")]
    ImageInfo(image_info::ImageInfoCommand),
    MergeBin(merge_bin::MergeBin),
    SplitBin(split_bin::SplitBin),
    Size(size::Size),
    Explain(explain::Explain),
    Run(run::Run),
    Reset(reset::Reset),
    ReadNandSpare(nand::ReadNandSpare),
    WriteNandSpare(nand::WriteNandSpare),
    DumpBbm(nand::DumpBbm),
    Ports(ports::Ports),
    Sim(sim::Sim),
    Version(version::Version),
    #[command(subcommand)]
    Config(config::Config),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Does it.
    pub fn run(self, context: &mut Context) -> Result<(), Error> {
        match self {
            Self::Flash(command) => command.run(context),
            Self::WriteFlash(command) => command.run(context),
            Self::ReadFlash(command) => command.run(context),
            Self::VerifyFlash(command) => command.run(context),
            Self::EraseFlash(command) => command.run(context),
            Self::EraseRegion(command) => command.run(context),
            Self::Partitions(command) => command.run(context),
            Self::Ota(command) => command.run(context),
            Self::FlashId(command) => command.run(context),
            Self::ReadFlashStatus(command) => command.run(context),
            Self::WriteFlashStatus(command) => command.run(context),
            Self::ReadFlashSfdp(command) => command.run(context),
            Self::GetSecurityInfo(command) => command.run(context),
            Self::ReadSdcChipInfo(command) => command.run(context),
            Self::VerifySdcCertificate(command) => command.run(context),
            Self::ChipId(command) => command.run(context),
            Self::ReadMac(command) => command.run(context),
            Self::ReadMem(command) => command.run(context),
            Self::WriteMem(command) => command.run(context),
            Self::DumpMem(command) => command.run(context),
            Self::Elf2image(command) => command.run(context),
            Self::LoadRam(command) => command.run(context),
            Self::ImageInfo(command) => command.run(context),
            Self::MergeBin(command) => command.run(context),
            Self::SplitBin(command) => command.run(context),
            Self::Size(command) => command.run(context),
            Self::Explain(command) => command.run(context),
            Self::Run(command) => command.run(context),
            Self::Reset(command) => command.run(context),
            Self::ReadNandSpare(_) | Self::WriteNandSpare(_) | Self::DumpBbm(_) => {
                Err(Error::Usage(NEEDS_STUB.to_owned()))
            }
            Self::Ports(command) => command.run(context),
            Self::Sim(command) => command.run(context),
            Self::Version(command) => command.run(context),
            Self::Config(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
        }
    }

    /// Whether it looks for boards itself.
    pub fn looks_for_boards(&self) -> bool {
        self.boards()
            .is_some_and(|boards| boards.all || boards.wait)
    }

    /// Which boards it works on, if it can do so on several.
    fn boards(&self) -> Option<&BoardsArgs> {
        match self {
            Self::Flash(command) => Some(&command.boards),
            Self::WriteFlash(command) => Some(&command.boards),
            Self::VerifyFlash(command) => Some(&command.boards),
            Self::EraseFlash(command) => Some(&command.boards),
            Self::EraseRegion(command) => Some(&command.boards),
            Self::FlashId(command) => Some(&command.boards),
            Self::ChipId(command) => Some(&command.boards),
            Self::ReadMac(command) => Some(&command.boards),
            _ => None,
        }
    }

    /// Whether what the command makes goes to standard output, so that nothing else may.
    pub fn writes_data(&self) -> bool {
        match self {
            Self::ReadFlash(command) => command.to_stdout(),
            Self::DumpMem(command) => command.to_stdout(),
            Self::Partitions(command) => command.to_stdout(),
            Self::Completions(_) | Self::Man(_) => true,
            _ => self.monitors(),
        }
    }

    /// Whether what a program prints is shown.
    pub fn monitors(&self) -> bool {
        match self {
            Self::Flash(command) => command.monitor.is_on(),
            Self::LoadRam(command) => command.monitor.is_on(),
            Self::Run(command) => command.monitor.is_on(),
            Self::Reset(command) => command.monitor.is_on(),
            _ => false,
        }
    }

    /// Whether progress is shown.
    pub fn shows_progress(&self) -> bool {
        match self {
            Self::Flash(command) => !command.no_progress,
            Self::WriteFlash(command) => !command.no_progress,
            Self::ReadFlash(command) => !command.no_progress,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_program_is_described_whichever_command_is_meant() {
        for program in [Cli::command(), Cli::reader(Some("flash-id"))] {
            let about = program.get_about().map(ToString::to_string);
            assert_eq!(
                about.as_deref(),
                Some("Flashes and inspects Espressif chips.")
            );
            assert_eq!(program.get_name(), "guru");
        }
        assert_eq!(Cli::reader(Some("flash-id")).get_subcommands().count(), 1);
    }

    #[test]
    fn every_command_and_option_has_a_manual() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
        }
    }
}
