//! Bytes objects for much memory at once.

use std::slice;

use kdive_engine::Result;
use kdive_target::parallel::populate;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::OrRaise;

/// What is read at a time: it stays in the caches of processors meanwhile, and is enough for files to
/// be read by all threads.
const STEP: usize = 8 << 20;

/// Makes a bytes object of `size` bytes, of which `read` fills one piece after the other, given its
/// place and its room. Other Python threads run meanwhile.
pub(super) fn read(
    py: Python<'_>,
    size: usize,
    read: impl Fn(usize, &mut [u8]) -> Result<()> + Send + Sync,
) -> PyResult<Bound<'_, PyBytes>> {
    // Much of zeros is room that the system is yet to find, so nothing is written twice.
    let zeros = py.get_type::<PyBytes>().call1((size,))?;
    let bytes = zeros.cast_into::<PyBytes>()?;
    // SAFETY: the object was made here and nobody else has seen it; its room is `size` bytes, which
    // live as long as the object and are not referred to from elsewhere.
    let room = unsafe {
        let start = ffi::PyBytes_AsString(bytes.as_ptr());
        slice::from_raw_parts_mut(start.cast::<u8>(), size)
    };
    py.detach(|| -> Result<()> {
        let mut done = 0;
        for step in room.chunks_mut(STEP) {
            populate(step);
            read(done, step)?;
            done += step.len();
        }
        Ok(())
    })
    .or_raise()?;
    Ok(bytes)
}
