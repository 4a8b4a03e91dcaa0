"""Payloads of Sparkplug B as Google's protobuf reads and writes them, from the field numbers of the standard.

It shares nothing with the gateway's own encoder and tables, so it can tell whether those are right.
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "org.eclipse.tahu.protobuf"
_MESSAGES: Final = {
    "DataSetValue": "int_value uint32 1, long_value uint64 2, float_value float 3, double_value double 4,"
    " boolean_value bool 5, string_value string 6",
    "Row": "elements DataSetValue* 1",
    "DataSet": "num_of_columns uint64 1, columns string* 2, types uint32* 3, rows Row* 4",
    "Parameter": "name string 1, type uint32 2, int_value uint32 3, long_value uint64 4, float_value float 5,"
    " double_value double 6, boolean_value bool 7, string_value string 8",
    "Template": "version string 1, metrics Metric* 2, parameters Parameter* 3, template_ref string 4,"
    " is_definition bool 5",
    "PropertyValue": "type uint32 1, is_null bool 2, int_value uint32 3, long_value uint64 4, float_value float 5,"
    " double_value double 6, boolean_value bool 7, string_value string 8, propertyset_value PropertySet 9,"
    " propertysets_value PropertySetList 10",
    "PropertySet": "keys string* 1, values PropertyValue* 2",
    "PropertySetList": "propertyset PropertySet* 1",
    "MetaData": "is_multi_part bool 1, content_type string 2, size uint64 3, seq uint64 4, file_name string 5,"
    " file_type string 6, md5 string 7, description string 8",
    "Metric": "name string 1, alias uint64 2, timestamp uint64 3, datatype uint32 4, is_historical bool 5,"
    " is_transient bool 6, is_null bool 7, metadata MetaData 8, properties PropertySet 9, int_value uint32 10,"
    " long_value uint64 11, float_value float 12, double_value double 13, boolean_value bool 14,"
    " string_value string 15, bytes_value bytes 16, dataset_value DataSet 17, template_value Template 18",
    "Payload": "timestamp uint64 1, metrics Metric* 2, seq uint64 3, uuid string 4, body bytes 5",
}


def _described(name: str, fields: str) -> DescriptorProto:
    described = DescriptorProto(name=name)
    for field in fields.split(","):
        key, kind, number = field.split()
        one = described.field.add(name=key, number=int(number))
        one.label = FieldDescriptorProto.LABEL_REPEATED if kind.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
        if kind.rstrip("*") in _MESSAGES:
            one.type, one.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind.rstrip('*')}"
        else:
            one.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.rstrip('*').upper()}")
    return described


def _payload() -> Any:
    pool = DescriptorPool()
    messages = [_described(name, fields) for name, fields in _MESSAGES.items()]
    pool.Add(FileDescriptorProto(name="sparkplug_b.proto", package=_PACKAGE, syntax="proto2", message_type=messages))
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


Payload: Final = _payload()


def parsed(payload: bytes) -> Any:
    """Return a payload as protobuf reads it. Raises DecodeError."""
    message = Payload()
    message.ParseFromString(payload)
    return message
