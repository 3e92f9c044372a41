//! Debug information that dwz compressed: shared parts in partial units.

mod common;

use std::process::Command;
use std::sync::Arc;

use common::{Compiler, run};
use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{Location, ObjectKinds, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;

const HEADER: &str = "
struct shared_list { struct shared_list *next, *previous; };
struct shared_record { struct shared_list links; unsigned a : 3, b : 4; long values[9]; char name[16]; };
enum shared_color { SHARED_RED, SHARED_GREEN = 7, SHARED_BLUE };
typedef int (*shared_callback)(struct shared_record *record, enum shared_color color);
extern struct shared_record shared_variable;
int shared_function(struct shared_record *record, shared_callback callback);
";

#[test]
fn types_of_partial_units_are_those_of_the_original() {
    let compiler = Compiler::new();
    std::fs::write(compiler.path("shared.h"), HEADER).unwrap();
    let unit = |name: &str, body: &str| {
        let text = format!("#include \"shared.h\"\n{body}");
        std::fs::write(compiler.path(name), text).unwrap();
    };
    unit(
        "one.c",
        "struct shared_record shared_variable = { .a = 1 };",
    );
    unit(
        "two.c",
        "int shared_function(struct shared_record *r, shared_callback c) { return c(r, SHARED_BLUE); }",
    );
    let main = "#include \"shared.h\"
        static int call(struct shared_record *r, enum shared_color c) { return r->b + c; }
        int main(void) { return shared_function(&shared_variable, call); }";
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let options = [version, "-O1", "-no-pie", "one.c", "two.c"];
        let program = compiler.compile("gcc", main, "main.c", &options);
        let squeezed = compiler.path("squeezed");
        run(Command::new("dwz").arg("-o").args([&squeezed, &program]));
        let dump = run(Command::new("readelf")
            .arg("--debug-dump=info")
            .arg(&squeezed));
        assert!(
            dump.contains("DW_TAG_partial_unit"),
            "dwz found nothing to share"
        );

        let describe = |path| {
            let elf = Arc::new(ElfFile::open(path).unwrap());
            let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
            let mut answers = vec![format!(
                "{:?}",
                source.type_names(TypeKinds::all()).unwrap()
            )];
            for name in ["shared_list", "shared_record"] {
                let id = source
                    .find_types(TypeKinds::STRUCT, name, Some("shared.h"))
                    .unwrap()[0];
                for member in source.members(id).unwrap() {
                    let kind = source
                        .describe(member.type_id.unwrap())
                        .unwrap()
                        .shape
                        .kind();
                    let (name, size) = (member.name, member.bit_field_size);
                    answers.push(format!("{name:?} {} {size:?} {kind:?}", member.bit_offset));
                }
            }
            let color = source
                .find_types(TypeKinds::ENUM, "shared_color", None)
                .unwrap()[0];
            answers.push(format!("{:?}", source.enumerators(color).unwrap()));
            let symbols = SymbolTable::from_elf(&elf, 0).unwrap();
            for name in ["shared_variable", "shared_function", "main", "call"] {
                let found = source.find_objects(ObjectKinds::all(), name, None).unwrap();
                let address = symbols.by_name(name).unwrap().address;
                assert_eq!(
                    found[0].location,
                    Location::Address(address),
                    "{version}: {name}"
                );
                assert!(found[0].type_id.is_some(), "{version}: {name}");
            }
            answers
        };
        let expected = describe(&program);
        assert!(expected.len() > 7, "{expected:?}");
        assert_eq!(describe(&squeezed), expected, "{version}");
    }
}
