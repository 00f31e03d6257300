//! Flash commands through the registers of the SPI controller, for what the ROM has no command
//! for.

use std::time::Duration;

use guru_chip::SpiLengths;
use guru_link::Link;
use guru_wire::RegisterWrite;

use crate::channel::Fault;
use crate::{Error, Session};

/// USER: phases of a transaction.
const USR_COMMAND: u32 = 1 << 31;
const USR_ADDR: u32 = 1 << 30;
const USR_DUMMY: u32 = 1 << 29;
const USR_MISO: u32 = 1 << 28;
const USR_MOSI: u32 = 1 << 27;
/// CMD: starts a transaction; 0 when it is done.
const CMD_USR: u32 = 1 << 18;
/// USER1: length of the address in bits minus one.
const ADDR_LEN_SHIFT: u32 = 26;
/// USER2: length of the command in bits minus one.
const COMMAND_8_BITS: u32 = 7 << 28;
/// Bytes in the data words.
const MAX_DATA: usize = 64;
/// How often a transaction is looked at until it must be done.
const POLLS: u32 = 10;
/// Microseconds in which a command without address or data is done at any clock.
const COMMAND_TIME: u32 = 20;

/// Commands that every serial NOR flash knows.
pub(crate) mod flash {
    pub const WRITE_ENABLE: u8 = 0x06;
    pub const WRITE_DISABLE: u8 = 0x04;
    /// The next write of status registers is lost with the power.
    pub const WRITE_ENABLE_VOLATILE: u8 = 0x50;
    pub const READ_STATUS: u8 = 0x05;
    pub const READ: u8 = 0x03;
    pub const READ_ID: u8 = 0x9F;
    pub const READ_SFDP: u8 = 0x5A;
    pub const SECTOR_ERASE: u8 = 0x20;
    pub const CHIP_ERASE: u8 = 0xC7;
    pub const RESET_ENABLE: u8 = 0x66;
    pub const RESET: u8 = 0x99;
    pub const POWER_DOWN: u8 = 0xB9;
    pub const RELEASE_POWER_DOWN: u8 = 0xAB;
    /// Status register 1: erase or program under way.
    pub const BUSY: u32 = 1;
}

/// One transaction with the flash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Transaction {
    /// Command byte.
    pub command: u8,
    /// 24-bit address, for commands with one.
    pub address: Option<u32>,
    /// Clock cycles between address and data.
    pub dummy_bits: u8,
    /// Bytes to send behind the command, the lowest first, and how many, at most 4.
    pub write: Option<(u32, u8)>,
    /// Bytes to read, at most 64.
    pub read: usize,
}

/// What the ROM's own flash functions left in the controller's registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Controller {
    usr: u32,
    usr2: u32,
}

impl<L: Link> Session<L> {
    /// Saves the registers that transactions change.
    pub(crate) async fn spi_begin(&mut self) -> Result<Controller, Error> {
        let spi = &self.chip.spi;
        if let Some(words) = self.read_together(&[spi.usr, spi.usr2]).await?
            && let [usr, usr2] = words[..]
        {
            return Ok(Controller { usr, usr2 });
        }
        let usr = self.read_reg_surely(spi.usr).await?;
        let usr2 = self.read_reg_surely(spi.usr2).await?;
        Ok(Controller { usr, usr2 })
    }

    /// Puts them back, for the ROM's own flash functions.
    pub(crate) async fn spi_end(&mut self, controller: Controller) -> Result<(), Error> {
        let spi = &self.chip.spi;
        self.write_regs(&[(spi.usr, controller.usr), (spi.usr2, controller.usr2)])
            .await
    }

    /// Makes a transaction and returns what was read.
    pub(crate) async fn spi(&mut self, transaction: Transaction) -> Result<Vec<u8>, Error> {
        let read = transaction.read.min(MAX_DATA);
        let offsets: Vec<u32> = (0..read.div_ceil(4) as u32).map(|word| word * 4).collect();
        let words = self.spi_words(transaction, &offsets).await?;
        let mut data: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        data.truncate(read);
        Ok(data)
    }

    /// Makes a transaction and returns the words at these offsets, in bytes, of what was read.
    pub(crate) async fn spi_words(
        &mut self,
        transaction: Transaction,
        offsets: &[u32],
    ) -> Result<Vec<u32>, Error> {
        self.spi_write(transaction).await?;
        let spi = &self.chip.spi;
        let mut addresses = vec![spi.cmd];
        addresses.extend(offsets.iter().map(|offset| spi.w0 + offset));
        // Mostly it is done before the first answer is.
        if let Some(mut words) = self.read_together(&addresses).await?
            && words[0] & CMD_USR == 0
        {
            words.remove(0);
            return Ok(words);
        }
        self.spi_wait().await?;
        let mut words = Vec::with_capacity(offsets.len());
        for offset in offsets {
            words.push(self.read_reg(spi.w0 + offset).await?);
        }
        Ok(words)
    }

    /// Reads registers in one round trip. `None`: the line is not good enough for that, or the loader
    /// does not take so many requests.
    async fn read_together(&mut self, addresses: &[u32]) -> Result<Option<Vec<u32>>, Error> {
        if addresses.len() as u32 > self.words_ahead() {
            return Ok(None);
        }
        let timeout = self.channel.timeouts.command;
        match self
            .channel
            .read_words(addresses.iter().copied(), timeout)
            .await
        {
            Ok(words) => Ok(Some(words)),
            Err(Fault::Link(error)) => Err(error.into()),
            Err(_) => {
                self.channel.count_fault();
                self.channel.resync().await?;
                Ok(None)
            }
        }
    }

    /// Sets the controller up for a transaction and starts it.
    async fn spi_write(&mut self, transaction: Transaction) -> Result<(), Error> {
        let spi = &self.chip.spi;
        let Transaction {
            command,
            address,
            dummy_bits,
            write,
            read,
        } = transaction;
        let mut usr = USR_COMMAND;
        let mut usr1 = 0;
        let mut writes = Vec::with_capacity(6);
        if let Some(address) = address {
            usr |= USR_ADDR;
            usr1 |= 23 << ADDR_LEN_SHIFT;
            writes.push((
                spi.addr,
                if spi.address_msb {
                    address << 8
                } else {
                    address
                },
            ));
        }
        if dummy_bits > 0 {
            usr |= USR_DUMMY;
            usr1 |= u32::from(dummy_bits) - 1;
        }
        if let Some((bytes, count)) = write {
            usr |= USR_MOSI;
            let bits = u32::from(count.clamp(1, 4)) * 8 - 1;
            match spi.lengths {
                SpiLengths::Registers { mosi, .. } => writes.push((mosi, bits)),
                SpiLengths::InUsr1 => usr1 |= bits << 17,
            }
            writes.push((spi.w0, bytes));
        }
        if read > 0 {
            usr |= USR_MISO;
            let bits = read.min(MAX_DATA) as u32 * 8 - 1;
            match spi.lengths {
                SpiLengths::Registers { miso, .. } => writes.push((miso, bits)),
                SpiLengths::InUsr1 => usr1 |= bits << 8,
            }
        }
        writes.push((spi.usr1, usr1));
        writes.push((spi.usr, usr));
        writes.push((spi.usr2, COMMAND_8_BITS | u32::from(command)));
        // The last one starts the transaction.
        writes.push((spi.cmd, CMD_USR));
        self.write_regs(&writes).await
    }

    async fn spi_wait(&mut self) -> Result<(), Error> {
        for _ in 0..POLLS {
            if self.read_reg(self.chip.spi.cmd).await? & CMD_USR == 0 {
                return Ok(());
            }
        }
        Err(Error::NotPossible(
            "the SPI controller does not finish a flash command".to_owned(),
        ))
    }

    /// Commands without address or data, one after the other, in one request.
    pub(crate) async fn spi_commands(&mut self, commands: &[u8]) -> Result<(), Error> {
        let spi = &self.chip.spi;
        let mut writes = vec![write(spi.usr1, 0, 0), write(spi.usr, USR_COMMAND, 0)];
        for command in commands {
            writes.push(write(
                spi.usr2,
                COMMAND_8_BITS | u32::from(*command),
                COMMAND_TIME,
            ));
            writes.push(write(spi.cmd, CMD_USR, 0));
        }
        self.write_regs_in_time(writes).await?;
        self.spi_wait().await
    }

    /// A command without address or data.
    pub(crate) async fn spi_command(&mut self, command: u8) -> Result<(), Error> {
        self.spi(Transaction {
            command,
            ..Transaction::default()
        })
        .await?;
        Ok(())
    }

    /// JEDEC id: manufacturer in the low byte, then type, then capacity.
    pub(crate) async fn spi_flash_id(&mut self) -> Result<u32, Error> {
        let mut last = None;
        loop {
            let transaction = Transaction {
                command: flash::READ_ID,
                read: 3,
                ..Transaction::default()
            };
            let id = self.spi(transaction).await?;
            let id = id
                .iter()
                .rev()
                .fold(0, |id, byte| id << 8 | u32::from(*byte));
            if self.channel.faults() == 0 || last == Some(id) {
                return Ok(id);
            }
            last = Some(id);
        }
    }

    /// Erases one sector, or the whole chip, and waits until that is done.
    pub(crate) async fn spi_erase(
        &mut self,
        sector: Option<u32>,
        limit: Duration,
    ) -> Result<(), Error> {
        self.spi_command(flash::WRITE_ENABLE).await?;
        let command = if sector.is_some() {
            flash::SECTOR_ERASE
        } else {
            flash::CHIP_ERASE
        };
        let transaction = Transaction {
            command,
            address: sector,
            ..Transaction::default()
        };
        self.spi(transaction).await?;
        let pause = if sector.is_some() { 5 } else { 50 };
        self.spi_idle(limit, Duration::from_millis(pause)).await
    }

    /// Waits until the flash is not busy, and looks again after each pause.
    pub(crate) async fn spi_idle(&mut self, limit: Duration, pause: Duration) -> Result<(), Error> {
        let deadline = self.channel.now() + limit;
        loop {
            let status = self.spi_byte(flash::READ_STATUS).await?;
            if u32::from(status) & flash::BUSY == 0 {
                return Ok(());
            }
            if self.channel.now() > deadline {
                return Err(Error::NotPossible(format!(
                    "the flash is still busy after {} s; it may be slow, worn out or \
                     write-protected",
                    limit.as_secs_f32()
                )));
            }
            self.channel.link_mut().sleep(pause).await?;
        }
    }

    /// The one byte that a command answers.
    pub(crate) async fn spi_byte(&mut self, command: u8) -> Result<u8, Error> {
        let transaction = Transaction {
            command,
            read: 1,
            ..Transaction::default()
        };
        let answer = self.spi(transaction).await?;
        Ok(answer.first().copied().unwrap_or_default())
    }
}

fn write(address: u32, value: u32, delay_us: u32) -> RegisterWrite {
    RegisterWrite {
        address,
        value,
        mask: u32::MAX,
        delay_us,
    }
}
