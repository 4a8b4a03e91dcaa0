"""MQTT, as a client speaks it: 3.1.1 and 5, QoS 0 and 1. Knows no topic and no gateway.

varint.py     whole numbers as MQTT and protobuf have them   pure
packets.py    control packets                                pure
properties.py what MQTT 5 adds to them                       pure
flight.py     what has been sent and not been answered yet
connection.py one connection to one broker
access.py     the way to it: version, TLS, user
sparkplug/    the payload of Sparkplug B, written and read
"""

from gateway.mqtt.access import PLAIN, PORTS, Access, connect
from gateway.mqtt.connection import Hear, Message, MessageRefused, Mqtt, Receive, TooLarge

__all__ = ["PLAIN", "PORTS", "Access", "Hear", "Message", "MessageRefused", "Mqtt", "Receive", "TooLarge", "connect"]
