/* ESP32: Technical Reference Manual; ESP-IDF's uart_reg.h, timer_group_reg.h, rtc_cntl_reg.h,
 * dport_reg.h, interrupts.h; errata: the UART is written over the AHB bus. */
#define CHIP_NAME "ESP32"
#define UART_READ 0x3FF40000
#define UART_WRITE 0x60000000
#define UART_STATUS 0x3FF4001C

#define TIMG0 0x3FF5F000
#define TIMG1 0x3FF60000
#define TIMG_INTERRUPTS 0x98
#define TIMG_WDT_BIT (1u << 2)
#define TIMG_WDT_FLAGS (1u << 21) /* LEVEL_INT_EN */
#define RTC_WDT 0x3FF4808C
#define RTC_WDT_PROTECT 0x3FF480A4

#define MATRIX 0x3FF00104
#define SOURCE_TASK_WDT 16  /* watchdog of group 0 */
#define SOURCE_INT_WDT 20   /* watchdog of group 1 */
#define HAS_LOOPS
#define HAS_FLOAT
#define HAS_S32C1I

#define RESET_REGISTER 0x3FF48000
#define RESET_BIT (1u << 31)
