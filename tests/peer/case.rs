//! One command line of `cases.toml` or `reference-cannot.toml`, run by one client.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use guru_testkit::noise;
use libtest_mimic::Failed;
use serde::Deserialize;

use crate::Folder;
use crate::inputs::Input;
use crate::process::{Environment, Outcome};
use crate::simulator::{Simulator, Way};

/// The file of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// Reads a list. A command line for several chips is a case for each.
///
/// # Errors
/// The list is not as it should be.
pub fn cases(text: &str) -> Result<Vec<Case>, Failed> {
    let list: Cases = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok(list
        .case
        .into_iter()
        .flat_map(Case::for_each_chip)
        .collect())
}

/// A command line and what is there before it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What is shown by it.
    pub name: String,
    /// Chip that is simulated; `none`: no simulator, the arguments name a port.
    chip: Chips,
    /// What follows `--port PORT --no-stub --after no-reset`; over TCP there is nothing to reset with.
    pub args: Vec<String>,
    /// How the simulator is reached.
    #[serde(default)]
    way: Way,
    /// Further options of `guru sim`.
    #[serde(default)]
    sim: Vec<String>,
    /// Variables of the environment; `PORT` stands for the simulator's port.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Serial ports that there are, each as in a file for `--port-list`; `PORT` stands for the
    /// simulator's. With them, or `ESPTOOL_PORT`, no port is named.
    #[serde(default)]
    ports: Option<Vec<String>>,
    /// Flash, in bytes.
    #[serde(default = "default_size")]
    size: usize,
    /// What the flash holds before.
    #[serde(default)]
    flash: Fill,
    /// Files for the command line.
    #[serde(default)]
    files: BTreeMap<String, Input>,
    /// Files that the flash holds before, and where.
    #[serde(default)]
    place: BTreeMap<String, usize>,
    /// Files that the command writes.
    #[serde(default)]
    outputs: Vec<String>,
    /// Whether ours refuses it before it has done all that the reference does until then.
    #[serde(default)]
    pub early: bool,
    /// Whether the parsed lines are compared.
    #[serde(default = "yes")]
    pub lines: bool,
    /// Whether the text of a fatal error is compared, or only that there is one.
    #[serde(default = "yes")]
    pub error: bool,
    /// What the flash holds afterwards (`reference-cannot.toml`).
    pub contents: Option<Contents>,
    /// Exit code of the reference where it is 0 although the result is wrong.
    pub reference_exits: Option<i32>,
    /// Offset and length of a write beyond which nothing may change.
    pub neighbours_kept: Option<[usize; 2]>,
}

/// One chip or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Chips {
    One(String),
    Several(Vec<String>),
}

/// What a flash holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// Bytes of FF.
    #[default]
    Erased,
    /// Bytes without a pattern.
    Noise,
}

/// What a flash holds afterwards.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Contents {
    /// The same everywhere.
    All(Fill),
    /// These files at these offsets.
    Files(BTreeMap<String, usize>),
}

fn default_size() -> usize {
    4 << 20
}

fn yes() -> bool {
    true
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// What the client said.
    pub outcome: Outcome,
    /// The flash before.
    pub before: Vec<u8>,
    /// The flash afterwards.
    pub after: Vec<u8>,
    /// The files written, by name; `None`: there is none.
    pub outputs: Vec<(String, Option<Vec<u8>>)>,
    /// Where the files are.
    pub folder: Folder,
}

impl Case {
    fn for_each_chip(self) -> Vec<Self> {
        let Chips::Several(chips) = &self.chip else {
            return vec![self];
        };
        let one = |chip: &String| Self {
            name: format!("{} on {chip}", self.name),
            chip: Chips::One(chip.clone()),
            ..self.clone()
        };
        chips.iter().map(one).collect()
    }

    fn chip(&self) -> &str {
        match &self.chip {
            Chips::One(chip) => chip,
            Chips::Several(_) => "none",
        }
    }

    /// Runs it in a folder of its own with a simulator of its own.
    pub fn run(
        &self,
        client: &str,
        run: impl Fn(&[&str], &Path, &Environment) -> Result<Outcome, Failed>,
    ) -> Result<Ran, Failed> {
        let folder = Folder::new(&format!("{}-{client}", self.name))?;
        let (first, last): (Vec<_>, Vec<_>) =
            self.files.iter().partition(|(_, input)| !input.follows());
        for (name, input) in first.into_iter().chain(last) {
            input.make(&folder, name)?;
        }
        let args = self.args.iter().map(String::as_str);
        if self.chip() == "none" {
            return Ok(Ran {
                outcome: run(
                    &["--no-stub"].into_iter().chain(args).collect::<Vec<_>>(),
                    &folder,
                    &self.environment(&folder, "")?,
                )?,
                before: Vec::new(),
                after: Vec::new(),
                outputs: Vec::new(),
                folder,
            });
        }
        let before = self.flash_before(&folder)?;
        let flash = folder.join("flash.bin");
        fs::write(&flash, &before)?;
        let size = self.size.to_string();
        let options = ["--flash-size", &size].map(str::to_owned);
        let options: Vec<String> = options.into_iter().chain(self.sim.clone()).collect();
        let simulator = Simulator::start(self.chip(), self.way, &flash, &options)?;
        let port = simulator.port.clone();
        let mut common = vec!["--no-stub"];
        if self.ports.is_none() && !self.env.contains_key("ESPTOOL_PORT") {
            common.splice(0..0, ["--port", &port]);
        }
        if !self.args.iter().any(|arg| arg == "--after") {
            common.extend(["--after", "no-reset"]);
        }
        let args: Vec<_> = common.into_iter().chain(args).collect();
        let environment = self.environment(&folder, &port)?;
        let outcome = run(&args, &folder, &environment)?;
        let after = simulator.stop()?;
        let outputs = self
            .outputs
            .iter()
            .map(|name| (name.clone(), fs::read(folder.join(name)).ok()))
            .collect();
        Ok(Ran {
            outcome,
            before,
            after,
            outputs,
            folder,
        })
    }

    /// The environment of the client whose port is this one. A list of ports is there in the form
    /// of each client.
    fn environment(&self, folder: &Path, port: &str) -> Result<Environment, Failed> {
        let mut environment: Environment = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.replace("PORT", port)))
            .collect();
        if let Some(ports) = &self.ports {
            let list = folder.join("ports");
            fs::write(&list, ports.join("\n").replace("PORT", port))?;
            let python = folder.join("python");
            fs::create_dir_all(&python)?;
            fs::write(python.join("sitecustomize.py"), include_str!("ports.py"))?;
            for (name, path) in [("GURU_PORT_LIST", list), ("PYTHONPATH", python)] {
                environment.push((name.to_owned(), path.to_string_lossy().into_owned()));
            }
        }
        Ok(environment)
    }

    fn flash_before(&self, folder: &Path) -> Result<Vec<u8>, Failed> {
        let mut flash = match self.flash {
            Fill::Erased => vec![0xFF; self.size],
            Fill::Noise => noise(self.size, 0xF1A5),
        };
        for (name, at) in &self.place {
            let bytes = fs::read(folder.join(name))?;
            flash[*at..*at + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(flash)
    }
}

/// Fails at the first byte that differs.
pub fn same_bytes(what: &str, ours: &[u8], expected: &[u8]) -> Result<(), Failed> {
    if ours.len() != expected.len() {
        let (ours, expected) = (ours.len(), expected.len());
        return Err(format!("{what}: {ours} bytes, and {expected} expected").into());
    }
    let mut differing = (0..ours.len()).filter(|at| ours[*at] != expected[*at]);
    match differing.next() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{what}: {} bytes differ, the first at {first:#x}: {:#04x}, and {:#04x} expected",
            1 + differing.count(),
            ours[first],
            expected[first],
        )
        .into()),
    }
}
