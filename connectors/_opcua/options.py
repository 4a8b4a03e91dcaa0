"""Keys of the configuration: of an OPC UA server, and of its tags."""

from typing import Annotated

from pydantic import BeforeValidator, Field, InstanceOf

from connectors._opcua.node import Node, parse
from connectors._opcua.security import SecurityOptions
from connectors._options import Options, Seconds

NodeId = Annotated[InstanceOf[Node], BeforeValidator(parse, json_schema_input_type=str)]


class DeviceOptions(Options):
    """Keys of an OPC UA server."""

    publishing: Seconds = Field(default=0.25, description="publishing interval: how often changes are sent")
    sampling: Seconds = Field(default=0.25, description="sampling interval: how often the server looks at a node")
    timeout: Seconds = Field(default=4.0, description="how long to wait for an answer")
    security: SecurityOptions = Field(default=SecurityOptions(), description="policy, mode and user of the session")


class TagOptions(Options):
    """Keys of a tag of an OPC UA server."""

    node: NodeId = Field(description="nsu=<namespace URI>;s=<name>, or i=, g=, b=, or a browse path")
    sampling: Seconds | None = Field(default=None, description="sampling interval, if not as the device says")

    @property
    def warning(self) -> str:
        return self.node.warning
