"""A device whose tags are decoded wrongly, by the shipped commands: one of them repairs what history has, bit exact."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from gateway.cli import main
from gateway.historian.backup import findings
from gateway.historian.history import History
from gateway.historian.rollup import MINUTE_NS
from gateway.historian.schema import engine
from tests import servers
from tests.integration.process import alive, write

N = 20
PLANT = "acme/hall/press"


def floats() -> np.ndarray:
    """Floats of which some are no number if their words are taken the wrong way round."""
    value = np.random.default_rng(3).normal(70, 20, N).astype(np.float32)
    value.view(np.uint32)[:3] = 0x4290_7FC0, 0x4290_FF81, 0x42C8_7F80  # 72.249..., 72.499..., 100.249...
    return value


def configured(tmp_path: Path, port: int, tags: dict[str, Any], name: str) -> Path:
    device = {"connect": f"modbus://127.0.0.1:{port}", "asset": "press", "poll": "50ms", "words": True, "tags": tags}
    keys = {
        "site": {"enterprise": "acme", "site": "hall"},
        "data_dir": str(tmp_path / "data"),
        "bus": {"listen": f"127.0.0.1:{servers.free_port()}"},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {"press": device},
    }
    return write(tmp_path / name, keys)


def tags(order: str, kind: str, scale: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"f{i}": {"register": f"holding:{2 * i}", "type": "float32", "order": order} for i in range(N)
    }
    found["count"] = {"register": "holding:100", "type": kind}
    found["scaled"] = {"register": "holding:102", "scale": scale}
    found["running"] = {"register": "coil:5"}
    return found


async def test_a_wrong_order_type_and_scale_are_repaired_in_the_past(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def redecode(config: Path, *options: str) -> list[dict[str, Any]]:
        assert main(["redecode", "--config", str(config), "--json", *options]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    value = floats()
    async with servers.modbus() as rig:
        rig.holding[: 2 * N] = value.astype(">f4").view(">u2").reshape(N, 2)[:, ::-1].ravel().tolist()
        rig.holding[100:103] = [0xFFFF, 0xFFFE, 723]
        rig.coils[5] = True
        wrong = configured(tmp_path, rig.port, tags("ABCD", "uint32", 1), "wrong.yaml")
        right = configured(tmp_path, rig.port, tags("CDAB", "int32", 0.1), "right.yaml")
        async with alive(wrong) as gateway:
            scans = partial(gateway.metric, "gateway_part_scans_kept_total", part="words")
            await asyncio.to_thread(gateway.until, lambda: scans() >= 40)
    database = engine(f"sqlite:///{tmp_path / 'data' / 'history.db'}")
    history = History(database)
    (before,) = history.readings(f"{PLANT}/f5", 0, 2**62)
    told = redecode(right, "--dry-run")
    (untouched,) = history.readings(f"{PLANT}/f5", 0, 2**62)
    assert untouched.value.tolist() == before.value.tolist()
    assert redecode(right) == told
    by_tag = {line["tag"].rpartition("/")[2]: line for line in told}
    assert by_tag["running"]["changed"] == 0
    for i in range(N):
        (found,) = history.readings(f"{PLANT}/f{i}", 0, 2**62)
        assert len(found) == len(before) == by_tag[f"f{i}"]["changed"]
        assert found.value.tobytes() == np.full(len(found), value[i], np.float64).tobytes()
        assert not found.quality.any()
    (count,) = history.readings(f"{PLANT}/count", 0, 2**62)
    assert (count.value.dtype, set(count.value.tolist())) == (np.dtype(np.int64), {-2})
    (scaled,) = history.readings(f"{PLANT}/scaled", 0, 2**62)
    assert set(scaled.value.tolist()) == {72.3}
    rows = history.aggregate(f"{PLANT}/scaled", 0, 2**61, MINUTE_NS).rows()
    assert {(row["minimum"], row["maximum"]) for row in rows} == {(72.3, 72.3)}
    assert sum(row["count"] for row in rows) == len(scaled)
    assert all(line["changed"] == 0 for line in redecode(right))
    assert list(findings(database)) == []
    with database.connect() as db:  # which recipe the words were decoded by then, and by which readings are since
        versions = db.execute(text("SELECT DISTINCT recipe FROM words")).scalars().all()
        repairs = db.execute(text("SELECT recipe, readings FROM repair")).all()
    assert [(recipe not in versions, n) for recipe, n in repairs] == [(True, sum(x["changed"] for x in told))]
    history.close()
