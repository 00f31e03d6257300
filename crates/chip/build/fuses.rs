//! eFuse fields by their published names, and what they do to the serial loader:
//! `chips/efuse/NAME.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::bits::{Bits, Blocks, Runs};

/// The fields of one chip.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fuses {
    /// Bits by name.
    pub fields: BTreeMap<String, Runs>,
    pub later: Option<Later>,
    /// Field that shows in a bit of GET_SECURITY_INFO's flags.
    #[serde(default)]
    pub security_info: BTreeMap<String, String>,
    pub download: Option<Download>,
    pub certificate: Option<Certificate>,
}

/// What a later revision changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// The first such revision: major * 100 + minor.
    pub since: u16,
    /// Fields that it does not have.
    #[serde(default)]
    pub gone: Vec<String>,
    /// Fields that it has elsewhere, or that earlier ones do not have.
    pub fields: BTreeMap<String, Runs>,
}

/// Fields that limit the serial loader, and what its ROM says then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    pub disabled: String,
    #[serde(default)]
    pub disabled_since: u16,
    pub says_disabled: String,
    pub secure: Option<String>,
    #[serde(default)]
    pub says_secure: String,
    #[serde(default)]
    pub no_serial_jtag: Vec<String>,
    #[serde(default)]
    pub no_otg: Vec<String>,
}

/// Fields that have to do with the secure download certificate, and what its ROM says and does then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub enabled: String,
    pub counter: String,
    pub nonce: String,
    pub not_by_mac: String,
    pub no_jtag: String,
    pub key_purpose: u8,
    pub says: String,
    pub commands: Vec<u8>,
    pub reset: String,
}

impl Fuses {
    /// What is wrong with them; `file` names the chip.
    pub fn check(&self, file: &str, blocks: &Blocks) -> Vec<String> {
        let mut problems = Vec::new();
        let mut fail = |key: &str, what: &str| {
            problems.push(format!("chips/efuse/{file}.toml: {key}: {what}"));
        };
        let later = self.later.iter().flat_map(|later| &later.fields);
        for (name, runs) in self.fields.iter().chain(later) {
            match runs.parse(blocks) {
                Ok(runs) if runs.iter().map(|run| u32::from(run.width)).sum::<u32>() > 32 => {
                    fail(name, "more than 32 bits");
                }
                Ok(_) => {}
                Err(error) => fail(name, &error),
            }
        }
        for name in self.later.iter().flat_map(|later| &later.gone) {
            if !self.fields.contains_key(name) {
                fail("later", &format!("no field `{name}`"));
            }
        }
        for (bit, name) in &self.security_info {
            if !bit
                .parse::<u8>()
                .is_ok_and(|bit| bit < 32 && bit != 0 && bit != 2)
            {
                fail(
                    "security_info",
                    &format!("\"{bit}\" is no bit that could be set"),
                );
            }
            if !self.fields.contains_key(name) {
                fail("security_info", &format!("no field `{name}`"));
            }
        }
        if let Some(download) = &self.download {
            let names = [&download.disabled].into_iter().chain(&download.secure);
            let usb = download.no_serial_jtag.iter().chain(&download.no_otg);
            for name in names.chain(usb) {
                if !self.fields.contains_key(name) {
                    fail("download", &format!("no field `{name}`"));
                }
            }
        }
        if let Some(c) = &self.certificate {
            for name in [&c.enabled, &c.counter, &c.nonce, &c.not_by_mac, &c.no_jtag] {
                if !self.fields.contains_key(name) {
                    fail("certificate", &format!("no field `{name}`"));
                }
            }
            if !c.commands.is_sorted_by(|one, next| one < next) {
                fail("certificate", "commands are not ascending");
            }
        }
        problems
    }

    /// The members of `EfuseSpace` behind its blocks, as Rust.
    pub fn emit(&self, blocks: &Blocks) -> Result<String, String> {
        let mut fields = Vec::new();
        let mut push = |name: &str, runs: &Runs, since: u16, until: u16| {
            let parts: Vec<_> = runs.parse(blocks)?.iter().map(bits).collect();
            fields.push((
                name.to_owned(),
                since,
                format!(
                    "EfuseField {{ name: {name:?}, parts: &[{}], since: Revision({since}), \
                     until: Revision({until}) }}",
                    parts.join(", ")
                ),
            ));
            Ok::<_, String>(())
        };
        for (name, runs) in &self.fields {
            let changes =
                |later: &&Later| later.gone.contains(name) || later.fields.contains_key(name);
            let until = self.later.as_ref().filter(changes);
            push(name, runs, 0, until.map_or(u16::MAX, |later| later.since))?;
        }
        if let Some(later) = &self.later {
            for (name, runs) in &later.fields {
                push(name, runs, later.since, u16::MAX)?;
            }
        }
        fields.sort();
        let fields: Vec<_> = fields.into_iter().map(|(_, _, field)| field).collect();
        let flags: Vec<_> = (self.security_info.iter())
            .map(|(bit, name)| format!("({bit}, {name:?})"))
            .collect();
        let download = match &self.download {
            None => "None".into(),
            Some(d) => format!(
                "Some(DownloadRules {{ disabled: {:?}, disabled_since: {}, says_disabled: {:?}, \
                 secure: {:?}, says_secure: {:?}, no_serial_jtag: &{:?}, no_otg: &{:?} }})",
                d.disabled,
                d.disabled_since,
                d.says_disabled,
                d.secure,
                d.says_secure,
                d.no_serial_jtag,
                d.no_otg
            ),
        };
        let certificate = match &self.certificate {
            None => "None".into(),
            Some(c) => format!(
                "Some(CertificateRules {{ enabled: {:?}, counter: {:?}, nonce: {:?}, not_by_mac: {:?}, \
                 no_jtag: {:?}, key_purpose: {}, says: {:?}, commands: &{:?}, reset: {:?} }})",
                c.enabled,
                c.counter,
                c.nonce,
                c.not_by_mac,
                c.no_jtag,
                c.key_purpose,
                c.says,
                c.commands,
                c.reset
            ),
        };
        Ok(format!(
            "fields: &[{}], info_flags: &[{}], download: {download}, certificate: {certificate}",
            fields.join(", "),
            flags.join(", ")
        ))
    }
}

/// A chip without fields.
pub const NONE: &str = "fields: &[], info_flags: &[], download: None, certificate: None";

fn bits(bits: &Bits) -> String {
    format!(
        "Bits {{ addr: {:#010x}, lsb: {}, width: {} }}",
        bits.addr, bits.lsb, bits.width
    )
}
