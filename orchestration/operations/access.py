"""Server mode: what a person who signed in may ask of Dagster, MLflow and the reports.

Everybody named in the roles file may look. Who has a role that launches gets Dagster's webserver,
all others the read-only one. A request that launches or changes something is a line of the audit
trail, passed or refused. A manager opens only the lists of the own book; a refused request is a
line, too.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)

from orchestration.operations.gateway import OF_PROXY, Address, Denied, Headers, Passed
from orchestration.platform import audit, identity
from orchestration.platform.identity import (
    ALLOWED,
    AUDITOR,
    DATA_ENGINEER,
    READ_LIST,
    ROLES,
    UI_CHANGE,
    UI_LAUNCH,
    Person,
)
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from orchestration.platform.sign_in import (
    SECRET_HEADER,
    USER_HEADER,
    SignInRefused,
    signed_in,
)
from orchestration.portal.page import LISTS, file_name

DAGSTER, MLFLOW, REPORTS = "Dagster", "MLflow", "reports"
LOOKING = ("GET", "HEAD")
LAUNCHES = {
    *("launchRun", "launchPipelineExecution", "launchMultipleRuns"),
    *("launchRunReexecution", "launchPipelineReexecution"),
}
# Dagster's pages send these; they change nothing of the home.
HARMLESS = {"logTelemetry", "setNuxSeen"}
JSON = "application/json"
LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Door:
    """A port of the gateway: what is behind it, for those who launch and for those who look."""

    kind: str
    behind: Address
    behind_readers: Address


class RoleAccess:
    """The decisions of the gateway in server mode, for the roles in force at each request."""

    def __init__(self, settings: Settings, doors: Mapping[int, Door]) -> None:
        self._settings = settings
        self._doors = doors

    def needs_body(self, port: int, method: str, target: str) -> bool:
        """Whether `judge` reads what follows the head."""
        return self._doors[port].kind == DAGSTER and method == "POST" and _is_graphql(target)

    def judge(
        self, port: int, method: str, target: str, headers: Headers, body: bytes
    ) -> Passed | Denied:
        """Whether a request passes, and to which server."""
        door = self._doors[port]
        named = [(name.lower(), value) for name, value in headers]
        values = {name: [value for one, value in named if one == name] for name, _ in named}
        try:
            name = signed_in(
                self._settings, _only(values, USER_HEADER), _only(values, SECRET_HEADER)
            )
            with identity.acting_for(name):
                person = identity.who(self._settings)
                if person.source is None or not person.roles:
                    return _forbidden(f"{name} is not named in a roles file")
                return self._passed(door, person, method, target, headers, values, body)
        except SignInRefused as error:
            return _forbidden(str(error))
        except _Unreadable as error:
            return Denied("400 Bad Request", f"the request is invalid: {error}")
        except Refused as error:
            return _forbidden(str(error))
        except OSError as error:
            why = f"the audit trail cannot be written ({type(error).__name__})"
            return Denied("503 Service Unavailable", f"{why}. Ask who runs this server.")

    def _passed(
        self,
        door: Door,
        person: Person,
        method: str,
        target: str,
        headers: Headers,
        values: Mapping[str, list[str]],
        body: bytes,
    ) -> Passed | Denied:
        if door.kind == REPORTS and (list_name := listed(target)):
            self._require_list(person, list_name)
        changes = _changes(door.kind, method, target, values, body)
        if changes:
            act = UI_LAUNCH if changes <= LAUNCHES else UI_CHANGE
            subject = f"{door.kind}: {', '.join(sorted(changes))}"[:LONGEST_SUBJECT]
            # MLflow's registry has no rules of its own: `make promote` and the jobs have them.
            allowed = ROLES if door.kind == MLFLOW else ALLOWED[act]
            with audit.audited(self._settings, act, subject, allowed=allowed) as doing:
                if door.kind == MLFLOW:
                    raise identity.ActRefused(
                        f"{subject} is refused: MLflow's pages are for looking. Launch promote or "
                        "rollback_model in Dagster."
                    )
                doing.detail = f"passed to {door.kind}"
        launches = bool(person.roles & set(ALLOWED[UI_LAUNCH]))
        if door.kind == DAGSTER:
            # The webserver's run coordinator asks for both.
            return Passed(door.behind if launches else door.behind_readers, headers)
        own = [one for one in headers if one[0].lower() not in OF_PROXY]
        return Passed(door.behind, own)

    def _require_list(self, person: Person, name: str) -> None:
        """Refuse the list of a unit outside the person's book, and record that."""
        subject = f"{LISTS}: {name}"[:LONGEST_SUBJECT]

        def units() -> list[str]:
            return [unit for unit in person.book if file_name(unit) == name]

        try:
            person.require(READ_LIST, subject, ALLOWED[READ_LIST])
            person.require_own(READ_LIST, subject, units, (AUDITOR, DATA_ENGINEER))
        except identity.ActRefused:
            with audit.audited(self._settings, READ_LIST, subject):
                raise


class _Unreadable(ValueError):
    """A request whose effect cannot be found out."""


def _forbidden(reason: str) -> Denied:
    return Denied("403 Forbidden", reason)


def _only(values: Mapping[str, list[str]], name: str) -> str | None:
    found = values.get(name, [])
    return found[0] if len(found) == 1 else None


def _path(target: str) -> str:
    return unquote(target.partition("?")[0])


def listed(target: str) -> str:
    """The unit, by the name of its files, whose list a path of the reports leads to; empty where to
    none. The path is read as the server behind reads it (`http.server`)."""
    path = unquote(target.partition("?")[0].partition("#")[0])
    parts = [part for part in posixpath.normpath(path).split("/") if part]
    # A file system may take capitals and small letters for the same.
    for place, part in enumerate(parts[:-1]):
        if part.casefold() == LISTS:
            return parts[place + 1].removesuffix(".html")
    return ""


def _is_graphql(target: str) -> bool:
    return "graphql" in _path(target).lower()


def _changes(
    kind: str, method: str, target: str, values: Mapping[str, list[str]], body: bytes
) -> set[str]:
    """What a request launches or changes; empty for one that only looks.

    Raises
    ------
    _Unreadable
        Where that cannot be found out.
    """
    path = _path(target)
    if method in LOOKING:
        return set()
    if kind == DAGSTER and method == "POST" and _is_graphql(target):
        if "?" in target or values.get("content-type", [""])[0].partition(";")[0] != JSON:
            raise _Unreadable(f"expected a query as {JSON}")
        return {name for name in mutations(body) if name not in HARMLESS}
    if kind == MLFLOW and method == "POST" and _looks_for(path):
        return set()
    return {f"{method} {path}"}


def _looks_for(path: str) -> bool:
    """Whether a POST of MLflow's pages is a search."""
    last = path.rstrip("/").rpartition("/")[2]
    return last == "graphql" or last.startswith(("search", "get-"))


def mutations(body: bytes) -> set[str]:
    """The fields of the mutations in the body of a GraphQL request, whichever of its operations is
    asked for.

    Raises
    ------
    _Unreadable
        For a body that is not a query in JSON.
    """
    try:
        content: Any = json.loads(body)
        document = parse(content["query"])
    except (ValueError, TypeError, KeyError, RecursionError, GraphQLSyntaxError) as error:
        raise _Unreadable("expected a GraphQL query in JSON") from error
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    return set(_mutations(document, fragments))


def _mutations(
    document: DocumentNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[str]:
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode) and one.operation is OperationType.MUTATION:
            yield from _fields(one.selection_set, fragments, frozenset())


def _fields(
    selected: SelectionSetNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    within: frozenset[str],
) -> Iterator[str]:
    """The fields at the top of a selection, also those of its fragments."""
    for one in selected.selections:
        if isinstance(one, FieldNode):
            yield one.name.value
        elif isinstance(one, FragmentSpreadNode):
            name = one.name.value
            if name not in fragments or name in within:
                raise _Unreadable(f"fragment {name} is not defined, or is part of itself")
            yield from _fields(fragments[name].selection_set, fragments, within | {name})
        else:
            yield from _fields(one.selection_set, fragments, within)  # type: ignore[attr-defined]
