/* ESP32-S3: Technical Reference Manual; ESP-IDF's uart_reg.h, timer_group_reg.h, rtc_cntl_reg.h,
 * interrupt_core0_reg.h, interrupts.h. */
#define CHIP_NAME "ESP32-S3"
#define UART_READ 0x60000000
#define UART_WRITE 0x60000000
#define UART_STATUS 0x6000001C

#define TIMG0 0x6001F000
#define TIMG1 0x60020000
#define TIMG_INTERRUPTS 0x70
#define TIMG_WDT_BIT (1u << 2)
#define TIMG_WDT_FLAGS (1u << 22) /* CONF_UPDATE_EN */
#define RTC_WDT 0x60008098
#define RTC_WDT_PROTECT 0x600080B0
#define SWD_CONFIG 0x600080B4
#define SWD_AUTO_FEED (1u << 31)
#define SWD_PROTECT 0x600080B8
#define SWD_KEY 0x8F1D312A

#define MATRIX 0x600C2000
#define SOURCE_TASK_WDT 52  /* watchdog of group 0 */
#define SOURCE_INT_WDT 55   /* watchdog of group 1 */
#define HAS_LOOPS
#define HAS_FLOAT
#define HAS_S32C1I

#define RESET_REGISTER 0x60008000
#define RESET_BIT (1u << 31)
