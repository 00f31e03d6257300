use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};
use guru_loader::{After, Before};

use super::arguments;
use super::click::{self, Opt, Parsed, Takes};
use super::commands::{self, COMMANDS, GROUP, HIDDEN, HIDDEN_COMMANDS};
use super::screen::{Job, Lines, Screen};
use super::settings;
use crate::at_files;
use crate::cmd::{Cli, NEEDS_STUB};
use crate::config::setting::with_defaults;
use crate::config::{self, Loaded};
use crate::context::{Context, Mode, VERSION};
use crate::error::exit;
use crate::program;

/// The release whose command line, text and exit codes these are.
pub const LEVEL: &str = "5.6.0";

/// Runs a command line of the predecessor, without the program's own name. Returns the exit code.
pub fn run(words: Vec<OsString>) -> u8 {
    let mut lines = Lines::new();
    let words = match at_files::expand(&words) {
        Ok(None) => words,
        Ok(Some(words)) => {
            let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            lines.print(&format!("esptool {}", shown.join(" ")));
            words
        }
        Err((path, error)) => {
            return lines.fatal(&format!("Cannot read arguments from '{path}': {error}"));
        }
    };
    let (words, warnings) = arguments::rename(words);
    for warning in &warnings {
        lines.warn(warning);
    }
    let nothing = words.is_empty();
    let group = match click::parse_group(words, &GROUP, &commands::is_command) {
        Ok(group) => group,
        Err(message) => return usage(&mut lines, None, &message),
    };
    for warning in &group.warnings {
        lines.warn(warning);
    }
    if nothing || group.help {
        lines.print(&group_help());
        return if nothing {
            exit::REFUSED
        } else {
            exit::SUCCESS
        };
    }
    let mut rest = group.rest.iter().cloned();
    let Some(name) = rest.next() else {
        return usage(&mut lines, None, "Missing command.");
    };
    let name = name.to_string_lossy().into_owned();
    let hyphenated = name.replace('_', "-");
    let Some(command) = commands::find(&hyphenated) else {
        return usage(&mut lines, None, &format!("No such command '{name}'."));
    };
    if hyphenated != name {
        lines.warn(&format!(
            "Deprecated: Command '{name}' is deprecated. Use '{hyphenated}' instead."
        ));
    }
    for other in ["--verbose", "--trace"] {
        if group.has("--silent") && group.has(other) {
            return lines.fatal(&format!(
                "Cannot use both {other} and --silent options at the same time."
            ));
        }
    }
    lines.silent = group.has("--silent");
    lines.print(&format!("esptool v{LEVEL} (guru {VERSION})"));
    let mut loaded = config::load(Mode::Esptool);
    for remark in loaded.remarks.drain(..) {
        settings::remark(&mut lines, &remark);
    }
    if let Some(error) = loaded.bad.iter().find(|error| !error.can_wait()) {
        return lines.fatal(&error.to_string());
    }
    let parsed = match click::parse_command(rest.collect(), command) {
        Ok(parsed) => parsed,
        Err(message) => return usage(&mut lines, Some(command), &message),
    };
    if parsed.help {
        lines.print(&command_help(command));
        return exit::SUCCESS;
    }
    let no_stub = group.has("--no-stub");
    match exclusions(&parsed).and_then(|()| nand(command, &parsed, no_stub)) {
        Ok(()) => {}
        Err(Refusal::Usage(message)) => return usage(&mut lines, Some(command), &message),
        Err(Refusal::Fatal(message)) => return lines.fatal(&message),
    }
    if let Err(message) = settings::port_filter(&group) {
        return lines.fatal(&message);
    }
    start(lines, &group, command, &parsed, loaded)
}

/// Starts one of our own commands in place of the predecessor's.
fn start(
    mut lines: Lines,
    group: &Parsed,
    command: &'static click::Command,
    parsed: &Parsed,
    mut loaded: Loaded,
) -> u8 {
    let words = translate(group, command, parsed);
    let program = with_defaults(
        Cli::reader(Some(command.name)),
        &loaded.origins,
        |setting| {
            // They are options by now.
            setting.is_of_predecessor()
        },
    );
    let cli = program
        .try_get_matches_from(words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.to_string();
            let message = text.lines().next().unwrap_or_default();
            let message = message.trim_start_matches("error: ");
            return usage(&mut lines, Some(command), message);
        }
    };
    let sequence = loaded.config.hard_reset.as_ref().map(ToString::to_string);
    let job = Job {
        command: command.name,
        chip_named: cli.globals.chip.named().is_some(),
        no_stub: cli.globals.no_stub,
        uses_stub: cli.globals.uses_stub(),
        stays_in_stub: cli.globals.after.0 == After::NoResetStub,
        detects_size: parsed.value("--flash-size").as_deref() == Some("detect"),
        no_reset: match cli.globals.before.0 {
            Before::NoReset => Some("no-reset"),
            Before::NoResetNoSync => Some("no-reset-no-sync"),
            Before::DefaultReset | Before::UsbReset => None,
        },
        hard_reset: cli.globals.after.0 == After::HardReset,
        keeps_size: command
            .options
            .iter()
            .any(|option| option.long == "--flash-size")
            && matches!(parsed.value("--flash-size").as_deref(), None | Some("keep")),
        all: parsed
            .arguments
            .get(1)
            .is_some_and(|size| size.eq_ignore_ascii_case("all")),
        shows_differences: parsed.has("--diff"),
        skips_flashed: parsed.has("--skip-flashed"),
        shows_progress: cli.command.shows_progress(),
        merges_uf2: command.name == "merge-bin"
            && parsed.value("--format").as_deref() == Some("uf2"),
        output: parsed
            .arguments
            .get(2)
            .map(|file| file.to_string_lossy().into_owned()),
        sequence,
    };
    let screen = Screen::new(lines, job);
    loaded.add_fpga(&cli.globals);
    let context = Context::new(Mode::Esptool, cli.globals, loaded, Box::new(screen));
    program::run_command(context, cli.command)
}

/// Our command line for the predecessor's. Defaults that differ are given.
fn translate(group: &Parsed, command: &click::Command, parsed: &Parsed) -> Vec<OsString> {
    let mut words = vec![OsString::from("guru")];
    let joined = |name: &str, value: &OsString| {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        word
    };
    // Of an option that takes one value the last one counts.
    let overridden = |all: &[Opt], options: &[(&'static str, Option<OsString>)], at: usize| {
        let (name, _) = options[at];
        let mut known = all.iter();
        let one = known.any(|opt| opt.long == name && matches!(opt.takes, Takes::One(_)));
        one && options.iter().skip(at + 1).any(|(later, _)| *later == name)
    };
    for (at, (name, value)) in group.options.iter().enumerate() {
        match (*name, value) {
            ("--stub-version", _) => {}
            ("--port-filter", _) if group.has("--port") => {}
            _ if overridden(&GROUP, &group.options, at) => {}
            (name, Some(value)) => words.push(joined(name, value)),
            (name, None) => {
                let word = OsString::from(format!("--{}", own_name(name)));
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
    }
    if !group.has("--baud") {
        words.push("--baud=115200".into());
    }
    words.push(command.name.into());
    for (at, (name, value)) in parsed.options.iter().enumerate() {
        match (*name, value) {
            (name, _) if without_effect(command.name, name) => {}
            _ if overridden(command.options, &parsed.options, at) => {}
            // Given twice, it counts once.
            (name, None) if words.iter().any(|word| word == name) => {}
            (name, Some(value)) => {
                words.push(joined(&format!("--{}", own_name(name)), value));
            }
            (name, None) => words.push(name.into()),
        }
    }
    words.push("--".into());
    words.extend(parsed.arguments.iter().cloned());
    words
}

/// Whether an option is taken for the sake of old command lines alone.
fn without_effect(command: &str, option: &str) -> bool {
    match option {
        "--nand-end-address" => true,
        // There as well.
        "--flash-size" | "--flash-mode" | "--flash-freq" => command == "read-flash-sfdp",
        _ => false,
    }
}

enum Refusal {
    Usage(String),
    Fatal(String),
}

/// Options that exclude each other.
fn exclusions(parsed: &Parsed) -> Result<(), Refusal> {
    let both = |one, other| parsed.has(one) && parsed.has(other);
    let excluded = |one: &str, others: &str| {
        Err(Refusal::Usage(format!(
            "Illegal usage: {one} is mutually exclusive with arguments: {others}."
        )))
    };
    if both("--compress", "--no-compress") {
        return excluded("--no-compress", "--compress");
    }
    if both("--skip-flashed", "--diff-with") || both("--skip-flashed", "--trust-flash-content") {
        return excluded("--skip-flashed", "--diff-with, --trust-flash-content");
    }
    if both("--encrypt", "--encrypt-files") {
        return Err(Refusal::Fatal(
            "Options --encrypt and --encrypt-files must not be specified at the same time."
                .to_owned(),
        ));
    }
    if parsed.has("--trust-flash-content") && !parsed.has("--diff-with") {
        return Err(Refusal::Fatal(
            "Option --trust-flash-content requires --diff-with.".to_owned(),
        ));
    }
    Ok(())
}

/// NAND flash, which is reached by an addition to the flasher stub alone.
fn nand(command: &click::Command, parsed: &Parsed, no_stub: bool) -> Result<(), Refusal> {
    let nand = HIDDEN_COMMANDS.contains(&command.name)
        || parsed.value("--flash-type").as_deref() == Some("nand");
    if nand && !parsed.has("--spi-connection") {
        return Err(Refusal::Usage(
            "--spi-connection is required for NAND flash operations.".to_owned(),
        ));
    }
    if nand && no_stub {
        return Err(Refusal::Fatal(
            "Plugin commands require the stub flasher. Remove --no-stub to use plugins.".to_owned(),
        ));
    }
    if nand {
        return Err(Refusal::Fatal(NEEDS_STUB.to_owned()));
    }
    Ok(())
}

/// A mistake in the command line, in Click's form.
fn usage(lines: &mut Lines, command: Option<&click::Command>, message: &str) -> u8 {
    let (shown, name) = match command {
        Some(command) => (usage_line(command), format!("esptool {}", command.name)),
        None => (
            "Usage: esptool [OPTIONS] COMMAND [ARGS]...".to_owned(),
            "esptool".to_owned(),
        ),
    };
    lines.error_text(&format!(
        "{shown}\nTry '{name} -h' for help.\n\nError: {message}"
    ));
    exit::REFUSED
}

/// As [`usage`], for mistakes that are found only when files are looked at.
pub(super) fn usage_of(lines: &mut Lines, command: &str, message: &str) -> u8 {
    usage(lines, commands::find(command), message)
}

fn usage_line(command: &click::Command) -> String {
    let mut line = format!("Usage: esptool {} [OPTIONS]", command.name);
    for (name, _) in command.arguments {
        line.push(' ');
        line.push_str(name);
    }
    line
}

fn group_help() -> String {
    let mut text = format!(
        "Usage: esptool [OPTIONS] COMMAND [ARGS]...\n\nesptool v{LEVEL} (guru {VERSION}): takes the \
         command lines of esptool. 'guru --help' shows the program's own.\n\nOptions:\n"
    );
    text.push_str(&options_help(&GROUP, None));
    text.push_str(
        "\nUnder this name the baud rate is 115200, data go as they are and everything is written, \
         unless options say otherwise.\n\nCommands:\n",
    );
    let program = Cli::command();
    for command in &COMMANDS {
        if HIDDEN_COMMANDS.contains(&command.name) {
            continue;
        }
        let about = program
            .find_subcommand(command.name)
            .and_then(|own| own.get_about())
            .map(ToString::to_string)
            .unwrap_or_default();
        text.push_str(&format!("  {:<20}{about}\n", command.name));
    }
    text.trim_end().to_owned()
}

fn command_help(command: &click::Command) -> String {
    format!(
        "{}\n\n'guru {} --help' is the manual of this command.\n\nOptions:\n{}",
        usage_line(command),
        command.name,
        options_help(command.options, Some(command.name)).trim_end()
    )
}

/// Options with the help of ours of the same name.
fn options_help(options: &[Opt], command: Option<&str>) -> String {
    let program = Cli::command();
    let own = command.map_or(Some(&program), |name| program.find_subcommand(name));
    let mut text = String::new();
    for option in options {
        if HIDDEN.contains(&option.long) {
            continue;
        }
        let short = if option.short.is_empty() {
            String::new()
        } else {
            format!(", {}", option.short)
        };
        let help = own
            .and_then(|own| {
                own.get_arguments()
                    .find(|arg| arg.get_long() == Some(own_name(option.long)))
            })
            .and_then(|arg| arg.get_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        text.push_str(&format!(
            "  {:<28}{help}\n",
            format!("{}{short}", option.long)
        ));
    }
    text.push_str("  --help, -h                  Show this\n");
    text
}

/// Our name for an option of theirs, without hyphens.
pub(super) fn own_name(long: &str) -> &str {
    match long {
        "--silent" => "quiet",
        // Ours is that of what is printed.
        "--format" => "output-format",
        long => long.trim_start_matches('-'),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn translated(text: &str) -> Vec<String> {
        let (words, _) = arguments::rename(words(text));
        let group = click::parse_group(words, &GROUP, &commands::is_command).unwrap();
        let mut rest = group.rest.clone().into_iter();
        let name = rest.next().unwrap().to_string_lossy().replace('_', "-");
        let command = commands::find(&name).unwrap();
        let parsed = click::parse_command(rest.collect(), command).unwrap();
        let words = translate(&group, command, &parsed);
        // What comes out is one of our own command lines.
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("{text}: {error}");
        }
        words
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    #[test]
    fn command_lines_of_build_systems_become_ours() {
        assert_eq!(
            translated(
                "--chip esp32 -p /dev/ttyUSB0 -b 460800 --before default_reset --after hard_reset \
                 write_flash -z --flash_mode dio --flash_freq 40m --flash_size detect 0x1000 b.bin"
            ),
            [
                "guru",
                "--chip=esp32",
                "--port=/dev/ttyUSB0",
                "--baud=460800",
                "--before=default-reset",
                "--after=hard-reset",
                "write-flash",
                "--compress",
                "--flash-mode=dio",
                "--flash-freq=40m",
                "--flash-size=detect",
                "--",
                "0x1000",
                "b.bin",
            ]
        );
        assert_eq!(
            translated("-s write-flash -s -p -ff 80m -fm qio -fs 4MB -sc HSPI -u 0 a 0x1000 b"),
            [
                "guru",
                "--quiet",
                "--baud=115200",
                "write-flash",
                "--skip-flashed",
                "--no-progress",
                "--flash-freq=80m",
                "--flash-mode=qio",
                "--flash-size=4MB",
                "--spi-connection=HSPI",
                "--no-compress",
                "--",
                "0",
                "a",
                "0x1000",
                "b",
            ]
        );
        translated("--port-filter vid=0x303A pid=0x1001 --connect-attempts -1 read_flash 0 ALL x");
        translated("write-flash --diff-with skip skip -- 0 a 0x1000 b");
        assert_eq!(
            translated("-p a --port-filter vid=1 -p b --port-filter pid=2 --port c flash-id"),
            ["guru", "--port=c", "--baud=115200", "flash-id", "--"]
        );
        translated("--stub-version 2 --no-stub verify-flash -d -ft nor 0 a");
    }

    #[test]
    fn every_option_of_theirs_is_one_of_ours() {
        for command in &COMMANDS {
            for option in command.options {
                if without_effect(command.name, option.long) {
                    continue;
                }
                let program = Cli::command();
                let own = program.find_subcommand(command.name).unwrap();
                assert!(
                    own.get_arguments()
                        .any(|arg| arg.get_long() == Some(own_name(option.long))),
                    "{} {}",
                    command.name,
                    option.long
                );
            }
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        let parse = |text| {
            let command = commands::find("write-flash").unwrap();
            exclusions(&click::parse_command(words(text), command).unwrap())
        };
        assert!(matches!(parse("-z -u 0 a"), Err(Refusal::Usage(_))));
        assert!(matches!(
            parse("-s --diff-with skip -- 0 a"),
            Err(Refusal::Usage(_))
        ));
        assert!(matches!(
            parse("--trust-flash-content 0 a"),
            Err(Refusal::Fatal(_))
        ));
        assert!(parse("-z 0 a").is_ok());
    }
}
