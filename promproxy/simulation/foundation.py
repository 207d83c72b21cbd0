"""The state of a simulated foundation and the operations that change it.

Each change puts new frozen values in the place of old ones.  Dictionaries keep the order of
creation, which is the order in which the Cloud Controller lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from uuid import UUID

from attrs import evolve

from promproxy.simulation.values import (
    CRASHED,
    RUNNING,
    STARTED,
    STARTING,
    STOPPED,
    App,
    Destination,
    Domain,
    Instance,
    Org,
    Process,
    Route,
    SimulationError,
    Space,
    WebInstance,
    timestamp,
)


class Foundation:
    """Orgs, spaces, apps, processes, routes and domains by guid.

    ``seconds`` tells the time; ``random`` makes the guids, so equal seeds give equal foundations.
    """

    def __init__(self, seconds: Callable[[], float], random: Random) -> None:
        self.seconds = seconds
        self.random = random
        self.orgs: dict[str, Org] = {}
        self.spaces: dict[str, Space] = {}
        self.domains: dict[str, Domain] = {}
        self.apps: dict[str, App] = {}
        self.processes: dict[str, Process] = {}
        self.routes: dict[str, Route] = {}
        # Guids in the order of creation: what belongs to an app, and which routes a name has.
        self._processes_of: dict[str, list[str]] = {}
        self._routes_of: dict[str, list[str]] = {}
        self._routes_at: dict[str, list[str]] = {}

    # Reading

    def processes_of(self, app_guid: str) -> list[Process]:
        """All processes of an app, oldest first."""
        return [self.processes[guid] for guid in self._processes_of.get(app_guid, ())]

    def web_processes(self, app_guid: str) -> list[Process]:
        """The app's processes of type ``web``, oldest first; two during a deployment."""
        return [process for process in self.processes_of(app_guid) if process.type == "web"]

    def routes_of(self, app_guid: str) -> list[Route]:
        """All routes that lead to an app, oldest first."""
        return [self.routes[guid] for guid in self._routes_of.get(app_guid, ())]

    def routes_at(self, fqdn: str) -> list[Route]:
        """All routes of a lower-case name, whatever their paths."""
        return [self.routes[guid] for guid in self._routes_at.get(fqdn, ())]

    def web_instances(self) -> Iterator[WebInstance]:
        """Every desired instance of the web processes of all STARTED apps."""
        for app in self.apps.values():
            if app.state == STARTED:
                routes = tuple(self.routes_of(app.guid))
                for process in self.web_processes(app.guid):
                    for instance in process.instances:
                        yield WebInstance(
                            app=app, process=process, instance=instance, routes=routes
                        )

    def new_guid(self) -> str:
        """A guid that no other thing has."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    # Adding and removing

    def new_instances(self, count: int, state: str, first: int = 0) -> tuple[Instance, ...]:
        """Fresh instances with the indices ``first`` to ``first + count - 1``."""
        now = self.seconds()
        return tuple(
            Instance(index=index, guid=self.new_guid()[:28], state=state, since=now)
            for index in range(first, first + count)
        )

    def add_app(self, app: App) -> None:
        """Add an app without processes and routes."""
        self.apps[app.guid] = app
        self._processes_of[app.guid] = []
        self._routes_of[app.guid] = []

    def add_process(self, process: Process) -> None:
        """Add a process to its app."""
        self.processes[process.guid] = process
        self._processes_of[process.app_guid].append(process.guid)

    def add_route(self, route: Route) -> None:
        """Add a route and map it to the apps of its destinations."""
        self.routes[route.guid] = route
        self._routes_at.setdefault(route.fqdn.lower(), []).append(route.guid)
        for app_guid in {destination.app_guid for destination in route.destinations}:
            self._routes_of[app_guid].append(route.guid)

    def delete_app(self, app_guid: str) -> None:
        """Delete an app, its processes, and the routes that lead to no other app."""
        self.app(app_guid)
        for route in self.routes_of(app_guid):
            rest = tuple(item for item in route.destinations if item.app_guid != app_guid)
            if rest:
                self.routes[route.guid] = evolve(route, destinations=rest)
            else:
                self._delete_route(route)
        for guid in self._processes_of.pop(app_guid):
            del self.processes[guid]
        del self._routes_of[app_guid]
        del self.apps[app_guid]

    def _delete_route(self, route: Route) -> None:
        del self.routes[route.guid]
        name = route.fqdn.lower()
        self._routes_at[name].remove(route.guid)
        if not self._routes_at[name]:
            del self._routes_at[name]

    # Operating: each raises SimulationError for an app that is not there

    def app(self, app_guid: str) -> App:
        """The app with that guid."""
        try:
            return self.apps[app_guid]
        except KeyError:
            raise SimulationError(f"no app {app_guid}") from None

    def start(self, app_guid: str) -> None:
        """Start an app: all instances of all its processes run anew."""
        self._set_state(app_guid, STARTED)
        for process in self.processes_of(app_guid):
            self._set_instances(process, self.new_instances(len(process.instances), RUNNING))

    def stop(self, app_guid: str) -> None:
        """Stop an app; the numbers of desired instances stay."""
        self._set_state(app_guid, STOPPED)

    def scale(self, app_guid: str, instances: int, state: str = RUNNING) -> None:
        """Give the newest web process that many instances; added ones begin in ``state``."""
        process = self._newest_web_process(app_guid)
        if instances < 0:
            raise SimulationError("the number of instances must not be negative")
        kept = process.instances[:instances]
        added = self.new_instances(instances - len(kept), state, first=len(kept))
        self._set_instances(process, kept + added)

    def crash(self, app_guid: str, index: int) -> None:
        """Let one instance of the newest web process crash; it stays so until ``recover``."""
        self._set_instance_state(app_guid, index, CRASHED)

    def recover(self, app_guid: str, index: int) -> None:
        """Let one instance of the newest web process run, as a new container."""
        self._set_instance_state(app_guid, index, RUNNING)

    def finish_starting(self) -> None:
        """Let every instance that is STARTING run."""
        for process in tuple(self.processes.values()):
            if any(instance.state == STARTING for instance in process.instances):
                self._set_instances(
                    process,
                    tuple(
                        evolve(item, state=RUNNING, since=self.seconds())
                        if item.state == STARTING
                        else item
                        for item in process.instances
                    ),
                )

    def begin_deployment(self, app_guid: str, instances: int = 1) -> Process:
        """Begin a rolling deployment: a second web process, with a new guid, beside the first."""
        old = self._newest_web_process(app_guid)
        if len(self.web_processes(app_guid)) > 1:
            raise SimulationError(f"app {app_guid} is being deployed already")
        now = timestamp(self.seconds())
        process = evolve(
            old,
            guid=self.new_guid(),
            version=self.new_guid(),
            created_at=now,
            updated_at=now,
            instances=self.new_instances(instances, RUNNING),
        )
        self.add_process(process)
        return process

    def finish_deployment(self, app_guid: str) -> None:
        """End a rolling deployment: the new web process is scaled up, the old one goes."""
        self.app(app_guid)
        processes = self.web_processes(app_guid)
        if len(processes) < 2:
            raise SimulationError(f"app {app_guid} is not being deployed")
        old = processes[0]
        self.scale(app_guid, len(old.instances))
        del self.processes[old.guid]
        self._processes_of[app_guid].remove(old.guid)

    def map_route(self, app_guid: str, host: str, path: str = "", domain: str = "") -> Route:
        """Add an HTTP route to an app; ``domain`` is a name, by default that of the first one."""
        app = self.app(app_guid)
        domains = [item for item in self.domains.values() if item.name == domain or not domain]
        if not domains:
            raise SimulationError(f"no domain {domain}")
        now = timestamp(self.seconds())
        route = Route(
            guid=self.new_guid(),
            created_at=now,
            updated_at=now,
            host=host,
            path=path,
            domain=domains[0],
            space=app.space,
            destinations=(Destination(guid=self.new_guid(), app_guid=app_guid),),
        )
        if any(other.path == path for other in self.routes_at(route.fqdn.lower())):
            raise SimulationError(f"route {route.url} exists already")
        self.add_route(route)
        return route

    def _set_state(self, app_guid: str, state: str) -> None:
        app = self.app(app_guid)
        self.apps[app_guid] = evolve(app, state=state, updated_at=timestamp(self.seconds()))

    def _newest_web_process(self, app_guid: str) -> Process:
        self.app(app_guid)
        processes = self.web_processes(app_guid)
        if not processes:
            raise SimulationError(f"app {app_guid} has no web process")
        return processes[-1]

    def _set_instances(self, process: Process, instances: tuple[Instance, ...]) -> None:
        updated_at = timestamp(self.seconds())
        self.processes[process.guid] = evolve(process, instances=instances, updated_at=updated_at)

    def _set_instance_state(self, app_guid: str, index: int, state: str) -> None:
        process = self._newest_web_process(app_guid)
        if not 0 <= index < len(process.instances):
            raise SimulationError(f"app {app_guid} has no instance {index}")
        (instance,) = self.new_instances(1, state, first=index)
        before, after = process.instances[:index], process.instances[index + 1 :]
        self._set_instances(process, (*before, instance, *after))
