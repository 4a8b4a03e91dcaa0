/* Reads all values of all devices again and again with libmodbus, one request at a time, as its examples do.
   Arguments: seconds, first register of the values, values per device, registers per request, ports.
   Prints values read, seconds, and CPU seconds of this process. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    double seconds = atof(argv[1]);
    int first = atoi(argv[2]), values = atoi(argv[3]), most = atoi(argv[4]), devices = argc - 5;
    int end = first + 2 * values;
    uint16_t *registers = malloc(2 * end);
    float *decoded = malloc(sizeof(float) * values);
    modbus_t **device = malloc(devices * sizeof(modbus_t *));
    for (int d = 0; d < devices; d++) {
        device[d] = modbus_new_tcp("127.0.0.1", atoi(argv[5 + d]));
        modbus_set_slave(device[d], 1);
        if (modbus_connect(device[d]) != 0)
            return 1;
    }
    long long read = 0;
    double begin = now(), cpu_begin = cpu();
    while (now() - begin < seconds)
        for (int d = 0; d < devices; d++) {
            for (int start = 0; start < end; start += most) {
                int count = end - start < most ? end - start : most;
                if (modbus_read_registers(device[d], start, count, registers + start) != count)
                    return 1;
            }
            for (int k = 0; k < values; k++)
                decoded[k] = modbus_get_float_abcd(registers + first + 2 * k);
            read += values + 1;
        }
    printf("%lld %f %f\n", read, now() - begin, cpu() - cpu_begin);
    return decoded[0] != decoded[0];
}
