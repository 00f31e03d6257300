use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::port::{Input, Port};

/// A pseudo-terminal, and a symbolic link to it if one is wanted.
pub(super) struct PtyPort {
    pty: guru_link::Pty,
    link: Option<PathBuf>,
}

impl PtyPort {
    pub fn new(link: Option<&Path>) -> io::Result<Self> {
        let pty = guru_link::Pty::open()?;
        if let Some(link) = link {
            std::os::unix::fs::symlink(pty.path(), link)?;
        }
        let link = link.map(Path::to_owned);
        Ok(Self { pty, link })
    }

    pub fn name(&self) -> String {
        match &self.link {
            Some(link) => link.display().to_string(),
            None => self.pty.path().to_owned(),
        }
    }
}

impl Drop for PtyPort {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // It is ours; whoever took it away has saved us the work.
            let _ = std::fs::remove_file(link);
        }
    }
}

impl Port for PtyPort {
    const RESTARTS: bool = true;
    const SHARED: bool = true;

    fn read(&mut self, wait: Duration, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let len = self.pty.read(&mut buffer, wait)?;
        if len > 0 {
            inputs.push(Input::Data(buffer[..len].to_vec()));
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.pty.write(bytes, Duration::from_millis(20))? {
                // Nobody reads: as on a wire, it is lost.
                0 => return Ok(()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }
}
