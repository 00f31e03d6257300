//! Pythons that have imported what the reference builds on, and fork for each run of it: to start one
//! anew takes ten times as long.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use libtest_mimic::Failed;
use serde_json::json;

use crate::Folder;
use crate::clients::Reference;
use crate::process::{Environment, LIMIT, Outcome, clean_environment};

/// Those that are there, each for one run at a time.
#[derive(Debug)]
pub struct Forks {
    python: OsString,
    idle: Mutex<Vec<Parent>>,
}

impl Forks {
    /// Starts none yet.
    pub fn new(python: &OsStr) -> Self {
        Self {
            python: python.to_owned(),
            idle: Mutex::default(),
        }
    }

    /// Whether a run with these variables can be one of a forked Python. There is no fork on
    /// Windows, and some variables Python looks at when it starts.
    pub fn can_run(environment: &Environment) -> bool {
        cfg!(unix)
            && environment
                .iter()
                .all(|(name, _)| name.starts_with("ESPTOOL_"))
    }

    /// Runs the reference, or `program` in its Python, to its end in `folder`.
    pub fn run(
        &self,
        program: Option<&str>,
        args: &[&str],
        folder: &Path,
        environment: &Environment,
    ) -> Result<Outcome, Failed> {
        let idle = self.idle.lock().map_err(|_| "a test panicked")?.pop();
        let mut parent = match idle {
            Some(parent) => parent,
            None => Parent::start(&self.python)?,
        };
        let mut variables: BTreeMap<_, _> = environment.iter().cloned().collect();
        variables.insert("HOME".to_owned(), folder.to_string_lossy().into_owned());
        let asked = json!({
            "program": program,
            "args": args,
            "folder": folder,
            "environment": variables,
            "seconds": LIMIT.as_secs(),
        });
        let outcome = parent.ask(&asked.to_string())?;
        self.idle
            .lock()
            .map_err(|_| "a test panicked")?
            .push(parent);
        match outcome.code {
            None => Err(format!("ended by a signal, or after {LIMIT:?}\n{outcome}").into()),
            Some(_) => Ok(outcome),
        }
    }
}

/// A Python that forks; it ends with this value, or with the tests.
#[derive(Debug)]
struct Parent {
    child: Child,
    /// `None`: it is asked to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Parent {
    fn start(python: &OsStr) -> Result<Self, Failed> {
        let mut command = Command::new(python);
        command
            .args(["-c", include_str!("fork.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        clean_environment(&mut command, Path::new("."));
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self {
            child,
            stdin,
            stdout,
        })
    }

    /// One run. The Python limits its time.
    fn ask(&mut self, asked: &str) -> Result<Outcome, Failed> {
        let stdin = self.stdin.as_mut().ok_or("no input")?;
        writeln!(stdin, "{asked}")?;
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err("the Python that forks has ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.stdin = None;
        // It may have ended by itself.
        let _ = self.child.wait();
    }
}

/// Arguments, a configuration file, and variables.
type Tried<'a> = (&'a [&'a str], &'a str, &'a [(&'a str, &'a str)]);

/// What both are tried with.
const TRIED: [Tried; 8] = [
    (&["version"], "", &[]),
    (&["--help"], "", &[]),
    (&["write-flash", "--help"], "", &[("ESPTOOL_FM", "dout")]),
    (&["version"], "[esptool]\ntimeout = 7\nunknown = 1\n", &[]),
    (
        &["image-info", "none.bin"],
        "",
        &[("ESPTOOL_CHIP", "esp99")],
    ),
    (&["--chip", "esp32", "image-info", "esptool.cfg"], "", &[]),
    (&["--frobnicate"], "", &[]),
    (&["@none"], "", &[]),
];

/// A forked Python says and does what one does that is started anew: see how it is set up, ends
/// without an error, with one of its own, and with one that it did not expect.
pub fn is_like_a_new_one(reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new("a forked Python is like a new one")?;
    for (args, settings, variables) in TRIED {
        fs::write(folder.join("esptool.cfg"), settings)?;
        let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Environment = variables.iter().map(variable).collect();
        let new = reference.start(args, &folder, &environment)?;
        let forked = reference.run_with(args, &folder, &environment)?;
        let same = forked.code == new.code
            && forked.stdout == new.stdout
            && without_frames(&forked.stderr) == without_frames(&new.stderr);
        if !same {
            return Err(format!("{args:?}\n== new: {new}\n== forked: {forked}").into());
        }
    }
    Ok(())
}

/// What a program said of an error, without where it was in the program.
fn without_frames(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines();
    lines.filter(|line| !line.starts_with("  ")).collect()
}
