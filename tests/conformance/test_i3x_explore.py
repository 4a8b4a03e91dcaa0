"""i3X 1.0: what there is. Namespaces, types as JSON Schema, relationships, objects."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.drive import SITE
from tests.i3x import DRIVE, PRESS, Floor, floor, items, refusal, vqt

READINGS = {
    f"{DRIVE}/speed": 50.5, f"{DRIVE}/steps": 2**60, f"{DRIVE}/enable": True, f"{DRIVE}/recipe": "brown",
    f"{PRESS}/temperature": 71.25, f"{PRESS}/state": 2, f"{PRESS}/vibration/waveform": [0.5, -0.5],
    f"{PRESS}/closed": False,
}  # fmt: skip


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path) as one:
        for path, value in READINGS.items():
            one.emit(path, value)
        yield one


async def test_namespaces_are_unique_and_those_of_all_types(plant: Floor) -> None:
    namespaces = await plant.got("/namespaces")
    uris = [one["uri"] for one in namespaces]
    assert len(uris) == len(set(uris)) >= 1
    assert all(one.keys() == {"uri", "displayName"} for one in namespaces)
    types = [*await plant.got("/objecttypes"), *await plant.got("/relationshiptypes")]
    assert {one["namespaceUri"] for one in types} <= set(uris)
    for uri in [*uris, "urn:nothing"]:
        for path in ("/objecttypes", "/relationshiptypes"):
            some = await plant.got(path, namespaceUri=uri)
            assert some == [one for one in await plant.got(path) if one["namespaceUri"] == uri]


async def test_every_type_is_a_schema_of_its_own(plant: Floor) -> None:
    for one in await plant.got("/objecttypes"):
        assert {"elementId", "displayName", "namespaceUri", "sourceTypeId", "schema"} <= one.keys()
        assert all(isinstance(one[key], str) and one[key] for key in one.keys() - {"schema"})
        assert all(part.isdecimal() for part in one["version"].split("."))
        jsonschema.Draft202012Validator.check_schema(one["schema"])
        assert "$ref" not in str(one["schema"])


async def test_every_value_is_of_the_type_of_its_object(plant: Floor) -> None:
    """Also before anything is known, and after a tag had values of two sorts."""
    plant.emit(f"{PRESS}/closed", "half")
    plant.emit(f"{PRESS}/state", 2.5)
    types = {one["elementId"]: one["schema"] for one in await plant.got("/objecttypes")}
    objects = await plant.got("/objects")
    items = await plant.bulk("/objects/value", elementIds=[one["elementId"] for one in objects])
    for one, item in zip(objects, items, strict=True):
        value, *_ = vqt(item["result"])
        if value is not None:
            jsonschema.validate(value, types[one["typeElementId"]])


async def test_a_tag_has_the_type_that_is_known_of_it(plant: Floor) -> None:
    types = {one["elementId"]: one["typeElementId"] for one in await plant.got("/objects")}
    assert {path.rpartition("/")[2]: types[path].removeprefix("type:") for path in READINGS} == {
        "speed": "number.Hz", "steps": "integer", "enable": "boolean", "recipe": "text",
        "temperature": "number.Cel", "state": "integer", "waveform": "array.g", "closed": "boolean",
    }  # fmt: skip
    assert types[f"{PRESS}/never"] == "type:value"
    assert types[f"{DRIVE}/torque"] == "type:number"
    assert (types["acme"], types[SITE], types[f"{SITE}/hall"]) == ("type:Enterprise", "type:Site", f"type:{SITE}/hall")
    plant.emit(f"{PRESS}/state", 2.5)
    plant.emit(f"{PRESS}/closed", "half")
    plant.emit(f"{DRIVE}/enable", 0.0, quality=0x808A_0000)
    types = {one["elementId"]: one["typeElementId"] for one in await plant.got("/objects")}
    assert types[f"{PRESS}/state"] == "type:number"
    assert types[f"{PRESS}/closed"] == "type:value"
    assert types[f"{DRIVE}/enable"] == "type:boolean"


async def test_the_type_of_a_machine_has_its_tags_as_properties(plant: Floor) -> None:
    (item,) = await plant.bulk("/objecttypes/query", elementIds=[f"type:{PRESS}"])
    schema = item["result"]["schema"]
    assert schema["type"] == "object"
    assert schema["properties"]["temperature"] == {
        "type": ["number", "null"], "x-unit": "Cel", "description": "of the oil", "x-range": [0.0, 120.0],
    }  # fmt: skip
    assert schema["properties"]["state"]["x-labels"] == {"1": "stopped", "2": "running"}
    assert schema["properties"].keys() == {"temperature", "state", "vibration/waveform", "closed", "never"}


async def test_a_unit_that_a_device_tells_later_is_in_its_type(plant: Floor) -> None:
    plant.hall.catalog.describe(plant.hall.catalog.number(f"{PRESS}/never"), unit="bar", description="it came")
    (one,) = await plant.bulk("/objects/list", elementIds=[f"{PRESS}/never"], includeMetadata=True)
    assert one["result"]["typeElementId"] == "type:number.bar"
    assert one["result"]["metadata"]["description"] == "it came"
    assert (await plant.bulk("/objecttypes/query", elementIds=["type:number.bar"]))[0]["success"]


async def test_relationship_types_come_in_pairs(plant: Floor) -> None:
    known = {one["elementId"]: one for one in await plant.got("/relationshiptypes")}
    assert known.keys() == {"HasParent", "HasChildren", "HasComponent", "ComponentOf"}
    for id, one in known.items():
        assert one.keys() == {"elementId", "displayName", "namespaceUri", "relationshipId", "reverseOf"}
        assert known[one["reverseOf"]]["reverseOf"] == id != one["reverseOf"]


async def test_every_id_is_there_once(plant: Floor) -> None:
    ids = [
        one["elementId"] for path in ("/objects", "/objecttypes", "/relationshiptypes") for one in await plant.got(path)
    ]
    assert len(ids) == len(set(ids))
    assert all(id == id.strip() and id.isprintable() and id for id in ids)


async def test_objects_are_as_the_standard_describes_them(plant: Floor) -> None:
    objects = {one["elementId"]: one for one in await plant.got("/objects")}
    types = {one["elementId"] for one in await plant.got("/objecttypes")}
    keys = {"elementId", "displayName", "typeElementId", "parentId", "isComposition", "isExtended"}
    for one in objects.values():
        assert one.keys() == keys
        assert one["typeElementId"] in types
        assert one["isExtended"] is False
        assert one["parentId"] is None or one["parentId"] in objects
        below = [other for other in objects.values() if other["parentId"] == one["elementId"]]
        assert (
            one["isComposition"] is any(other["elementId"] in (*READINGS, f"{PRESS}/never") for other in below) or below
        )
    roots = await plant.got("/objects", root=True)
    assert [one["elementId"] for one in roots] == ["acme"]
    assert [one for one in objects.values() if one["parentId"] is None] == roots


async def test_objects_of_one_type(plant: Floor) -> None:
    some = await plant.got("/objects", typeElementId="type:number.Cel")
    assert [one["elementId"] for one in some] == [f"{PRESS}/temperature"]
    assert await plant.got("/objects", typeElementId="type:nothing") == []


async def test_metadata_comes_when_it_is_asked_for(plant: Floor) -> None:
    types = {one["elementId"]: one for one in await plant.got("/objecttypes")}
    for one in await plant.got("/objects", includeMetadata=True):
        metadata = one["metadata"]
        assert metadata["typeNamespaceUri"] == types[one["typeElementId"]]["namespaceUri"]
        assert metadata["sourceTypeId"] == types[one["typeElementId"]]["sourceTypeId"]
        assert all(value is not None for value in metadata.values())
    (one,) = await plant.bulk("/objects/list", elementIds=[f"{PRESS}/state"], includeMetadata=True)
    assert one["result"]["metadata"]["relationships"] == {"ComponentOf": [PRESS]}
    assert one["result"]["metadata"]["system"] == {"device": "press", "labels": {"1": "stopped", "2": "running"}}


async def test_an_asset_with_the_path_of_a_tag_is_another_object(tmp_path: Path, plant: Floor) -> None:
    """`hall` has a tag drive/torque2; the press has a tag vibration/waveform and an asset vibration."""
    objects = {one["elementId"]: one for one in await plant.got("/objects")}
    assert objects[f"{PRESS}/vibration"]["isComposition"] is True
    assert objects[f"{PRESS}/vibration/waveform"]["parentId"] == PRESS
    assert objects[f"{PRESS}/vibration/rms"]["parentId"] == f"{PRESS}/vibration"


async def edges(plant: Floor, ids: list[str], **body: Any) -> set[tuple[str, str, str]]:
    found = await plant.bulk("/objects/related", elementIds=ids, **body)
    return {
        (id, one["sourceRelationship"], one["object"]["elementId"])
        for id, item in zip(ids, found, strict=True)
        for one in item["result"]
    }


async def test_every_edge_is_told_from_both_ends(plant: Floor) -> None:
    reverse = {one["elementId"]: one["reverseOf"] for one in await plant.got("/relationshiptypes")}
    objects = {one["elementId"]: one for one in await plant.got("/objects", includeMetadata=True)}
    found = await edges(plant, list(objects))
    assert found == {(b, reverse[name], a) for a, name, b in found}
    for id, one in objects.items():
        mine = {(name, other) for a, name, other in found if a == id}
        assert mine == {(name, other) for name, ids in one["metadata"]["relationships"].items() for other in ids}
        if one["parentId"] is not None:
            up = "ComponentOf" if (id, "ComponentOf", one["parentId"]) in found else "HasParent"
            assert (up, one["parentId"]) in mine
        assert one["isComposition"] is any(name == "HasComponent" for name, _ in mine)


async def test_related_by_one_relationship(plant: Floor) -> None:
    assert await edges(plant, [DRIVE], relationshipType="HasParent") == {(DRIVE, "HasParent", f"{SITE}/hall")}
    assert {name for _, name, _ in await edges(plant, [PRESS], relationshipType="HasComponent")} == {"HasComponent"}
    assert await edges(plant, [PRESS], relationshipType="Fears") == set()
    (item,) = await plant.bulk("/objects/related", elementIds=[PRESS], includeMetadata=True)
    assert all("metadata" in one["object"] for one in item["result"])


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/objecttypes/query", "type:Site"), ("/relationshiptypes/query", "HasParent"), ("/objects/list", PRESS),
        ("/objects/related", PRESS), ("/objects/value", PRESS),
    ],
)  # fmt: skip
async def test_a_bulk_answer_has_as_many_items_as_were_asked_for(plant: Floor, path: str, known: str) -> None:
    """In that order, duplicates among them; what is not there is a 404 of its own."""
    ids = [known, "nobody", known, "\ud800\x00", ""]
    headers = {"Content-Type": "application/json"}
    answer = await plant.http.post(path, content=json.dumps({"elementIds": ids}), headers=headers)
    assert answer.status_code == 200
    found = items(answer, [*ids[:3], "?\x00", ""])
    assert [item["success"] for item in found] == [True, False, True, False, False]
    assert found[0] == found[2]
    assert all(item["responseDetail"]["status"] == 404 for item in found if not item["success"])
    assert (await plant.bulk(path, elementIds=[])) == []


async def test_what_is_asked_wrongly_is_a_400(plant: Floor) -> None:
    for params in ({"root": "perhaps"}, {"includeMetadata": "7"}):
        assert refusal(await plant.http.get("/objects", params=params))[0] == 400
    bodies: list[Any] = [{}, {"elementIds": None}, {"elementIds": "a"}, {"elementIds": [1]}, [], "x"]
    for body in (*bodies, {"elementIds": ["a"] * 10_001}):
        for path in ("/objecttypes/query", "/relationshiptypes/query", "/objects/list", "/objects/related"):
            assert refusal(await plant.http.post(path, json=body))[0] == 400
