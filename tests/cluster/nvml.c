/* Stands in for libnvidia-ml.so.1: the functions that sparkscale asks pynvml for, on made-up devices.
 *
 * FAKE_GPUS says how many (2). Device i uses (i + 1) GiB of 80, is (10 * (i + 1)) % busy and draws 100 W; its energy
 * counter goes up by one joule with each question. FAKE_NVML_SILENT makes energy and power unsupported.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NVML_SUCCESS 0
#define NVML_ERROR_INVALID_ARGUMENT 2
#define NVML_ERROR_NOT_SUPPORTED 3

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilization;
typedef long *Device;

static long indices[16];
static unsigned long long questions;

static unsigned int count(void) {
    const char *text = getenv("FAKE_GPUS");
    return text ? (unsigned int)atoi(text) : 2;
}

static int silent(void) { return getenv("FAKE_NVML_SILENT") != NULL; }

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
int nvmlShutdown(void) { return NVML_SUCCESS; }
const char *nvmlErrorString(int result) { (void)result; return "made up"; }

int nvmlDeviceGetCount_v2(unsigned int *found) { *found = count(); return NVML_SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device *device) {
    if (index >= count()) return NVML_ERROR_INVALID_ARGUMENT;
    indices[index] = index;
    *device = &indices[index];
    return NVML_SUCCESS;
}

int nvmlDeviceGetName(Device device, char *name, unsigned int length) {
    snprintf(name, length, "Made-up GPU %ld", *device);
    return NVML_SUCCESS;
}

int nvmlDeviceGetUUID(Device device, char *uuid, unsigned int length) {
    snprintf(uuid, length, "GPU-%08ld-0000", *device);
    return NVML_SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    snprintf(version, length, "0.0.0-made-up");
    return NVML_SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    memory->total = 80ULL << 30;
    memory->used = (unsigned long long)(*device + 1) << 30;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device device, Utilization *rates) {
    rates->gpu = 10 * (*device + 1);
    rates->memory = 5;
    return NVML_SUCCESS;
}

int nvmlDeviceGetPowerUsage(Device device, unsigned int *milliwatts) {
    (void)device;
    if (silent()) return NVML_ERROR_NOT_SUPPORTED;
    *milliwatts = 100000;
    return NVML_SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long *millijoules) {
    (void)device;
    if (silent()) return NVML_ERROR_NOT_SUPPORTED;
    *millijoules = 1000 * ++questions;
    return NVML_SUCCESS;
}
