"""Who acts, and whether a role allows it: the operating system's name, and the roles file.

In server mode a run that a person launched in Dagster acts for that person (`acting_for`). Without
a roles file everybody has every role, and a name is that of JINGXI_USER.
"""

from __future__ import annotations

import os
import pwd
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestration.platform.refusal import Refused
from orchestration.platform.settings import PYDANTIC, Settings

DATA_ENGINEER, ML_ENGINEER, APPROVER = "data engineer", "ML engineer", "approver"
MANAGER, STAKEHOLDER, AUDITOR = "manager", "stakeholder", "auditor"
RoleName = Literal["data engineer", "ML engineer", "approver", "manager", "stakeholder", "auditor"]
ROLES: tuple[str, ...] = (
    *(DATA_ENGINEER, ML_ENGINEER, APPROVER),
    *(MANAGER, STAKEHOLDER, AUDITOR),
)
EVERY_ROLE = "every role: no roles file"

REFRESH, PUBLISH, ROLLBACK, EXPORT = "refresh", "publish", "rollback", "export"
PROPOSE, APPROVE, REJECT = "propose", "approve", "reject"
OVERRIDE_GATE, ROTATE_KEY = "override_gate", "rotate_key"
TRAIN, PROMOTE, OVERRIDE, ROLLBACK_MODEL = "train", "promote", "override", "rollback_model"
ADJUST, AUDIT, ERASE = "adjust", "audit", "erase"
RETAIN, BACKUP, RESTORE, HEAL = "retain", "backup", "restore", "heal"
CUSTOMER_PAGE, EXPLAIN, PRICE = "customer_page", "explain", "price"
# A unit's list among the reports, in server mode.
READ_LIST = "read_list"
# What a person asks of Dagster's or MLflow's pages in server mode.
UI_LAUNCH, UI_CHANGE = "ui_launch", "ui_change"
# Act → the roles that allow it.
ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((REFRESH, PUBLISH, PROPOSE, ADJUST, ROLLBACK), (DATA_ENGINEER,)),
    **dict.fromkeys((EXPORT, ERASE, ROTATE_KEY), (DATA_ENGINEER,)),
    **dict.fromkeys((RETAIN, BACKUP, RESTORE, HEAL), (DATA_ENGINEER,)),
    TRAIN: (ML_ENGINEER, DATA_ENGINEER),
    **dict.fromkeys((APPROVE, REJECT, PROMOTE, OVERRIDE, ROLLBACK_MODEL), (APPROVER,)),
    OVERRIDE_GATE: (APPROVER,),
    **dict.fromkeys((CUSTOMER_PAGE, EXPLAIN, PRICE), (MANAGER, AUDITOR)),
    READ_LIST: (MANAGER, AUDITOR, DATA_ENGINEER),
    AUDIT: (AUDITOR,),
    UI_LAUNCH: (DATA_ENGINEER, ML_ENGINEER, APPROVER),
    UI_CHANGE: (DATA_ENGINEER,),
}

LOGIN = Path("/proc/self/loginuid")
NO_LOGIN = 2**32 - 1
WRITABLE_BY_OTHERS = 0o022


class IdentityRefused(Refused):
    """The roles file or the name given is not valid."""


class ActRefused(Refused):
    """The person has none of the roles that allow the act."""


class _Entry(BaseModel):
    """A person of the roles file; `book` are the employee_ids whose customers a manager opens, and
    units (`branch B001`, `head office`) whose lists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: Annotated[list[RoleName], Field(min_length=1)]
    book: list[str] = []

    @model_validator(mode="after")
    def _book_of_a_manager(self) -> _Entry:
        if (MANAGER in self.roles) != bool(self.book):
            raise ValueError(
                "expected a book (a list of employee_id) for a manager, and for nobody else"
            )
        return self


class _RolesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    people: Annotated[dict[str, _Entry], Field(min_length=1)]


@dataclass(frozen=True)
class Person:
    """Who acts. `source` is the roles file in force; without one the person has every role."""

    name: str
    roles: frozenset[str]
    book: frozenset[str] = frozenset()
    source: Path | None = None

    def acting(self, allowed: Collection[str]) -> str:
        """Those of the person's roles that allow an act, in words."""
        if self.source is None:
            return EVERY_ROLE
        return ", ".join(role for role in ROLES if role in self.roles and role in allowed)

    def require(self, act: str, subject: str, allowed: Collection[str]) -> None:
        """
        Raises
        ------
        ActRefused
            Where no role of the person is among those `allowed`.
        """
        if self.source is None or self.roles & set(allowed):
            return
        held = ", ".join(role for role in ROLES if role in self.roles)
        state = f"{self.name} has {held}" if held else f"{self.name} is not named in {self.source}"
        raise ActRefused(
            f"{act} of {subject} is refused: role {' or '.join(allowed)} is required, and {state}. "
            f"Ask a person who has it, or have the role added to {self.source}."
        )

    def require_own(
        self,
        act: str,
        subject: str,
        managers: Callable[[], Collection[str | None]],
        beyond: Collection[str] = (AUDITOR,),
    ) -> None:
        """The same for a customer's figures: a manager opens only customers of the own book;
        `managers` gives the employee_ids whose customer it is, `beyond` are the roles that open
        every customer's.

        Raises
        ------
        ActRefused
            For a manager without such a role, and a customer of another book.
        """
        if (
            self.source is None
            or self.roles & set(beyond)
            or any(one in self.book for one in managers())
        ):
            return
        raise ActRefused(
            f"{act} of {subject} is refused: role {' or '.join(beyond)} is required outside the "
            f"book of {self.name} ({', '.join(sorted(self.book))}). Ask the customer's manager."
        )


def who(settings: Settings) -> Person:
    """The person who runs this process.

    Raises
    ------
    IdentityRefused
        For an invalid roles file, and for a JINGXI_USER where a roles file is in force.
    """
    path = roles_file(settings)
    if path is None:
        return Person(_signed_in[-1] if _signed_in else settings.user, frozenset(ROLES))
    entries = _read(path).people
    name = acting_name()
    if "user" in settings.model_fields_set and settings.user != name:
        raise IdentityRefused(
            f"USER (JINGXI_USER) is invalid: expected {name}, who runs this, since "
            f"{path} is in force. Unset it."
        )
    entry = entries.get(name)
    if entry is None:
        return Person(name, frozenset(), source=path)
    return Person(name, frozenset(entry.roles), frozenset(entry.book), path)


# The people for whom this process acts, the present one last.
_signed_in: list[str] = []


@contextmanager
def acting_for(name: str) -> Iterator[None]:
    """Act for a person whom the sign-in of server mode has named, in the whole process."""
    _signed_in.append(name)
    try:
        yield
    finally:
        _signed_in.remove(name)


def acting_name() -> str:
    """Whom this process acts for: the person who signed in, or the operating system's account."""
    return _signed_in[-1] if _signed_in else operating_system_user()


def approver_of(settings: Settings, given: str) -> str:
    """The name of who approves: the person where a roles file is in force, else the one given.

    Raises
    ------
    IdentityRefused
        Where a roles file is in force and another name is given.
    """
    person = who(settings)
    if person.source is None:
        return given
    if given.strip() and not same_person(given, person.name):
        raise IdentityRefused(
            f"APPROVER={given.strip()} is invalid: expected {person.name}, who runs this, since "
            f"{person.source} is in force. Leave it out."
        )
    return person.name


def same_person(one: str, other: str) -> bool:
    """Whether two names are one, whatever their case, spacing or form of letters."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def operating_system_user() -> str:
    """The account that signed in, also behind `sudo` (Linux keeps it for the session), or that of
    the process."""
    try:
        signed_in = int(LOGIN.read_text())
    except (OSError, ValueError):
        signed_in = NO_LOGIN
    number = os.getuid() if signed_in == NO_LOGIN else signed_in
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        # A container may run under a user id without a name.
        return str(number)


def roles_file(settings: Settings) -> Path | None:
    """The roles file in force: the home's own, or the one that JINGXI_ROLES names; None without.

    Raises
    ------
    IdentityRefused
        Where the named file is missing, or the home has another of its own.
    """
    own, named = settings.own_roles, settings.roles
    if named is None:
        return own if own.exists() else None
    if own.exists() and named != own:
        raise IdentityRefused(
            f"ROLES (JINGXI_ROLES) is invalid: expected {own}, the home's own roles file, got "
            f"{named}. Unset it."
        )
    if not named.exists():
        raise IdentityRefused(
            f"ROLES (JINGXI_ROLES) is invalid: {named} does not exist. Name an existing file."
        )
    return named


class _Loader(yaml.BaseLoader):  # type: ignore[misc]
    """YAML of texts alone (0012 and yes are names), in which a key appears once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        content: dict[Any, Any] = super().construct_mapping(node, deep)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} appears twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return content


def _read(path: Path) -> _RolesFile:
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityRefused(f"{path} cannot be read: {error}. Correct it.") from error
    if mode & WRITABLE_BY_OTHERS:
        raise IdentityRefused(
            f"{path} is invalid: others may write it. Run chmod go-w on it after checking it."
        )
    try:
        return _RolesFile.model_validate(yaml.load(text, _Loader))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg'].removeprefix(PYDANTIC)}"
            for one in error.errors()
        )
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problems = f"{line}{getattr(error, 'problem', None) or error}"
    raise IdentityRefused(f"{path} is invalid: {problems}. deploy/roles.yml is an example.")
