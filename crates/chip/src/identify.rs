//! What a chip says of itself: part, revision, features, MAC.

use crate::model::*;
use crate::words::{Deposit, DepositError, Words, WordsError, word};
use crate::{Eui64, MacAddress, Revision};

/// What a chip says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// Part name, such as `ESP32-C3 (QFN32)`.
    pub part: String,
    /// Wafer revision; `None` for chips without one (ESP8266).
    pub revision: Option<Revision>,
    /// Part and revision as they are printed: `ESP32-C3 (QFN32) (revision v0.4)`.
    pub description: String,
    /// Features in the order in which they are printed.
    pub features: Vec<String>,
    /// Base MAC address.
    pub mac: MacAddress,
    /// Address for IEEE 802.15.4, where the chip has that radio.
    pub eui64: Option<Eui64>,
}

impl Chip {
    /// Addresses of all words that [`Self::identify`] can need, ascending, each once.
    #[must_use]
    pub fn identity_words(&self) -> Vec<u32> {
        let identity = &self.identity;
        let parts = identity.fields.iter().flat_map(|field| field.parts);
        let mut words: Vec<u32> = parts.map(|bits| bits.addr).collect();
        words.extend([identity.mac.low, identity.mac.high]);
        if let MacLayout::Esp8266 { oui } = identity.mac.layout {
            words.push(oui);
        }
        words.sort_unstable();
        words.dedup();
        words
    }

    /// Works out what the chip says of itself.
    ///
    /// # Errors
    /// A word that is needed is missing, or the MAC address cannot be known.
    pub fn identify(&self, words: Words<'_>) -> Result<Identification, WordsError> {
        let identity = &self.identity;
        let part = identity
            .first(identity.part, words)?
            .unwrap_or_else(|| self.name.to_owned());
        let revision = self.revision(words)?;
        let description = match revision {
            Some(revision) => format!("{part} (revision {revision})"),
            None => part.clone(),
        };
        let mut features = Vec::new();
        for rules in identity.features {
            features.extend(
                identity
                    .first(rules, words)?
                    .filter(|text| !text.is_empty()),
            );
        }
        let mac = identity.mac.read(words)?;
        let eui64 = identity.mac.eui64(words)?;
        Ok(Identification {
            part,
            revision,
            description,
            features,
            mac,
            eui64,
        })
    }

    /// The wafer revision; `None` for chips without one.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn revision(&self, words: Words<'_>) -> Result<Option<Revision>, WordsError> {
        if !self.identity.has_revision {
            return Ok(None);
        }
        let field = |name| self.identity.read(name, words);
        let (major, minor) = (field("major")?, field("minor")?);
        if self.quirks.contains(&Quirk::Eco0Revision)
            && minor & 7 == 0
            && field("block_major")? == 1
            && field("block_minor")? == 1
        {
            return Ok(Some(Revision::new(0, 0)));
        }
        let byte = |value| u8::try_from(value).unwrap_or(u8::MAX);
        Ok(Some(Revision::new(byte(major), byte(minor))))
    }

    /// The inverse of [`Self::revision`], for a simulator's eFuses.
    ///
    /// # Errors
    /// The chip's fields cannot hold this revision.
    pub fn deposit_revision(
        &self,
        revision: Revision,
        set: Deposit<'_>,
    ) -> Result<(), DepositError> {
        for (name, value) in [("major", revision.major()), ("minor", revision.minor())] {
            match self.identity.field(name) {
                Some(field) => field.deposit(value.into(), set)?,
                None => {
                    return Err(DepositError {
                        field: "revision",
                        value: revision.0.into(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The number that `chip-id` prints for an ESP8266, from the lower bytes of its MAC; `None` for
    /// other chips.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn numeric_chip_id(&self, words: Words<'_>) -> Result<Option<u32>, WordsError> {
        if !self.quirks.contains(&Quirk::NumericChipId) {
            return Ok(None);
        }
        let low = word(words, self.identity.mac.low)?;
        let high = word(words, self.identity.mac.high)?;
        Ok(Some(low >> 24 | (high & 0x00ff_ffff) << 8))
    }
}

impl Identity {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// A field's value; a field that the chip does not have reads as 0.
    fn read(&self, name: &str, words: Words<'_>) -> Result<u32, WordsError> {
        self.field(name).map_or(Ok(0), |field| field.read(words))
    }

    /// The text of the first rule that holds.
    fn first(&self, rules: &[Rule], words: Words<'_>) -> Result<Option<String>, WordsError> {
        for rule in rules {
            if self.holds(rule, words)? {
                return self.fill(rule.text, words).map(Some);
            }
        }
        Ok(None)
    }

    fn holds(&self, rule: &Rule, words: Words<'_>) -> Result<bool, WordsError> {
        for (name, values) in rule.when {
            if !values.contains(&self.read(name, words)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replaces each `{field}` by what the field shows.
    fn fill(&self, text: &str, words: Words<'_>) -> Result<String, WordsError> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, (name, after))) = rest
            .split_once('{')
            .and_then(|(a, b)| Some((a, b.split_once('}')?)))
        {
            filled.push_str(before);
            if let Some(field) = self.field(name) {
                filled.push_str(&field.show(words)?);
            }
            rest = after;
        }
        Ok(filled + rest)
    }
}

/// OUIs that the third byte of an ESP8266's second MAC word stands for (ESP8266 SDK).
const ESP8266_OUIS: [(u8, [u8; 3]); 2] = [(0, [0x18, 0xfe, 0x34]), (1, [0xac, 0xd0, 0x74])];

impl Mac {
    /// The base MAC address.
    ///
    /// # Errors
    /// A word is missing, or the ESP8266's OTP does not tell the OUI.
    pub fn read(&self, words: Words<'_>) -> Result<MacAddress, WordsError> {
        let [l3, l2, l1, l0] = word(words, self.low)?.to_be_bytes();
        let [_, selector, h1, h0] = word(words, self.high)?.to_be_bytes();
        let MacLayout::Esp8266 { oui } = self.layout else {
            return Ok(MacAddress([h1, h0, l3, l2, l1, l0]));
        };
        let [_, a, b, c] = match word(words, oui)?.to_be_bytes() {
            [0, 0, 0, 0] => {
                let known = ESP8266_OUIS.iter().find(|(value, _)| *value == selector);
                let (_, [a, b, c]) = known.ok_or(WordsError::UnknownOui(selector))?;
                [0, *a, *b, *c]
            }
            whole => whole,
        };
        Ok(MacAddress([a, b, c, h1, h0, l3]))
    }

    /// The base MAC with the extension in its middle, where the chip has one.
    ///
    /// # Errors
    /// A word is missing.
    pub fn eui64(&self, words: Words<'_>) -> Result<Option<Eui64>, WordsError> {
        if self.layout != MacLayout::Eui64 {
            return Ok(None);
        }
        let [e0, e1, _, _] = word(words, self.high)?.to_be_bytes();
        let mac = self.read(words)?;
        Ok(Some(Eui64::new(mac, [e0, e1])))
    }

    /// The inverse of [`Self::read`], for a simulator's eFuses. An extension, where the chip has
    /// one, stays.
    pub fn deposit(&self, mac: MacAddress, set: Deposit<'_>) {
        let [a, b, c, d, e, f] = mac.0;
        let MacLayout::Esp8266 { oui } = self.layout else {
            set(self.low, u32::MAX, u32::from_be_bytes([c, d, e, f]));
            set(self.high, 0xffff, u32::from_be_bytes([0, 0, a, b]));
            return;
        };
        set(self.low, 0xff00_0000, u32::from_be_bytes([f, 0, 0, 0]));
        let (selector, whole) = match ESP8266_OUIS.iter().find(|(_, known)| *known == [a, b, c]) {
            Some((selector, _)) => (*selector, 0),
            None => (0, u32::from_be_bytes([0, a, b, c])),
        };
        set(
            self.high,
            0x00ff_ffff,
            u32::from_be_bytes([0, selector, d, e]),
        );
        set(oui, 0x00ff_ffff, whole);
    }
}
