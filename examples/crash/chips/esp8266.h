/* ESP8266: the technical reference; eagle_soc.h and uart_register.h of ESP8266_RTOS_SDK. */
#define CHIP_NAME "ESP8266"
#define UART_READ 0x60000000
#define UART_WRITE 0x60000000
#define UART_STATUS 0x6000001C

#define RESET_REGISTER 0x60000700
#define RESET_BIT (1u << 31)
