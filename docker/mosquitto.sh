#!/bin/sh
# Starts Mosquitto with the passwords that compose mounts as secrets. Mosquitto wants them hashed, and both files its
# own and closed to others, so they are made anew at each start, in memory.
set -eu
umask 077
{
    printf 'gateway:%s\n' "$(cat /run/secrets/mqtt_password)"
    printf 'reader:%s\n' "$(cat /run/secrets/mqtt_reader_password)"
} >/tmp/passwords
mosquitto_passwd -U /tmp/passwords
cat /mosquitto/config/mosquitto.acl >/tmp/acl
exec mosquitto -c /mosquitto/config/mosquitto.conf
