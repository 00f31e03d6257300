//! Runs programs with a limit of time, so that nothing that hangs hangs the tests.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde::Deserialize;

/// No command here takes a tenth of this on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(240);

/// What a program said, and how it ended.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// The outcome, if the exit code is 0; else all that the program said.
    pub fn success(self) -> Result<Self, Failed> {
        if self.code == Some(0) {
            Ok(self)
        } else {
            Err(self.to_string().into())
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "exit code {code:?}\n-- stdout\n{stdout}-- stderr\n{stderr}"
        )
    }
}

/// Variables that are set.
pub type Environment = Vec<(String, String)>;

/// Runs a program to its end in `folder`. The environment variables by which users set these
/// programs up are taken away.
pub fn run<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
    folder: &Path,
) -> Result<Outcome, Failed> {
    run_with(program, args, folder, &Environment::new(), Stdio::null())
}

/// As [`run`], with these variables and this standard input.
pub fn run_with<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
    folder: &Path,
    environment: &Environment,
    input: Stdio,
) -> Result<Outcome, Failed> {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    clean_environment(&mut command, folder);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = command.spawn()?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child)?;
    let text = |bytes: thread::Result<Vec<u8>>| {
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    let outcome = Outcome {
        code: status.and_then(|status| status.code()),
        stdout: text(stdout.join()),
        stderr: text(stderr.join()),
    };
    if status.is_none() {
        return Err(format!("still running after {LIMIT:?}\n{outcome}").into());
    }
    Ok(outcome)
}

/// Takes away what a user's environment says, and what colours or folds the output.
pub fn clean_environment(command: &mut Command, home: &Path) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("ESPTOOL")
            || text.starts_with("ESP_")
            || text == "GURU_PORT_LIST"
            || text == "FORCE_COLOR"
        {
            command.env_remove(&name);
        }
    }
    command
        .env("HOME", home)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "200")
        .env("PYTHONUNBUFFERED", "1");
}

/// `None`: the limit of time passed, and the program was killed.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>, Failed> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was said until then counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
