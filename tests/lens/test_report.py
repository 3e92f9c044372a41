"""What reports look like: text for people, JSON for programs, a folder of files."""

import json
from pathlib import Path

from kdive.lens import Checked, Damage, Finding, Note, Result, Row, Severity, Status, column
from kdive.lens.report import Report, report_json, result_text, summary_text, write_directory


class Thing(Row, title="Things"):
    name: str = column("its name", "Name")
    address: int | None = column("struct thing", hexadecimal=True)
    count: int | None = column("how many")
    is_live: bool = column("whether it lives", "Live")


class Facts(Row, title="Facts", layout="record"):
    release: str = column("a release", "RELEASE")
    frames: tuple[str, ...] = column("functions", "STACK")


def example() -> Report:
    broken = Result("broken", "It breaks.", (Thing, Facts))
    for item in (
        Facts("6.1", ("inner", "outer")),
        Thing("one", 0xFFFF888000000000, 7, True),
        Thing("a\x1b[31m\nred", None, 1234, False),
        Finding(Severity.NOTICE, "small", ("because",)),
        Finding(Severity.CRITICAL, "big", more="broken --every"),
        Checked(2, "thing"),
        Note("noted"),
        Damage("thing 0x10", "not mapped"),
    ):
        broken.add(item)
    broken.end(Status.OK)
    fine = Result("fine", "It is fine.", ())
    fine.add(Checked(1, "box", "boxes"))
    absent = Result("absent", "It is absent.", ())
    absent.end(Status.SKIPPED, "the kernel module x is not loaded")
    late = Result("late", "It is late.", (Facts,))
    late.add(Facts("6.1", ()))
    late.end(Status.TIMED_OUT, "it was stopped after 3 s")
    return Report(
        "Linux 6.1, a dump", ["kdive", "lens", "-c", "my dump"], [absent, broken, fine, late]
    )


def test_findings_come_first_and_the_most_severe_on_top() -> None:
    assert (
        summary_text(example())
        == """\
Linux 6.1, a dump
2 findings; 4 diagnoses: 1 ok, 1 partial, 1 skipped, 1 timed out

CRITICAL broken: big
  more: kdive lens -c 'my dump' broken --every

NOTICE broken: small
  - because

skipped    absent  the kernel module x is not loaded
PARTIAL    broken  2 findings; checked 2 things; 1 structure could not be read
ok         fine    nothing found; checked 1 box
TIMED OUT  late    it was stopped after 3 s; 1 row kept
"""
    )


def test_tables_are_aligned_and_harmless() -> None:
    assert result_text(example().results[1]).splitlines() == [
        "broken: It breaks.",
        "",
        "Things",
        "Name            address             count  Live",
        "one             0xffff888000000000      7  yes",
        r"a\x1b[31m\nred  -                    1234  no",
        "",
        "Facts",
        "RELEASE : 6.1",
        "STACK   : inner",
        "          outer",
        "",
        "note: noted",
        "damaged: thing 0x10: not mapped",
        "partial: 1 structure could not be read",
        "3 rows; checked 2 things",
    ]


def test_json_has_all_of_it() -> None:
    content = json.loads(json.dumps(report_json(example())))
    assert [(f["diagnosis"], f["severity"], f["sentence"]) for f in content["findings"]] == [
        ("broken", "critical", "big"),
        ("broken", "notice", "small"),
    ]
    assert content["findings"][0]["more"] == "kdive lens -c 'my dump' broken --every"
    assert [d["status"] for d in content["diagnoses"]] == ["skipped", "partial", "ok", "timed out"]
    things, facts = content["diagnoses"][1]["tables"]
    assert things["rows"] == [
        {"name": "one", "address": "0xffff888000000000", "count": 7, "is_live": True},
        {"name": "a\x1b[31m\nred", "address": None, "count": 1234, "is_live": False},
    ]
    assert things["columns"]["count"] == "how many"
    assert facts["rows"] == [{"release": "6.1", "frames": ["inner", "outer"]}]
    assert content["diagnoses"][1]["damages"] == [{"where": "thing 0x10", "error": "not mapped"}]
    assert content["diagnoses"][0]["reason"] == "the kernel module x is not loaded"


def test_a_folder_has_an_index_and_two_files_for_each(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    report = example()
    for _ in range(2):  # the second time nothing is doubled
        write_directory(report, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.txt", "index.json"} | {
        f"{name}.{kind}"
        for name in ("absent", "broken", "fine", "late")
        for kind in ("txt", "json")
    }
    assert (folder / "index.txt").read_text() == summary_text(report)
    assert (folder / "broken.txt").read_text() == result_text(report.results[1])
    index = json.loads((folder / "index.json").read_text())
    assert [(d["name"], d["rows"]) for d in index["diagnoses"]] == [
        ("absent", 0),
        ("broken", 3),
        ("fine", 0),
        ("late", 1),
    ]
    for entry in index["diagnoses"]:
        for name in entry["files"]:
            assert (folder / name).exists()
    assert json.loads((folder / "broken.json").read_text())["tables"][0]["name"] == "Thing"
