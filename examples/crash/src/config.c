/* What software notices by itself. */

#include "esp.h"
#include "faults.h"

STEP static const char *config_find(const char *key)
{
    return *key == 'n' ? "weather station" : 0;
}

STEP static const char *config_require(const char *key)
{
    const char *value = config_find(key);

    if (!value) {
        abort();
    }
    return value;
}

void fault_abort(void)
{
    result = (uint8_t)*config_require("name");
    result = (uint8_t)*config_require("server");
}

#define MAX_CHANNELS 8

STEP static uint32_t config_channel(unsigned channel)
{
    assert(channel < MAX_CHANNELS);
    return 1u << channel;
}

void fault_assert(void)
{
    result = config_channel(3) + 1;
    result = config_channel((unsigned)result) + config_channel(3);
}

STEP static esp_err_t radio_start(unsigned channel)
{
    return channel ? ESP_OK : ESP_ERR_INVALID_STATE;
}

STEP static void radio_connect(unsigned channel)
{
    ESP_ERROR_CHECK(radio_start(channel));
    result = channel;
}

void fault_error_check(void)
{
    radio_connect(6);
    radio_connect(0);
    keep();
}

