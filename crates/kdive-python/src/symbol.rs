//! Symbols, and indexes of them.

use kdive_debuginfo::symbols::{Symbol as Inner, SymbolBinding, SymbolKind, SymbolTable};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::arguments::Truth;
use crate::enums::Enumeration;

/// A symbol of a file's symbol table.
#[pyclass(frozen, eq, module = "kdive")]
#[derive(PartialEq)]
pub(crate) struct Symbol {
    pub(crate) inner: Inner,
}

#[pymethods]
impl Symbol {
    #[new]
    fn new(
        name: &str,
        address: u64,
        size: u64,
        binding: &Bound<'_, PyAny>,
        kind: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let binding = SymbolBinding::from_python(binding)?;
        let kind = SymbolKind::from_python(kind)?;
        Ok(Self {
            inner: Inner {
                name: name.into(),
                address,
                size,
                binding,
                kind,
            },
        })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its first address.
    #[getter]
    fn address(&self) -> u64 {
        self.inner.address
    }

    /// Its size in bytes; 0 if it is not known.
    #[getter]
    fn size(&self) -> u64 {
        self.inner.size
    }

    /// How visible it is.
    #[getter]
    fn binding(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.binding.to_python(py)
    }

    /// What it names.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.kind.to_python(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self
            .inner
            .name
            .as_ref()
            .into_pyobject(py)?
            .repr()?
            .to_string();
        let binding = self.binding(py)?.bind(py).repr()?.to_string();
        let kind = self.kind(py)?.bind(py).repr()?.to_string();
        Ok(format!(
            "Symbol(name={name}, address={:#x}, size={:#x}, binding={binding}, kind={kind})",
            self.inner.address, self.inner.size
        ))
    }
}

/// The symbols that a Python sequence holds.
pub(crate) fn symbols_of(
    symbols: &Bound<'_, PyAny>,
    message: &'static str,
) -> PyResult<Vec<Inner>> {
    let mut found = Vec::new();
    for symbol in symbols.try_iter()? {
        let symbol = symbol?;
        let symbol = symbol
            .cast::<Symbol>()
            .map_err(|_| PyTypeError::new_err(message))?;
        found.push(symbol.get().inner.clone());
    }
    Ok(found)
}

/// Symbols that can be found quickly; a symbol finder.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct SymbolIndex {
    table: SymbolTable,
}

#[pymethods]
impl SymbolIndex {
    #[new]
    fn new(symbols: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = symbols.py();
        let symbols = symbols_of(symbols, "expected sequence of Symbols")?;
        Ok(Self {
            table: py.detach(|| SymbolTable::new(symbols)),
        })
    }

    /// Return the symbols with this name, or that contain this address, or both.
    fn __call__(
        &self,
        prog: &Bound<'_, PyAny>,
        name: Option<&str>,
        address: Option<u64>,
        one: Truth,
    ) -> Vec<Symbol> {
        let _ = prog;
        let found = match (name, address) {
            (Some(name), None) if one.0 => self.table.by_name(name).into_iter().collect(),
            (None, Some(address)) if one.0 => self.table.by_address(address).into_iter().collect(),
            (Some(name), None) => self.table.all_by_name(name),
            (None, Some(address)) => self.table.all_by_address(address),
            (Some(name), Some(address)) => {
                let mut found = self.table.all_by_address(address);
                found.retain(|symbol| &*symbol.name == name);
                found.truncate(if one.0 { 1 } else { usize::MAX });
                found
            }
            (None, None) => self
                .table
                .iter()
                .take(if one.0 { 1 } else { usize::MAX })
                .collect(),
        };
        // A given symbol without a size is known to have its own address and no other.
        let contains = |symbol: &Inner| {
            address.is_none_or(|address| symbol.size != 0 || symbol.address == address)
        };
        found
            .into_iter()
            .filter(contains)
            .map(|inner| Symbol { inner })
            .collect()
    }
}
