/* Stands for libnvidia-ml.so.1: boards of known, constant power, with scripted faults.
 *
 * The environment variable NVML_STUB names a file of lines, their fields parted by tabs:
 *   init     code                                    what nvmlInit returns
 *   gpu      uuid name watts base_mj step_ms counter power mig_slices power_factor
 *   mig      gpu-number uuid gpu-instance compute-instance slices
 *   process  uuid pid
 *   state    uuid load memory_load clock max_clock celsius reasons slowed_by_power slowed_by_heat
 *            (a board without one reports none of it; slowed: shares of the time for which the counters grow)
 *   fault    function uuid|* after times code hang_ms value_mj
 *            (after `after` calls, for `times` calls: sleep, then return code, or the value where it is not negative)
 *   calls    file                                    gets "function uuid" appended for each call
 * A counter is base + watts * CLOCK_MONOTONIC since the library was loaded, in steps of step_ms.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { MAX = 64, TEXT = 96 };

typedef struct {
    char uuid[TEXT], name[TEXT];
    double watts, base_mj, step_s, power_factor;
    int counter, power, mig_slices;
    int parent, gi, ci, slices; /* of a slice; parent -1: a board */
    int has_state;
    unsigned load, memory_load, clock, max_clock, celsius, reasons;
    double slowed[2];
} Device;
typedef struct {
    char function[TEXT], uuid[TEXT];
    int after, times, code, hang_ms;
    long long value_mj;
} Fault;
typedef struct {
    char uuid[TEXT];
    unsigned pid;
} Process;
/* nvmlProcessInfo_t, second and third version; nvmlDeviceAttributes_t. */
typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gi, ci;
} ProcessInfo;
typedef struct {
    unsigned multiprocessors, copy, decoders, encoders, jpeg, ofa, gi_slices, ci_slices;
    unsigned long long memory_mb;
} Attributes;
/* nvmlUtilization_t; nvmlViolationTime_t: microseconds and nanoseconds. */
typedef struct {
    unsigned gpu, memory;
} Utilization;
typedef struct {
    unsigned long long reference, violation;
} ViolationTime;

static Device devices[MAX];
static Fault faults[MAX];
static Process processes[MAX];
static int n_devices, n_faults, n_processes, open_count, init_code;
static char calls_file[4096];
static double loaded_at;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

__attribute__((constructor)) static void load(void) {
    char line[4096], *f[16];
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    loaded_at = now();
    while (file && fgets(line, sizeof line, file)) {
        int n = 0;
        line[strcspn(line, "\n")] = 0;
        for (char *p = line, *w; n < 16 && (w = strsep(&p, "\t"));) f[n++] = w;
        if (!strcmp(f[0], "init")) init_code = atoi(f[1]);
        if (!strcmp(f[0], "calls")) snprintf(calls_file, sizeof calls_file, "%s", f[1]);
        if (!strcmp(f[0], "gpu") && n_devices < MAX) {
            Device *d = &devices[n_devices++];
            snprintf(d->uuid, TEXT, "%s", f[1]);
            snprintf(d->name, TEXT, "%s", f[2]);
            d->watts = atof(f[3]);
            d->base_mj = atof(f[4]);
            d->step_s = atof(f[5]) / 1000;
            d->counter = atoi(f[6]);
            d->power = atoi(f[7]);
            d->mig_slices = atoi(f[8]);
            d->power_factor = atof(f[9]);
            d->parent = -1;
        }
        if (!strcmp(f[0], "mig") && n_devices < MAX) {
            Device *d = &devices[n_devices++];
            d->parent = atoi(f[1]);
            snprintf(d->uuid, TEXT, "%s", f[2]);
            d->gi = atoi(f[3]);
            d->ci = atoi(f[4]);
            d->slices = atoi(f[5]);
        }
        if (!strcmp(f[0], "state"))
            for (int i = 0; i < n_devices; i++)
                if (!strcmp(devices[i].uuid, f[1])) {
                    Device *d = &devices[i];
                    d->has_state = 1;
                    d->load = (unsigned)atoi(f[2]);
                    d->memory_load = (unsigned)atoi(f[3]);
                    d->clock = (unsigned)atoi(f[4]);
                    d->max_clock = (unsigned)atoi(f[5]);
                    d->celsius = (unsigned)atoi(f[6]);
                    d->reasons = (unsigned)atoi(f[7]);
                    d->slowed[0] = atof(f[8]);
                    d->slowed[1] = atof(f[9]);
                }
        if (!strcmp(f[0], "process") && n_processes < MAX) {
            snprintf(processes[n_processes].uuid, TEXT, "%s", f[1]);
            processes[n_processes++].pid = (unsigned)atoi(f[2]);
        }
        if (!strcmp(f[0], "fault") && n_faults < MAX) {
            Fault *t = &faults[n_faults++];
            snprintf(t->function, TEXT, "%s", f[1]);
            snprintf(t->uuid, TEXT, "%s", f[2]);
            t->after = atoi(f[3]);
            t->times = atoi(f[4]);
            t->code = atoi(f[5]);
            t->hang_ms = atoi(f[6]);
            t->value_mj = atoll(f[7]);
        }
    }
    if (file) fclose(file);
}

/* Note a call and find out whether it is to fail; *value gets a scripted value, or -1. */
static int called(const char *function, const Device *d, long long *value) {
    char line[2 * TEXT + 2];
    const char *uuid = d ? d->uuid : "-";
    int fd, length = snprintf(line, sizeof line, "%s %s\n", function, uuid);
    if (value) *value = -1;
    if (calls_file[0] && (fd = open(calls_file, O_WRONLY | O_APPEND | O_CREAT, 0600)) >= 0) {
        if (write(fd, line, (size_t)length) != length) abort();
        close(fd);
    }
    for (int i = 0; i < n_faults; i++) {
        Fault *t = &faults[i];
        if (strcmp(t->function, function) || (strcmp(t->uuid, "*") && strcmp(t->uuid, uuid))) continue;
        if (t->after > 0) {
            t->after--;
        } else if (t->times > 0) {
            t->times--;
            usleep((useconds_t)t->hang_ms * 1000);
            if (value && t->value_mj >= 0) *value = t->value_mj;
            return t->code;
        }
    }
    return open_count > 0 || !strcmp(function, "nvmlInitWithFlags") ? SUCCESS : UNINITIALIZED;
}

#define CALL(device, value)                                        \
    do {                                                           \
        int code = called(__func__, device, value);                \
        if (code) return code;                                     \
    } while (0)

static Device *board(int number) {
    for (int i = 0; i < n_devices; i++)
        if (devices[i].parent < 0 && number-- == 0) return &devices[i];
    return NULL;
}
static Device *slice(const Device *d, unsigned index) {
    for (int i = 0; i < n_devices; i++)
        if (devices[i].parent >= 0 && board(devices[i].parent) == d && index-- == 0) return &devices[i];
    return NULL;
}
/* \xHH in a text stands for a byte. */
static int copy(char *to, const char *text, unsigned length) {
    unsigned n = 0, byte;
    for (; *text && n < length; n++) {
        if (sscanf(text, "\\x%2x", &byte) == 1) {
            to[n] = (char)byte;
            text += 4;
        } else {
            to[n] = *text++;
        }
    }
    if (n == length) return TOO_SMALL;
    to[n] = 0;
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    CALL(NULL, NULL);
    if (init_code) return init_code;
    open_count++;
    return SUCCESS;
}
/* For bindings that are older than the function above. */
int nvmlInit_v2(void) {
    return nvmlInitWithFlags(0);
}
int nvmlShutdown(void) {
    CALL(NULL, NULL);
    open_count--;
    return SUCCESS;
}
const char *nvmlErrorString(int code) {
    (void)code;
    return "an error of the stub";
}
int nvmlDeviceGetCount_v2(unsigned *count) {
    CALL(NULL, NULL);
    for (*count = 0; board((int)*count); ++*count) {}
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **handle) {
    Device *d = board((int)index);
    CALL(d, NULL);
    *handle = d;
    return d ? SUCCESS : INVALID;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, Device **handle) {
    CALL(NULL, NULL);
    for (int i = 0; i < n_devices; i++)
        if (!strcmp(devices[i].uuid, uuid)) {
            *handle = &devices[i];
            return SUCCESS;
        }
    return NOT_FOUND;
}
int nvmlDeviceGetUUID(Device *d, char *uuid, unsigned length) {
    CALL(d, NULL);
    return copy(uuid, d->uuid, length);
}
int nvmlDeviceGetName(Device *d, char *name, unsigned length) {
    CALL(d, NULL);
    return copy(name, d->name, length);
}
int nvmlDeviceGetTotalEnergyConsumption(Device *d, unsigned long long *mj) {
    long long value;
    double t;
    CALL(d, &value);
    if (!d->counter) return NOT_SUPPORTED;
    t = now() - loaded_at;
    if (d->step_s > 0) t = (long long)(t / d->step_s) * d->step_s;
    *mj = value >= 0 ? (unsigned long long)value : (unsigned long long)(d->base_mj + d->watts * t * 1000);
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(Device *d, unsigned *mw) {
    CALL(d, NULL);
    if (!d->power) return NOT_SUPPORTED;
    *mw = (unsigned)(d->watts * d->power_factor * 1000);
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, unsigned *count, ProcessInfo *rows) {
    unsigned room = *count, n = 0;
    CALL(d, NULL);
    for (int i = 0; i < n_processes; i++)
        if (!strcmp(processes[i].uuid, d->uuid)) {
            if (rows && n < room) {
                memset(&rows[n], 0, sizeof rows[n]);
                rows[n].pid = processes[i].pid;
            }
            n++;
        }
    *count = n;
    return n > room ? TOO_SMALL : SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v2(Device *d, unsigned *count, ProcessInfo *rows) {
    return nvmlDeviceGetComputeRunningProcesses_v3(d, count, rows);
}
int nvmlDeviceGetComputeRunningProcesses(Device *d, unsigned *count, void *rows) {
    (void)rows;
    CALL(d, NULL);
    *count = 0; /* its rows have another form */
    return SUCCESS;
}
int nvmlDeviceGetEnforcedPowerLimit(Device *d, unsigned *mw) {
    CALL(d, NULL);
    if (!d->power) return NOT_SUPPORTED;
    *mw = (unsigned)(d->watts * 2000);
    return SUCCESS;
}
int nvmlDeviceGetMigMode(Device *d, unsigned *current, unsigned *pending) {
    CALL(d, NULL);
    *current = *pending = d->mig_slices > 0;
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *d, unsigned *count) {
    CALL(d, NULL);
    *count = (unsigned)d->mig_slices;
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(Device *d, unsigned index, Device **handle) {
    CALL(d, NULL);
    *handle = slice(d, index);
    return *handle ? SUCCESS : NOT_FOUND;
}
int nvmlDeviceGetGpuInstanceId(Device *d, unsigned *id) {
    CALL(d, NULL);
    *id = (unsigned)d->gi;
    return SUCCESS;
}
int nvmlDeviceGetComputeInstanceId(Device *d, unsigned *id) {
    CALL(d, NULL);
    *id = (unsigned)d->ci;
    return SUCCESS;
}
int nvmlDeviceGetAttributes_v2(Device *d, Attributes *attributes) {
    CALL(d, NULL);
    memset(attributes, 0, sizeof *attributes);
    attributes->gi_slices = attributes->ci_slices = (unsigned)d->slices;
    return SUCCESS;
}

/* What a shared board shows, by further lines of the script:
 *   activity      board-uuid gpu-instance percent     how busy a GPU instance is, by the profiling counters (GPM)
 *   utilization   board-uuid pid percent              how busy a process keeps a board
 *   mode          board-uuid mode                     its virtualization mode
 *   domain        board-uuid scope milliwatts         the mean power of its memory (2) or module (1)
 */
enum { GPM_METRIC_MAX = 477, SM_UTIL = 2, POWER_AVERAGE = 185 };
typedef struct {
    char kind, uuid[TEXT];
    unsigned key;
    double value;
} Shown;
/* nvmlGpmSample_t points to it: busy seconds of an instance at a time. */
typedef struct {
    double time, busy_s;
} GpmSample;
/* nvmlGpmMetric_t, nvmlGpmMetricsGet_t, nvmlGpmSupport_t. */
typedef struct {
    unsigned id;
    int code;
    double value;
    const char *short_name, *long_name, *unit;
} GpmMetric;
typedef struct {
    unsigned version, count;
    GpmSample *first, *second;
    GpmMetric metrics[GPM_METRIC_MAX];
} GpmQuestion;
typedef struct {
    unsigned version, supported;
} GpmSupport;
/* nvmlProcessUtilizationSample_t, nvmlFieldValue_t. */
typedef struct {
    unsigned pid;
    unsigned long long time_us;
    unsigned sm, memory, encoder, decoder;
} ProcessBusy;
typedef struct {
    unsigned field, scope;
    long long time_us, latency_us;
    unsigned type;
    int code;
    union {
        unsigned ui;
        unsigned long long ull;
        double d;
    } value;
} FieldValue;

static Shown shown[MAX];
static int n_shown;

__attribute__((constructor)) static void load_shown(void) {
    char line[4096], kind[16], uuid[TEXT];
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof line, file)) {
        Shown *s = &shown[n_shown];
        double key = 0, value = 0;
        int fields = sscanf(line, "%15[a-z]\t%95[^\t]\t%lf\t%lf", kind, uuid, &key, &value);
        if (fields < 3 || n_shown == MAX) continue;
        if (strcmp(kind, "activity") && strcmp(kind, "utilization") && strcmp(kind, "mode") && strcmp(kind, "domain"))
            continue;
        s->kind = kind[0];
        snprintf(s->uuid, TEXT, "%s", uuid);
        s->key = (unsigned)key;
        s->value = value;
        n_shown++;
    }
    if (file) fclose(file);
}
static Shown *next_shown(char kind, const Device *d, int *from) {
    while (*from < n_shown) {
        Shown *s = &shown[(*from)++];
        if (s->kind == kind && !strcmp(s->uuid, d->uuid)) return s;
    }
    return NULL;
}

int nvmlGpmQueryDeviceSupport(Device *d, GpmSupport *support) {
    int from = 0;
    CALL(d, NULL);
    if (support->version != 1) return INVALID;
    support->supported = next_shown('a', d, &from) != NULL;
    return SUCCESS;
}
int nvmlGpmSampleAlloc(GpmSample **sample) {
    CALL(NULL, NULL);
    *sample = calloc(1, sizeof **sample);
    return SUCCESS;
}
int nvmlGpmSampleFree(GpmSample *sample) {
    CALL(NULL, NULL);
    free(sample);
    return SUCCESS;
}
int nvmlGpmMigSampleGet(Device *d, unsigned instance, GpmSample *sample) {
    int from = 0;
    CALL(d, NULL);
    if (d->parent >= 0) return INVALID; /* it is asked of the board */
    for (Shown *s; (s = next_shown('a', d, &from));)
        if (s->key == instance) {
            sample->time = now() - loaded_at;
            sample->busy_s = sample->time * s->value / 100;
            return SUCCESS;
        }
    return NOT_FOUND;
}
int nvmlGpmMetricsGet(GpmQuestion *question) {
    CALL(NULL, NULL);
    if (question->version != 1 || !question->first || !question->second) return INVALID;
    for (unsigned i = 0; i < question->count; i++) {
        GpmMetric *m = &question->metrics[i];
        m->code = m->id == SM_UTIL && question->second->time > question->first->time ? SUCCESS : NOT_SUPPORTED;
        m->value = 100 * (question->second->busy_s - question->first->busy_s) /
                   (question->second->time - question->first->time);
    }
    return SUCCESS;
}
int nvmlDeviceGetProcessUtilization(Device *d, ProcessBusy *rows, unsigned *count, unsigned long long since_us) {
    int from = 0;
    unsigned room = *count, n = 0;
    CALL(d, NULL);
    for (Shown *s; (s = next_shown('u', d, &from)); n++)
        if (rows && n < room) {
            memset(&rows[n], 0, sizeof rows[n]);
            rows[n].pid = s->key;
            rows[n].time_us = since_us + 1;
            rows[n].sm = (unsigned)s->value;
        }
    *count = n;
    return !n ? NOT_SUPPORTED : !rows || n > room ? TOO_SMALL : SUCCESS;
}
int nvmlDeviceGetVirtualizationMode(Device *d, unsigned *mode) {
    int from = 0;
    Shown *s;
    CALL(d, NULL);
    s = next_shown('m', d, &from);
    *mode = s ? s->key : 0;
    return SUCCESS;
}
int nvmlDeviceGetFieldValues(Device *d, int count, FieldValue *values) {
    CALL(d, NULL);
    for (int i = 0; i < count; i++) {
        int from = 0;
        values[i].code = NOT_SUPPORTED;
        for (Shown *s; (s = next_shown('d', d, &from));)
            if (values[i].field == POWER_AVERAGE && values[i].scope == s->key) {
                values[i].code = SUCCESS;
                values[i].type = 1;
                values[i].value.ui = (unsigned)s->value;
            }
    }
    return SUCCESS;
}
/* The state of a board: all of it or nothing. */
#define STATE(device)                                    \
    do {                                                 \
        CALL(device, NULL);                              \
        if (!(device)->has_state) return NOT_SUPPORTED;  \
    } while (0)

int nvmlDeviceGetUtilizationRates(Device *d, Utilization *load) {
    STATE(d);
    load->gpu = d->load;
    load->memory = d->memory_load;
    return SUCCESS;
}
int nvmlDeviceGetClockInfo(Device *d, int kind, unsigned *mhz) {
    STATE(d);
    if (kind != 1) return INVALID; /* NVML_CLOCK_SM */
    *mhz = d->clock;
    return SUCCESS;
}
int nvmlDeviceGetMaxClockInfo(Device *d, int kind, unsigned *mhz) {
    STATE(d);
    if (kind != 1) return INVALID;
    *mhz = d->max_clock;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(Device *d, int sensor, unsigned *celsius) {
    STATE(d);
    if (sensor != 0) return INVALID; /* NVML_TEMPERATURE_GPU */
    *celsius = d->celsius;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *d, unsigned long long *reasons) {
    STATE(d);
    *reasons = d->reasons;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksEventReasons(Device *d, unsigned long long *reasons) {
    STATE(d);
    *reasons = d->reasons;
    return SUCCESS;
}
int nvmlDeviceGetViolationStatus(Device *d, int policy, ViolationTime *time) {
    double t = now() - loaded_at;
    STATE(d);
    if (policy < 0 || policy > 1) return INVALID; /* NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL */
    time->reference = (unsigned long long)(t * 1e6);
    time->violation = (unsigned long long)(t * d->slowed[policy] * 1e9);
    return SUCCESS;
}
