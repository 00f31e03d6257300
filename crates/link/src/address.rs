use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::LinkError;

/// Where a port is. The simulator's and other addresses are the caller's to look for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Name or path of a serial port of this computer.
    Serial(String),
    /// `socket://host:port` or `tcp://host:port`: a plain TCP connection.
    Tcp(HostPort),
    /// `rfc2217://host:port`: a serial port of a server.
    Rfc2217(Rfc2217Address),
}

/// A host's name or address, and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name, IPv4 or IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A serial port of an RFC 2217 server, and how to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rfc2217Address {
    /// The server.
    pub host: HostPort,
    /// `?ign_set_control`: do not wait until the server confirms changes of DTR and RTS.
    pub ignore_set_control: bool,
    /// `?timeout=SECONDS`: how long the server may take to answer; 3 s unless given.
    pub timeout: Duration,
}

impl Rfc2217Address {
    /// A server that is talked to in the usual way.
    pub fn new(host: HostPort) -> Self {
        Self {
            host,
            ignore_set_control: false,
            timeout: Self::TIMEOUT,
        }
    }

    const TIMEOUT: Duration = Duration::from_secs(3);
    /// Longer is taken for a slip.
    const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
}

impl FromStr for Address {
    type Err = LinkError;

    /// Reads what a user gives as a port.
    ///
    /// # Errors
    /// [`LinkError::BadAddress`] for an unknown scheme, a host without a port, an unknown option.
    fn from_str(url: &str) -> Result<Self, LinkError> {
        parse(url).map_err(|reason| LinkError::BadAddress {
            url: url.to_owned(),
            reason,
        })
    }
}

fn parse(url: &str) -> Result<Address, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.is_empty() {
            Err("the name of a port is missing".to_owned())
        } else {
            Ok(Address::Serial(url.to_owned()))
        };
    };
    let (host, query) = match rest.split_once('?') {
        Some((host, query)) => (host, query),
        None => (rest, ""),
    };
    match scheme.to_ascii_lowercase().as_str() {
        "socket" | "tcp" => {
            if !query.is_empty() {
                return Err(format!("a plain TCP port has no option '{query}'"));
            }
            host_port(host).map(Address::Tcp)
        }
        "rfc2217" => {
            let mut address = Rfc2217Address::new(host_port(host)?);
            for option in query.split('&').filter(|option| !option.is_empty()) {
                rfc2217_option(&mut address, option)?;
            }
            Ok(Address::Rfc2217(address))
        }
        "loop" => Err("no chip is behind it: what is sent comes back".to_owned()),
        "cp2110" => Err(
            "a CP2110 is a HID device and no serial port; ports of that kind are not \
                         supported"
                .to_owned(),
        ),
        other => Err(format!(
            "'{other}' is no kind of port; use the name of a serial port, rfc2217://host:port, socket://host:port or tcp://host:port"
        )),
    }
}

fn host_port(text: &str) -> Result<HostPort, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = text
        .rsplit_once(':')
        .ok_or("a TCP port is missing; write host:port")?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        Some(host) => host,
        None if host.contains(':') => {
            return Err("write an IPv6 address in brackets: [::1]:port".to_owned());
        }
        None => host,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@[]".contains(c)) {
        return Err(format!("'{host}' is not the name of a host"));
    }
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("'{port}' is not a TCP port; write a number from 1 to 65535"))?;
    Ok(HostPort {
        host: host.to_owned(),
        port,
    })
}

fn rfc2217_option(address: &mut Rfc2217Address, option: &str) -> Result<(), String> {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    match key {
        "ign_set_control" => address.ignore_set_control = true,
        "timeout" => {
            address.timeout = value
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .filter(|time| !time.is_zero() && *time <= Rfc2217Address::MAX_TIMEOUT)
                .ok_or_else(|| {
                    format!("'{value}' is not a time-out; write seconds, such as timeout=3")
                })?;
        }
        // pySerial's options: neither its log nor the modem state is used here.
        "logging" | "poll_modem" => {}
        other => {
            return Err(format!(
                "unknown option '{other}'; use ign_set_control or timeout=SECONDS"
            ));
        }
    }
    Ok(())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(path) => f.write_str(path),
            Self::Tcp(host) => write!(f, "socket://{host}"),
            Self::Rfc2217(address) => {
                write!(f, "rfc2217://{}", address.host)?;
                let mut separator = '?';
                if address.ignore_set_control {
                    write!(f, "{separator}ign_set_control")?;
                    separator = '&';
                }
                if address.timeout != Rfc2217Address::TIMEOUT {
                    write!(f, "{separator}timeout={}", address.timeout.as_secs_f64())?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(host: &str, port: u16) -> HostPort {
        HostPort {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn what_has_no_scheme_is_a_serial_port() {
        for name in ["/dev/ttyUSB0", "COM3", "/dev/serial/by-id/usb-1:2"] {
            assert_eq!(
                name.parse::<Address>().unwrap(),
                Address::Serial(name.to_owned())
            );
        }
    }

    #[test]
    fn network_ports_are_read_as_pyserial_writes_them() {
        assert_eq!(
            "socket://localhost:5555".parse::<Address>().unwrap(),
            Address::Tcp(host("localhost", 5555))
        );
        assert_eq!(
            "tcp://[::1]:1/".parse::<Address>().unwrap(),
            Address::Tcp(host("::1", 1))
        );
        assert_eq!(
            "rfc2217://10.0.0.1:2217?ign_set_control&timeout=0.5"
                .parse::<Address>()
                .unwrap(),
            Address::Rfc2217(Rfc2217Address {
                host: host("10.0.0.1", 2217),
                ignore_set_control: true,
                timeout: Duration::from_millis(500),
            })
        );
    }

    #[test]
    fn a_malformed_address_says_what_is_wrong() {
        for (url, reason) in [
            ("", "missing"),
            ("socket://localhost", "host:port"),
            ("socket://localhost:0", "65535"),
            ("socket://localhost:99999", "65535"),
            ("socket://:80", "host"),
            ("socket://::1:80", "brackets"),
            ("socket://h:1?x", "option"),
            ("rfc2217://h:1?foo=1", "foo"),
            ("rfc2217://h:1?timeout=-1", "timeout=3"),
            ("rfc2217://h:1?timeout=NaN", "timeout=3"),
            ("ws://h:1", "ws"),
            ("loop://", "no chip"),
            ("cp2110://0001:004a:00", "HID"),
        ] {
            let error = url.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    proptest! {
        #[test]
        fn an_address_reads_back_as_it_is_shown(
            name in "[a-z0-9.-]{1,20}",
            port in 1_u16..,
            ignore_set_control: bool,
            millis in 1_u64..3_600_000,
        ) {
            let address = Address::Rfc2217(Rfc2217Address {
                host: host(&name, port),
                ignore_set_control,
                timeout: Duration::from_millis(millis),
            });
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = text.parse::<Address>();
            let _ = format!("rfc2217://{text}").parse::<Address>();
        }
    }
}
