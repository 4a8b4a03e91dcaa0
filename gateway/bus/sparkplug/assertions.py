"""What a Sparkplug B 3.0 edge node must do, as far as it can be seen on the wire: 66 checks.

Each stands for those assertions of the specification (`tck-id-...`) that one observation decides; two without any, 64
and 65, are what users rely on beyond it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Check:
    """`ids` are assertions of the specification without `tck-id-`."""

    number: int
    what: str
    ids: tuple[str, ...]


_BIRTH: Final = "message-flow-edge-node-birth-publish"
_DEVICE: Final = "message-flow-device-birth-publish"
_OPERATION: Final = "operational-behavior"
_COMMANDS: Final = f"{_OPERATION}-data-commands-rebirth"
_DATA: Final = f"{_OPERATION}-data-publish"
_STATE: Final = f"{_OPERATION}-primary-application-state-with-multiple-servers"

_TABLE: Final = f"""
topics have 4 levels (node) or 5 (device) and begin with spBv1.0
  topic-structure topic-structure-namespace-a topic-structure-namespace-device-id-associated-message-types
  topic-structure-namespace-device-id-non-associated-message-types
ids are UTF-8 without + / #
  topic-structure-namespace-valid-group-id topic-structure-namespace-valid-edge-node-id
  topic-structure-namespace-valid-device-id intro-group-id-string intro-group-id-chars intro-edge-node-id-string
  intro-edge-node-id-chars intro-device-id-string intro-device-id-chars
one client per edge node, device ids unique within it
  topic-structure-namespace-unique-edge-node-descriptor topic-structure-namespace-unique-device-id
  topic-structure-namespace-duplicate-device-id-across-edge-node intro-edge-node-id-uniqueness
  payloads-nbirth-edge-node-descriptor
no two ids or metric names are equal but for case
  case-sensitivity-sparkplug-ids case-sensitivity-metric-names
CONNECT has a clean session (MQTT 3.1.1)
  principles-persistence-clean-session-311
CONNECT has a clean start and no session expiry (MQTT 5)
  principles-persistence-clean-session-50
CONNECT has a will
  {_BIRTH}-will-message payloads-ndeath-will-message
the will is for the topic of the NDEATH
  {_BIRTH}-will-message-topic topics-ndeath-topic
the will has QoS 1
  {_BIRTH}-will-message-qos payloads-ndeath-will-message-qos
the will is not retained
  {_BIRTH}-will-message-will-retained payloads-ndeath-will-message-retain
will and NDEATH are protobuf with one metric, bdSeq
  {_BIRTH}-will-message-payload topics-ndeath-payload
will and NDEATH have no seq
  payloads-ndeath-seq topics-ndeath-seq
bdSeq grows by one with each CONNECT
  {_BIRTH}-will-message-payload-bdSeq topics-nbirth-bdseq-increment
its NCMD is subscribed with QoS 1 before the NBIRTH
  message-flow-edge-node-ncmd-subscribe
its DCMD is subscribed with QoS 1
  message-flow-device-dcmd-subscribe
the first message after the CONNACK is the NBIRTH
  {_BIRTH}-connect principles-birth-certificates-order
NBIRTH: topic
  {_BIRTH}-nbirth-topic topics-nbirth-topic
NBIRTH: QoS 0, not retained
  topics-nbirth-mqtt payloads-nbirth-qos payloads-nbirth-retain {_BIRTH}-nbirth-qos {_BIRTH}-nbirth-retained
NBIRTH: protobuf with a timestamp of now, in UTC
  {_BIRTH}-nbirth-payload topics-nbirth-timestamp payloads-nbirth-timestamp payloads-timestamp-in-UTC
NBIRTH: seq is 0
  topics-nbirth-seq-num payloads-nbirth-seq payloads-sequence-num-req-nbirth {_BIRTH}-nbirth-payload-seq
NBIRTH: bdSeq is an Int64, and that of the will
  topics-nbirth-bdseq-included topics-nbirth-bdseq-matching payloads-nbirth-bdseq payloads-nbirth-bdseq-repeat
  payloads-ndeath-bdseq {_BIRTH}-nbirth-payload-bdSeq
NBIRTH: Node Control/Rebirth is a Boolean, false
  topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req {_COMMANDS}-name {_COMMANDS}-datatype {_COMMANDS}-value
NBIRTH: Node Control/Rebirth has no alias
  {_COMMANDS}-name-aliases
NBIRTH: each metric has a name, a datatype, and a value or is null
  topics-nbirth-metrics {_DATA}-nbirth-values payloads-metric-datatype-req payloads-name-requirement
each metric of births and data has a timestamp
  payloads-name-birth-data-requirement payloads-metric-timestamp-in-UTC
each metric of an NDATA was in the NBIRTH
  topics-nbirth-metric-reqs {_DATA}-nbirth
the NBIRTH comes before each DBIRTH
  {_DEVICE}-nbirth-wait
DBIRTH: topic, with group and node of the NBIRTH
  {_DEVICE}-dbirth-topic {_DEVICE}-dbirth-match-edge-node-topic topics-dbirth-topic
DBIRTH: QoS 0, not retained
  topics-dbirth-mqtt payloads-dbirth-qos payloads-dbirth-retain {_DEVICE}-dbirth-qos {_DEVICE}-dbirth-retained
DBIRTH: protobuf with a timestamp
  {_DEVICE}-dbirth-payload topics-dbirth-timestamp payloads-dbirth-timestamp
DBIRTH: seq is one more than the last
  topics-dbirth-seq payloads-dbirth-seq payloads-dbirth-seq-inc {_DEVICE}-dbirth-payload-seq
births come before data
  payloads-dbirth-order payloads-ndata-order payloads-ddata-order
DBIRTH: each metric has a name, a datatype, and a value or is null
  topics-dbirth-metrics {_DATA}-dbirth-values
each metric of a DDATA was in the device's last DBIRTH
  topics-dbirth-metric-reqs {_DATA}-dbirth
NDATA: topic, QoS 0, not retained
  topics-ndata-topic topics-ndata-mqtt payloads-ndata-qos payloads-ndata-retain
NDATA: timestamp, seq is one more than the last
  topics-ndata-timestamp topics-ndata-seq-num payloads-ndata-timestamp payloads-ndata-seq payloads-ndata-seq-inc
DDATA: topic, QoS 0, not retained
  topics-ddata-topic topics-ddata-mqtt payloads-ddata-qos payloads-ddata-retain
DDATA: timestamp, seq is one more than the last
  topics-ddata-timestamp topics-ddata-seq-num payloads-ddata-timestamp payloads-ddata-seq payloads-ddata-seq-inc
seq has no gap over all messages, from 255 to 0 too
  payloads-sequence-num-always-included payloads-sequence-num-incrementing
data has only what changed
  topics-ndata-payload topics-ddata-payload {_DATA}-nbirth-change {_DATA}-dbirth-change principles-rbe-recommended
metrics of a message that are not historical are in order of time
  {_DATA}-nbirth-order {_DATA}-dbirth-order
datatypes are known ones in births, and not repeated in data
  payloads-metric-datatype-value-type payloads-metric-datatype-value payloads-metric-datatype-not-req
aliases: with a name in births, unique in the node, without a name in data
  payloads-alias-uniqueness payloads-alias-birth-requirement payloads-alias-data-cmd-requirement
  payloads-name-cmd-requirement
property sets have as many keys as values, and a valid type for each
  payloads-propertyset-keys-array-size payloads-propertyset-values-array-size
  payloads-metric-propertyvalue-type-type payloads-metric-propertyvalue-type-value
  payloads-metric-propertyvalue-type-req
the property Quality is an Int32 of 0, 192 or 500
  payloads-propertyset-quality-value-type payloads-propertyset-quality-value-value
a lost device has its DDEATH: topic, QoS 0, not retained, timestamp, seq
  {_OPERATION}-device-ddeath topics-ddeath-topic topics-ddeath-mqtt topics-ddeath-seq-num payloads-ddeath-timestamp
  payloads-ddeath-seq payloads-ddeath-seq-inc payloads-ddeath-seq-number
a device that is back has its DBIRTH before its DDATA
  payloads-dbirth-order
an orderly stop has an NDEATH before the connection ends
  {_OPERATION}-edge-node-intentional-disconnect-ndeath {_OPERATION}-edge-node-intentional-disconnect-packet
  payloads-ndeath-will-message-publisher
MQTT 3.1.1: the NDEATH comes before the DISCONNECT
  payloads-ndeath-will-message-publisher-disconnect-mqtt311
MQTT 5: the DISCONNECT has reason 0x04, or the NDEATH comes before it
  payloads-ndeath-will-message-publisher-disconnect-mqtt50
a rebirth command is answered by births of the node and all its devices
  {_COMMANDS}-action-1 {_COMMANDS}-action-2
a rebirth keeps bdSeq
  {_COMMANDS}-action-3
without STATE of the primary host nothing is published
  {_BIRTH}-phid-wait {_OPERATION}-edge-node-birth-sequence-wait
STATE of another host, or online=false, changes nothing of that
  {_BIRTH}-phid-wait-id {_BIRTH}-phid-wait-online
online=true with an older timestamp is not accepted
  {_BIRTH}-phid-wait-timestamp
online=false of the primary host is answered by an NDEATH and the end of the connection
  {_BIRTH}-phid-offline {_OPERATION}-edge-node-termination-host-offline
then the next server is tried
  {_OPERATION}-edge-node-termination-host-offline-reconnect {_STATE}-walk
online=false with an older timestamp changes nothing
  {_OPERATION}-edge-node-termination-host-offline-timestamp
never two sessions at once, and STATE is subscribed in each
  {_STATE}-single-server {_STATE}-state-subs
DataSet: as many columns as headers and types, of basic types
  payloads-dataset-column-size payloads-dataset-column-num-headers payloads-dataset-types-def
  payloads-dataset-types-num payloads-dataset-types-type payloads-dataset-types-value
  payloads-dataset-parameter-type-req payloads-template-dataset-value
Template definitions are complete and in NBIRTHs only
  topics-nbirth-templates payloads-template-definition-nbirth-only payloads-template-definition-is-definition
  payloads-template-definition-ref payloads-template-definition-members
  payloads-template-definition-parameters payloads-template-definition-parameters-default
  payloads-template-is-definition payloads-template-is-definition-definition payloads-template-ref-definition
  payloads-template-version
Template instances have a definition, and its members only
  payloads-template-instance-is-definition payloads-template-instance-ref payloads-template-instance-members
  payloads-template-instance-members-birth payloads-template-instance-members-data
  payloads-template-instance-parameters payloads-template-is-definition-instance payloads-template-ref-instance
Template parameters have a name, a type and a value of it
  payloads-template-parameter-name-required payloads-template-parameter-name-type
  payloads-template-parameter-value-type payloads-template-parameter-type-value payloads-template-parameter-type-req
  payloads-template-parameter-value
a malformed or unknown command changes nothing and ends nothing

a command reaches the device, and the new value comes back as data

what was stored comes later as historical, with its own timestamps
"""


def _checks() -> tuple[Check, ...]:
    found: list[tuple[str, list[str]]] = []
    for line in _TABLE.strip().splitlines():
        if line.startswith("  "):
            found[-1][1].extend(line.split())
        elif line:
            found.append((line, []))
    return tuple(Check(number, what, tuple(ids)) for number, (what, ids) in enumerate(found, 1))


CHECKS: Final = _checks()
