"""The application at /i3x/v1: who is asked what, and the way the answer goes."""

from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp

from api.i3x import answers, requests
from api.i3x.answers import bulk, done, failed, listed, single, unknown
from api.i3x.history import history
from api.i3x.requests import Bounded, json_only
from api.i3x.space import Space
from api.i3x.subscriptions import Subscriptions, described
from api.i3x.types import Sorts, Types
from api.i3x.updates import Memory, Updates
from api.i3x.values import current
from api.plant import Plant

PREFIX: Final = "/i3x/v1"
_RELATED_MAX: Final = 100_000
"""Objects in one answer that were not asked for one by one."""
_DROPPED: Final = "{} updates were dropped, the oldest: sync more often, or have fewer objects in a subscription"

Body = dict[str, Any]
NamespaceUri = Annotated[str | None, Query(alias="namespaceUri", max_length=1000)]
TypeId = Annotated[str | None, Query(alias="typeElementId", max_length=1000)]


class Desk:
    """What the answers are made from: the plant as the standard sees it, as of now."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.types_uri = f"urn:itot-gateway:{plant.gateway}:types"
        self.relationships_uri = f"urn:itot-gateway:{plant.gateway}:relationships"
        self.memory = Memory()
        self.updates = Updates(plant, self.memory)
        self.subscriptions = Subscriptions(plant)
        self._sorts = Sorts(plant)
        self._known = (-1, -1)

    def space(self) -> Space:
        """Return the objects; made anew when a device has said something new of its tags."""
        catalog = self.plant.catalog
        if self._known != (catalog.version, len(catalog)):
            self._known = (catalog.version, len(catalog))
            self._space = Space(catalog, self.types_uri)
            self._types: Types | None = None
        return self._space

    def types(self) -> Types:
        """Return the types of the objects; made anew when values of another sort have come."""
        space, sorts = self.space(), self._sorts.look()
        if self._types is None or not self._types.current(sorts):
            self._types = Types(space, sorts, self.types_uri, self.relationships_uri)
        return self._types


def create(plant: Plant) -> ASGIApp:
    """Return the application, to be mounted at PREFIX."""
    app = FastAPI(
        title="i3X 1.0",
        version=plant.version,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(json_only)],
    )
    answers.install(app)
    desk = Desk(plant)
    for add in (_about, _types, _objects, _values, _updates, _subscriptions, _reading):
        add(app, desk)
    return answers.Gzipped(Bounded(app))


def _about(app: FastAPI, desk: Desk) -> None:
    @app.get("/info")
    async def info() -> Response:
        """Return what this server can do; needs no token."""
        capabilities = {
            "query": {"history": desk.plant.keeps_history},
            "update": {"current": True, "history": desk.plant.keeps_history},
            "subscribe": {"stream": True},
        }
        facts = {
            "specVersion": "1.0",
            "serverVersion": desk.plant.version,
            "serverName": f"gateway {desk.plant.gateway}",
        }
        return single(orjson.dumps(facts | {"capabilities": capabilities}))

    @app.get("/namespaces")
    async def namespaces() -> Response:
        """Return where types and relationships are named."""
        names = {desk.types_uri: "types of this plant", desk.relationships_uri: "relationships"}
        return listed([{"uri": uri, "displayName": name} for uri, name in names.items()])


def _types(app: FastAPI, desk: Desk) -> None:
    @app.get("/objecttypes")
    async def object_types(namespace: NamespaceUri = None) -> Response:
        """Return the types of objects."""
        return listed([one for one in desk.types().all.values() if namespace in (None, one["namespaceUri"])])

    @app.post("/objecttypes/query")
    async def query_object_types(asked: requests.Elements) -> Response:
        """Return some types of objects."""
        return _picked(asked.elementIds, desk.types().all)

    @app.get("/relationshiptypes")
    async def relationship_types(namespace: NamespaceUri = None) -> Response:
        """Return the types of relationships."""
        known = desk.types().relationships.values()
        return listed([one for one in known if namespace in (None, one["namespaceUri"])])

    @app.post("/relationshiptypes/query")
    async def query_relationship_types(asked: requests.Elements) -> Response:
        """Return some types of relationships."""
        return _picked(asked.elementIds, desk.types().relationships)


def _picked(ids: list[str], known: dict[str, Any]) -> Response:
    found = {id: orjson.dumps(known[id]) for id in set(ids) & known.keys()}
    return bulk([done(id, found[id]) if id in found else unknown(id) for id in ids])


def _objects(app: FastAPI, desk: Desk) -> None:
    @app.get("/objects")
    async def objects(
        type_id: TypeId = None,
        metadata: Annotated[bool, Query(alias="includeMetadata")] = False,
        root: bool | None = None,
    ) -> Response:
        """Return the objects: assets, and the tags of each behind it."""
        space, types = desk.space(), desk.types()
        some = space.roots if root else space.all()
        typed = ((element, types.of(element)) for element in some)
        return listed([space.described(e, type, metadata=metadata) for e, type in typed if type_id in (None, type)])

    @app.post("/objects/list")
    async def list_objects(asked: requests.Objects) -> Response:
        """Return some objects."""
        space, types = desk.space(), desk.types()
        items = []
        for id in asked.elementIds:
            element = space.find(id)
            if element is None:
                items.append(unknown(id))
            else:
                facts = space.described(element, types.of(element), metadata=bool(asked.includeMetadata))
                items.append(done(id, orjson.dumps(facts)))
        return bulk(items)

    @app.post("/objects/related")
    async def related(asked: requests.Related) -> Response:
        """Return what objects have to do with others: all relationships, or one."""
        space, types = desk.space(), desk.types()
        items = []
        left = _RELATED_MAX
        for id in asked.elementIds:
            element = space.find(id)
            if element is None:
                items.append(unknown(id))
                continue
            pairs = [pair for pair in space.related(element) if asked.relationshipType in (None, pair[0])]
            left -= len(pairs)
            if left < 0:
                items.append(failed(id, 400, f"an answer has {_RELATED_MAX} objects at most: ask for it by itself"))
                continue
            result = [
                {
                    "sourceRelationship": name,
                    "object": space.described(other, types.of(other), metadata=bool(asked.includeMetadata)),
                }
                for name, other in pairs
            ]
            items.append(done(id, orjson.dumps(result)))
        return bulk(items)


def _values(app: FastAPI, desk: Desk) -> None:
    @app.post("/objects/value")
    async def value(asked: requests.Values) -> Response:
        """Return the latest values of objects; with another maxDepth than 1 those of their components as well."""
        answer, numbers, told = current(desk.plant, desk.space(), asked)
        desk.memory.add(numbers, told)
        return answer

    @app.post("/objects/history")
    async def values(request: Request, asked: requests.History) -> Response:
        """Return the values of objects from startTime to endTime, oldest first."""
        return await history(desk.plant, desk.space(), asked, request)


def _updates(app: FastAPI, desk: Desk) -> None:
    @app.put("/objects/value")
    async def update(request: Request, asked: requests.Updates) -> Response:
        """Write values to devices, where the configuration allows it; what is so already may always be said."""
        who = getattr(request.state, "client", "")
        return bulk([await desk.updates.value(desk.space(), one, who) for one in asked.updates])

    @app.put("/objects/history")
    async def record(asked: requests.Updates) -> Response:
        """Say again what is in history; nothing else, for it is not rewritten."""
        if not desk.plant.keeps_history:
            raise HTTPException(501, "this gateway keeps no history")
        return bulk([await desk.updates.record(desk.space(), one) for one in asked.updates])


def _subscriptions(app: FastAPI, desk: Desk) -> None:
    subscriptions = desk.subscriptions

    @app.post("/subscriptions")
    async def create_subscription(asked: requests.NewSubscription) -> Response:
        """Make a subscription; its id is told here and nowhere else."""
        made = subscriptions.create(asked.clientId, asked.displayName)
        return single(orjson.dumps({"clientId": made.client, "subscriptionId": made.id, "displayName": made.name}))

    @app.post("/subscriptions/list")
    async def list_subscriptions(asked: requests.Subscriptions) -> Response:
        """Return what subscriptions there are of those named."""
        items = []
        for id in asked.subscriptionIds:
            try:
                found = subscriptions.find(asked.clientId, id)
                items.append(done(id, orjson.dumps(described(found)), "subscriptionId"))
            except HTTPException as error:
                items.append(failed(id, error.status_code, error.detail, "subscriptionId"))
        return bulk(items)

    @app.post("/subscriptions/delete")
    async def delete_subscriptions(asked: requests.Subscriptions) -> Response:
        """Forget subscriptions; their streams end."""
        items = []
        for id in asked.subscriptionIds:
            try:
                subscriptions.delete(subscriptions.find(asked.clientId, id))
                items.append(done(id, key="subscriptionId"))
            except HTTPException as error:
                items.append(failed(id, error.status_code, error.detail, "subscriptionId"))
        return bulk(items)

    @app.post("/subscriptions/register")
    async def register(asked: requests.Register) -> Response:
        """Have objects in a subscription, and their present values in its queue."""
        subscription, space = subscriptions.find(asked.clientId, asked.subscriptionId), desk.space()
        elements = [space.find(id) for id in asked.elementIds]
        depth = 1 if asked.maxDepth is None else asked.maxDepth
        subscriptions.register(subscription, [element for element in elements if element is not None], depth)
        found = zip(asked.elementIds, elements, strict=True)
        return bulk([unknown(id) if element is None else done(id) for id, element in found])

    @app.post("/subscriptions/unregister")
    async def unregister(asked: requests.Unregister) -> Response:
        """Have objects no longer in a subscription; what waits is still told."""
        subscription, space = subscriptions.find(asked.clientId, asked.subscriptionId), desk.space()
        items = []
        for id in asked.elementIds:
            element = space.find(id)
            if element is not None:
                subscriptions.unregister(subscription, element)
            items.append(unknown(id) if element is None else done(id))
        return bulk(items)


def _reading(app: FastAPI, desk: Desk) -> None:
    subscriptions = desk.subscriptions

    @app.post("/subscriptions/sync")
    async def sync(asked: requests.Sync) -> Response:
        """Acknowledge batches of updates, and return those that are not, with what has come since as a new one."""
        subscription = subscriptions.find(asked.clientId, asked.subscriptionId)
        if subscription.reader is not None:
            raise HTTPException(409, "this subscription is being streamed: close the stream to sync")
        queue = subscription.queue
        queue.acknowledge(asked.lastSequenceNumber)
        batches = [b'{"sequenceNumber":%d,"updates":[%s]}' % batch for batch in queue.hand_out(desk.space())]
        dropped, queue.dropped = queue.dropped, 0
        return single(b"[%s]" % b",".join(batches), _DROPPED.format(dropped) if dropped else "")

    @app.post("/subscriptions/stream", response_class=StreamingResponse)
    async def stream(asked: requests.Subscription) -> StreamingResponse:
        """Send what waits and what comes as server-sent events, arrays of updates; a stream that was open ends."""
        subscription = subscriptions.find(asked.clientId, asked.subscriptionId)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        events = subscriptions.events(subscription, desk.space)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)
