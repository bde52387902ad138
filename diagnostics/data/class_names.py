"""Class names: lists that people give as a file or as folders of images."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diagnostics.data import _flow_lists
from diagnostics.errors import ClassesError

LARGEST_MIB, MOST = 1, 100_000
INDEX, NAME = "index", "name"
BY_INDEX, BY_NAME = f"{INDEX}, {NAME}", f"{NAME}, {INDEX}"
# Words that stand above a column, in small letters.
INDEX_HEADINGS = {"", "class_id", "class_index", "class index", "id", "idx", "index", "label_id"}
NAME_HEADINGS = (
    "name",
    "class_name",
    "class name",
    "label_name",
    "label",
    "class",
    "category",
    "names",
    "labels",
    "classes",
    "class_names",
    "categories",
)
# Keys under which a description of a model or a data set holds its names; of the second, only
# where none of the first is there.
LISTS = (
    "id2label",
    "idx_to_class",
    "index_to_name",
    "names",
    "labels",
    "label_names",
    "classes",
    "class_names",
    "categories",
)
INVERSE_LISTS = ("label2id", "class_to_idx")
GENERIC = re.compile(r"LABEL_\d+")  # as transformers calls classes without a name
FILES = re.compile(r"(?i)(.*(class|label|name|synset).*|data|dataset|config|metadata)\.\w+")
ENDINGS = {".csv", ".json", ".names", ".tsv", ".txt", ".yaml", ".yml"}
SYNSET = re.compile(r"n\d{8}")
NUMBERED = re.compile(r"(\d+)(?:\s*:\s*|[.)]\s+|\s+-\s+|\s+)(\S.*)")
NUMBERED_BEHIND = re.compile(r"(\S.*?)\s*:\s*(\d+)")
OF_SYNSET = re.compile(r"n\d{8}[\s,:;]+(\S.*)")
MAX_NUMBER = 100_000_000


@dataclass(frozen=True)
class ClassNames:
    """Names in the order of the outputs, and how they were read.

    Args:
        names: One per output.
        read_as: What the list was taken for, in words: "index, name".
    """

    names: tuple[str, ...]
    read_as: str


class _OrderError(Exception):
    """The order of the classes cannot be told; the text goes on from the name of the list."""


def at(path: Path) -> ClassNames:
    """Return the names that lie at a path: a list, a folder of folders, or a folder with a list.

    Raises:
        ClassesError: When there are none, or two lists that differ.
    """
    try:
        if not path.is_dir():
            with path.open("rb") as stream:
                return read(stream.read(LARGEST_MIB * 2**20 + 1), path.name)
        children = sorted(path.iterdir())
        folders = [f"{child.name}/" for child in children if child.is_dir()]
        lists = [child for child in children if _is_list(child)]
        if len(folders) > 1 or not lists:
            return ClassNames(of_folders(folders), "folders, sorted as text")
        return _agreed([(child.name, at(child)) for child in lists])
    except OSError as error:
        raise ClassesError(f"{path.name} cannot be read: {error.strerror}.") from None
    except _OrderError as error:
        raise ClassesError(f"{path.name} {error}") from None


def of_folders(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the folders that files lie in, in the order in which trainers sort them.

    Args:
        paths: Of files, "cats/1.png", or of folders, "cats/".

    Raises:
        ClassesError: When there are fewer than two.
    """
    found = {
        PurePosixPath(path).name if path.endswith("/") else PurePosixPath(path).parent.name
        for path in paths
    }
    names = tuple(sorted(found - {""}))
    if len(names) < 2:
        raise ClassesError(
            f"Class names from folders need a folder for each class; found {len(names)}."
        )
    return names


def read(content: bytes, name: str) -> ClassNames:
    """Read a list of class names.

    Accepts a name a line, also with an index, a synset or a heading; CSV; a list or a mapping of
    names and indices in JSON, as Python prints it, or under "names:" in YAML; and the descriptions
    in which Hugging Face, Teachable Machine and others keep their names.

    Raises:
        ClassesError: When the content is no such list, or its numbers leave gaps.
    """
    if len(content) > LARGEST_MIB * 2**20:
        raise ClassesError(f"{name} is larger than {LARGEST_MIB} MiB; a list of names is expected.")
    try:
        text = content.decode("utf-8-sig").strip("\r\n ")
    except UnicodeDecodeError:
        raise ClassesError(f"{name} is no text in UTF-8; a list of names is expected.") from None
    try:
        found = _of_text(text, name)
    except _OrderError as error:
        raise ClassesError(f"{name} {error}") from None
    except RecursionError:
        raise ClassesError(f"{name} is nested too deeply; a list of names is expected.") from None
    try:
        "".join(found.names).encode()
    except UnicodeEncodeError:
        raise ClassesError(f"{name} holds half characters; save it again as UTF-8.") from None
    if not all(found.names):
        raise ClassesError(f"{name} holds a class without a name; every class needs one.")
    if not found.names or len(found.names) > MOST:
        raise ClassesError(f"{name} holds {len(found.names)} names; 1 to {MOST:,} are expected.")
    return _with_repeated(found)


def of_description(content: Mapping[str, Any], name: str) -> ClassNames | None:
    """Return the names in a description of a model; None where it has none, or only numbers.

    Raises:
        ClassesError: When their numbers leave gaps, or two lists differ.
    """
    if not _listed(content, LISTS):
        return None
    try:
        found = _of_value(content, name)
    except _OrderError as error:
        raise ClassesError(f"{name} {error}") from None
    return None if all(map(GENERIC.fullmatch, found.names)) else found


def _of_text(text: str, name: str) -> ClassNames:
    if text[:1] in ("[", "{"):
        return _of_value(_structured(text, name), name)
    if names := re.search(r"(?m)^names[ \t]*:(?=\s)[ \t]*", text):
        rest = text[names.end() :]
        try:
            value = _flow_lists.read(rest) if rest[:1] in "[{" else _flow_lists.block(rest)
        except ValueError:
            raise ClassesError(f"{name} has no list behind names: that can be read.") from None
        found = _of_value(_of_flow(value), name)
        return ClassNames(found.names, f"names of YAML, {found.read_as}")
    return _of_lines([line.strip(" ") for line in re.split(r"\r\n|\r|\n", text)])


def _structured(text: str, name: str) -> Any:
    """Return what a text of JSON holds, or one that Python printed."""
    try:
        return json.loads(text, object_pairs_hook=_mapping)
    except (ValueError, RecursionError):
        pass
    try:
        return _of_flow(_flow_lists.read(text))
    except ValueError:
        raise ClassesError(f"{name} is no valid JSON; a list of names is expected.") from None


def _of_flow(content: list[str] | _flow_lists.Pairs) -> Any:
    """Return what was read of YAML or Python as JSON would hold it."""
    pairs = [item for item in content if isinstance(item, tuple)]
    return _mapping(pairs) if pairs else content


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return pairs as a dictionary.

    Raises:
        _OrderError: When a key stands twice.
    """
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise _OrderError(f"has {twice[0][:40]!r} twice; every class stands once.")
    return dict(pairs)


def _of_value(content: Any, name: str) -> ClassNames:
    """Return the names in what JSON or YAML held."""
    if isinstance(content, list):
        if identified := _identified(content):
            return _of_mapping(identified, name)
        return ClassNames(tuple(_text(item, name) for item in content), "a list of names")
    if not isinstance(content, Mapping):
        raise ClassesError(f"{name} holds no list of names and no mapping of indices to names.")
    keys = _listed(content, LISTS) or _listed(content, INVERSE_LISTS)
    if not keys:
        return _of_mapping(content, name)
    found = [(key, _of_value(content[key], name)) for key in keys]
    agreed = _agreed(found)
    return ClassNames(agreed.names, f"{keys[0]}: {agreed.read_as}")


def _identified(items: list[Any]) -> dict[str, Any]:
    """Return objects that bear their index by it; nothing where they are no such objects."""
    if not items or not all(isinstance(item, Mapping) for item in items):
        return {}
    keys = [key for key in sorted(INDEX_HEADINGS) if all(key in item for item in items)]
    return _mapping([(str(item[keys[0]]), item) for item in items]) if keys else {}


def _listed(content: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if isinstance(content.get(key), list | Mapping) and content[key]]


def _agreed(found: Sequence[tuple[str, ClassNames]]) -> ClassNames:
    """Return what several lists say.

    Raises:
        _OrderError: When they differ.
    """
    (first, names), *others = found
    for label, other in others:
        if other.names != names.names:
            raise _OrderError(
                f"holds two lists of class names that differ, {first} and {label}; give the one "
                "that the training used."
            )
    return names


def _is_list(path: Path) -> bool:
    is_called_so = FILES.fullmatch(path.name) and path.suffix.lower() in ENDINGS
    return bool(is_called_so) and path.is_file()


def _of_mapping(content: Mapping[str, Any], name: str) -> ClassNames:
    """Return the names in {index: name} or {name: index}.

    Whole numbers that are 0, 1, 2 and so on in any order are indices, also where the keys could be
    as well: {"1": 0, "10": 1, "2": 2} is what torchvision's ImageFolder makes of folders called
    1, 10 and 2.
    """
    left, right = list(content), list(content.values())
    keys, values = _numbers(left), _numbers(right)
    are_whole = all(isinstance(value, int) for value in right)
    if values and _permutes(values) and (are_whole or not (keys and _permutes(keys))):
        also = ", though its keys are numbers too" if keys and keys != values else ""
        return ClassNames(_ordered(values, left), BY_NAME + also)
    if keys:
        _demand_permutation(keys)
        return ClassNames(_ordered(keys, [_text(value, name) for value in right]), BY_INDEX)
    if values:
        _demand_permutation(values)
    raise ClassesError(f"{name} must map indices to names, or names to indices.")


def _of_lines(lines: Sequence[str]) -> ClassNames:
    """Return the names in lines of text."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return ClassNames((), "nothing")
    found = _of_columns(filled) or _of_numbered(filled) or _of_names(filled)
    empty = len(lines) - len(filled)
    note = f", {empty} empty line{'s' if empty > 1 else ''} left out" if empty else ""
    return ClassNames(found.names, found.read_as + note)


def _of_columns(lines: Sequence[str]) -> ClassNames | None:
    """Return the names in a table, where one of its columns is the index or has a heading."""
    for delimiter in ("\t", ";", ","):
        rows = [_cells(line, delimiter) for line in lines]
        if min(map(len, rows)) > 1 and (found := _of_table(_squared(rows, f"{delimiter} "))):
            return found
    return None


def _squared(rows: list[list[str]], joint: str) -> list[list[str]]:
    """Return rows of one width: names that hold the delimiter, without quotes, stay whole."""
    width = min(map(len, rows))
    if max(map(len, rows)) == width:
        return rows
    if _numbers([row[0] for row in rows[1:]]):
        return [[row[0], joint.join(row[1:])] for row in rows]
    if _numbers([row[-1] for row in rows[1:]]):
        return [[joint.join(row[:-1]), row[-1]] for row in rows]
    return [row[:width] for row in rows]


def _of_table(rows: list[list[str]]) -> ClassNames | None:
    """Return the names of a table; None where nothing says which column is what."""
    return _below_heading(rows) or _without_heading(rows)


def _below_heading(rows: list[list[str]]) -> ClassNames | None:
    title, body = [cell.lower() for cell in rows[0]], rows[1:]
    columns = [[row[number] for row in body] for number in range(len(title))]
    above = [
        number
        for number, column in enumerate(columns)
        if _numbers(column) and not _numbers([title[number]])
    ]
    indices = [number for number in above if title[number] in INDEX_HEADINGS]
    indices += [number for number in above if _permutes(_numbers(columns[number]))]
    called = [title.index(word) for word in NAME_HEADINGS if word in title]
    indices += [number for number in above if number in called]
    are_words = INDEX_HEADINGS | set(NAME_HEADINGS) >= set(title)
    if not body or not (indices or (called and (above or are_words))):
        return None
    index = indices[0] if indices else None
    name = next((number for number in called if number != index), None)
    found = _of_columns_chosen(columns, index, name)
    return ClassNames(found.names, f"{found.read_as} below a heading")


def _without_heading(rows: list[list[str]]) -> ClassNames | None:
    columns = [[row[number] for row in rows] for number in range(len(rows[0]))]
    numbered = {number: found for number, one in enumerate(columns) if (found := _numbers(one))}
    if not numbered:
        return None
    fitting = [number for number, found in numbered.items() if _permutes(found)]
    if not fitting:
        _demand_permutation(next(iter(numbered.values())))
    in_order = [number for number in fitting if numbered[number] == sorted(numbered[number])]
    are_same = len({tuple(numbered[number]) for number in fitting}) == 1
    if not are_same and len(in_order) != 1:  # the index stands in its order
        raise _OrderError("has two columns that may be the index; write index,name above them.")
    return _of_columns_chosen(columns, (in_order or fitting)[0], None)


def _of_columns_chosen(columns: list[list[str]], index: int | None, name: int | None) -> ClassNames:
    """Return the names of a table.

    Args:
        columns: Without their headings.
        index: Number of the column of indices; None where the rows stand in order.
        name: Number of the column of names; None takes the first that holds no synsets.
    """
    others = [number for number in range(len(columns)) if number != index]
    if name is None:
        name = next((one for one in others if not _is_of(SYNSET, columns[one])), others[0])
    if index is None:
        return ClassNames(tuple(columns[name]), NAME)
    numbers = _numbers(columns[index])
    _demand_permutation(numbers)
    return ClassNames(_ordered(numbers, columns[name]), BY_INDEX if index < name else BY_NAME)


def _of_numbered(lines: Sequence[str]) -> ClassNames | None:
    """Return the names of lines that all begin or end with a number, or begin with a synset."""
    if _is_of(OF_SYNSET, lines):
        rest = _groups(OF_SYNSET, lines, 1)
        numbered = _of_numbered(rest)
        return ClassNames(
            numbered.names if numbered else tuple(rest),
            f"synset, {numbered.read_as if numbered else NAME}",
        )
    if _is_of(NUMBERED, lines):
        numbers = list(map(int, _groups(NUMBERED, lines, 1)))
        names = _groups(NUMBERED, lines, 2)
        if not _permutes(numbers) and min(numbers) > 1 and max(numbers) > 2 * len(numbers):
            return None  # years, for example
        _demand_permutation(numbers)
        if _is_of(OF_SYNSET, names):
            synsets = _groups(OF_SYNSET, names, 1)
            return ClassNames(_ordered(numbers, synsets), f"{INDEX}, synset, {NAME}")
        return ClassNames(_ordered(numbers, names), BY_INDEX)
    if _is_of(NUMBERED_BEHIND, lines):
        names = _groups(NUMBERED_BEHIND, lines, 1)
        numbers = list(map(int, _groups(NUMBERED_BEHIND, lines, 2)))
        if len(set(names)) == len(names) and _permutes(numbers):
            return ClassNames(_ordered(numbers, names), BY_NAME)
    return None


def _of_names(lines: Sequence[str]) -> ClassNames:
    """Return lines as names, without a heading."""
    rows = [_cells(line, ",") for line in lines]
    names = [row[0] for row in rows] if all(len(row) == 1 for row in rows) else list(lines)
    if len(names) > 1 and names[0].lower() in NAME_HEADINGS:
        return ClassNames(tuple(names[1:]), f"names below the heading {names[0]}")
    return ClassNames(tuple(names), "a name a line")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return [line]  # no table


def _numbers(values: Sequence[Any]) -> list[int]:
    """Return whole numbers, also those written as text; nothing where one is none."""
    numbers = []
    for value in values:
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 9:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_NUMBER:
            return []
        numbers.append(value)
    return numbers


def _permutes(numbers: Sequence[int]) -> bool:
    return sorted(numbers) == list(range(len(numbers)))


def _demand_permutation(numbers: Sequence[int]) -> None:
    """Refuse numbers that leave gaps: closing them would name every class behind one wrongly."""
    if _permutes(numbers):
        return
    count, found = len(numbers), Counter(numbers)
    twice = [number for number in sorted(found) if found[number] > 1]
    missing = next(number for number in range(count) if number not in found)
    problem = f"{twice[0]} stands twice" if twice else f"{missing} is missing"
    raise _OrderError(
        f"numbers its {count} classes with gaps: every number from 0 to {count - 1} is expected "
        f"once, and {problem}; number them so, or leave the numbers out."
    )


def _ordered(numbers: Sequence[int], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for _, name in sorted(zip(numbers, names, strict=True), key=_first))


def _first(pair: tuple[int, str]) -> int:
    return pair[0]


def _is_of(pattern: re.Pattern[str], lines: Iterable[str]) -> bool:
    return all(map(pattern.fullmatch, lines))


def _groups(pattern: re.Pattern[str], lines: Iterable[str], group: int) -> list[str]:
    found = (pattern.fullmatch(line) for line in lines)
    return [match[group] for match in found if match]


def _text(value: Any, name: str) -> str:
    """Return a name as text: of [id, name] the last, of an object what it calls its name."""
    if isinstance(value, list) and value:
        value = value[-1]
    if isinstance(value, Mapping):
        value = next((value[key] for key in NAME_HEADINGS if key in value), None)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and (not isinstance(value, str) or not value.strip()):
        raise ClassesError(f"{name} holds a class without a name; every class needs one.")
    return str(value).strip()


def _with_repeated(found: ClassNames) -> ClassNames:
    """Say which name stands twice, as some of ImageNet's do."""
    twice = [name for name, count in Counter(found.names).items() if count > 1]
    if not twice:
        return found
    return ClassNames(found.names, f"{found.read_as}; {twice[0][:40]!r} stands more than once")
