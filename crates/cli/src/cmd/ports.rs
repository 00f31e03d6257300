use clap::Args;
use guru_link::ports;

use crate::context::Context;
use crate::error::Error;
use crate::port_list;
use crate::ui::{PortLine, Report};

/// Espressif's USB vendor id.
const ESPRESSIF: u16 = 0x303A;

/// List serial ports, the likeliest first
///
/// That is the order in which ports are tried when none is named. A port that another program has
/// open is shown with that program, where the system tells.
#[derive(Debug, Args)]
pub struct Ports {}

impl Ports {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let globals = &context.globals;
        let mut ports = port_list::present(globals.port_list.as_deref())?;
        let all = ports.len();
        let filter = port_list::filter(&globals.port_filter);
        ports.retain(|port| filter.matches(port));
        let filtered_out = all - ports.len();
        context.screen.report(Report::Ports {
            ports: ports.into_iter().map(line).collect(),
            filtered_out,
        });
        Ok(())
    }
}

fn line(port: ports::Port) -> PortLine {
    let usb = port.usb.as_ref();
    let adapter = usb.and_then(|usb| guru_chip::adapter(usb.vendor, usb.product));
    PortLine {
        holder: ports::holder(&port.path),
        usb: usb.map(|usb| (usb.vendor, usb.product)),
        serial: usb.and_then(|usb| usb.serial.clone()),
        location: usb.and_then(|usb| usb.location.clone()),
        description: adapter
            .map(|adapter| adapter.name.to_owned())
            .or_else(|| usb.and_then(|usb| usb.name.clone())),
        safe_baud: adapter.and_then(|adapter| adapter.max_baud),
        likely: adapter.is_some() || usb.is_some_and(|usb| usb.vendor == ESPRESSIF),
        name: port.path,
    }
}
