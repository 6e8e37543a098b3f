"""Typed settings, read once from the environment (prefix JINGXI_); unknown names are refused."""

from __future__ import annotations

import getpass
import json
import os
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestration.platform.files import write_whole
from orchestration.platform.memory import (
    default_budget,
    engine_threads,
    free_bytes,
    parse_memory,
    processors,
    shown,
)

PREFIX = "JINGXI_"
# pydantic's prefix to the message of a ValueError.
PYDANTIC = "Value error, "
CURRENCY = re.compile(r"^[A-Z]{3}$")
# dbt-duckdb truncates a path at #, SQLite's addresses end at ? and %, * and [ are file patterns.
UNFIT = "#?%*[]\\"
LONGEST_HOME = 380
LEAST_SECRET = 32
KEPT_RELEASES = 12
IN_PROCESS = "in_process"
MONTH = re.compile(r"^\d{4}-(0[1-9]|1[0-2])$")
ADDRESS = re.compile(r"^[^\s@,<>\"]+@[^\s@,<>\"]+$")
WEB = re.compile(r"^https?://[^\s/]+\S*$")


def named(setting: str) -> str:
    """A setting's names for users: the variable of `make`, and that of the environment."""
    return f"{setting.upper()} ({PREFIX}{setting.upper()})"


def name_of(place: tuple[int | str, ...]) -> str:
    """The same for the location of a pydantic error; one of several settings has none."""
    if not place:
        return f"the combination of settings ({PREFIX}…)"
    return named("_".join(str(part) for part in place))


def login_name() -> str:
    """The operating system's name of the account that runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a user id without a name.
        return "unknown"


@cache
def _default_memory() -> int:
    """Cached: a process cannot open one database twice with different limits."""
    return default_budget(free_bytes())


class Settings(BaseSettings):
    """The settings of a home and its refresh."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        # An error must not show a secret.
        hide_input_in_errors=True,
    )

    home: Path = Field(Path("data"), description="everything written lives under it")
    source: Literal["synthetic", "berka", "files"] = Field(
        "synthetic", description="whose records are read"
    )
    source_path: Path | None = Field(None, description="folder of the delivered files")
    mapping: Path | None = Field(
        None, description="file that maps the delivered files to the contract; with SOURCE=files"
    )
    reference_path: Path | None = Field(
        None, description="folder of the bank's own reference data, CSV by seed"
    )
    as_of: str | None = Field(None, description="YYYY-MM; default: the last complete month")
    customers: int = Field(10_000, ge=100, description="customers of the synthetic bank")
    foreign_accounts: bool = Field(
        False, description="the synthetic bank has accounts in US dollars, too"
    )
    seed: int = Field(20, ge=0, description="seed of the synthetic bank and of the models")
    currency: str | None = Field(
        None, description="the bank's currency, such as EUR; default: the only one delivered"
    )
    first_month: str | None = Field(
        None, description="YYYY-MM; first month of the history; default: the source's own"
    )
    train: Literal["auto", "always", "never"] = Field(
        "auto", description="auto: train where no champion fits this source"
    )
    promotion: Literal["auto", "approval"] = Field(
        "auto", description="auto: the policy promotes; approval: a person does, who did not train"
    )
    release: Literal["auto", "approval"] = Field(
        "auto", description="auto: a refresh publishes; approval: a person does, who did not run it"
    )
    release_bound: float | None = Field(
        None,
        gt=0,
        description="0.05: a release that changes more of published months, or of the number of "
        "customers, than this share waits for approval",
    )
    export_bom: bool = Field(
        False, description="begin exported CSV with a byte order mark, as older spreadsheets want"
    )
    language: Literal["en", "zh"] = Field(
        "en",
        description="language of the terminal and of the pages that open first; default: that of "
        "the home's last refresh",
    )
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="what builds the tables of events, from staging to features"
    )
    executor: Literal["in_process", "multiprocess", "k8s", "celery", "celery_k8s"] = Field(
        "in_process",
        description="what executes the steps of a refresh: the process of its run, one process a "
        "step, Kubernetes or Celery; one step at a time writes the warehouse",
    )
    executor_config: Path | None = Field(
        None, description="YAML file of options of Dagster's executor, such as Celery's broker"
    )
    memory: int | None = Field(
        None, description="2GB, 800MB: the engine's; default: half of what is free to the process"
    )
    user: str = Field(
        default_factory=login_name, description="who runs this: the trainer of what it trains"
    )
    roles: Path | None = Field(
        None, description="file of who has which role; default: roles.yml of the home, if any"
    )
    artifacts: str | None = Field(
        None,
        description="where files of models trained from now on are kept: a folder, "
        "s3://bucket/folder or mlflow-artifacts:/folder of the MLflow server; default: the home's",
    )
    proxy_secret: SecretStr | None = Field(
        None, description="proves to the gateway of server mode that a request is the proxy's"
    )
    business_day: int = Field(
        3, ge=1, le=15, description="business day of the month on which the monthly refresh is due"
    )
    holidays: Path | None = Field(
        None, description="CSV file of the bank's holidays: date, name; default: weekends only"
    )
    quiet_minutes: int = Field(
        15, ge=1, description="minutes without a change after which a delivery counts as complete"
    )
    max_hours: int = Field(24, ge=1, description="hours after which Dagster ends a run")
    kept_releases: int = Field(
        KEPT_RELEASES,
        ge=2,
        description="releases that are kept, the served one and the one before it always",
    )
    kept_run_days: int = Field(
        180, ge=1, description="days for which Dagster's runs and their gate reports are kept"
    )
    kept_model_days: int = Field(
        180, ge=1, description="days for which MLflow runs are kept that nothing can return to"
    )
    kept_log_days: int = Field(30, ge=1, description="days for which logs are kept")
    ui_url: str = Field("http://127.0.0.1:3000", description="address of Dagster in links")
    notice_webhook: SecretStr | None = Field(
        None, description="address that takes notices as Slack-compatible JSON; a secret"
    )
    notice_from: str | None = Field(None, description="sender of notices by e-mail")
    notice_to: str | None = Field(None, description="receivers of notices, separated by commas")
    smtp_host: str | None = Field(None, description="mail server of notices")
    smtp_port: int = Field(587, ge=1, le=65_535, description="port of the mail server")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="encryption of the connection to the mail server"
    )
    smtp_user: str | None = Field(None, description="account at the mail server")
    smtp_password: SecretStr | None = Field(None, description="its password; a secret")
    token_key: SecretStr | None = Field(
        None, description="key of quarantine's tokens in place of the home's own; a secret"
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        path = value.expanduser().resolve()
        text = str(path)
        unfit = sorted({sign for sign in text if sign in UNFIT or not sign.isprintable()})
        if unfit:
            raise ValueError(
                f"{text!r} contains {' '.join(repr(sign) for sign in unfit)}: expected a path "
                f"without {' '.join(UNFIT)} and control characters, which the databases read as "
                "patterns or addresses. Choose another folder."
            )
        length = len(os.fsencode(path))
        if length > LONGEST_HOME:
            raise ValueError(
                f"{text[:60]}… has {length} bytes: expected at most {LONGEST_HOME}, the longest "
                "path that SQLite opens. Choose a folder with a shorter path."
            )
        return path

    @field_validator(
        "source_path", "mapping", "reference_path", "roles", "holidays", "executor_config"
    )
    @classmethod
    def _absolute_source(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value is not None else None

    @field_validator("as_of", "first_month")
    @classmethod
    def _month(cls, value: str | None) -> str | None:
        if value is not None and not MONTH.match(value):
            raise ValueError(f"{value!r} is not a month: expected YYYY-MM, such as 2025-12")
        return value

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: str | int | None) -> int | None:
        return parse_memory(value) if isinstance(value, str) else value

    @field_validator("artifacts")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith("/") or "://" in value or ":/" in value):
            raise ValueError(
                f"{value!r} is not a place: expected an absolute folder or an address such as "
                "s3://bucket/folder or mlflow-artifacts:/folder"
            )
        return value and value.rstrip("/")

    @field_validator("proxy_secret", "token_key")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().strip()) < LEAST_SECRET:
            raise ValueError(
                f"expected at least {LEAST_SECRET} characters, drawn at random, such as of openssl "
                "rand -hex 32"
            )
        return value

    @field_validator("ui_url", "notice_webhook")
    @classmethod
    def _web(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is not None and not WEB.match(text):
            raise ValueError("expected an address that begins with http:// or https://")
        return value

    @field_validator("notice_from", "notice_to")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        parts = [part.strip() for part in (value or "").split(",")]
        if value is not None and not all(ADDRESS.match(part) for part in parts):
            raise ValueError("expected e-mail addresses, such as data@bank.example")
        return value and ", ".join(parts)

    @model_validator(mode="after")
    def _mapped(self) -> Settings:
        if self.mapping is not None and self.source != "files":
            raise ValueError(
                f"MAPPING is set and SOURCE is {self.source}: expected SOURCE=files, whose files "
                "it maps"
            )
        return self

    @model_validator(mode="after")
    def _mail(self) -> Settings:
        mail = {
            "SMTP_HOST": self.smtp_host,
            "NOTICE_FROM": self.notice_from,
            "NOTICE_TO": self.notice_to,
        }
        missing = [PREFIX + name for name, value in mail.items() if value is None]
        if 0 < len(missing) < len(mail):
            raise ValueError(
                f"notices by e-mail are incomplete: expected {', '.join(missing)}, too"
            )
        if self.smtp_user is not None and self.smtp_security == "none":
            raise ValueError(
                "SMTP_SECURITY=none sends the password of SMTP_USER unencrypted: expected starttls "
                "or tls"
            )
        return self

    @property
    def engine_memory(self) -> str:
        """DuckDB's `memory_limit`."""
        return shown(self.memory_bytes)

    @property
    def engine_threads(self) -> int:
        """DuckDB's `threads`."""
        return engine_threads(self.memory_bytes, processors())

    @property
    def memory_bytes(self) -> int:
        """The memory that DuckDB may use in the working process, in bytes."""
        return self.memory or _default_memory()

    @field_validator("currency")
    @classmethod
    def _currency(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not CURRENCY.match(value.strip().upper()):
            raise ValueError(
                f"{value!r} is not an ISO 4217 code: expected three letters, such as EUR"
            )
        return value.strip().upper()

    @property
    def warehouse(self) -> Path:
        """The build warehouse; one process writes it."""
        return self.home / "build" / "warehouse.duckdb"

    @property
    def spark(self) -> Path:
        """Spark's tables, its catalogue and what it reads; with ENGINE=spark."""
        return self.home / "build" / "spark"

    @property
    def temporary(self) -> Path:
        """Every component's temporary folder."""
        return self.home / "tmp"

    @property
    def scratch(self) -> Path:
        """The temporary folder of the lock's holder, who empties it first."""
        return self.temporary / "refresh"

    @property
    def token_key_file(self) -> Path:
        """The home's own key of quarantine's tokens."""
        return self.home / "secrets" / "token.key"

    @property
    def own_places(self) -> tuple[Path, ...]:
        """Everything that jingxi writes; the home may hold other files, too."""
        names = (
            *(
                "audit",
                "build",
                "customers",
                "dagster",
                "dbt",
                "delivery",
                "erasure",
                "exports",
                "landing",
            ),
            *("logs", "mlflow", "operations", "published", "reference", "reference_proposal"),
            *("reports", "roles.yml", "scenarios", "secrets", "settings.json", "tmp", "truth"),
        )
        return (*(self.home / name for name in names), self.lock)

    @property
    def kept(self) -> Path:
        """What is kept of the settings: the language of the last refresh."""
        return self.home / "settings.json"

    @property
    def own_roles(self) -> Path:
        """The home's roles file."""
        return self.home / "roles.yml"

    @property
    def audit_trail(self) -> Path:
        """Who did what; outlives releases."""
        return self.home / "audit" / "audit.jsonl"

    @property
    def audit_key(self) -> Path:
        """The key of the trail's tokens."""
        return self.home / "audit" / "token.key"

    @property
    def lock(self) -> Path:
        return self.home / "refresh.lock"

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def delivery(self) -> Path:
        """Where the synthetic bank's files are delivered."""
        return self.home / "delivery"

    @property
    def truth(self) -> Path:
        """The folder of the synthetic bank's hidden truth, for evaluations only."""
        return self.home / "truth"

    @property
    def operations(self) -> Path:
        """Open notices, and the check of the delivery that arrived last."""
        return self.home / "operations"

    @property
    def published(self) -> Path:
        return self.home / "published"

    @property
    def exports(self) -> Path:
        return self.home / "exports"

    @property
    def customer_pages(self) -> Path:
        """The folder of customer pages; not among the reports, which any user of this machine can
        open while the UI runs."""
        return self.home / "customers"

    @property
    def reference_proposal(self) -> Path:
        """Where reference data are proposed."""
        return self.home / "reference_proposal"

    @property
    def scenarios(self) -> Path:
        """The folder of values on other reference data, one folder each."""
        return self.home / "scenarios"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    @property
    def dagster_home(self) -> Path:
        return Path(os.environ.get("DAGSTER_HOME") or self.home / "dagster").resolve()

    @property
    def mlflow_home(self) -> Path:
        return self.home / "mlflow"

    @property
    def artifact_root(self) -> str:
        """The folder or address below which new experiments keep their files."""
        return self.artifacts or str(self.mlflow_home / "artifacts")

    @property
    def own_model_store(self) -> str:
        """MLflow's address of the store inside the home."""
        return f"sqlite:///{self.mlflow_home}/mlflow.db"

    @property
    def mlflow_tracking_uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or self.own_model_store


def read_settings(**given: object) -> Settings:
    """The settings of this process; those `given` by name override the environment.

    Raises
    ------
    ValueError
        For an unknown JINGXI_ name (a misspelled one would be ignored) or an invalid value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        nearest = [near for name in unknown for near in get_close_matches(name, known, n=1)]
        meant = f" (did you mean {', '.join(nearest)}?)" if nearest else ""
        raise ValueError(
            f"unknown setting(s) {', '.join(unknown)}{meant}: expected {', '.join(sorted(known))}"
        )
    settings = Settings(**given)  # type: ignore[arg-type]
    if "language" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"language": _kept_language(settings)})


def keep_language(settings: Settings) -> None:
    """Keep the language with the home: commands without one of their own speak it from now on."""
    if settings.language != _kept_language(settings):
        kept = json.dumps({"language": settings.language})
        write_whole(settings.kept, f"{kept}\n")


def _kept_language(settings: Settings) -> str:
    """The language of the home's last refresh; English before the first."""
    try:
        kept = json.loads(settings.kept.read_text(encoding="utf-8"))["language"]
    except FileNotFoundError:
        return Settings.model_fields["language"].default
    except (ValueError, KeyError, TypeError):
        kept = None
    if kept not in get_args(Settings.model_fields["language"].annotation):
        raise ValueError(
            f'{settings.kept} is invalid: expected {{"language": "en"}} or "zh". Remove it; the '
            "next refresh writes it again."
        )
    return kept
