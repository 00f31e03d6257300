"""Prints, as JSON, what esptool knows of a chip and how it reads given register words.

The first argument names the chip; standard input holds a list of objects that map addresses
(decimal text) to words.
"""

import json
import sys

import esptool.targets.esp32 as esp32
from esptool.targets import CHIP_DEFS

NUMBERS = """
    IMAGE_CHIP_ID MAGIC_VALUE BOOTLOADER_FLASH_OFFSET UF2_FAMILY_ID FLASH_ENCRYPTED_WRITE_ALIGN
    SPI_REG_BASE SPI_USR_OFFS SPI_USR1_OFFS SPI_USR2_OFFS SPI_MOSI_DLEN_OFFS SPI_MISO_DLEN_OFFS
    SPI_W0_OFFS SPI_ADDR_REG_MSB UART_DATE_REG_ADDR UART_CLKDIV_REG XTAL_CLK_DIVIDER
    ESP_RAM_BLOCK USB_OTG_BLOCK_SIZE
    USB_OTG_SUPPORTED USB_SERIAL_JTAG_SUPPORTED WATCHDOG_RESET_SUPPORTED SECURITY_INFO_SUPPORTED
    CUSTOM_SPI_FLASH_PINS_SUPPORTED FLASH_32BIT_ADDR_SUPPORTED USES_MAGIC_VALUE
    IROM_MAP_START IROM_MAP_END DROM_MAP_START DROM_MAP_END
    EFUSE_BASE EFUSE_RD_REG_BASE EFUSE_BLOCK1_ADDR EFUSE_BLOCK2_ADDR
    RTC_CNTL_WDTCONFIG0_REG RTC_CNTL_WDTCONFIG1_REG RTC_CNTL_WDTWPROTECT_REG RTC_CNTL_WDT_WKEY
    RTC_CNTL_SWD_CONF_REG RTC_CNTL_SWD_AUTO_FEED_EN RTC_CNTL_SWD_WPROTECT_REG RTC_CNTL_SWD_WKEY
    GPIO_STRAP_REG GPIO_STRAP_SPI_BOOT_MASK RTC_CNTL_OPTION1_REG RTC_CNTL_FORCE_DOWNLOAD_BOOT_MASK
    RTCCALICFG1 TIMERS_RTC_CALI_VALUE TIMERS_RTC_CALI_VALUE_S
    LP_SYSTEM_REG_ANA_XPD_PAD_GROUP_REG PMU_EXT_LDO_P0_0P1A_ANA_REG PMU_ANA_0P1A_EN_CUR_LIM_0
    PMU_EXT_LDO_P0_0P1A_REG PMU_0P1A_TARGET0_0 PMU_0P1A_FORCE_TIEH_SEL_0 PMU_DATE_REG
    PMU_DATE_FLASH_FORCE_ON EFUSE_RD_REPEAT_DATA1_REG EFUSE_DOWNLOAD_MODE_XPD_ON_MASK
""".split()

TABLES = "FLASH_SIZES FLASH_FREQUENCY MEMORY_MAP KEY_PURPOSES".split()

lines = []


class Log:
    def __getattr__(self, _):
        return lambda *args, **_: lines.append(" ".join(map(str, args)))


def attempt(function):
    """The value, or None where the chip does not have such a thing."""
    try:
        return function()
    except Exception:
        return None


def reading(cls, words):
    chip = cls.__new__(cls)
    chip.read_reg = lambda addr, *_, **__: words[str(addr)]
    chip.secure_download_mode = False
    lines.clear()
    attempt(chip.get_flash_voltage)
    mac = attempt(chip.read_mac)
    eui64 = attempt(lambda: chip.read_mac("EUI64"))
    blocks = range(getattr(chip, "EFUSE_MAX_KEY", -1) + 1)
    return {
        "description": chip.get_chip_description(),
        "features": chip.get_chip_features(),
        "revision": attempt(chip.get_chip_revision),
        "mac": mac and ":".join(f"{byte:02x}" for byte in mac),
        "eui64": eui64 and ":".join(f"{byte:02x}" for byte in eui64),
        "chip_id": attempt(chip.chip_id),
        "voltage": lines[:1],
        "secure_boot": bool(attempt(chip.get_secure_boot_enabled)),
        "secure_boot_v1": bool(attempt(chip.get_secure_boot_v1_enabled)),
        "encryption": bool(attempt(chip.get_flash_encryption_enabled)),
        "no_manual_encrypt": bool(attempt(chip.get_encrypted_download_disabled)),
        "key": bool(attempt(chip.is_flash_encryption_key_valid)),
        "crypt_config": attempt(chip.get_flash_crypt_config),
        "purposes": [p for p in (attempt(lambda: chip.get_key_block_purpose(b)) for b in blocks) if p is not None],
        "flash_type": attempt(chip.flash_type),
        "pads": attempt(chip.get_chip_spi_pads) if cls.CHIP_NAME == "ESP32" else None,
    }


def pins(cls, connection):
    """Pins that are accepted when put where `connection` puts them."""
    chip = cls.__new__(cls)
    accepted = []
    for pin in range(64):
        try:
            chip.check_spi_connection(connection(pin))
            accepted.append(pin)
        except Exception:
            pass
    return accepted


cls = CHIP_DEFS[sys.argv[1]]
for module in {sys.modules[base.__module__] for base in cls.__mro__ if "targets" in base.__module__}:
    module.log = Log()
report = {"CHIP_NAME": cls.CHIP_NAME, "own": sorted(vars(cls))}
report.update({name: getattr(cls, name, None) for name in NUMBERS + TABLES})
report["crystal"] = attempt(lambda: cls.__new__(cls).get_crystal_freq())
report["pins"] = pins(cls, lambda pin: (pin, pin, pin, 0, pin))
report["hd_pins"] = pins(cls, lambda pin: (0, 0, 0, pin, 0))
report["known"] = {
    name: [chip.IMAGE_CHIP_ID, chip.CHIP_NAME]
    for name, chip in CHIP_DEFS.items()
    if name != "esp8266"
}
report["readings"] = [reading(cls, words) for words in json.load(sys.stdin)]
json.dump(report, sys.stdout)
