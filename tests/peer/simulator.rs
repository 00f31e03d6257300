//! `guru sim` as a program of its own, as a user starts it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::Value;

use crate::process::clean_environment;

/// How long the simulator may take to listen.
const START: Duration = Duration::from_secs(60);

/// How the simulator is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Plain bytes over TCP; no modem lines.
    #[default]
    Tcp,
    /// A serial port over TCP, with modem lines.
    Rfc2217,
    /// A pseudo terminal; no modem lines.
    Pty,
}

impl Way {
    /// Whether the chip can be reset through the port.
    pub fn has_lines(self) -> bool {
        self == Self::Rfc2217
    }
}

/// A running simulator; it ends with this value.
#[derive(Debug)]
pub struct Simulator {
    child: Child,
    /// What a client takes for `--port`.
    pub port: String,
    flash: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
}

impl Simulator {
    /// Starts a simulated chip whose flash is in a file that is there already, with further
    /// options of `guru sim`.
    pub fn start<S: AsRef<str>>(
        chip: &str,
        way: Way,
        flash: &Path,
        options: &[S],
    ) -> Result<Self, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guru"));
        command
            .args(["sim", chip, "--fast", "--format", "json"])
            .args(match way {
                Way::Tcp => &["--tcp", "127.0.0.1:0"][..],
                Way::Rfc2217 => &["--rfc2217", "127.0.0.1:0"],
                Way::Pty => &["--pty"],
            })
            .arg("--flash")
            .arg(flash)
            .args(options.iter().map(AsRef::as_ref))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        // What configures the client is not for the simulator.
        clean_environment(&mut command, &flash.with_extension("home"));
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut simulator = Self {
            child,
            port: String::new(),
            flash: flash.to_owned(),
            told: Arc::default(),
        };
        let told = Arc::clone(&simulator.told);
        let (sender, ports) = mpsc::channel();
        // Reads on to the end, so that the simulator can always write.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(port) = port_in(&line) {
                    // Nobody waits for a second one.
                    let _ = sender.send(port);
                }
                if let Ok(mut told) = told.lock() {
                    told.push(line);
                }
            }
        });
        simulator.port = ports
            .recv_timeout(START)
            .map_err(|_| format!("guru sim {chip} did not say where it can be reached"))?;
        Ok(simulator)
    }

    /// The lines that it wrote until now, one for each thing that happened.
    pub fn told(&self) -> Vec<String> {
        self.told
            .lock()
            .map(|told| told.clone())
            .unwrap_or_default()
    }

    /// Whether the last thing that it tells of a reset, in a while from now, has this in it.
    pub fn tells(&self, text: &str) -> bool {
        let end = Instant::now() + START;
        while Instant::now() < end {
            let told = self.told();
            let mut resets = told.iter().filter(|line| line.contains("\"reset\""));
            if resets.next_back().is_some_and(|line| line.contains(text)) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The first of them that tells that something is not modelled, or of a crash.
    pub fn complaint(&self) -> Option<String> {
        let complains = |line: &String| {
            let kinds = ["unknown-", "crashed", "overflow", "code-not-executed"];
            kinds.iter().any(|kind| line.contains(&format!("\"{kind}")))
        };
        self.told().into_iter().find(complains)
    }

    /// Stops the simulator and returns what is in its flash.
    pub fn stop(mut self) -> Result<Vec<u8>, Failed> {
        self.end();
        Ok(fs::read(&self.flash)?)
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// The port in the first line: `{"event":"simulator","port":"socket://127.0.0.1:4711",...}`.
fn port_in(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let named = line["event"] == "simulator";
    named.then(|| line["port"].as_str().map(str::to_owned))?
}
