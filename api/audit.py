"""The audit trail, for an engineer: who did or was refused what. See docs/security.md."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from api.plant import Plant
from api.problems import ANSWERS, answers


class Page(BaseModel):
    """Records, newest first, as they are on disk; `next` is the cursor of the page that follows."""

    records: list[dict[str, Any]] = Field(
        description="n, time, who, how (token, session, oidc ...), address, action, object, outcome (done, refused,"
        " failed, unknown), value, detail, prev (hash of the record before) and hash"
    )
    next: str | None = Field(description="there is more; a page may have fewer records than its limit")


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["configuration"], responses=ANSWERS | answers(403))

    @routes.get("/audit", operation_id="get_audit")
    async def audit(
        who: Annotated[str, Query(max_length=200, description="only what they did, by name")] = "",
        action: Annotated[str, Query(max_length=200, description="only this", examples=["write"])] = "",
        limit: Annotated[int, Query(ge=1, le=1000, description="records in a page")] = 100,
        cursor: Annotated[str, Query(max_length=20, description="`next` of the page before")] = "",
    ) -> Page:
        """Return records of the audit trail, newest first."""
        if cursor and not (cursor.isascii() and cursor.isdecimal() and int(cursor) > 0):
            raise HTTPException(422, "cursor: take it from `next` of the page before")
        try:
            found, following = await plant.audit.page(int(cursor) if cursor else None, limit, who, action)
        except OSError as error:
            raise ConnectionError(f"the audit trail cannot be read: {error}") from error
        records = [{**record.fields, "hash": record.hash} for record in found]
        return Page(records=records, next=None if following is None else str(following))

    return routes
