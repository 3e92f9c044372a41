//! The Python binding of the kdive engine: the module `kdive._native`.
//!
//! Only conversion, Python's protocols, the GIL and callbacks live here. Anything that could be
//! useful without Python belongs in the crates below.

#![allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 passes arguments by value"
)]

mod arguments;
mod cache;
mod enums;
mod errors;
mod functions;
mod kinds;
mod language;
mod linux;
mod log;
mod module;
mod object;
mod options;
mod parts;
mod platform;
mod pretty;
mod program;
mod search;
mod source;
mod stack;
mod symbol;
mod types;
mod walk;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

/// What is defined in Python, and found here too.
const FROM_PYTHON: [&str; 2] = ["kdive._enums", "kdive._errors"];

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    for name in FROM_PYTHON {
        let source = py.import(name)?;
        for name in source.getattr("__all__")?.try_iter()? {
            let name: String = name?.extract()?;
            module.add(&*name, source.getattr(&*name)?)?;
        }
    }
    module.add_class::<kinds::TypeKindSet>()?;
    module.add_class::<language::Language>()?;
    module.add_class::<module::ExtraModule>()?;
    module.add_class::<module::MainModule>()?;
    module.add_class::<module::Module>()?;
    module.add_class::<module::RelocatableModule>()?;
    module.add_class::<module::SharedLibraryModule>()?;
    module.add_class::<module::VdsoModule>()?;
    object::storage::prepare(&py.get_type::<object::Object>());
    module.add_class::<object::Object>()?;
    module.add_class::<options::DebugInfoOptions>()?;
    module.add_class::<parts::TypeEnumerator>()?;
    module.add_class::<parts::TypeMember>()?;
    module.add_class::<parts::TypeParameter>()?;
    module.add_class::<parts::TypeTemplateParameter>()?;
    module.add_class::<platform::Platform>()?;
    module.add_class::<platform::Register>()?;
    module.add_class::<program::Program>()?;
    module.add_class::<source::SourceLocationList>()?;
    module.add_class::<stack::LoggedStack>()?;
    module.add_class::<stack::StackFrame>()?;
    module.add_class::<stack::StackTrace>()?;
    module.add_class::<stack::Thread>()?;
    module.add_class::<search::MemorySearchIterator>()?;
    module.add_class::<symbol::Symbol>()?;
    module.add_class::<symbol::SymbolIndex>()?;
    module.add_class::<types::Type>()?;
    module.add_class::<walk::BinaryTree>()?;
    module.add_class::<walk::Chain>()?;
    module.add_class::<walk::MemberReader>()?;
    module.add_class::<walk::Pointers>()?;
    let set = py.import("collections.abc")?.getattr("Set")?;
    set.call_method1("register", (module.getattr("TypeKindSet")?,))?;
    let mapping = py.import("collections.abc")?.getattr("MutableMapping")?;
    mapping.call_method1("register", (py.get_type::<module::SectionAddresses>(),))?;
    language::add_constants(py)?;
    module.add(
        "host_platform",
        platform::Platform {
            inner: kdive_target::Platform::HOST,
        },
    )?;
    module.add_function(wrap_pyfunction!(cache::add, module)?)?;
    module.add_function(wrap_pyfunction!(cache::build_id, module)?)?;
    module.add_function(wrap_pyfunction!(cache::directory, module)?)?;
    module.add_function(wrap_pyfunction!(cache::indexing_progress, module)?)?;
    module.add_function(wrap_pyfunction!(cache::items, module)?)?;
    module.add_function(wrap_pyfunction!(cache::prune, module)?)?;
    module.add_function(wrap_pyfunction!(cache::verify, module)?)?;
    module.add_function(wrap_pyfunction!(functions::alignof, module)?)?;
    module.add_function(wrap_pyfunction!(functions::cast, module)?)?;
    module.add_function(wrap_pyfunction!(functions::container_of, module)?)?;
    module.add_function(wrap_pyfunction!(functions::filename_matches, module)?)?;
    module.add_function(wrap_pyfunction!(functions::implicit_convert, module)?)?;
    module.add_function(wrap_pyfunction!(functions::null, module)?)?;
    module.add_function(wrap_pyfunction!(functions::offsetof, module)?)?;
    module.add_function(wrap_pyfunction!(functions::reinterpret, module)?)?;
    module.add_function(wrap_pyfunction!(functions::sizeof, module)?)?;
    module.add_function(wrap_pyfunction!(linux::direct_mapping_offset, module)?)?;
    module.add_function(wrap_pyfunction!(linux::follow_phys, module)?)?;
    module.add_function(wrap_pyfunction!(linux::kaslr_offset, module)?)?;
    module.add_function(wrap_pyfunction!(linux::load_ctf, module)?)?;
    module.add_function(wrap_pyfunction!(linux::load_btf, module)?)?;
    module.add_function(wrap_pyfunction!(linux::pgtable_l5_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(linux::read_vm, module)?)?;
    module.add_function(wrap_pyfunction!(program::load_debug_info, module)?)?;
    module.add_function(wrap_pyfunction!(program::get_default_prog, module)?)?;
    module.add_function(wrap_pyfunction!(program::set_default_prog, module)?)?;
    module.add_function(wrap_pyfunction!(program::program_from_core_dump, module)?)?;
    module.add_function(wrap_pyfunction!(program::program_from_kernel, module)?)?;
    module.add_function(wrap_pyfunction!(program::program_from_pid, module)?)?;
    module.add_function(wrap_pyfunction!(walk::words_at, module)?)?;
    module.add_function(wrap_pyfunction!(lazy_attribute, module)?)?;
    Ok(())
}

/// Finds what is imported only when it is needed, since it needs `typing`.
#[pyfunction(name = "__getattr__")]
fn lazy_attribute<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    match name {
        "Damage" | "SourceLocation" | "Verification" | "WantedSupplementaryFile" => {
            py.import("kdive._records")?.getattr(name)
        }
        _ => Err(PyAttributeError::new_err(format!(
            "module 'kdive._native' has no attribute '{name}'"
        ))),
    }
}
