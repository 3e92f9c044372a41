"""Programs with units of C and of Rust: both are known, each in its own words."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdive

C = r"""
struct shared { int count; struct shared *next; unsigned char bytes[5]; };
enum c_color { C_RED, C_GREEN = 7 };
struct c_only { unsigned low : 3, high : 4; enum c_color color; struct shared *shared; };
struct shared c_shared = { 41, &c_shared, "four" };
struct c_only c_only = { 5, 9, C_GREEN, &c_shared };
int c_function(struct shared *shared, int (*stop)(void))
{
    int sum = shared->count + c_only.low;
    return sum + stop();
}
"""

RUST = r"""
use std::ffi::c_int;

#[repr(C)]
pub struct Shared { pub count: i32, pub next: *mut Shared, pub bytes: [u8; 5] }

pub enum Shape { Empty, Circle { radius: u32 }, Square(u64, u8) }

#[repr(i8)]
pub enum Signed { Low(u8) = -3, High = 100 }

#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Color { Red = 1, Green = 200 }

pub union Word { pub number: u32, pub bytes: [u8; 4] }

pub struct Pair<A, B> { pub first: A, pub second: B }

extern "C" {
    static mut c_shared: Shared;
    fn c_function(shared: *mut Shared, stop: extern "C" fn() -> c_int) -> c_int;
    fn prctl(option: c_int, argument: u64) -> c_int;
    fn pause() -> c_int;
}

pub static SHAPES: [Shape; 3] = [Shape::Empty, Shape::Circle { radius: 9 }, Shape::Square(4, 1)];
pub static SIGNED: [Signed; 2] = [Signed::Low(6), Signed::High];
pub static COLOR: Color = Color::Green;
pub static SOME: Option<u32> = Some(5);
pub static NONE: Option<u32> = None;
pub static POINTED: Option<&'static Pair<u8, i64>> = Some(&Pair { first: 1, second: -2 });
pub static WORD: Word = Word { number: 0x0102 };
pub static TEXT: &str = "text";
pub static LETTER: char = 'x';
pub static WIDE: u128 = 1 << 100;

extern "C" fn stop() -> c_int {
    println!("ready");
    unsafe { pause() }
}

#[inline(always)]
fn area(shape: &Shape) -> u64 {
    match shape {
        Shape::Empty => 0,
        Shape::Circle { radius } => u64::from(*radius) * 3,
        Shape::Square(side, _) => side * side,
    }
}

#[inline(never)]
pub fn measure(shapes: core::slice::Iter<Shape>) -> u64 {
    let mut total = 0;
    for shape in shapes {
        total += area(shape);
    }
    total
}

fn main() {
    let total = measure(SHAPES.iter());
    assert!(unsafe { prctl(0x59616d61, u64::MAX) } >= -1);
    let shared = &raw mut c_shared;
    let stopped = unsafe { c_function(shared, stop) };
    let words = unsafe { WORD.number } + LETTER as u32 + COLOR as u32 + TEXT.len() as u32;
    let pointed = POINTED.map(|pair| pair.second + i64::from(pair.first));
    let signed = SIGNED.iter().map(|one| match one { Signed::Low(low) => *low, Signed::High => 0 });
    println!("{total} {stopped} {words} {pointed:?} {SOME:?} {NONE:?} {WIDE} {}", signed.max().unwrap());
}
"""


def build(folder: Path, version: int) -> Path:
    (folder / "part.c").write_text(C)
    (folder / "mixed.rs").write_text(RUST)
    subprocess.run(["gcc", f"-gdwarf-{version}", "-c", "part.c"], cwd=folder, check=True)
    subprocess.run(["ar", "rcs", "libpart.a", "part.o"], cwd=folder, check=True)
    command = "rustc --edition 2021 -g -C link-arg=-Wl,--build-id -L . -l static=part"
    subprocess.run(
        [*command.split(), "-C", f"dwarf-version={version}", "mixed.rs"], cwd=folder, check=True
    )
    return folder / "mixed"


@pytest.fixture(scope="module", params=[4, 5], ids=["DWARF 4", "DWARF 5"])
def prog(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[kdive.Program]:
    """The program while a function of C has called back into Rust."""
    path = build(tmp_path_factory.mktemp("rust"), request.param)
    with subprocess.Popen([path], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        yield kdive.program_from_pid(running.pid)
        running.kill()


def test_parts_in_c_are_as_without_rust(prog: kdive.Program) -> None:
    assert str(prog.type("struct shared")) == (
        "struct shared {\n\tint count;\n\tstruct shared *next;\n\tunsigned char bytes[5];\n}"
    )
    address = prog["c_shared"].address_
    assert str(prog["c_only"]) == (
        "(struct c_only){\n\t.low = (unsigned int)5,\n\t.high = (unsigned int)9,\n"
        f"\t.color = (enum c_color)C_GREEN,\n\t.shared = (struct shared *)c_shared+0x0 = {address:#x},\n}}"
    )
    assert prog["c_shared"].next.next.count == 41
    assert prog["c_shared"].bytes.string_() == b"four"
    assert prog["C_GREEN"] == 7
    assert prog["c_function"].type_.type_name() == "int (struct shared *shared, int (*stop)(void))"


def test_types_of_rust(prog: kdive.Program) -> None:
    assert str(prog.type("mixed::Shared")) == (
        "struct mixed::Shared {\n\ti32 count;\n\tstruct mixed::Shared *next;\n\tu8 bytes[5];\n}"
    )
    assert str(prog.type("mixed::Shape")) == (
        "struct mixed::Shape {\n"
        "\tenum {\n\t\tEmpty = 0,\n\t\tCircle = 1,\n\t\tSquare = 2,\n\t} __discriminant;\n"
        "\tstruct mixed::Shape::Empty Empty;\n"
        "\tstruct mixed::Shape::Circle Circle;\n"
        "\tstruct mixed::Shape::Square Square;\n}"
    )
    assert prog.type("mixed::Shape").size == 16
    assert kdive.offsetof(prog.type("mixed::Shape"), "Square.__0") == 8
    iterator = prog.type("core::slice::iter::Iter<mixed::Shape>")
    assert iterator.size == 16
    assert [member.name for member in iterator.members or ()] == ["ptr", "end_or_len", "_marker"]


def test_values_of_rust(prog: kdive.Program) -> None:
    empty, circle, square = prog["mixed::SHAPES"]
    assert [shape.member_("__discriminant").value_() for shape in (empty, circle, square)] == [
        0,
        1,
        2,
    ]
    assert (circle.Circle.radius, square.Square.member_("__0")) == (9, 4)
    assert "__discriminant = (enum <anonymous>)Circle" in str(circle)
    low, high = prog["mixed::SIGNED"]
    assert low.member_("__discriminant").format_(type_name=False) == "Low"
    assert high.member_("__discriminant").format_(type_name=False) == "High"
    assert low.Low.member_("__0") == 6
    assert prog["mixed::SOME"].Some.member_("__0") == 5
    assert prog["mixed::NONE"].member_("__discriminant") == 0
    # A pointer that is not null is Some: no number stands for it.
    pointed = prog["mixed::POINTED"]
    assert [one.name for one in pointed.type_.members or ()] == ["__discriminant", "None", "Some"]
    assert pointed.Some.member_("__0").second == -2
    assert str(prog["mixed::COLOR"]) == "(enum mixed::Color)Green"
    assert prog["mixed::WORD"].bytes[0] == 2
    text = prog["mixed::TEXT"]
    assert prog.read(text.data_ptr, text.length.value_()) == b"text"
    assert prog["mixed::LETTER"].value_() == ord("x")
    assert prog["mixed::WIDE"].value_() == 1 << 100


def test_calls_between_the_languages(prog: kdive.Program) -> None:
    trace = prog.main_thread().stack_trace()
    names = [frame.name for frame in trace]
    middle = names.index("c_function")
    assert names[middle - 1 : middle + 2] == ["mixed::stop", "c_function", "mixed::main"]
    frame = trace[middle]
    assert frame["shared"].count == 41
    assert frame["sum"] == 46
    assert frame.source().filename.endswith("part.c")
    caller = trace[middle + 1]
    assert caller.source().filename.endswith("mixed.rs")
    assert caller["total"].type_.type_name() == "u64"
