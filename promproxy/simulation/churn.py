"""Random changes of a foundation, such as its users make them all day."""

from __future__ import annotations

from random import Random

from promproxy.simulation.foundation import Foundation
from promproxy.simulation.generator import push_app
from promproxy.simulation.values import CRASHED, RUNNING, STARTED, STARTING

_STEPS = {
    "scale": 30,
    "crash": 12,
    "recover": 12,
    "begin_deployment": 12,
    "finish_deployment": 12,
    "stop": 5,
    "start": 8,
    "delete": 4,
    "push": 4,
    "map_route": 3,
}
_ROUTES_PER_APP = 4


def churn(foundation: Foundation, random: Random) -> str:
    """Make one random change and say which; what was STARTING before runs now.

    A change that is impossible on the app it fell upon changes nothing.
    """
    foundation.finish_starting()
    if not foundation.apps:
        return "nothing: no apps"
    step = random.choices(list(_STEPS), list(_STEPS.values()))[0]
    guid = random.choice(list(foundation.apps))
    return f"{step} {guid}" if _do(foundation, random, step, guid) else f"nothing: {step} {guid}"


def _do(foundation: Foundation, random: Random, step: str, guid: str) -> bool:
    app = foundation.apps[guid]
    processes = foundation.web_processes(guid)
    count = len(processes[-1].instances)
    started = app.state == STARTED
    if step == "scale" and started and len(processes) == 1:
        foundation.scale(guid, max(0, count + random.choice((-2, -1, 1, 2))), state=STARTING)
    elif step in ("crash", "recover"):
        wanted = RUNNING if step == "crash" else CRASHED
        indices = [item.index for item in processes[-1].instances if item.state == wanted]
        if not (started and indices):
            return False
        change = foundation.crash if step == "crash" else foundation.recover
        change(guid, random.choice(indices))
    elif step == "begin_deployment" and started and len(processes) == 1 and count:
        foundation.begin_deployment(guid)
    elif step == "finish_deployment":
        # An app chosen at random is hardly ever under deployment: take the one that longest is.
        return _finish_oldest_deployment(foundation)
    elif step == "stop" and started:
        foundation.stop(guid)
    elif step == "start" and not started:
        foundation.start(guid)
    elif step == "delete":
        foundation.delete_app(guid)
    elif step == "push":
        push_app(foundation, random.randint(1, 3))
    elif step == "map_route" and len(foundation.routes_of(guid)) < _ROUTES_PER_APP:
        foundation.map_route(guid, f"{app.name}-{foundation.new_guid()[:8]}")
    else:
        return False
    return True


def _finish_oldest_deployment(foundation: Foundation) -> bool:
    for process in foundation.processes.values():
        if process.type == "web" and len(foundation.web_processes(process.app_guid)) > 1:
            foundation.finish_deployment(process.app_guid)
            return True
    return False
