//! The reference's commands and options beside those that ours takes under its name, one by one.

use std::collections::{BTreeMap, BTreeSet};

use guru::{OldCommand, OldOption, old_command_line};
use libtest_mimic::Failed;
use serde::Deserialize;

use crate::clients::Reference;

/// Defaults that ours gets in another way, or needs not to have, and the reference's. Command lines
/// mean the same.
const DEFAULTS: [(&str, &str); 7] = [
    // Given to our own command line, whose default is another one.
    ("--baud", "115200"),
    // Left to the configuration file, and that is the default there.
    ("--connect-attempts", "7"),
    // By the name of the file, but under the old name.
    ("merge-bin --format", "raw"),
    // Without effect in ours.
    ("--flash-type", "nor"),
    // Without effect in both.
    ("read-flash-sfdp --flash-size", "keep"),
    ("read-flash-sfdp --flash-mode", "keep"),
    ("read-flash-sfdp --flash-freq", "keep"),
];

/// What `commands.py` prints.
#[derive(Debug, Deserialize)]
struct Theirs {
    group: TheirCommand,
    commands: BTreeMap<String, TheirCommand>,
    renamed: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct TheirCommand {
    parameters: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
struct Parameter {
    names: Vec<String>,
    argument: bool,
    required: bool,
    many: bool,
    takes: String,
    kind: String,
    choices: Vec<String>,
    default: String,
    hidden: bool,
}

impl TheirCommand {
    fn options(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|one| !one.argument)
    }

    fn arguments(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|one| one.argument)
    }
}

/// Every command, option, choice and argument of the reference is known to ours, and no other.
pub fn same_options(reference: &Reference) -> Result<(), Failed> {
    let read = |args: &[&str]| -> Result<Theirs, Failed> {
        let outcome = reference
            .script(include_str!("commands.py"), args)?
            .success()?;
        Ok(serde_json::from_str(&outcome.stdout)?)
    };
    let (theirs, variables) = (read(&[])?, read(&["variables"])?);
    let ours = old_command_line();
    let mut wrong = Vec::new();

    let there: BTreeSet<&str> = ours.commands.iter().map(|command| command.name).collect();
    for name in theirs.commands.keys() {
        if !there.contains(name.as_str()) {
            wrong.push(format!("{name}: ours has no such command"));
        }
    }
    for name in &there {
        if !theirs.commands.contains_key(*name) {
            wrong.push(format!("{name}: the reference has no such command"));
        }
    }
    let renamed = ours.renamed.iter();
    let renamed: BTreeMap<_, _> = renamed
        .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()))
        .collect();
    if renamed != theirs.renamed {
        wrong.push(format!("older names: {:?}", theirs.renamed));
    }

    compare_options(
        "",
        &ours.options,
        &theirs.group,
        &variables.group,
        &mut wrong,
    );
    for command in &ours.commands {
        if let (Some(theirs), Some(variables)) = (
            theirs.commands.get(command.name),
            variables.commands.get(command.name),
        ) {
            compare_options(
                command.name,
                &command.options,
                theirs,
                variables,
                &mut wrong,
            );
            compare_arguments(command, theirs, &mut wrong);
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n").into()),
    }
}

fn compare_options(
    command: &str,
    ours: &[OldOption],
    theirs: &TheirCommand,
    variables: &TheirCommand,
    wrong: &mut Vec<String>,
) {
    for option in ours {
        if !theirs.options().any(|one| one.names[0] == option.long) {
            wrong.push(format!("{command} {}: the reference has none", option.long));
        }
    }
    for (one, with_variables) in theirs.options().zip(variables.options()) {
        let name = &one.names[0];
        let Some(option) = ours.iter().find(|option| option.long == name) else {
            wrong.push(format!("{command} {name}: ours has none"));
            continue;
        };
        let short = one.names.get(1).map_or("", String::as_str);
        let variable = match with_variables.default == one.default {
            true => "",
            false => &with_variables.default,
        };
        let default = match one.takes.as_str() {
            "one" => one.default.as_str(),
            _ => "",
        };
        let hidden = if one.hidden { "hidden" } else { "shown" };
        for (what, our, their) in [
            ("short name", option.short, short),
            ("takes", option.takes, one.takes.as_str()),
            ("variable", option.variable, variable),
            ("default", option.default.as_str(), default),
            (
                "help",
                if option.hidden { "hidden" } else { "shown" },
                hidden,
            ),
        ] {
            let full = format!("{command} {name}");
            let meant = what == "default"
                && [name, &full]
                    .iter()
                    .any(|of| DEFAULTS.contains(&(of.as_str(), their)));
            if our != their && !meant {
                wrong.push(format!("{command} {name}: {what} {their:?} became {our:?}"));
            }
        }
        if option.choices != one.choices {
            wrong.push(format!("{command} {name}: choices {:?}", one.choices));
        }
        if one.takes != "nothing" && !kinds(&one.kind).contains(&option.kind.as_str()) {
            wrong.push(format!(
                "{command} {name}: {} became {}",
                one.kind, option.kind
            ));
        }
    }
}

fn compare_arguments(command: &OldCommand, theirs: &TheirCommand, wrong: &mut Vec<String>) {
    let name = command.name;
    let (ours, theirs): (Vec<_>, Vec<_>) = (
        command.arguments.iter().collect(),
        theirs.arguments().collect(),
    );
    if ours.len() != theirs.len() {
        wrong.push(format!(
            "{name}: {} arguments became {}",
            theirs.len(),
            ours.len()
        ));
        return;
    }
    if command.many != theirs.last().is_some_and(|one| one.many) {
        wrong.push(format!("{name}: how many arguments the last one takes"));
    }
    for ((called, kind), one) in ours.iter().zip(&theirs) {
        if one.required == called.starts_with('[') {
            wrong.push(format!("{name} {called}: whether it may be missing"));
        }
        let plain = called.trim_matches(['[', ']']);
        if !one.many && !plain.eq_ignore_ascii_case(&one.names[0]) {
            wrong.push(format!("{name} {}: became {called}", one.names[0]));
        }
        if !kinds(&one.kind).contains(&kind.as_str()) {
            wrong.push(format!("{name} {called}: {} became {kind}", one.kind));
        }
    }
}

/// What stands for a type of the reference. Files and their addresses are looked at later, by those
/// who open them.
fn kinds(theirs: &str) -> &'static [&'static str] {
    match theirs {
        "AnyIntType" => &["Integer"],
        "AutoSizeType" => &["Size", "Bytes"],
        "AutoChunkSizeType" => &["Chunk"],
        "IntParamType" => &["Decimal"],
        "IntRange" => &["Range"],
        "BaudRateType" => &["Baud"],
        "Choice" => &["Choice"],
        "ChipType" => &["Chip"],
        "ResetModeType" => &["ResetMode"],
        "SpiConnectionType" => &["Pins"],
        "DiffWithType" => &["FileOrSkip"],
        "Path" => &["Text", "Existing"],
        "StringParamType" | "SerialPortType" | "AddrFilenamePairType" | "AutoHex2BinType" => {
            &["Text"]
        }
        _ => &[],
    }
}
