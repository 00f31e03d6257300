use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Name and process id of a program that has the device open, as far as this user may see. One
/// that has locked it is preferred: a pty is also open in the program that made it.
pub(super) fn find(device: &Path) -> Option<String> {
    let wanted = device.metadata().ok()?;
    let is_device = |fd: &Path| {
        fd.metadata().is_ok_and(|data| {
            data.file_type().is_char_device()
                && (data.dev(), data.rdev()) == (wanted.dev(), wanted.rdev())
        })
    };
    let mut found = None;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let is_process = process
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for fd in fds
            .flatten()
            .filter(|fd| is_process && is_device(&fd.path()))
        {
            let info = process.path().join("fdinfo").join(fd.file_name());
            let locked = fs::read_to_string(info).is_ok_and(|info| info.contains("\nlock:"));
            let own = process.file_name().to_str() == Some(&std::process::id().to_string());
            // This process may have opened the device just now, to find it locked.
            if locked || (found.is_none() && !own) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                let id = process.file_name();
                found = Some(format!("{} (pid {})", name.trim(), id.display()));
            }
            if locked {
                return found;
            }
        }
    }
    found
}
