"""Folders of images, as directories and as archives: what is read, in which order, and as what."""

from __future__ import annotations

import io
import os
import random
import stat
import struct
import tarfile
import zipfile

import pytest

from diagnostics.data import folder as module
from diagnostics.data.folder import MOST_BYTES, MOST_LIST_BYTES, Folder, fingerprint
from diagnostics.errors import ImageError

LETTERS = ("a", "b", "c")
FILES = {
    "b/2.png": b"two",
    "a/10.png": b"ten",
    "a/2.png": bytes(range(256)) * 5,
    "a/1.PNG": b"",
    "c/Größe 漢字 🙂.webp": b"unicode",
    f"c/{'long ' * 40}/{'deep' * 30}.jpg": b"a name of many bytes",
}
ORDER = ["a/1.PNG", "a/2.png", "a/10.png", "b/2.png"]
TARS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def as_directory(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def as_zip(path, files, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(path, files, style=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=style) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MADE = {
    "directory": as_directory,
    "stored zip": lambda path, files: as_zip(path / "f", files, zipfile.ZIP_STORED),
    "zip": lambda path, files: as_zip(path / "f", files),
    "gnu tar": lambda path, files: as_tar(path / "f", files, tarfile.GNU_FORMAT),
    "pax tar": lambda path, files: as_tar(path / "f", files),
}


@pytest.fixture(params=MADE)
def made(request, tmp_path):
    return lambda files: MADE[request.param](tmp_path, files)


def contents(folder):
    return {entry.name: folder.read(entry) for entry in folder.entries}


def names(folder):
    return [entry.name for entry in folder.entries]


def labelled(folder, classes=LETTERS):
    return dict(zip(names(folder), folder.labels(classes).indices, strict=True))


def test_every_kind_of_folder_gives_the_same_names_and_bytes(made):
    folder = Folder(made(FILES))
    assert contents(folder) == FILES
    assert names(folder)[: len(ORDER)] == ORDER
    assert folder.notes == ()


@pytest.mark.parametrize("style", TARS)
def test_names_of_more_than_a_hundred_bytes_are_whole_in_every_tar(tmp_path, style):
    long = {f"a/{'d' * 90}/{'n' * 80}.png": b"long", "a/short.png": b"short"}
    assert contents(Folder(as_tar(tmp_path / "f", long, TARS[style]))) == long


def test_files_are_in_natural_order(made):
    files = [f"{number}.png" for number in (1, 2, 10, 100)]
    files += ["A1.png", "a2.png", "a10.png", "b/2.png", "b/10.png", "c1/2.png", "c10/1.png"]
    shuffled = random.Random(0).sample(files, len(files))
    assert names(Folder(made(dict.fromkeys(shuffled, b"")))) == files


def test_names_that_differ_in_case_or_zeros_alone_have_one_order(tmp_path):
    files = ["A.png", "a.png", "01.png", "1.png"]
    found = {
        tuple(names(Folder(as_zip(tmp_path / "f", dict.fromkeys(order, b"")))))
        for order in (files, files[::-1])
    }
    assert len(found) == 1


def test_a_name_of_thousands_of_digits_is_read(tmp_path):
    name = "9" * 5000
    folder = Folder(as_tar(tmp_path / "f", {f"{name}/{name}.png": b"", "1/2.png": b""}))
    assert len(folder.entries) == 2
    assert folder.labels(LETTERS).indices == (1, None)


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"x", "labels.csv": b"a,b"}])
def test_a_folder_without_an_image_says_what_is_read(made, files):
    with pytest.raises(ImageError, match="holds no image; PNG, JPEG"):
        Folder(made(files))


def test_what_is_no_image_is_counted_and_what_is_hidden_is_not(made):
    hidden = {".DS_Store": b"", "__MACOSX/a/._1.png": b"", "a/.1.png": b"", "Thumbs.db": b""}
    images = {"a/1.png": b"1"}
    folder = Folder(made({**images, **hidden, "a.txt": b"", "b/model.pt": b""}))
    assert contents(folder) == images
    assert folder.notes == ("Files left out because they are no images: 2.",)


def test_links_are_not_followed(tmp_path):
    outside = as_directory(tmp_path / "outside", {"secret.png": b"secret"})
    path = as_directory(tmp_path / "inside", {"a/1.png": b"1"})
    (path / "a" / "link.png").symlink_to(outside / "secret.png")
    (path / "a" / "twin.png").symlink_to(path / "a" / "1.png")
    (path / "b").symlink_to(outside)
    (path / "round").symlink_to(path)
    assert names(Folder(path)) == ["a/1.png"]
    (tmp_path / "door").symlink_to(path)
    assert names(Folder(tmp_path / "door")) == ["a/1.png"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    as_directory(tmp_path, {"1.png": b"1"})
    assert names(Folder(tmp_path)) == ["1.png"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_a_tar_gives_files_alone(tmp_path, kind):
    path = tmp_path / "f"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("1.png"))
        other = tarfile.TarInfo("other.png")
        other.type, other.linkname = kind, "/etc/passwd"
        archive.addfile(other)
    assert names(Folder(path)) == ["1.png"]


def test_a_zip_gives_files_alone(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = as_zip(tmp_path / "f", {"1.png": b"1", "folder.png/": b""})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert names(Folder(path)) == ["1.png"]


@pytest.mark.parametrize("pack", [as_zip, as_tar])
@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "/1.png", "/etc/a/1.png", ".."])
def test_names_that_lead_out_are_left_out(tmp_path, pack, name):
    folder = Folder(pack(tmp_path / "f", {name: b"out", "in.png": b"in"}))
    assert contents(folder) == {"in.png": b"in"}


@pytest.mark.parametrize("name", ["..\\1.png", "a\\..\\..\\1.png", "\\1.png"])
def test_names_that_lead_out_of_a_windows_folder_are_left_out(tmp_path, name):
    folder = Folder(as_zip(tmp_path / "f", {name: b"out", "in.png": b"in"}))
    assert contents(folder) == {"in.png": b"in"}


def test_one_path_has_one_spelling(tmp_path):
    """As Windows, `tar -C folder .`, and a Mac (which takes letters apart) write it."""
    written = {"a\\1.png": b"1", "./b/2.png": b"2", "c//cafe\u0301.png": b"3"}
    expected = {"a/1.png": b"1", "b/2.png": b"2", "c/caf\u00e9.png": b"3"}
    assert contents(Folder(as_zip(tmp_path / "f", written))) == expected


def test_a_name_that_is_no_utf8_is_read_and_hashed(tmp_path):
    as_directory(tmp_path, {"a/1.png": b"1"})
    with open(os.fsencode(tmp_path) + b"/a/\xff.png", "wb") as file:
        file.write(b"latin")
    (name, *_) = names(Folder(tmp_path))[::-1]
    assert name == "a/\\xff.png"
    assert contents(Folder(tmp_path))[name] == b"latin"
    assert len(fingerprint(tmp_path)) == 64
    path = tmp_path / "f.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(os.fsdecode(b"\xfe.png")))
    assert names(Folder(path)) == ["\\xfe.png"]


def with_size(path, size):
    """Make a zip's own list of files declare a size that no file has."""
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 2**32 - 2])
def test_a_zip_that_declares_too_much_is_not_unpacked(tmp_path, size):
    folder = Folder(with_size(as_zip(tmp_path / "f", {"1.png": b"small"}), size))
    with pytest.raises(ImageError, match="larger than 64 MiB"):
        folder.read(folder.entries[0])


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    bomb = as_zip(tmp_path / "f", {"1.png": bytes(MOST_BYTES + 1)})
    assert bomb.stat().st_size < 2**17
    folder = Folder(bomb)
    with pytest.raises(ImageError, match="larger than 64 MiB"):
        folder.read(folder.entries[0])
    whole = Folder(as_zip(tmp_path / "g", {"1.png": bytes(MOST_BYTES)}))
    assert len(whole.read(whole.entries[0])) == MOST_BYTES


def test_a_zip_bomb_that_declares_little_is_refused(tmp_path):
    folder = Folder(with_size(as_zip(tmp_path / "f", {"1.png": bytes(MOST_BYTES + 1)}), 1000))
    with pytest.raises(ImageError, match="cannot be read"):
        folder.read(folder.entries[0])


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_cannot_be_stopped_in_time_is_refused(tmp_path, kind):
    """Python unpacks these by the whole, so that a megabyte becomes gigabytes."""
    folder = Folder(as_zip(tmp_path / "f", {"1.png": b"x" * 1000}, kind))
    with pytest.raises(ImageError, match="cannot be read"):
        folder.read(folder.entries[0])


def test_a_large_file_of_a_directory_is_not_read_whole(tmp_path):
    with (tmp_path / "1.png").open("wb") as file:
        file.truncate(2**40)  # a hole: nothing is written
    folder = Folder(tmp_path)
    with pytest.raises(ImageError, match="larger than 64 MiB"):
        folder.read(folder.entries[0])


def test_a_tar_that_holds_less_than_it_declares_is_refused(tmp_path):
    path = tmp_path / "f"
    info = tarfile.TarInfo("1.png")
    info.size = MOST_BYTES + 1
    path.write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(ImageError, match="cannot be read"):
        Folder(path)
    with path.open("r+b") as file:
        file.truncate(info.size + 2048)
    folder = Folder(path)
    with pytest.raises(ImageError, match="larger than 64 MiB"):
        folder.read(folder.entries[0])


def test_a_tar_whose_sizes_lead_backwards_ends(tmp_path):
    info = tarfile.TarInfo("1.png")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "f").write_bytes(header + bytes(1024))
    with pytest.raises(ImageError, match="cannot be read"):
        Folder(tmp_path / "f")


def test_an_encrypted_image_says_so_and_the_others_are_read(tmp_path):
    path = as_zip(tmp_path / "f", {"1.png": b"secret", "2.png": b"open"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    folder = Folder(path)
    with pytest.raises(ImageError, match=r"1\.png is encrypted; unpack it first"):
        folder.read(folder.entries[0])
    assert folder.read(folder.entries[1]) == b"open"


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_image_of_a_zip_is_refused_and_the_others_are_read(tmp_path, kind):
    noise = random.Random(0).randbytes(5000)
    path = as_zip(tmp_path / "f", {"1.png": noise, "2.png": b"whole"}, kind)
    content = bytearray(path.read_bytes())
    content[2000:2040] = bytes(40)
    path.write_bytes(content)
    folder = Folder(path)
    with pytest.raises(ImageError, match=r"1\.png cannot be read"):
        folder.read(folder.entries[0])
    assert folder.read(folder.entries[1]) == b"whole"


def test_a_tar_with_a_damaged_header_is_refused_rather_than_read_in_part(tmp_path):
    path = as_tar(tmp_path / "f", {"1.png": b"1", "2.png": b"2"}, tarfile.USTAR_FORMAT)
    content = bytearray(path.read_bytes())
    content[1024] ^= 1  # the second name's first letter
    path.write_bytes(content)
    with pytest.raises(ImageError, match="cannot be read"):
        Folder(path)


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_damaged_archives_are_refused_and_never_break_us(tmp_path, pack):
    path = pack(tmp_path / "f", {name: content for name, content in FILES.items() if content})
    whole = path.read_bytes()
    chance = random.Random(1)
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            folder = Folder(path)
            folder.labels(LETTERS)
        except ImageError:
            continue
        for entry in folder.entries:
            try:
                assert len(folder.read(entry)) <= MOST_BYTES
            except ImageError:
                continue


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no archive", b"a" * 3000, b"\x1f\x8b" * 99])
def test_what_is_no_archive_says_what_to_give(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ImageError, match=r"f cannot be read; give a folder, a \.zip"):
        Folder(tmp_path / "f")


def test_a_folder_that_is_gone_is_said(tmp_path):
    path = as_directory(tmp_path / "f", {"1.png": b"1"})
    folder = Folder(path)
    (path / "1.png").unlink()
    with pytest.raises(ImageError, match=r"1\.png cannot be read"):
        folder.read(folder.entries[0])
    for read in (Folder, fingerprint):
        with pytest.raises(ImageError, match="gone cannot be read"):
            read(tmp_path / "gone")


@pytest.mark.parametrize("compress", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_refused_because_no_image_of_it_is_read_alone(tmp_path, compress):
    path = tmp_path / "f.tar"
    with tarfile.open(path, f"w:{compress}") as archive:
        archive.addfile(tarfile.TarInfo("1.png"))
    with pytest.raises(ImageError, match=r"a \.tar without compression"):
        Folder(path)


def test_a_tar_that_holds_a_zip_is_a_tar(tmp_path):
    inner = as_zip(tmp_path / "inner", {"wrong.png": b"wrong"})
    path = as_tar(tmp_path / "f", {"1.png": b"1", "z.bin": inner.read_bytes()})
    assert contents(Folder(path)) == {"1.png": b"1"}


def test_an_image_lies_in_the_nearest_folder(made):
    folder = Folder(made({"top.png": b"", "train/a/1.png": b"", "train/b/old/2.png": b""}))
    assert {entry.name: entry.folder for entry in folder.entries} == {
        "top.png": "",
        "train/a/1.png": "a",
        "train/b/old/2.png": "old",
    }
    assert labelled(folder) == {"top.png": None, "train/a/1.png": 0, "train/b/old/2.png": None}
    assert folder.labels(LETTERS).notes == (
        "2 of 3 images have no label. No class is called 'old'.",
    )


HEADINGS = {"none": "", "a heading": "filename{mark}label\n"}


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_list_of_labels_is_read_however_it_was_saved(tmp_path, heading, mark, start, end):
    rows = HEADINGS[heading].format(mark=mark) + f'1.png{mark}b\n"2, 3; 4.png"{mark}c\n'
    content = (start + rows.replace("\n", end)).encode()
    files = {"1.png": b"", "2, 3; 4.png": b"", "5.png": b"", "labels.csv": content}
    folder = Folder(as_directory(tmp_path, files))
    assert labelled(folder) == {"1.png": 1, "2, 3; 4.png": 2, "5.png": None}
    assert folder.labels(LETTERS).notes == ("1 of 3 images have no label.",)
    assert folder.notes == ()


def test_a_list_names_files_by_path_or_name_and_wins_over_folders(made):
    rows = b"set/a/1.png,c\n./set/a/2.png,b\nset\\b\\3.png,a\n4.png,a\n"
    files = [f"set/{name}.png" for name in ("a/1", "a/2", "b/3", "b/4")]
    folder = Folder(made({**dict.fromkeys(files, b""), "list.csv": rows}))
    assert list(labelled(folder).values()) == [2, 1, 0, 0]


def test_a_list_names_files_from_where_it_lies(made):
    files = {"set/a/1.png": b"", "set/b/1.png": b"", "set/labels.csv": b"a/1.png,c\nb/1.png,a\n"}
    assert labelled(Folder(made(files))) == {"set/a/1.png": 2, "set/b/1.png": 0}


def test_of_several_lists_the_highest_called_labels_counts(made):
    folder = Folder(
        made(
            {
                "a/1.png": b"",
                "a/labels.csv": b"1.png,a\n",
                "Labels.CSV": b"1.png,b\n",
                "other.csv": b"1.png,c\n",
            }
        )
    )
    assert labelled(folder) == {"a/1.png": 1}
    assert folder.notes == ("Files left out because they are no images: 2.",)


def test_of_several_lists_none_of_which_is_called_labels_none_counts(made):
    folder = Folder(made({"a/1.png": b"", "x.csv": b"1.png,b", "y.csv": b"1.png,c"}))
    assert labelled(folder) == {"a/1.png": 0}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("1.png,Größe".encode("latin-1"), "no UTF-8 text; save it as CSV in UTF-8"),
        (b"1.png," + b"x" * 200_000, "list of labels cannot be read"),
        (bytes(MOST_LIST_BYTES + 1), "list of labels is larger than 16 MiB"),
    ],
)
def test_a_list_that_cannot_be_read_is_said(tmp_path, content, sentence):
    folder = Folder(as_directory(tmp_path, {"1.png": b"", "labels.csv": content}))
    with pytest.raises(ImageError, match=sentence):
        folder.labels(LETTERS)


@pytest.mark.parametrize(
    ("folder", "classes", "index"),
    [
        ("cat", ("dog", "cat"), 1),
        ("Great_White-Shark", ("tench", "great white shark"), 1),
        ("great white  shark", ("tench", "Great_White_Shark"), 1),
        ("cafe\u0301", ("tea", "Caf\u00e9"), 1),
        ("x", ("X", "x"), 1),
        ("1", ("dog", "cat"), 1),
        ("01", ("dog", "cat"), 1),
        ("2", ("dog", "cat"), None),
        ("-1", ("dog", "cat"), None),
        ("²", ("dog", "cat", "bird"), None),
        ("5", ("5", "0", "1"), 0),
        ("0", ("1", "2", "3"), None),
        ("3", ("0", "1", "2", "a"), 3),
        ("horse", ("dog", "cat"), None),
    ],
)
def test_a_label_is_a_class_by_its_name_or_else_by_its_number(tmp_path, folder, classes, index):
    others = [f"other {number}/1.png" for number in range(4)]  # more than there are classes
    labels = labelled(
        Folder(as_directory(tmp_path, dict.fromkeys([f"{folder}/1.png", *others], b""))), classes
    )
    assert [labels.pop(other) for other in others] == [None] * 4
    assert list(labels.values()) == [index]


def test_labels_that_fit_are_named_and_those_that_do_not_are_in_the_note(made):
    files = ["a/1.png", "B/1.png", "x/1.png", "y/1.png", "z/1.png", "zz/1.png", "zz/2.png"]
    labels = Folder(made(dict.fromkeys(files, b""))).labels(LETTERS)
    assert labels.indices == (0, 1, None, None, None, None, None)
    assert labels.names == {"a": 0, "B": 1}
    assert labels.notes == ("5 of 7 images have no label. No class is called 'x', 'y', 'z'.",)


def test_as_many_unknown_labels_as_classes_are_taken_in_natural_order_and_it_is_said(made):
    files = ["n10/1.png", "n2/1.png", "n1/1.png", "n1/2.png"]
    labels = Folder(made(dict.fromkeys(files, b""))).labels(LETTERS)
    assert labels.names == {"n1": 0, "n2": 1, "n10": 2}
    assert labels.indices == (0, 0, 1, 2)
    assert "natural order: 'n1' is class 0" in labels.notes[0]
    fewer = Folder(made(dict.fromkeys(files, b""))).labels(["a", "b"])
    assert set(fewer.indices) == {None}


def test_images_in_one_folder_of_any_name_have_no_labels(made):
    labels = Folder(made({"photos/1.png": b"", "photos/2.png": b""})).labels(["cat"])
    assert labels.indices == (None, None)
    assert labels.notes == ("2 of 2 images have no label.",)


def test_images_in_one_folder_that_is_a_class_are_of_that_class(made):
    assert Folder(made({"b/1.png": b"", "b/2.png": b""})).labels(LETTERS).indices == (1, 1)


def test_a_fingerprint_is_of_names_and_content_and_not_of_times(tmp_path):
    path = as_directory(tmp_path / "f", {"a/1.png": b"1", "a/2.png": b"2"})
    before = fingerprint(path)
    os.utime(path / "a" / "1.png", (1, 1))
    as_directory(path, {"notes.txt": b"", ".hidden.png": b"", "c/notes.txt": b""})
    assert fingerprint(path) == before
    assert fingerprint(as_directory(tmp_path / "g", {"a/2.png": b"2", "a/1.png": b"1"})) == before
    seen = {before}
    for files in (
        {"a/1.png": b"one"},
        {"a/1.png": b"2", "a/2.png": b"1"},
        {"b/3.png": b""},
        {"labels.csv": b"1.png,a"},
    ):
        seen.add(fingerprint(as_directory(path, files)))
    assert len(seen) == 5
    (path / "a" / "2.png").rename(path / "a" / "20.png")
    assert fingerprint(path) not in seen


def test_a_fingerprint_of_an_archive_is_its_hash(tmp_path):
    one = as_zip(tmp_path / "one.zip", {"1.png": b"1"})
    other = tmp_path / "other.zip"
    other.write_bytes(one.read_bytes())
    os.utime(other, (1, 1))
    assert fingerprint(one) == fingerprint(other)
    other.write_bytes(one.read_bytes() + b"\0")
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("name", ["results.csv", "a/meta.csv", "labels.csv"])
@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"other.png,c\n"])
def test_a_list_of_none_of_the_images_leaves_the_word_to_the_folders_and_it_is_said(
    made, name, content
):
    labels = Folder(made({"a/1.png": b"", "b/1.png": b"", name: content})).labels(LETTERS)
    assert labels.indices == (0, 1)
    end = name.rpartition("/")[2]
    assert labels.notes == (f"{end} labels none of these images; it was left out.",)


def test_more_files_than_the_most_are_refused_before_all_are_listed(made, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    files = {f"{n}.png": b"" for n in range(4)}
    with pytest.raises(ImageError, match="holds more than 3 files"):
        Folder(made(files))


def test_as_many_files_as_the_most_are_read(made, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    assert len(Folder(made({f"{n}.png": b"" for n in range(3)})).entries) == 3


def test_files_of_one_name_count_each(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    with pytest.raises(ImageError, match="more than 3"):
        Folder(as_zip(tmp_path / "f", {"a.png": b"", "./a.png": b"", "b.png": b"", "c.png": b""}))
