"""The daemon's own settings from RUNWATCH_* variables; imported only when one is set: pydantic-settings is dear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitor.config.model import LogFormat, LogLevel
from monitor.config.problems import Place, Problem
from monitor.config.sentences import sentences

PREFIX = "RUNWATCH_"


class Settings(BaseSettings):
    """Each field is the variable RUNWATCH_<FIELD>, and goes before the file."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    listen: str | None = None
    external_url: str | None = None
    store: str | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"


class Environment(PydanticBaseSettingsSource):
    """The variables of one environment, which need not be the process's own."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings)
        self.environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = PREFIX + field_name.upper()
        return self.environ.get(name), name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in Settings.model_fields.items()}
        return {name: value.lower() if name.startswith("log_") else value for name, value in found.items() if value}


def read(environ: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """The settings and what is wrong with them; those that are wrong keep their defaults."""
    try:
        return _settings(environ), []
    except ValidationError as error:
        problems, good = [], dict(environ)
        for path, sentence, _ in sentences(error, Settings, {}):
            name = PREFIX + str(path[0]).upper()
            problems.append(Problem(Place("environment"), name, sentence))
            good.pop(name, None)
        return _settings(good), problems


def _settings(environ: Mapping[str, str]) -> Settings:
    class Bound(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *others: Any, **more: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (Environment(settings_cls, environ),)

    return Bound()
