/* ESP32-S2: Technical Reference Manual; ESP-IDF's uart_reg.h, timer_group_reg.h, rtc_cntl_reg.h,
 * interrupt_reg.h, interrupts.h. The UART's FIFO is on the AHB bus only. */
#define CHIP_NAME "ESP32-S2"
#define UART_READ 0x60000000
#define UART_WRITE 0x60000000
#define UART_STATUS 0x3F40001C

#define TIMG0 0x3F41F000
#define TIMG1 0x3F420000
#define TIMG_INTERRUPTS 0x98
#define TIMG_WDT_BIT (1u << 2)
#define TIMG_WDT_FLAGS (1u << 21) /* LEVEL_INT_EN */
#define RTC_WDT 0x3F408094
#define RTC_WDT_PROTECT 0x3F4080AC

#define MATRIX 0x3F4C2000
#define SOURCE_TASK_WDT 17  /* watchdog of group 0 */
#define SOURCE_INT_WDT 21   /* watchdog of group 1 */

#define RESET_REGISTER 0x3F408000
#define RESET_BIT (1u << 31)
