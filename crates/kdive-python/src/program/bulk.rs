//! Bytes objects for much memory at once.

use std::mem::MaybeUninit;
use std::{ptr, slice};

use kdive_engine::Result;
use kdive_target::parallel::for_each_piece;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::OrRaise;

/// What is cleared and read at a time: it stays in the caches of processors meanwhile.
const STEP: usize = 4 << 20;
/// What one thread clears at a time.
const PIECE: usize = 64 << 10;

/// Makes a bytes object of `size` bytes, of which `read` fills one piece after the other, given its
/// place and its room. Other Python threads run meanwhile.
///
/// The room is new to the process, and that the system finds and clears it takes as long as
/// decompressing what goes there, so all threads take part in that.
pub(super) fn read(
    py: Python<'_>,
    size: usize,
    read: impl Fn(usize, &mut [u8]) -> Result<()> + Send + Sync,
) -> PyResult<Bound<'_, PyBytes>> {
    let length = ffi::Py_ssize_t::try_from(size)?;
    // SAFETY: without content, Python makes a new object of this length that is the caller's to
    // fill before anyone else sees it.
    let bytes: Bound<'_, PyBytes> = unsafe {
        let object = ffi::PyBytes_FromStringAndSize(ptr::null(), length);
        Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked()
    };
    // SAFETY: the room is `size` bytes, which live as long as the object and are not referred to
    // from elsewhere.
    let room: &mut [MaybeUninit<u8>] = unsafe {
        let start = ffi::PyBytes_AsString(bytes.as_ptr());
        slice::from_raw_parts_mut(start.cast(), size)
    };
    py.detach(|| -> Result<()> {
        let mut done = 0;
        for step in room.chunks_mut(STEP) {
            for_each_piece(step, PIECE, |piece| piece.fill(MaybeUninit::new(0)));
            // SAFETY: every byte was just written.
            let step = unsafe { &mut *(ptr::from_mut(step) as *mut [u8]) };
            read(done, step)?;
            done += step.len();
        }
        Ok(())
    })
    .or_raise()?;
    Ok(bytes)
}
