"""The console's words, in English and Chinese, and which of the two somebody is shown."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from shared import yamlfile
from shared.contract import LANGUAGES
from shared.notify import wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.contract import Language, Problem

COOKIE: Final = "ecr_console_lang"
_FOLDER: Final = Path(__file__).parent / "texts"
_MAX_BYTES: Final = 64 * 1024
_file: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


class BadWords(ValueError):
    """A file of texts that cannot be used."""


class Words:
    """One language's texts.

    Args:
        language: Which.
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self.texts = read(language)
        self._reasons = wording.load()[language].codes

    def __call__(self, key: str, **given: object) -> str:
        """The text of this key with what is given put in. Raises KeyError where there is none."""
        text = self.texts[key]
        return text.format_map({name: str(value) for name, value in given.items()})

    def maybe(self, key: str, otherwise: str) -> str:
        """The text of this key, or what there is in its stead."""
        return self.texts.get(key, otherwise)

    def why(self, problem: Problem) -> tuple[str, str]:
        """What is wrong, and what can be done; a code that has no text speaks for itself."""
        if self.language == "en" or problem.code not in self._reasons:
            return problem.message, problem.remedy
        return self._reasons[problem.code].why, self._reasons[problem.code].do


@cache
def words(language: Language) -> Words:
    """One language's texts, read once."""
    return Words(language)


def read(language: Language) -> Mapping[str, str]:
    """The texts in a language's file. Raises BadWords."""
    path = _FOLDER / f"{language}.yaml"
    try:
        return _file.validate_python(yamlfile.read(path, _MAX_BYTES).document)
    except (yamlfile.BadYaml, ValidationError) as error:
        raise BadWords(f"{path.name}: {error}") from None


def chosen(query: str | None, cookie: str, header: str) -> Language:
    """The language: what the address says, else the cookie, else what the browser would like.

    Args:
        query: `?lang=`, if it is there.
        cookie: The cookie's value, or empty.
        header: `Accept-Language`.
    """
    for told in (query, cookie):
        found = next((one for one in LANGUAGES if one == told), None)
        if found is not None:
            return found
    liked: list[tuple[float, int, Language]] = []
    for number, part in enumerate(header.split(",")[:20]):
        name, _, rest = part.strip().partition(";")
        language = next((one for one in LANGUAGES if name.lower().split("-")[0] == one), None)
        weight = re.fullmatch(r"\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", rest)
        if language is not None:
            liked.append((-(float(weight[1]) if weight else 1.0), number, language))
    return min(liked)[2] if liked else "en"
