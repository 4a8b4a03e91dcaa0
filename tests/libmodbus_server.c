/* A libmodbus server for tests: register i of all areas is (7919 i + 13) mod 65536, every third bit is on.
   Serves connections on a free port of the loopback, which it prints, until it is killed. */

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <sys/select.h>
#include <unistd.h>

enum { REGISTERS = 5000 };

int main(void) {
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(REGISTERS, REGISTERS, REGISTERS, REGISTERS);
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    int listener = modbus_tcp_listen(context, 8);
    if (listener < 0 || map == NULL || getsockname(listener, (struct sockaddr *)&at, &size) < 0)
        return 1;
    for (int i = 0; i < REGISTERS; i++) {
        map->tab_registers[i] = map->tab_input_registers[i] = (uint16_t)(i * 7919 + 13);
        map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
    }
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);

    fd_set open_ones;
    FD_ZERO(&open_ones);
    FD_SET(listener, &open_ones);
    for (;;) {
        fd_set ready = open_ones;
        if (select(FD_SETSIZE, &ready, NULL, NULL, NULL) < 0)
            return 1;
        for (int one = 0; one < FD_SETSIZE; one++) {
            if (!FD_ISSET(one, &ready))
                continue;
            if (one == listener) {
                int joined = accept(listener, NULL, NULL);
                if (joined >= 0)
                    FD_SET(joined, &open_ones);
                continue;
            }
            uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            modbus_set_socket(context, one);
            int length = modbus_receive(context, query);
            if (length > 0)
                modbus_reply(context, query, length, map);
            else if (length < 0) {
                close(one);
                FD_CLR(one, &open_ones);
            }
        }
    }
}
