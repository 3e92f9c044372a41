//! Fast paths of the helpers for the Linux kernel; private, under the names that scripts know.

use kdive_engine::Program as Engine;
use kdive_target::{AddressSpace, Caching, PageTables, Reach};
use pyo3::exceptions::{PyLookupError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::FilePath;
use crate::errors::{IntoPython, OrRaise};
use crate::program::Program;

/// The address space whose top-level table the kernel has at the virtual address `table`.
fn address_space(program: &Engine, table: u64) -> PyResult<PageTables> {
    let target = program
        .target()
        .ok_or_else(|| PyValueError::new_err("program has no target"))?;
    let kernel = target
        .page_tables
        .as_ref()
        .ok_or_else(|| PyValueError::new_err("the page tables of this target are not known"))?;
    let root = kernel.translate(table).or_raise()?.physical;
    let memory = program.memory();
    Ok(PageTables::new(
        memory,
        kernel.paging(),
        root,
        Reach::All,
        Caching::Keep,
    ))
}

/// The physical address of a virtual one in the address space of a top-level page table.
#[pyfunction]
#[pyo3(name = "_linux_helper_follow_phys")]
pub(crate) fn follow_phys(
    py: Python<'_>,
    prog: &Bound<'_, Program>,
    pgtable: u64,
    address: u64,
) -> PyResult<u64> {
    let program = &prog.get().inner;
    py.detach(|| {
        let space = address_space(program, pgtable)?;
        space
            .translate(address)
            .map(|mapping| mapping.physical)
            .map_err(IntoPython::into_python)
    })
}

/// Bytes of the address space of a top-level page table.
#[pyfunction]
#[pyo3(name = "_linux_helper_read_vm")]
pub(crate) fn read_vm<'py>(
    py: Python<'py>,
    prog: &Bound<'py, Program>,
    pgtable: u64,
    address: u64,
    size: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let program = &prog.get().inner;
    let bytes = py.detach(|| {
        let space = address_space(program, pgtable)?;
        // The size is the caller's; memory for it must not be taken for granted.
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| PyValueError::new_err(format!("{size} bytes can't be read at once")))?;
        bytes.resize(size, 0);
        space.read(address, &mut bytes).or_raise()?;
        Ok::<_, PyErr>(bytes)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// Takes types and variables of the kernel from CTF.
#[pyfunction]
#[pyo3(name = "_linux_helper_load_ctf")]
pub(crate) fn load_ctf(
    py: Python<'_>,
    prog: &Bound<'_, Program>,
    path: Option<FilePath>,
) -> PyResult<()> {
    let program = &prog.get().inner;
    py.detach(|| program.load_ctf(path.as_ref().map(|path| path.0.as_path())))
        .or_raise()
}

/// Takes types out of a file with BTF.
#[pyfunction]
#[pyo3(name = "_linux_helper_load_btf")]
pub(crate) fn load_btf(py: Python<'_>, prog: &Bound<'_, Program>, path: FilePath) -> PyResult<()> {
    let program = &prog.get().inner;
    py.detach(|| program.load_btf(path.0.as_path())).or_raise()
}

/// By how much the addresses of the kernel were shifted when it booted.
#[pyfunction]
#[pyo3(name = "_linux_helper_kaslr_offset")]
pub(crate) fn kaslr_offset(prog: &Bound<'_, Program>) -> PyResult<u64> {
    let target = prog.get().inner.target();
    match target.and_then(|target| target.vmcoreinfo.as_ref()) {
        Some(info) => Ok(info.kernel_offset().unwrap_or(0)),
        None => Err(PyValueError::new_err("not a Linux kernel")),
    }
}

/// Whether the kernel uses five levels of page tables.
#[pyfunction]
#[pyo3(name = "_linux_helper_pgtable_l5_enabled")]
pub(crate) fn pgtable_l5_enabled(prog: &Bound<'_, Program>) -> PyResult<bool> {
    let target = prog.get().inner.target();
    match target.and_then(|target| target.vmcoreinfo.as_ref()) {
        Some(info) => Ok(info
            .number("pgtable_l5_enabled")
            .is_some_and(|enabled| enabled != 0)),
        None => Err(PyValueError::new_err("not a Linux kernel")),
    }
}

/// What is subtracted from an address in the direct mapping to get the physical one.
#[pyfunction]
#[pyo3(name = "_linux_helper_direct_mapping_offset")]
pub(crate) fn direct_mapping_offset(py: Python<'_>, prog: &Bound<'_, Program>) -> PyResult<u64> {
    let program = &prog.get().inner;
    py.detach(|| {
        // x86-64 keeps the start of the mapping, which KASLR moves, in a variable.
        let symbol = program
            .symbol_named("page_offset_base")
            .or_raise()?
            .ok_or_else(|| PyLookupError::new_err("could not find 'page_offset_base'"))?;
        program
            .read_uint(AddressSpace::Virtual, symbol.address, 8)
            .or_raise()
    })
}
