/* Pointers that are null: of an array, and of a structure with members. */

#include "faults.h"

struct calibration {
    int32_t offset;
    int32_t scale;
};

struct sensor {
    char name[16];
    uint32_t readings[5];
    struct calibration calibration; /* at 0x24 */
    const struct sensor *next;
};

static const struct sensor hygrometer = {"hygrometer", {41, 40, 42, 41, 43}, {-3, 1}, 0};
static const struct sensor thermometer = {"thermometer", {18, 18, 19, 20, 21}, {2, 1}, &hygrometer};
static const struct sensor *volatile sensors = &thermometer;

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

STEP static const struct sensor *sensor_find(const char *name)
{
    const struct sensor *sensor = sensors;

    while (sensor && !same(sensor->name, name)) {
        sensor = sensor->next;
    }
    return sensor;
}

INLINE int32_t calibrated(const struct calibration *calibration, int32_t raw)
{
    return raw + calibration->offset;
}

STEP static int32_t sensor_convert(const struct sensor *sensor, int32_t raw)
{
    return calibrated(&sensor->calibration, raw);
}

STEP static int32_t sensor_read(const char *name, int32_t raw)
{
    /* Nobody asks whether there is such a sensor. */
    return sensor_convert(sensor_find(name), raw) + 1;
}

void fault_null_member(void)
{
    result = (uint32_t)sensor_read("barometer", 1013);
}

/* Nobody has allocated it. */
static const uint32_t *volatile history;

INLINE uint32_t value_at(const volatile uint32_t *values, unsigned index)
{
    return values[index];
}

STEP static uint32_t average_of_four(const uint32_t *values)
{
    uint32_t sum = value_at(values, 0);

    for (unsigned i = 1; i < 4; i++) {
        sum += value_at(values, i);
    }
    return sum >> 2;
}

STEP static uint32_t sensor_average(void)
{
    return average_of_four(history) + 1;
}

void fault_null_load(void)
{
    result = sensor_average();
}
