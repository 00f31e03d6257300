/* ESP32-C6: Technical Reference Manual; ESP-IDF's uart_reg.h, timer_group_reg.h, lp_wdt_reg.h,
 * plic_reg.h, interrupts.h. */
#define CHIP_NAME "ESP32-C6"
#define UART_READ 0x60000000
#define UART_WRITE 0x60000000
#define UART_STATUS 0x6000001C

#define TIMG0 0x60008000
#define TIMG1 0x60009000
#define TIMG_INTERRUPTS 0x70
#define TIMG_WDT_BIT (1u << 1)
#define TIMG_WDT_FLAGS (1u << 22) /* CONF_UPDATE_EN */
#define RTC_WDT 0x600B1C00
#define RTC_WDT_PROTECT 0x600B1C18
#define SWD_CONFIG 0x600B1C1C
#define SWD_AUTO_FEED (1u << 18)
#define SWD_PROTECT 0x600B1C20
#define SWD_KEY 0x50D83AA1

#define MATRIX 0x60010000
#define SOURCE_TIMER 51     /* timer 0 of group 0 */
#define SOURCE_TASK_WDT 53  /* watchdog of group 0 */
#define SOURCE_INT_WDT 56   /* watchdog of group 1 */
#define CONTROLLER 0x20001000
#define HAS_MIE
#define HAS_ATOMICS

#define RESET_REGISTER 0x600B1034
#define RESET_BIT (1u << 31)
